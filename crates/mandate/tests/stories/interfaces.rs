//! The interfaces as their documents say they are.

use api::{
    COMPONENTS, Kind, Listing,
    http::openapi,
    identity::{CreateUser, ListUsers},
    provider::{ListOrders, PlaceOrder},
};
use http::Method;
use serde_json::Value;
use types::Secret;

use crate::world::{Answer, Browser, Person, World};

pub(crate) async fn story(world: &World) {
    let ian = world.registers("ian").await;
    let nobody = world.browser("localhost").into_program();
    for component in COMPONENTS {
        is_as_its_document_says(&nobody, &ian, component).await;
    }
    every_operation_answers(world, &ian).await;
    what_is_no_operation_is_a_problem(&nobody).await;
    bodies_are_limited(&nobody).await;
    a_repeated_request_is_one(&ian).await;
    lists_are_pages(&ian).await;
}

fn listings(component: &str) -> Vec<Listing> {
    api::listings().into_iter().filter(|listing| listing.component == component).collect()
}

async fn is_as_its_document_says(nobody: &Browser, ian: &Person, component: &str) {
    let served = nobody.get(&format!("/{component}/v1/openapi.json")).await.is(200).json();
    let listings = listings(component);
    assert_eq!(served, openapi(component, &listings));
    let printed = ian.runs(&["openapi", component]).await.good();
    assert_eq!(served, serde_json::from_str::<Value>(&printed).unwrap());
    let documented = served["paths"].as_object().unwrap().values();
    let documented: usize = documented.map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(documented, listings.len());
    assert_eq!(served["openapi"], "3.1.0");
}

/// Somebody unknown, somebody who shows what is no token, somebody who may and writes nonsense:
/// each learns what is wrong, in the same form.
async fn every_operation_answers(world: &World, ian: &Person) {
    let api = || world.browser("localhost");
    let askers =
        [api().into_program(), api().with_token("nonsense"), api().with_token(&ian.token())];
    for listing in api::listings() {
        for (asker, browser) in askers.iter().enumerate() {
            let answer = asks_nonsense(browser, &listing).await;
            let what = format!("{} by asker {asker}: {answer:?}", listing.permission);
            assert!(answer.header("x-request-id").starts_with("req_"), "{what}");
            if answer.status == 200 {
                assert_eq!((listing.method, asker == 1), ("GET", false), "{what}");
                continue;
            }
            let problem = answer.problem();
            assert!((400..500).contains(&problem.status) && problem.status != 405, "{what}");
            if asker == 1 {
                assert_eq!(problem.kind, Kind::Unauthenticated, "{what}");
            }
        }
    }
}

async fn asks_nonsense(browser: &Browser, listing: &Listing) -> Answer {
    let parts = listing.path.split('/');
    let parts = parts.map(|part| if part.starts_with('{') { "nonsense" } else { part });
    let path = format!("/{}{}", listing.component, parts.collect::<Vec<_>>().join("/"));
    let method: Method = listing.method.parse().unwrap();
    let has_body = matches!(method, Method::POST | Method::PUT);
    let body = has_body.then(|| ("application/json", r#"{"account":[],"service":7}"#.into()));
    browser.send(method, &path, body).await
}

async fn what_is_no_operation_is_a_problem(nobody: &Browser) {
    for component in COMPONENTS {
        let path = format!("/{component}/v1/nothing/of/the/kind");
        assert_eq!(nobody.get(&path).await.is(404).problem().kind, Kind::NotFound);
        let path = format!("/{component}/v2/me");
        assert_eq!(nobody.get(&path).await.is(404).problem().kind, Kind::NotFound);
        let listing = listings(component).into_iter().find(|l| !l.path.contains('{')).unwrap();
        let path = format!("/{component}{}", listing.path);
        let answer = nobody.send(Method::PATCH, &path, None).await.is(405);
        assert_eq!(answer.problem().kind, Kind::Invalid);
        assert!(answer.header("allow").contains(listing.method), "{answer:?}");
    }
}

async fn bodies_are_limited(nobody: &Browser) {
    let body = format!("{{\"title\":\"{}\"}}", "a".repeat(1 << 20));
    let body = Some(("application/json", body.into()));
    let answer = nobody.send(Method::POST, "/identity/v1/accounts", body).await;
    assert_eq!(answer.problem().code, "body_too_long");
}

async fn a_repeated_request_is_one(ian: &Person) {
    let place = |host: &str| PlaceOrder {
        account: ian.account(),
        service: "forum".parse().unwrap(),
        plan: None,
        modules: ["polls".to_owned()].into(),
        size: "small".into(),
        host: host.parse().unwrap(),
    };
    let client = ian.client();
    let first = client.call_once(place("ian-forum.localhost"), "order-1").await.unwrap();
    let again = client.call_once(place("ian-forum.localhost"), "order-1").await.unwrap();
    assert_eq!((first.order, first.instance), (again.order, again.instance));
    let problem = client.call_once(place("other-forum.localhost"), "order-1").await.unwrap_err();
    assert_eq!((problem.kind, problem.code.as_str()), (Kind::Conflict, "idempotency_key_reused"));
    let list = ListOrders { account: ian.account(), after: None, limit: None };
    assert_eq!(ian.asks(list).await.unwrap().items.len(), 1);
}

async fn lists_are_pages(ian: &Person) {
    let account = ian.account();
    for name in ["una", "ula", "uma", "uta"] {
        let (email, password) = (format!("{name}@example.com"), Secret::new("long enough a one"));
        ian.asks(CreateUser { account, email, password }).await.unwrap();
    }
    let page = async |after, limit| ian.asks(ListUsers { account, after, limit }).await;
    let whole = page(None, None).await.unwrap();
    assert_eq!((whole.items.len(), &whole.next), (5, &None));
    let (mut read, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let next = page(after, Some(2)).await.unwrap();
        assert!(next.items.len() <= 2);
        read.extend(next.items);
        pages += 1;
        after = next.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((read, pages), (whole.items, 3));
    // A limit that cannot be is the nearest that can.
    assert_eq!(page(None, Some(0)).await.unwrap().items.len(), 1);
    assert_eq!(page(None, Some(u32::MAX)).await.unwrap().items.len(), 5);
}
