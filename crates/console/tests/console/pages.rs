//! Every page, as one reads it: `pages.txt`. `UPDATE=1` writes it anew.

use std::fmt::Write as _;

use crate::{
    browser::{Browser, text_of},
    world::{OPERATOR_TOKEN, TOKEN, World, data},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/console/pages.txt");

fn customers_pages() -> Vec<String> {
    let account = format!("/accounts/{}", data::account());
    let forum = format!("{account}/instances/{}", data::instance_id("forum"));
    let ben = &data::users()[1].email;
    vec![
        "/catalogue".into(),
        "/catalogue/store?plan=business".into(),
        format!("{account}/instances"),
        format!("{forum}?principal={ben}&permission=forum.moderate"),
        format!("{account}/instances/{}", data::instance_id("store")),
        format!("{forum}/jobs"),
        format!("{forum}/jobs/{}", data::jobs()[0].job),
        format!("{account}/orders"),
        format!("{account}/orders/{}", data::order_id("store")),
        format!("{account}/orders/{}", data::order_id("news")),
        format!("{account}/users"),
        format!("{account}/bill"),
        format!("{account}/bill?month=2026-10"),
        format!("{account}/bill/lines/bakery-forum.localhost.meter.requests?month=2026-11"),
        format!("{account}/audit"),
        format!("{account}/orders/{}", data::order_id("forum")),
        "/mine".into(),
        "/nowhere".into(),
    ]
}

fn operators_pages() -> Vec<String> {
    let store: types::Name = "store".parse().unwrap();
    let account = format!("/accounts/{}", data::account());
    vec![
        "/operate/services".into(),
        "/operate/services/store".into(),
        "/operate/services/forum".into(),
        format!("/operate/services/store/releases/{}", data::releases(&store)[0].digest),
        "/operate/services/store/rollouts".into(),
        "/operate/services/store/rollouts/2".into(),
        "/operate/services/store/rollouts/1".into(),
        "/operate/nodes".into(),
        "/operate/queues".into(),
        "/operate/queues/forum/default".into(),
        "/operate/queues/forum/mail".into(),
        "/operate/work".into(),
        format!("/operate/work/{}", data::jobs()[2].job),
        "/operate/accounts".into(),
        "/operate/grants".into(),
        format!("{account}/instances/{}", data::instance_id("forum")),
    ]
}

#[tokio::test]
async fn every_page_reads_as_it_did() {
    let console = World::new().console();
    let mut visitor = Browser::new(console.clone());
    let mut customer = Browser::with_token(console.clone(), TOKEN);
    let mut operator = Browser::with_token(console, OPERATOR_TOKEN);
    let mut text = String::new();
    for path in ["/sign-in", "/register", "/catalogue"] {
        let _ = writeln!(text, "=== a visitor at {path}\n{}\n", text_of(visitor.get(path).await));
    }
    for path in customers_pages() {
        let _ =
            writeln!(text, "=== a customer at {path}\n{}\n", text_of(customer.get(&path).await));
    }
    for path in operators_pages() {
        let _ =
            writeln!(text, "=== an operator at {path}\n{}\n", text_of(operator.get(&path).await));
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let known = std::fs::read_to_string(FILE).unwrap_or_default();
    let differs = known.lines().zip(text.lines()).find(|(known, now)| known != now);
    assert!(known == text, "{differs:?}: look at it, then run with UPDATE=1");
}
