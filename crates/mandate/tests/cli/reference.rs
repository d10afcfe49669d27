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
    for words in [&["order"][..], &["fly"], &["order", "show", "inst_1"], &nowhere, &[]] {
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
