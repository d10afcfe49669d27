//! Signing in and out, and where the password and the token go.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use api::{
    Empty, Kind,
    identity::{Account, Registered, SignIn, SignedIn, User},
};
use axum::response::Response;
use types::{Page, Secret};

use crate::platform::{
    Asked, Person, Platform, account, id, me, noon, not_found, problem, reply, user,
};

const PASSWORD: &str = "correct horse battery";
const TOKEN: &str = "the.token.of.ada";

fn identity(asked: &Asked) -> Response {
    let email = "ada@bakery.example".to_owned();
    let ada = User { user: user(), account: Some(account()), email, created: noon() };
    match asked.line.as_str() {
        "POST /identity/v1/accounts" => reply(&Registered { account: account(), user: user() }),
        "POST /identity/v1/sessions" => {
            assert_eq!(asked.body::<SignIn>().password.reveal(), PASSWORD);
            let token = Secret::new(TOKEN);
            reply(&SignedIn { token, session: id("session"), user: ada, expires: noon() })
        }
        "GET /identity/v1/me" => me(),
        "GET /identity/v1/accounts" => reply(&Page::<Account> { items: vec![], next: None }),
        line if line.starts_with("GET /identity/v1/accounts/acct_") => {
            reply(&Account { account: account(), title: "The Bakery".into(), created: noon() })
        }
        line if line.starts_with("DELETE /identity/v1/sessions/sess_") => reply(&Empty {}),
        _ => not_found(),
    }
}

#[tokio::test]
async fn a_session_is_kept_where_only_its_owner_can_read_it() {
    let platform = Platform::start(identity).await;
    let ada = Person::new().with("MANDATE_URL", &platform.url).with("MANDATE_PASSWORD", PASSWORD);
    let done = ada.runs(&["sign-in", "ada@bakery.example"]).await;
    assert!(
        !done.err.contains(PASSWORD) && !done.out.contains(PASSWORD) && !done.out.contains(TOKEN)
    );
    assert!(done.good().contains("as ada@bakery.example until 2026-11-24 12:00:00 UTC"));
    let file = ada.home.path().join("session.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).unwrap().contains(PASSWORD));

    let shown = ada.runs(&["account", "show"]).await.good();
    insta::assert_snapshot!("account_show", shown);
    let asked = platform.asked().pop().unwrap();
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));

    assert!(ada.runs(&["sign-out"]).await.good().starts_with("Signed out"));
    assert!(!file.exists());
    let refused = ada.runs(&["account", "show"]).await;
    assert_eq!(refused.status, 3);
    assert_eq!(
        refused.err,
        "error: you are not signed in\nhint: sign in with `mandate sign-in EMAIL`\n"
    );
}

#[tokio::test]
async fn a_token_goes_only_to_the_platform_that_gave_it() {
    let (here, there) = (Platform::start(identity).await, Platform::start(identity).await);
    let ada = Person::new();
    let sign_in = ["--url", here.url.as_str(), "sign-in", "ada@bakery.example", "--password-stdin"];
    ada.runs_with(&sign_in, &format!("{PASSWORD}\n")).await.good();
    ada.runs(&["--url", &there.url, "account", "list"]).await.good();
    assert!(there.asked().iter().all(|asked| !asked.headers.contains_key("authorization")));
    let refused = ada.runs(&["account", "show", "--url", &there.url]).await;
    assert_eq!(refused.status, 3);
    assert!(refused.err.contains(&format!("you are signed in at {}", here.url)), "{}", refused.err);
}

#[tokio::test]
async fn whoever_registers_is_signed_in() {
    let platform = Platform::start(identity).await;
    let ada = Person::new().with("MANDATE_URL", &platform.url).with("MANDATE_PASSWORD", PASSWORD);
    let register = ["register", "The Bakery", "--email", "ada@bakery.example"];
    insta::assert_snapshot!("register", ada.runs(&register).await.good());
    assert_eq!(platform.lines(), ["POST /identity/v1/accounts", "POST /identity/v1/sessions"]);
    let again: Registered =
        ada.runs(&["register", "B", "--email", "b@b.example", "--json"]).await.json();
    assert_eq!(again, Registered { account: account(), user: user() });
}

#[tokio::test]
async fn whoever_takes_the_place_of_a_session_is_told() {
    let (here, there) = (Platform::start(identity).await, Platform::start(identity).await);
    let ada = Person::new().with("MANDATE_PASSWORD", PASSWORD);
    let at = |platform: &Platform| ["--url".to_owned(), platform.url.clone()];
    let sign_in = ["sign-in", "ada@bakery.example"].map(str::to_owned);
    let register = ["register", "B", "--email", "b@b.example", "--json"].map(str::to_owned);
    let runs = async |words: &[String]| {
        ada.runs(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    for _ in 0..2 {
        let done = runs(&[&at(&here)[..], &sign_in].concat()).await;
        assert_eq!((done.status, done.err.as_str()), (0, ""));
    }
    let done = runs(&[&at(&there)[..], &register].concat()).await;
    assert!(done.err.contains(&format!("this replaces the session of {}", user())), "{}", done.err);
    assert!(done.err.contains(&here.url) && done.err.contains("MANDATE_HOME"), "{}", done.err);
    let _: Registered = done.json();
}

/// A platform where the token of before is worth nothing any more.
fn where_it_has_ended(asked: &Asked) -> Response {
    if asked.headers.contains_key("authorization") {
        return problem(Kind::Unauthenticated, "session_ended", "the session has ended");
    }
    match asked.line.as_str() {
        "POST /identity/v1/password-resets" | "POST /identity/v1/passwords" => reply(&Empty {}),
        _ => identity(asked),
    }
}

#[tokio::test]
async fn a_session_that_has_ended_keeps_nobody_from_another_one() {
    let platform = Platform::start(where_it_has_ended).await;
    let ada = Person::new()
        .with("MANDATE_URL", &platform.url)
        .with("MANDATE_TOKEN", "of.another.time")
        .with("MANDATE_PASSWORD", PASSWORD);
    let refused = ada.runs(&["account", "show"]).await;
    assert_eq!(refused.status, 3);
    assert!(refused.err.contains("hint: sign in with `mandate sign-in EMAIL`"), "{}", refused.err);
    for command in [
        &["sign-in", "ada@bakery.example"][..],
        &["register", "The Bakery", "--email", "ada@bakery.example"],
        &["password", "forgot", "ada@bakery.example"],
        &["password", "reset", "http://mandate.example/reset-password?token=abc"],
    ] {
        ada.runs(command).await.good();
    }
    let kept = Person::new().with("MANDATE_URL", &platform.url).with("MANDATE_PASSWORD", PASSWORD);
    kept.runs(&["sign-in", "ada@bakery.example"]).await.good();
    let out = kept.runs(&["sign-out"]).await.good();
    assert_eq!(out, "The session had ended before.\n");
    assert_eq!(kept.runs(&["sign-out"]).await.good(), "There is no session to end.\n");
}

#[tokio::test]
async fn a_file_that_is_no_session_is_left_aside() {
    let platform = Platform::start(identity).await;
    let ada = Person::new().with("MANDATE_URL", &platform.url).with("MANDATE_PASSWORD", PASSWORD);
    let file = ada.home.path().join("session.json");
    fs::write(&file, "no session").unwrap();
    let done = ada.runs(&["sign-in", "ada@bakery.example"]).await;
    assert!(done.err.contains("is not a session, and is left aside"), "{}", done.err);
    done.good();
    ada.runs(&["account", "show"]).await.good();
}

#[tokio::test]
async fn a_wrong_password_leads_to_another_one() {
    let refused = |_: &Asked| problem(Kind::Unauthenticated, "sign_in_refused", "that is wrong");
    let platform = Platform::start(refused).await;
    let ada = Person::new().with("MANDATE_URL", &platform.url).with("MANDATE_PASSWORD", PASSWORD);
    let refused = ada.runs(&["sign-in", "ada@bakery.example"]).await;
    assert_eq!(refused.status, 3);
    let hint = "hint: `mandate password forgot ada@bakery.example` has a link sent";
    assert!(refused.err.contains(hint), "{}", refused.err);
    assert!(!refused.err.contains("mandate sign-in"), "{}", refused.err);
}

#[tokio::test]
async fn who_changes_their_password_goes_on_with_the_new_one() {
    let changed = AtomicBool::new(false);
    let platform = Platform::start(move |asked: &Asked| {
        let token = asked.headers.get("authorization");
        match asked.line.as_str() {
            "POST /identity/v1/sessions" => {
                let fields = asked.body::<SignIn>();
                let known = if changed.load(Relaxed) { "another horse" } else { PASSWORD };
                assert_eq!((fields.password.reveal(), token), (known, None));
                let (token, session) = (Secret::new(TOKEN), id("session"));
                let email = fields.email;
                let user = User { user: user(), account: None, email, created: noon() };
                reply(&SignedIn { token, session, user, expires: noon() })
            }
            "PUT /identity/v1/me/password" => {
                changed.store(true, Relaxed);
                reply(&Empty {})
            }
            _ => identity(asked),
        }
    })
    .await;
    let ada = Person::new()
        .with("MANDATE_URL", &platform.url)
        .with("MANDATE_PASSWORD", PASSWORD)
        .with("MANDATE_NEW_PASSWORD", "another horse");
    ada.runs(&["sign-in", "ada@bakery.example"]).await.good();
    let done = ada.runs(&["password", "change"]).await.good();
    assert_eq!(done, "Your password is changed, and other sessions have ended.\n");
}

#[tokio::test]
async fn a_password_is_no_argument_and_is_asked_only_of_a_person() {
    let ada = Person::new();
    assert_eq!(
        ada.runs(&["sign-in", "ada@bakery.example", "--password", PASSWORD]).await.status,
        2
    );
    let nobody = ada.runs(&["sign-in", "ada@bakery.example"]).await;
    assert_eq!(nobody.status, 2);
    assert!(nobody.err.contains("MANDATE_PASSWORD"), "{}", nobody.err);
}

#[tokio::test]
async fn a_token_from_the_environment_is_used_instead_of_the_session() {
    let platform = Platform::start(identity).await;
    let robot = Person::at(&platform);
    let me: api::identity::Me = robot.runs(&["whoami", "--json"]).await.json();
    assert_eq!(me.user.unwrap().user, user());
    robot.runs(&["whoami", "--token", "another"]).await.good();
    let tokens: Vec<String> =
        platform.asked().iter().map(|a| a.headers["authorization"].clone()).collect();
    assert_eq!(tokens, ["Bearer a-token", "Bearer another"]);
}
