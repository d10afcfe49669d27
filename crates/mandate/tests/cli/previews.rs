//! What a promotion changes, as it is shown before it and remembered after it.

use api::{
    Kind,
    access::Grant,
    billing::{BillChange, Forecast},
    releases::{
        Accepted, Act, Change, Concerned, DatabaseChange, Did, JobChange, MeterChange,
        ModuleChange, MoveCounts, OnNodes, Passage, PermissionChange, Preview, Reach, Release,
        ReleasePhase, Rollout, RolloutPlan, RolloutRecord, RolloutState, RouteChange, Waiting,
    },
};
use axum::response::Response;
use types::{Digest, Money, Page, Principal, Resource};

use crate::platform::{
    Asked, Person, Platform, account, id, instance, noon, not_found, problem, reply, user,
};

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn preview() -> Preview {
    Preview {
        service: "guestbook".parse().unwrap(),
        from: digest("now"),
        to: digest("next"),
        instances: 12,
        elsewhere: 1,
        database: None,
        modules: vec![],
        permissions: vec![],
        jobs: vec![],
        routes: vec![],
        more_routes: 0,
        meters: vec![],
        bills: None,
    }
}

fn concerned(count: u64) -> Concerned {
    let hosts = (0..count.min(50)).map(|place| format!("shop-{place}.localhost").parse().unwrap());
    Concerned { count, hosts: hosts.collect() }
}

/// Something of each kind changes, and something is lost.
fn losing() -> Preview {
    let grant = Grant {
        grant: id("grant"),
        principal: Principal::User(user()),
        given: "guestbook.hideEntries".parse().unwrap(),
        on: Resource::Instance(account(), instance()),
        granted_by: Principal::User(user()),
        created: noon(),
    };
    let permission = |name: &str, change, grants, first| PermissionChange {
        change,
        permission: name.parse().unwrap(),
        title: "Hide what a guest wrote".into(),
        grants,
        first,
    };
    let money = |minor| Money { currency: "USD".parse().unwrap(), minor };
    let accepted = |version, oldest| Some(Accepted { version, oldest, newest: version });
    let waiting = |version, jobs, accepted| Waiting { version, jobs, instances: 2, accepted };
    Preview {
        database: Some(DatabaseChange {
            change: Change::Changed,
            before: 1,
            after: 2,
            compatible: false,
            migrated: concerned(11),
            stay: Concerned::default(),
        }),
        modules: vec![ModuleChange {
            change: Change::Dropped,
            module: "photos".into(),
            title: "Photos".into(),
            instances: concerned(3),
        }],
        permissions: vec![
            permission("guestbook.hideEntries", Change::Dropped, 1, vec![grant]),
            permission("guestbook.pinEntries", Change::Added, 0, vec![]),
        ],
        jobs: vec![JobChange {
            change: Change::Changed,
            job: "digest".into(),
            before: accepted(2, 1),
            after: accepted(3, 2),
            waiting: vec![waiting(1, 7, false), waiting(2, 4, true)],
        }],
        routes: vec![RouteChange {
            passage: Passage::Opens,
            requests: "POST /entries/*/hidden".into(),
            before: Reach {
                permissions: ["guestbook.hideEntries".parse().unwrap()].into(),
                ..Reach::default()
            },
            after: Reach::default(),
        }],
        more_routes: 2,
        meters: vec![MeterChange {
            change: Change::Added,
            meter: "entries".into(),
            title: "Entries".into(),
        }],
        bills: Some(Forecast {
            month: noon().month(),
            effective: Some(noon()),
            changes: vec![BillChange {
                plan: "basic".into(),
                size: "small".into(),
                modules: ["photos".to_owned()].into(),
                instances: 3,
                before: money(2130),
                after: money(1830),
            }],
            more: 0,
        }),
        ..preview()
    }
}

fn rollout() -> Rollout {
    Rollout {
        service: "guestbook".parse().unwrap(),
        number: 7,
        from: Some(digest("now")),
        to: digest("next"),
        plan: RolloutPlan::default(),
        state: RolloutState::Moving,
        problem: None,
        by: Some(Principal::User(user())),
        begun: noon(),
        ended: None,
        counts: MoveCounts { waiting: 3, ..MoveCounts::default() },
    }
}

/// A release is staged of which that is the preview.
fn staged(preview: Preview) -> impl Fn(&Asked) -> Response {
    move |asked| {
        let release = |text: &str, current| Release {
            digest: digest(text),
            service: "guestbook".parse().unwrap(),
            phase: ReleasePhase::Staged,
            public_key: "ab".repeat(32),
            signature: "cd".repeat(64),
            created: noon(),
            published_by: None,
            problem: None,
            current,
            does_old_jobs: false,
            collected: false,
            source: None,
            on_nodes: OnNodes::default(),
        };
        let act = |did| Act { at: noon(), by: Principal::User(user()), did };
        match asked.line.as_str() {
            "GET /releases/v1/services/guestbook/releases" => {
                let items = vec![release("next", false), release("now", true)];
                reply(&Page { items, next: None })
            }
            line if line.starts_with("GET ") && line.ends_with("/preview") => reply(&preview),
            "GET /releases/v1/services/guestbook/rollouts/7" => reply(&RolloutRecord {
                rollout: rollout(),
                accepted_loss: true,
                is_way_back: false,
                preview: Some(preview.clone()),
                acts: vec![act(Did::Promoted), act(Did::Paused), act(Did::Resumed)],
            }),
            "GET /releases/v1/services/guestbook/rollouts" => {
                reply(&Page { items: vec![rollout()], next: None })
            }
            "POST /releases/v1/services/guestbook/rollouts" => {
                let sent: serde_json::Value = asked.body();
                if sent["accept_loss"] != true && !preview.losses().is_empty() {
                    let detail = "something would be lost: module `photos` goes";
                    return problem(Kind::Conflict, "release_loses_something", detail);
                }
                reply(&rollout())
            }
            _ => not_found(),
        }
    }
}

#[tokio::test]
async fn a_check_promotes_nothing_and_says_by_its_exit_code_whether_something_is_lost() {
    let check = ["release", "promote", "guestbook", "--check"];
    let is_asked =
        |platform: &Platform| platform.lines().iter().any(|it| it.starts_with("POST /rel"));

    let platform = Platform::start(staged(preview())).await;
    let done = Person::at(&platform).runs(&check).await;
    assert_eq!(done.status, 0, "{done:?}");
    assert!(done.out.contains("Nothing changes but the code."), "{}", done.out);
    assert!(done.out.ends_with("Nothing is lost.\n"), "{}", done.out);
    assert!(!is_asked(&platform));

    let platform = Platform::start(staged(losing())).await;
    let operator = Person::at(&platform);
    let done = operator.runs(&check).await;
    assert_eq!((done.status, done.err.as_str()), (9, ""), "{done:?}");
    insta::assert_snapshot!("release_check", done.out);
    let done = operator.runs(&[&check[..], &["--json"]].concat()).await;
    assert_eq!(done.status, 9);
    assert_eq!(serde_json::from_str::<Preview>(&done.out).unwrap(), losing());
    assert!(!is_asked(&platform));
    // The same before a way back.
    let done = operator.runs(&["release", "rollback", "guestbook", "--check"]).await;
    assert_eq!(done.status, 9, "{done:?}");

    // What comes is no loss, nor is what is open from then on.
    let mut gaining = losing();
    gaining.modules[0].change = Change::Added;
    gaining.permissions.remove(0);
    let platform = Platform::start(staged(gaining)).await;
    assert_eq!(Person::at(&platform).runs(&check).await.status, 0);
}

#[tokio::test]
async fn what_loses_something_is_promoted_with_the_word_for_it() {
    let platform = Platform::start(staged(losing())).await;
    let operator = Person::at(&platform);
    let promote = ["release", "promote", "guestbook", "--no-wait"];
    let done = operator.runs(&promote).await;
    assert_eq!(done.status, 5, "{done:?}");
    assert!(done.err.contains("--check` shows whom it concerns; `--accept-loss`"), "{}", done.err);
    operator.runs(&[&promote[..], &["--accept-loss"]].concat()).await.good();
}

#[tokio::test]
async fn a_rollout_is_shown_with_what_was_agreed_to_and_who_did_what() {
    let platform = Platform::start(staged(losing())).await;
    let operator = Person::at(&platform);
    let history = ["release", "history", "guestbook", "7"];
    let shown = operator.runs(&history).await.good();
    let (head, agreed) = shown.split_once("As it was agreed:").unwrap();
    assert!(head.contains("paused it") && head.contains("resumed it"), "{head}");
    assert!(agreed.contains("photos") && agreed.contains("was agreed to"), "{agreed}");
    let record: RolloutRecord = operator.runs(&[&history[..], &["--json"]].concat()).await.json();
    assert_eq!(record.preview, Some(losing()));
    assert_eq!(record.acts.len(), 3);
}
