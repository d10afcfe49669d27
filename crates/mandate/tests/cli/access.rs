//! Who may do what.

use api::{
    Kind,
    access::{AuditEntry, CatalogueEntry, Decision, Grant, Reason, Revoked},
    configurator::{Hosts, Instance, InstanceState},
    identity::{GetNames, Names, User},
    manifest::Level,
};
use axum::response::Response;
use types::{GrantId, Page, Principal, Resource, UserId};

use crate::platform::{
    Asked, Person, Platform, account, id, instance, me, noon, not_found, problem, reply, user,
};

fn bob() -> UserId {
    id("bob")
}

fn grant() -> Grant {
    Grant {
        grant: id("grant"),
        principal: Principal::User(bob()),
        given: "forum.addUsers".parse().unwrap(),
        on: Resource::Instance(account(), instance()),
        granted_by: Principal::User(user()),
        created: noon(),
    }
}

fn decision(allowed: bool) -> Decision {
    let may = if allowed { "may" } else { "may not" };
    let note = "there is a grant of `forum.addUsers` on the instance";
    let reason = || Reason { rule: grant().grant.to_string(), note: note.into() };
    let why = if allowed { note } else { "nobody has granted it" };
    let place = "at bakery-forum.localhost";
    let wanted = "a grant of `forum.addUsers` (or `forum.*`) to bob@bakery.example";
    Decision {
        allowed,
        sentence: format!("bob@bakery.example {may} add members {place}, because {why}"),
        rules: if allowed { vec![reason()] } else { vec![] },
        missing: (!allowed).then(|| format!("{wanted} {place}")),
    }
}

const HOST: &str = "bakery-forum.localhost";

fn bakery_forum() -> Instance {
    Instance {
        instance: instance(),
        account: account(),
        service: "forum".parse().unwrap(),
        host: HOST.parse().unwrap(),
        url: format!("http://{HOST}"),
        modules: [].into(),
        size: "small".into(),
        release: types::Digest::of(b"release"),
        state: InstanceState::Open,
        suspended: None,
        maintenance: None,
        problem: None,
        frozen_until: None,
        last_move: None,
        setup_url: None,
        created: noon(),
    }
}

fn access(allowed: bool) -> impl Fn(&Asked) -> Response {
    move |asked| {
        let bobs = User {
            user: bob(),
            account: Some(account()),
            email: "bob@bakery.example".into(),
            created: noon(),
        };
        let line = asked.line.as_str();
        let (verb, path) = line.split_once(' ').unwrap();
        match (verb, path.rsplit('/').next().unwrap()) {
            ("GET", "me") => me(),
            ("GET", "bob%40bakery.example") => reply(&bobs),
            ("GET", HOST) => reply(&bakery_forum()),
            ("POST", "names") => {
                let asked: GetNames = asked.body();
                assert!(asked.users.is_subset(&[bob(), user()].into()), "{asked:?}");
                let named = |(id, name): (UserId, &str)| (id, format!("{name}@bakery.example"));
                let users = [(bob(), "bob"), (user(), "ada")].map(named).into();
                reply(&Names { users, ..Names::default() })
            }
            ("POST", "hosts") => {
                let hosts = [(instance(), HOST.parse().unwrap())].into();
                reply(&Hosts { hosts })
            }
            ("POST", "grants") => reply(&grant()),
            ("GET", "grants") => reply(&Page { items: vec![grant()], next: None }),
            ("GET", "decisions") => reply(&decision(allowed)),
            ("GET", "permissions") => reply(&Page {
                items: vec![CatalogueEntry {
                    permission: "forum.addUsers".parse().unwrap(),
                    title: "Add members".into(),
                    level: Level::Write,
                }],
                next: None,
            }),
            ("GET", "audit") => reply(&Page {
                items: vec![AuditEntry {
                    at: noon(),
                    by: Principal::User(user()),
                    action: "access.createGrant".parse().unwrap(),
                    on: Resource::Account(account()),
                    detail: format!("`owner` to {}", Principal::User(bob())),
                    request: id("request"),
                }],
                next: None,
            }),
            ("DELETE", _) => reply(&Revoked { revision: 7 }),
            ("PUT", _) => reply(&Grant { on: Resource::Platform, ..grant() }),
            _ => not_found(),
        }
    }
}

/// What was granted last.
fn granted(platform: &Platform) -> serde_json::Value {
    let asked = platform.asked().into_iter().filter(|asked| asked.line.ends_with("/grants"));
    asked.last().unwrap().body()
}

#[tokio::test]
async fn a_grant_names_people_and_instances_as_people_do() {
    let platform = Platform::start(access(true)).await;
    let ada = Person::at(&platform);
    let words = ["grant", "bob@bakery.example", "forum.addUsers", "--on", "bakery-forum.localhost"];
    insta::assert_snapshot!("grant", ada.runs(&words).await.good());
    let body = granted(&platform);
    let on = Resource::Instance(account(), instance()).to_string();
    let principal = Principal::User(bob()).to_string();
    assert_eq!(
        body,
        serde_json::json!({ "principal": principal, "given": "forum.addUsers", "on": on })
    );

    ada.runs(&["grant", "me", "owner", "--on", "account"]).await.good();
    let body = granted(&platform);
    assert_eq!(body["principal"], Principal::User(user()).to_string());
    assert_eq!(body["on"], Resource::Account(account()).to_string());

    ada.runs(&["grant", &principal, "operator", "--on", "platform"]).await.good();
    let mut puts = platform.lines().into_iter().filter(|line| line.starts_with("PUT "));
    assert!(puts.next_back().unwrap().starts_with("PUT /access/v1/grants/grnt_"));
}

#[tokio::test]
async fn what_nobody_is_called_is_refused_with_a_way_out() {
    let platform = Platform::start(access(true)).await;
    let ada = Person::at(&platform);
    let cases = [
        (["grant", "eve@bakery.example", "owner", "--on", "account"], 4, "mandate user list"),
        (["grant", "bob", "owner", "--on", "account"], 5, "the e-mail address of a user"),
        (["grant", "me", "owner", "--on", "nowhere.localhost"], 4, "mandate instance list"),
        (["grant", "me", "owner", "--on", "account/x"], 5, "it should look like"),
        (["grant", "me", "a.b.c", "--on", "account"], 2, "it should look like"),
    ];
    for (words, status, says) in cases {
        let done = ada.runs(&words).await;
        assert_eq!(done.status, status, "{words:?} {done:?}");
        assert!(done.err.contains(says), "{words:?} {}", done.err);
    }
}

#[tokio::test]
async fn can_says_yes_or_no_by_its_exit_code_and_why_if_asked() {
    let words = ["can", "bob@bakery.example", "forum.addUsers", "--on", "bakery-forum.localhost"];
    let explain = [&words[..], &["--explain"]].concat();
    let yes = Platform::start(access(true)).await;
    let ada = Person::at(&yes);
    assert_eq!(ada.runs(&words).await.good(), "yes\n");
    insta::assert_snapshot!("can_explain_yes", ada.runs(&explain).await.good());
    let no = Platform::start(access(false)).await;
    let ada = Person::at(&no);
    let done = ada.runs(&words).await;
    assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (7, "no\n", ""));
    let done = ada.runs(&explain).await;
    assert_eq!(done.status, 7);
    insta::assert_snapshot!("can_explain_no", done.out);
    // The command that it shows is one that can be given.
    let command = done.out.lines().last().unwrap().trim();
    let command: Vec<&str> = command.split(' ').skip(1).collect();
    ada.runs(&command).await.good();
    let json = ada.runs(&[&words[..], &["--json"]].concat()).await;
    assert_eq!(
        (json.status, serde_json::from_str::<Decision>(&json.out).unwrap()),
        (7, decision(false))
    );
}

#[tokio::test]
async fn an_operator_names_people_by_address_and_takes_back_what_is_the_platforms() {
    let platform = Platform::start(|asked| match asked.line.as_str() {
        "GET /identity/v1/people/ben%40bakery.example" => reply(&User {
            user: bob(),
            account: None,
            email: "ben@bakery.example".into(),
            created: noon(),
        }),
        line if line.starts_with("PUT /access/v1/grants/grnt_") => {
            let principal = asked.body::<serde_json::Value>()["principal"].clone();
            assert_eq!(principal, format!("user/{}", bob()));
            reply(&grant())
        }
        line if line.starts_with("DELETE /access/v1/grants/grnt_") => {
            reply(&Revoked { revision: 7 })
        }
        _ => not_found(),
    })
    .await;
    let operator = Person::at(&platform);
    let granted = ["grant", "ben@bakery.example", "operator", "--on", "platform"];
    let granted = operator.runs(&granted).await.good();
    let back = format!("mandate revoke {} --platform", grant().grant);
    assert!(granted.contains(&back), "{granted}");
    let back: Vec<&str> = back.split(' ').skip(1).collect();
    assert!(operator.runs(&back).await.good().contains("everywhere"));
    assert!(platform.lines().pop().unwrap().starts_with("DELETE /access/v1/grants/grnt_"));
    let nobody = ["grant", "eve@bakery.example", "operator", "--on", "platform"];
    assert_eq!(operator.runs(&nobody).await.status, 4);
}

#[tokio::test]
async fn grants_permissions_and_the_audit_trail_are_listed_and_a_grant_revoked() {
    let platform = Platform::start(access(true)).await;
    let ada = Person::at(&platform);
    let mut said = String::new();
    for words in ["grants", "permissions", "audit"] {
        said += &ada.runs(&[words]).await.good();
        said.push('\n');
    }
    let grant: GrantId = grant().grant;
    said += &ada.runs(&["revoke", &grant.to_string()]).await.good();
    insta::assert_snapshot!("grants_and_audit", said);
    assert!(!said.contains("user/") && !said.contains("inst_"), "people are named: {said}");
    let questions = platform.lines().iter().filter(|line| line.starts_with("POST ")).count();
    assert_eq!(questions, 3, "names and hosts are asked for once for each list");
    let json = ada.runs(&["grants", "--json"]).await.good();
    assert!(json.contains(&bob().to_string()), "programs read ids: {json}");
    assert_eq!(platform.lines().iter().filter(|line| line.starts_with("POST ")).count(), 3);
    let denied = Platform::start(|_| problem(Kind::Denied, "denied", "you may not")).await;
    assert_eq!(Person::at(&denied).runs(&["permissions"]).await.status, 3);
}
