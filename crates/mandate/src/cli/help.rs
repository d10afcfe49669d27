//! `mandate --help`, in groups.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Arguments;

const GROUPS: [(&str, &[&str]); 7] = [
    ("Run it", &["up", "agent"]),
    ("Who you are", &["register", "sign-in", "sign-out", "whoami", "password", "account", "user"]),
    ("What you take", &["offer", "order", "instance", "logs", "job"]),
    ("Who may do what", &["grant", "revoke", "grants", "can", "permissions", "audit"]),
    ("What it costs", &["bill"]),
    ("For operators", &["service", "release", "node", "queue"]),
    ("For reference", &["openapi", "completions"]),
];

const EXAMPLES: &str = "\
Examples:
  mandate up --data ./data
  mandate register 'The Bakery' --email ada@bakery.example
  mandate order place forum --size small --host bakery-forum.localhost --wait
  mandate bill show

Exit codes:
  0 done   1 unexpected   2 wrong usage   3 not signed in, or denied   4 not found
  5 refused as it is   6 unavailable, try again   7 `can`: no   8 `bill verify`: disagrees
  9 `release promote --check`: something would be lost";

/// The whole command line, with its help as it is shown.
pub(crate) fn command() -> Command {
    let mut command = Arguments::command();
    // What stands before a noun is read there; behind it, it holds for all of the noun's verbs.
    for option in ["url", "session_token", "json"] {
        command = command.mut_arg(option, |argument| argument.global(false));
    }
    let groups = groups(&command);
    let usage = "{about}\n\n{usage-heading} {usage}\n";
    let template = format!("{usage}\n{groups}Options:\n{{options}}\n\n{EXAMPLES}\n");
    command.help_template(template).disable_help_subcommand(true)
}

fn groups(command: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{title}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<12} {about}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_keeps_the_rules_of_its_reader() {
        command().debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group() {
        let command = command();
        let mut named: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut there: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        named.sort_unstable();
        there.sort_unstable();
        assert_eq!(named, there);
    }
}
