//! What needs no server.

use std::{collections::BTreeSet, fs, path::Path};

use crate::platform::Person;

#[tokio::test]
async fn the_help_is_grouped_and_shows_examples() {
    let help = async |words: &[&str]| Person::new().runs(words).await.good();
    insta::assert_snapshot!("help", help(&["--help"]).await);
    insta::assert_snapshot!("help_order_place", help(&["order", "place", "--help"]).await);
    insta::assert_snapshot!("help_instance", help(&["instance", "--help"]).await);
    insta::assert_snapshot!("help_can", help(&["can", "--help"]).await);
    insta::assert_snapshot!("help_bill", help(&["bill", "explain", "--help"]).await);
}

#[tokio::test]
async fn what_is_written_wrongly_is_usage() {
    let nowhere = ["agent", "--join", "foo", "--token", "x"];
    let no_name = ["up", "--domain", "no name"];
    for words in [&["order"][..], &["fly"], &["order", "show", "inst_1"], &nowhere, &no_name, &[]] {
        let done = Person::new().runs(words).await;
        assert_eq!((done.status, done.out.as_str()), (2, ""), "{words:?}");
        assert!(done.err.contains("--help"), "{}", done.err);
    }
}

#[tokio::test]
async fn every_component_has_a_document() {
    for component in api::COMPONENTS {
        let document: serde_json::Value = Person::new().runs(&["openapi", component]).await.json();
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().unwrap();
        let listings = api::listings();
        for listing in listings.iter().filter(|listing| listing.component == component) {
            let path = &paths[&format!("/{component}{}", listing.path)];
            assert!(
                path[listing.method.to_ascii_lowercase()].is_object(),
                "{}",
                listing.permission
            );
        }
    }
    assert_eq!(Person::new().runs(&["openapi", "weather"]).await.status, 2);
}

#[tokio::test]
async fn shells_complete_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Person::new().runs(&["completions", shell]).await.good();
        assert!(script.contains("maintenance") && script.contains("sign-in"), "{shell}");
    }
}

#[tokio::test]
async fn every_command_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut named = BTreeSet::new();
    for place in ["README.md", "docs", "crates", "services", "xtask"] {
        commands_in(&root.join(place), &mut named);
    }
    assert!(named.len() > 30, "{named:?}");
    for command in named {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let plain = |word: &&&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let is_option = |word: &&&str| word.starts_with("--");
        let path = words.iter().take_while(|word| plain(word) && !is_option(word)).copied();
        let asked: Vec<&str> = path.chain(["--help"]).collect();
        let help = Person::new().runs(&asked).await;
        assert_eq!(help.status, 0, "`{command}` is named somewhere: {}", help.err);
        for option in words.iter().filter(is_option) {
            let option = option.split('=').next().unwrap();
            assert!(help.out.contains(option), "`{command}` is named somewhere: no `{option}`");
        }
    }
}

/// What stands between backticks and begins with the program's name, in all sources and documents.
fn commands_in(place: &Path, named: &mut BTreeSet<String>) {
    if place.is_dir() {
        let tests = place.file_name().is_some_and(|name| name == "tests" || name == "target");
        for entry in fs::read_dir(place).unwrap().filter(|_| !tests) {
            commands_in(&entry.unwrap().path(), named);
        }
    } else if place.extension().is_some_and(|kind| kind == "rs" || kind == "md") {
        let text = fs::read_to_string(place).unwrap();
        let spans = text.split('`').filter(|span| span.starts_with("mandate "));
        named.extend(spans.filter(|span| !span.contains('\n')).map(str::to_owned));
    }
}

#[test]
fn every_code_of_a_problem_is_explained_and_nothing_else_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/problems.md")).unwrap();
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(sections.is_sorted(), "the sections stand in the order of their names");
    let sources = sources_in(&root.join("crates"));
    let mut codes = BTreeSet::new();
    for source in &sources {
        let program = source.split("#[cfg(test)]").next().unwrap();
        for begin in ["Kind::", "::invalid(", "::conflict(", "refuse("] {
            let calls = program.match_indices(begin).map(|(at, _)| &program[at + begin.len()..]);
            codes.extend(calls.filter_map(code_in));
        }
    }
    assert!(codes.len() > 90, "{codes:?}");
    let unexplained: Vec<_> =
        codes.iter().filter(|code| !sections.contains(&code.as_str())).collect();
    assert!(unexplained.is_empty(), "docs/problems.md has no section for {unexplained:?}");
    let is_used =
        |code: &&str| sources.iter().any(|source| source.contains(&format!("\"{code}\"")));
    let unused: Vec<&&str> = sections.iter().filter(|code| !is_used(code)).collect();
    assert!(unused.is_empty(), "docs/problems.md explains what nobody says: {unused:?}");
}

/// The code in what follows `Kind::` or a constructor: a literal in lower case, behind at most the
/// kind and a status.
fn code_in(call: &str) -> Option<String> {
    let (before, rest) = call.split_once('"')?;
    let few = before.split(',').all(|part| {
        let part = part.trim().trim_start_matches("StatusCode::");
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let (code, _) = rest.split_once('"')?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (few && !code.is_empty() && code.bytes().all(plain)).then(|| code.to_owned())
}

fn sources_in(place: &Path) -> Vec<String> {
    if place.is_dir() {
        let entries = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
        let skipped = |path: &Path| path.ends_with("tests") || path.ends_with("benches");
        return entries.filter(|path| !skipped(path)).flat_map(|path| sources_in(&path)).collect();
    }
    let is_source = place.extension().is_some_and(|kind| kind == "rs");
    if is_source { vec![fs::read_to_string(place).unwrap()] } else { Vec::new() }
}
