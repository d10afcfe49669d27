//! What one reads of releases, their promotion, and what that is to customers.

use api::{
    Kind, Problem,
    releases::{Update, UpdateState},
};

use crate::{
    browser::{Browser, text_of},
    world::{OPERATOR_TOKEN, TOKEN, World, data},
};

fn forum() -> String {
    format!("/accounts/{}/instances/{}", data::account(), data::instance_id("forum"))
}

#[tokio::test]
async fn what_can_be_promoted_shows_what_changes_and_for_whom() {
    let world = World::new();
    let mut operator = Browser::with_token(world.console(), OPERATOR_TOKEN);
    let said = text_of(operator.get("/operate/services/forum").await);
    for sentence in [
        "by operator@localhost",
        "What its promotion changes",
        "Something is lost.",
        "Module badges goes, which 3 instances have.",
        "bakery.localhost, chess.localhost, library.localhost and 8 more",
        "ben@bakery.example on bakery-forum.localhost",
        "1,204 of version 2, of 2 instances: accepted",
        "--accept-loss promotes it.",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    // While anything is under way nothing can be promoted, and one may look all the same.
    let page = operator.get("/operate/services/store").await.to_owned();
    assert!(!text_of(&page).contains("Something is lost."));
    let link = page.split_once("/operate/services/store/releases/").unwrap().1;
    let link = format!("/operate/services/store/releases/{}", link.split('"').next().unwrap());
    assert!(text_of(operator.get(&link).await).contains("Something is lost."));
    // What cannot be had is said, and the rest is there.
    world.refuse("releases.previewRelease", Problem::unavailable("billing does not answer", 1));
    let said = text_of(operator.get("/operate/services/forum").await);
    assert!(said.contains("This cannot be shown now. Billing does not answer."), "{said}");
}

#[tokio::test]
async fn a_rollout_is_remembered_with_who_did_what_and_what_was_agreed_to() {
    let mut operator = Browser::with_token(World::new().console(), OPERATOR_TOKEN);
    let page = operator.get("/operate/services/store").await;
    assert!(page.contains("href=\"/operate/services/store/rollouts/2\""), "{page}");
    let said = text_of(operator.get("/operate/services/store/rollouts/2").await);
    for sentence in [
        "operator@localhost paused it",
        "operator@localhost let it go on",
        "Module badges goes",
        "That something is lost was agreed to.",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    let first = text_of(operator.get("/operate/services/store/rollouts/1").await);
    assert!(first.contains("it began with its publication"), "{first}");
    operator.get("/operate/services/store/rollouts/9").await;
    assert_eq!(operator.status, http::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_customer_reads_what_comes_and_what_it_is_for_visitors() {
    let world = World::new();
    let mut ada = Browser::with_token(world.console(), TOKEN);
    let planned = data::update(data::instance_id("forum")).unwrap();
    let of = |state, closes, longest_millis| {
        Some(Update { state, closes, longest_millis, ..planned.clone() })
    };
    let cases = [
        (of(UpdateState::Planned, true, None), "How long that takes is not known yet."),
        (of(UpdateState::Waiting, false, None), "Visitors notice nothing."),
        (of(UpdateState::Waiting, true, Some(3_812)), "3.8 s at most, so nobody was turned away."),
        (of(UpdateState::Paused, true, Some(600_000)), "it took 10 minutes at most."),
        (of(UpdateState::Moving, true, Some(14_000)), "it took 14.0 s at most."),
        (of(UpdateState::Failed, false, None), "It is served as before"),
        (of(UpdateState::Excepted, false, None), "The operator has left it out"),
        (of(UpdateState::Done, false, None), "Nobody was kept out."),
        (None, "It stays on its version until 27 Dec 2026"),
    ];
    for (update, sentence) in cases {
        world.update_is(update);
        let said = text_of(ada.get(&forum()).await);
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    // Who may not know sees the rest; what cannot be had is said.
    world.refuse("releases.getUpdate", Problem::new(Kind::Denied, "denied", "ben may not"));
    let said = text_of(ada.get(&forum()).await);
    assert!(!said.contains("ben may not") && said.contains("It stays on its version"), "{said}");
    world.refuse("releases.getUpdate", Problem::unavailable("releases does not answer", 1));
    assert!(text_of(ada.get(&forum()).await).contains("Releases does not answer."));
}
