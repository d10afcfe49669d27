//! What needs no server.

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
    for words in [&["order"][..], &["fly"], &["order", "show", "inst_1"], &[]] {
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
