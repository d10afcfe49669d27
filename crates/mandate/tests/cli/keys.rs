//! Which keys may sign a service's releases.

use std::{fs, os::unix::fs::PermissionsExt as _};

use api::{Kind, releases::ServiceKey};
use axum::response::Response;
use ed25519_dalek::SigningKey;
use types::{Page, Principal};

use crate::platform::{Asked, Person, Platform, noon, not_found, problem, reply, user};

fn key(public_key: String, taken_back: bool) -> ServiceKey {
    let by = Some(Principal::User(user()));
    ServiceKey {
        service: "guestbook".parse().unwrap(),
        public_key,
        comment: if taken_back { String::new() } else { "Ada's new laptop".to_owned() },
        added: noon(),
        added_by: by.clone().filter(|_| !taken_back),
        taken_back: taken_back.then(noon),
        taken_back_by: by.filter(|_| taken_back),
    }
}

fn with_two_keys(asked: &Asked) -> Response {
    let (old, new) = ("5a".repeat(32), "5b".repeat(32));
    match asked.line.as_str() {
        "GET /releases/v1/services/guestbook/keys" => {
            reply(&Page { items: vec![key(old, true), key(new, false)], next: None })
        }
        line if line.starts_with("PUT /releases/v1/services/guestbook/keys/") => {
            reply(&key(new, false))
        }
        line if line.starts_with("DELETE /releases/v1/services/guestbook/keys/5a") => {
            reply(&key(old, true))
        }
        line if line.starts_with("DELETE /releases/v1/services/guestbook/keys/5b") => {
            if asked.query == "force=true" {
                return reply(&key(new, false));
            }
            problem(Kind::Conflict, "key_in_use", "abc is the current release")
        }
        _ => not_found(),
    }
}

#[tokio::test]
async fn keys_are_listed_trusted_and_taken_back() {
    let platform = Platform::start(with_two_keys).await;
    let operator = Person::at(&platform);
    let listed = operator.runs(&["service", "keys", "guestbook"]).await.good();
    insta::assert_snapshot!("service_keys", listed);

    let new = "5b".repeat(32);
    let trust = ["service", "trust", "guestbook", &new, "--comment", "Ada's new laptop"];
    let said = operator.runs(&trust).await.good();
    assert_eq!(said, format!("Releases of guestbook may be signed by {new}.\n"));
    let asked = platform.asked().pop().unwrap();
    assert_eq!(asked.line, format!("PUT /releases/v1/services/guestbook/keys/{new}"));
    assert_eq!(asked.body::<serde_json::Value>()["comment"], "Ada's new laptop");

    let distrust = async |key: &str, more: &[&str]| {
        operator.runs(&[&["service", "distrust", "guestbook", key][..], more].concat()).await
    };
    assert!(distrust("5A5", &[]).await.good().contains("may not be signed by 5a5a"));
    let in_use = distrust("5b", &[]).await;
    assert_eq!(in_use.status, 5);
    assert!(in_use.err.contains("abc is the current release"), "{}", in_use.err);
    distrust("5b", &["--force"]).await.good();
    let several = distrust("5", &[]).await;
    assert_eq!(several.status, 5);
    assert!(several.err.contains("more than one key begins with `5`"), "{}", several.err);
    assert_eq!(distrust("6", &[]).await.status, 4);
}

#[tokio::test]
async fn a_publisher_says_by_which_key_it_signs() {
    let person = Person::new();
    let path = person.home.path().join("my.key");
    let ask = ["service", "public-key", "--key", path.to_str().unwrap()];
    assert_eq!(person.runs(&ask).await.status, 4);
    let made = person.runs(&[&ask[..], &["--new-key"]].concat()).await.good();
    assert_eq!(person.runs(&ask).await.good(), made, "it is made once");
    let seed = fs::read_to_string(&path).unwrap();
    let byte = |place| u8::from_str_radix(&seed[2 * place..2 * place + 2], 16).unwrap();
    let seed: [u8; 32] = std::array::from_fn(byte);
    let public_key = SigningKey::from_bytes(&seed).verifying_key();
    let text = chassis::hex(public_key.as_bytes());
    assert_eq!(made.trim_end(), text);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
