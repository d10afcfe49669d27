//! What a person may do at an instance's host, and from when to when.

use api::{
    Kind,
    access::{CreateGrant, Decision, Grant, RevokeGrant},
    configurator::Instance,
    identity::{Me, WhoAmI},
};
use serde_json::json;
use types::Resource;

use crate::world::{Answer, Browser, Person, Process, World, until};

const HOST: &str = "guild-forum.localhost";
const CAN: [&str; 3] = ["forum.addUsers", "--on", HOST];

pub(crate) async fn story(world: &World, second: &Process) {
    let gil = world.registers("gil").await;
    gil.opens_forum(world, HOST).await;
    let bob = world.adds(&gil, "bob").await;
    let doors = [world.port(), second.port()];
    let doors = doors.map(|port| world.browser(HOST).by(port).with_token(&bob.token()));
    until("the second gateway knows the forum", async || doors[1].get("/").await.status == 200)
        .await;

    nobody_may_before_it_is_granted(&gil, &bob, &doors).await;
    whoever_was_granted_may_until_it_is_revoked(&gil, &bob, &doors).await;
    however_often_it_is_tried(&gil, &bob, &doors).await;
}

/// Bob adds a member: what the forum takes for a permission that it has never heard of.
async fn adds_a_member(door: &Browser) -> Answer {
    door.post_json("/users", &json!({ "name": "mo", "email": "mo@example.com" })).await
}

fn is_denied(answer: &Answer) {
    let problem = answer.problem();
    assert_eq!(
        (problem.status, problem.kind, problem.code.as_str()),
        (403, Kind::Denied, "denied")
    );
    assert!(problem.detail.contains("forum.addUsers"), "{problem:?}");
}

async fn nobody_may_before_it_is_granted(gil: &Person, bob: &Person, doors: &[Browser]) {
    for door in doors {
        is_denied(&adds_a_member(door).await);
    }
    let can = gil.runs(&[&["can", &bob.email], &CAN[..], &["--explain"]].concat()).await;
    assert_eq!(can.status, 7, "{can:?}");
    assert!(can.out.contains("It would take") && can.out.contains("mandate grant"), "{can:?}");
    // Bob cannot help himself.
    let problem = bob.asks(creation(gil, bob).await).await.unwrap_err();
    assert_eq!(problem.kind, Kind::Denied);
    assert!(problem.detail.contains("access.createGrant"), "{problem:?}");
}

async fn whoever_was_granted_may_until_it_is_revoked(
    gil: &Person,
    bob: &Person,
    doors: &[Browser],
) {
    let grant: Grant = gil.does(&[&["grant", &bob.email], &CAN[..]].concat()).await;
    adds_a_member(&doors[0]).await.is(201);
    adds_a_member(&doors[1]).await.is(200);
    let can: Decision = gil.does(&[&["can", &bob.email], &CAN[..]].concat()).await;
    assert!(can.allowed && can.rules.iter().any(|rule| rule.rule == grant.grant.to_string()));
    let can = gil.runs(&[&["can", &bob.email], &CAN[..], &["--explain"]].concat()).await.good();
    assert!(can.contains(&grant.grant.to_string()), "{can}");
    // One permission is not another.
    doors[0].send(http::Method::DELETE, "/users/mo", None).await.is(403);
    gil.runs(&["revoke", &grant.grant.to_string()]).await.good();
    for door in doors {
        is_denied(&adds_a_member(door).await);
    }
}

async fn however_often_it_is_tried(gil: &Person, bob: &Person, doors: &[Browser]) {
    let (account, create) = (gil.account(), creation(gil, bob).await);
    for _ in 0..20 {
        let grant = gil.asks(create.clone()).await.unwrap().grant;
        for door in doors {
            adds_a_member(door).await.is(200);
        }
        gil.asks(RevokeGrant { account, grant }).await.unwrap();
        for door in doors {
            is_denied(&adds_a_member(door).await);
        }
    }
}

/// The grant that lets Bob add members.
async fn creation(gil: &Person, bob: &Person) -> CreateGrant {
    let Me { principal, .. } = bob.asks(WhoAmI {}).await.unwrap();
    let Instance { instance, account, .. } = gil.does(&["instance", "show", HOST]).await;
    let (given, on) = (CAN[0].parse().unwrap(), Resource::Instance(account, instance));
    CreateGrant { account, principal, given, on }
}
