//! What one chooses of an offer: its sum, and that it is kept.

use http::StatusCode;

use crate::{
    browser::{Browser, text_of},
    world::{TOKEN, World, data},
};

const CHOSEN: &str = "/catalogue/store?plan=business&size=medium&modules=coupons&host=bread";

#[tokio::test]
async fn the_sum_is_of_what_is_chosen() {
    let mut ada = Browser::with_token(World::new().console(), TOKEN);
    // 12 for the plan and 0.012 for each of 730 hours.
    let page = text_of(ada.get("/catalogue/store").await);
    assert!(page.contains("Together about 20.76 USD a month, plus usage"), "{page}");
    assert!(page.contains("For Basic and Small"), "{page}");
    // 49 and 0.018; the module is included.
    let page = text_of(ada.get(CHOSEN).await);
    assert!(page.contains("Together about 62.14 USD a month, plus usage"), "{page}");
    assert!(page.contains("For Business, Medium and Coupons"), "{page}");
    for checked in ["business", "medium", "coupons"] {
        assert!(ada.body.contains(&format!("value=\"{checked}\" checked")), "{checked}");
    }
    // Without the script a button asks for it.
    let again = [("plan", "basic"), ("size", "small"), ("host", "bread"), ("then", "prices")];
    ada.submit("/catalogue/store", &again).await;
    assert_eq!(ada.location(), "/catalogue/store?plan=basic&size=small&host=bread");
}

#[tokio::test]
async fn what_was_chosen_is_kept_through_registration_and_sign_in() {
    for (then, form) in [("register", "/register"), ("sign-in", "/sign-in")] {
        let world = World::new();
        let mut ada = Browser::new(world.console());
        ada.get("/catalogue/store").await;
        let chosen = [
            ("plan", "business"),
            ("size", "medium"),
            ("modules", "coupons"),
            ("host", "bread"),
            ("then", then),
        ];
        ada.submit("/catalogue/store", &chosen).await;
        let next = ada.location().to_owned();
        assert!(next.starts_with(&format!("{form}?next=%2Fcatalogue%2Fstore%3F")), "{next}");
        assert_eq!(world.changes(), vec![], "nothing is ordered");
        ada.get(&next).await;
        let typed = [
            ("title", "Corner Bakery"),
            ("email", "ada@bakery.example"),
            ("password", data::PASSWORD),
        ];
        ada.submit(form, &typed).await;
        assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, CHOSEN));
        ada.get(CHOSEN).await;
        assert!(ada.body.contains("name=\"host\" value=\"bread\"") && ada.body.contains("Order"));
    }
}

#[tokio::test]
async fn what_was_chosen_outlives_a_session_that_ends_meanwhile() {
    let chosen =
        [("plan", "business"), ("size", "medium"), ("modules", "coupons"), ("host", "bread")];
    // Whether the order is what is told that it has ended, or another page was.
    for is_told_before in [false, true] {
        let world = World::new();
        let mut ada = Browser::with_token(world.console(), TOKEN);
        let page = ada.get("/catalogue/store").await.to_owned();
        world.end_sessions();
        if is_told_before {
            ada.get("/mine").await;
            assert_eq!(ada.cookie("mandate_session"), None);
        }
        ada.body = page;
        ada.submit("/catalogue/store", &chosen).await;
        let next = ada.location().to_owned();
        assert!(next.starts_with("/sign-in?next=%2Fcatalogue%2Fstore%3F"), "{next}: {}", ada.body);
        ada.get(&next).await;
        let typed = [("email", "ada@bakery.example"), ("password", data::PASSWORD)];
        ada.submit("/sign-in", &typed).await;
        assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, CHOSEN));
        assert!(world.orders() == 3, "nothing was ordered unseen");
    }
}

#[tokio::test]
async fn a_page_that_waits_for_a_person_does_not_ask_again_and_again() {
    let mut ada = Browser::with_token(World::new().console(), TOKEN);
    let order = |name| format!("/accounts/{}/orders/{}", data::account(), data::order_id(name));
    let waits = ada.get(&order("store")).await.to_owned();
    assert!(waits.contains("Set it up") && waits.contains("data-live"));
    assert!(!waits.contains("data-going=\"\"") && !waits.contains("http-equiv"), "{waits}");
    let runs = ada.get(&order("news")).await;
    assert!(runs.contains("data-going=\"\"") && runs.contains("http-equiv"), "{runs}");
}

#[tokio::test]
async fn an_open_instance_shows_what_its_seed_printed() {
    let mut ada = Browser::with_token(World::new().console(), TOKEN);
    let order = format!("/accounts/{}/orders/{}", data::account(), data::order_id("forum"));
    let page = ada.get(&order).await;
    let link = "<a href=\"http://bakery-forum.localhost:8080/invitations/t0k3n\"";
    assert!(page.contains(link) && page.contains("Visit it"), "{page}");
    let seed = page.split("<details").find(|part| part.contains(link)).unwrap();
    assert!(seed.split('>').next().unwrap().contains(" open"), "it is unfolded");
}
