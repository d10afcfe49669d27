//! Commands of an application that are run once for an instance.

use api::{configurator::Instance, manifest::Manifest};
use maud::{Markup, html};

use crate::{
    form::{Draft, Fields, form},
    paths,
    visitor::Person,
};

/// Nothing if the manifest names no program.
pub(crate) fn section(
    person: &Person,
    instance: &Instance,
    manifest: &Manifest,
    draft: &Draft,
) -> Markup {
    let programs = &manifest.run.commands;
    let action = format!("{}/commands", paths::instance(instance.account, instance.instance));
    let chosen = draft.fields.get("program");
    html! {
        @if !programs.is_empty() {
            section.card #commands {
                h2 { "Run a command" }
                p.soft { "Once, with all that the application has. What it prints stands on its page." }
                (form(&person.form_token, &action, html! {
                    (draft.once())
                    label.field { span { "Program" }
                        select name="program" {
                            @for program in programs {
                                option value=(program) selected[program == chosen] { (program) }
                            }
                        }
                    }
                    label.field { span { "Arguments, each on a line of its own" }
                        textarea name="arguments" rows="3" spellcheck="false" maxlength="20000" {
                            (draft.fields.exact("arguments"))
                        }
                    }
                    button.quiet { "Run it" }
                }))
            }
        }
    }
}

/// The program and its arguments. A browser ends lines as mail does; spaces belong to an argument.
pub(crate) fn words(fields: &Fields) -> Vec<String> {
    let arguments = fields.exact("arguments").lines().filter(|line| !line.is_empty());
    [fields.get("program")].into_iter().chain(arguments).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_argument() {
        let fields =
            Fields::of_query("program=./run&arguments=report%0D%0A%0D%0A--since%0A+last+week%0A");
        assert_eq!(words(&fields), ["./run", "report", "--since", " last week"]);
    }
}
