//! People read names, not ids.

use api::{Kind, Problem};
use http::StatusCode;

use crate::{
    browser::{Browser, text_of},
    world::{OPERATOR_TOKEN, TOKEN, World, data},
};

#[tokio::test]
async fn no_page_calls_people_or_instances_by_ids() {
    let console = World::new().console();
    let mut customer = Browser::with_token(console.clone(), TOKEN);
    let mut operator = Browser::with_token(console, OPERATOR_TOKEN);
    let account = format!("/accounts/{}", data::account());
    let forum = format!("{account}/instances/{}", data::instance_id("forum"));
    let ben = &data::users()[1].user;
    let may = format!("{forum}?principal=user/{ben}&permission=forum.moderate");
    for path in [may, format!("{account}/audit"), format!("{account}/bill"), "/mine".into()] {
        let page = text_of(customer.get(&path).await);
        // The one place for an id is the small print of the heading.
        let print = format!("· {}", data::instance_id("forum"));
        let page = page.replace(&print, "");
        assert!(!page.contains("user_") && !page.contains("inst_"), "{path}: {page}");
    }
    let job = format!("/operate/work/{}", data::jobs()[0].job);
    let of_operators = ["work", "grants", "nodes", "queues/forum/default"];
    let of_operators = of_operators.map(|page| format!("/operate/{page}"));
    for path in of_operators.iter().chain([&job]) {
        let page = text_of(operator.get(path).await);
        let ids = ["user_", "inst_", "node_"];
        assert!(!ids.iter().any(|id| page.contains(id)), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_refusal_names_who_was_refused() {
    let world = World::new();
    let mut ada = Browser::with_token(world.console(), TOKEN);
    let detail = format!("`{}` may not do `billing.getBill`", data::ada().user);
    world.refuse("billing.getBill", Problem::new(Kind::Denied, "denied", detail));
    ada.get(&format!("/accounts/{}/bill", data::account())).await;
    assert_eq!(ada.status, StatusCode::FORBIDDEN);
    assert!(ada.body.contains("<code>ada@bakery.example</code> may not do"), "{}", ada.body);
    assert!(ada.body.contains("href=\"/mine\"") && !ada.body.contains("user_"));
}

#[tokio::test]
async fn who_may_not_see_the_account_lands_on_what_they_may() {
    let world = World::new();
    let mut ben = Browser::with_token(world.console(), TOKEN);
    let denied = Problem::new(Kind::Denied, "denied", "no rule permits it");
    world.refuse("configurator.listInstances", denied);
    world.grant_only(data::bens_grants());
    ben.get("/").await;
    assert_eq!(ben.location(), "/mine");
    ben.get("/mine").await;
    for said in ["bakery-forum.localhost", "Add members", "http://bakery-forum.localhost:8080/"] {
        assert!(ben.body.contains(said), "{said}: {}", ben.body);
    }
    let nav = ben.body.split_once("</nav>").unwrap().0;
    assert!(nav.contains("href=\"/mine\"") && nav.contains("Catalogue"), "{nav}");
    for closed in ["Instances", "Orders", "Bill", "Users", "Audit"] {
        assert!(!nav.contains(closed), "{closed} leads to a refusal: {nav}");
    }
}
