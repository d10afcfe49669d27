//! From the offer to an open instance.

use std::collections::BTreeSet;

use api::{
    Kind,
    configurator::{
        Hosts, Instance, InstanceState, Maintenance, Setup, SetupField, SetupStep, SubmitSetup,
    },
    identity::{GetNames, Names},
    jobs::{Job, JobState},
    manifest::Manifest,
    prices::PriceBook,
    provider::{Offer, Order, OrderPhase, PlaceOrder},
    releases::{InstanceUpdate, Readiness, Update, UpdateState},
};
use axum::response::Response;
use types::{AccountId, Digest, JobId, Page};

use crate::{
    platform::{Asked, Person, Platform, account, id, instance, noon, not_found, problem, reply},
    publishing::{MANIFEST, PRICES},
};

fn modules() -> BTreeSet<String> {
    ["polls", "search"].map(String::from).into()
}

fn order(phase: OrderPhase) -> Order {
    Order {
        order: id("order"),
        account: account(),
        instance: instance(),
        service: "forum".parse().unwrap(),
        plan: "basic".into(),
        modules: modules(),
        size: "small".into(),
        host: "bakery-forum.localhost".parse().unwrap(),
        phase,
        problem: (phase == OrderPhase::Failed).then(|| "the host is taken; choose another".into()),
        created: noon(),
    }
}

pub(crate) fn bakery_forum(state: InstanceState) -> Instance {
    let url = "http://bakery-forum.localhost:8080";
    let setup_url = format!("{url}/.mandate/setup?key=0123456789abcdef0123456789abcdef");
    Instance {
        instance: instance(),
        account: account(),
        service: "forum".parse().unwrap(),
        host: "bakery-forum.localhost".parse().unwrap(),
        url: url.into(),
        modules: modules(),
        size: "small".into(),
        release: types::Digest::of(b"release"),
        state,
        suspended: None,
        maintenance: None,
        problem: None,
        frozen_until: None,
        last_move: None,
        setup_url: (state == InstanceState::AwaitingSetup).then_some(setup_url),
        created: noon(),
    }
}

fn path(rest: &str) -> String {
    format!("v1/accounts/{}/{rest}", account())
}

/// Each look finds things one step further.
fn going(asked: &Asked) -> Response {
    let phases = [OrderPhase::Placed, OrderPhase::Agreed, OrderPhase::Complete];
    let states = [InstanceState::Creating, InstanceState::AwaitingSetup];
    let of =
        |verb: &str, component: &str, rest: &str| format!("{verb} /{component}/{}", path(rest));
    let one_order = format!("orders/{}", order(OrderPhase::Placed).order);
    let one_instance = format!("instances/{}", instance());
    match asked.line.as_str() {
        line if line == of("POST", "provider", "orders") => reply(&order(OrderPhase::Placed)),
        line if line == of("GET", "provider", &one_order) => {
            reply(&order(phases[asked.before.min(2)]))
        }
        line if line == of("GET", "configurator", &one_instance) => {
            reply(&bakery_forum(states[asked.before.min(1)]))
        }
        line if line == of("GET", "configurator", "instances") => {
            reply(&Page { items: vec![bakery_forum(InstanceState::Open)], next: None })
        }
        "GET /configurator/v1/instances/bakery-forum.localhost" => {
            reply(&bakery_forum(InstanceState::Open))
        }
        line if line == of("POST", "provider", &format!("{one_instance}/subscription")) => {
            reply(&order(OrderPhase::Placed))
        }
        line if line == of("PUT", "provider", &format!("{one_instance}/suspension")) => {
            reply(&api::Empty {})
        }
        _ => not_found(),
    }
}

fn place(account: &str) -> Vec<&str> {
    let what = "order place forum --modules polls,search --size small";
    let host = ["--host", "bakery-forum.localhost", "--account", account];
    what.split(' ').chain(host).collect()
}

#[tokio::test]
async fn an_order_is_watched_until_its_instance_waits_for_the_set_up() {
    let platform = Platform::start(going).await;
    let (ada, account) = (Person::at(&platform), account().to_string());
    let mut arguments = place(&account);
    arguments.push("--wait");
    insta::assert_snapshot!("order_place_wait", ada.runs(&arguments).await.timeless());
    let placed = &platform.asked()[0];
    let fields: PlaceOrder = serde_json::from_value({
        let mut fields: serde_json::Value = placed.body();
        fields["account"] = account.clone().into();
        fields
    })
    .unwrap();
    assert_eq!((fields.modules, fields.plan), (modules(), None));
    assert!(placed.headers["idempotency-key"].len() >= 32);

    let platform = Platform::start(going).await;
    let done = Person::at(&platform)
        .with("MANDATE_URL", &platform.url)
        .runs(&[&arguments[..], &["--json"]].concat())
        .await;
    assert!(done.err.contains("the order is complete"), "{}", done.err);
    assert_eq!(done.json::<Instance>(), bakery_forum(InstanceState::AwaitingSetup));
}

#[tokio::test]
async fn an_order_without_waiting_is_shown_as_it_is() {
    let platform = Platform::start(going).await;
    let (ada, account) = (Person::at(&platform), account().to_string());
    insta::assert_snapshot!("order_place", ada.runs(&place(&account)).await.good());
    let order = order(OrderPhase::Placed).order.to_string();
    let show = ["order", "show", &order, "--account", &account, "--wait"];
    assert!(ada.runs(&show).await.good().contains("/.mandate/setup?key="));
}

#[tokio::test]
async fn an_order_that_fails_says_why() {
    let platform = Platform::start(|_| reply(&order(OrderPhase::Failed))).await;
    let account = account().to_string();
    let done = Person::at(&platform).runs(&[&place(&account)[..], &["--wait"]].concat()).await;
    assert_eq!(done.status, 5);
    assert_eq!(done.err, "error: the order failed: the host is taken; choose another\n");
}

#[tokio::test]
async fn an_instance_is_found_by_its_host_and_changed() {
    let platform = Platform::start(going).await;
    let (ada, account) = (Person::at(&platform), account().to_string());
    let at = ["--account", account.as_str()];
    let host = "bakery-forum.localhost";
    insta::assert_snapshot!(
        "instance_list",
        ada.runs(&[&["instance", "list"], &at[..]].concat()).await.good()
    );
    let change = ["instance", "change", host, "--modules", "polls", "--wait"];
    ada.runs(&[&change[..], &at[..]].concat()).await.good();
    let put = platform.asked().into_iter().find(|asked| asked.line.starts_with("POST ")).unwrap();
    let body: serde_json::Value = put.body();
    assert_eq!(body, serde_json::json!({ "modules": ["polls"] }), "what it leaves out stays");
    assert_eq!(ada.runs(&[&["instance", "change", host], &at[..]].concat()).await.status, 2);

    ada.runs(&[&["instance", "suspend", host, "--reason", "unpaid"], &at[..]].concat())
        .await
        .good();
    ada.runs(&[&["instance", "resume", host], &at[..]].concat()).await.good();
    let bodies: Vec<serde_json::Value> = platform
        .asked()
        .iter()
        .rev()
        .filter(|a| a.line.ends_with("/suspension"))
        .map(Asked::body)
        .collect();
    assert_eq!(bodies, [serde_json::json!({}), serde_json::json!({ "reason": "unpaid" })]);
    let none = ada.runs(&[&["instance", "show", "other.localhost"], &at[..]].concat()).await;
    assert_eq!(none.status, 4);
    assert!(none.err.contains("mandate instance list"), "{}", none.err);
}

fn setup(state: InstanceState, steps: [JobState; 2], output: &str) -> Setup {
    let manifest = Manifest::parse("mandate.toml", MANIFEST).unwrap();
    let field = |(name, field): (String, _)| SetupField { name, field, problem: None };
    let step = |(name, state): (&str, JobState)| SetupStep {
        job: id(name),
        name: name.into(),
        state,
        output: output.into(),
        waits_for: None,
    };
    let begun = !matches!(state, InstanceState::AwaitingSetup);
    Setup {
        state,
        fields: manifest.setup.into_iter().map(field).collect(),
        steps: ["migrate", "seed"].into_iter().zip(steps).map(step).filter(|_| begun).collect(),
        path: None,
        problem: (state == InstanceState::Failed).then(|| "`seed` failed".into()),
    }
}

fn setting_up(last: InstanceState, seed: JobState) -> impl Fn(&Asked) -> Response {
    use JobState::{Ready, Running, Succeeded};
    move |asked| {
        if asked.line.ends_with("/readiness") {
            let waits_for = (asked.before < 2).then(|| "its process to be started".to_owned());
            return reply(&Readiness { ready: waits_for.is_none(), waits_for });
        }
        if asked.line.starts_with("GET ") && asked.line.ends_with(&instance().to_string()) {
            return reply(&bakery_forum(last));
        }
        let setup = match (asked.line.starts_with("POST "), asked.before) {
            (false, 0) => setup(InstanceState::AwaitingSetup, [Ready, Ready], ""),
            (true, _) | (false, 1) => setup(InstanceState::SettingUp, [Ready, Ready], ""),
            (false, 2) => setup(InstanceState::SettingUp, [Running, Ready], ""),
            (false, 3) => setup(InstanceState::SettingUp, [Succeeded, Running], ""),
            (false, _) => setup(last, [Succeeded, seed], "line one\nno such table: topics\n"),
        };
        reply(&setup)
    }
}

#[tokio::test]
async fn a_set_up_is_watched_until_the_instance_is_open() {
    let platform = Platform::start(setting_up(InstanceState::Open, JobState::Succeeded)).await;
    let (account, instance) = (account().to_string(), instance().to_string());
    let words = [
        "instance",
        "setup",
        &instance,
        "admin_email=ada@bakery.example",
        "admin_password",
        "--wait",
        "--account",
        &account,
    ];
    let done = Person::at(&platform).runs_with(&words, "a secret = kept\n").await;
    insta::assert_snapshot!("instance_setup_wait", done.timeless());
    let sent = platform.asked().into_iter().find(|asked| asked.line.starts_with("POST "));
    let mut sent: serde_json::Value = sent.unwrap().body();
    sent["account"] = account.clone().into();
    sent["instance"] = instance.clone().into();
    let sent: SubmitSetup = serde_json::from_value(sent).unwrap();
    assert_eq!(sent.values["admin_email"].reveal(), "ada@bakery.example");
    assert_eq!(sent.values["admin_password"].reveal(), "a secret = kept");
    let looks = platform.lines().iter().filter(|line| line.ends_with("/readiness")).count();
    assert_eq!(looks, 3, "it is open when something answers, and not before");
}

#[tokio::test]
async fn what_asks_for_nothing_is_waited_for_until_it_answers() {
    use InstanceState::{Creating, Open, SettingUp};
    let platform = Platform::start(|asked| match asked.line.rsplit('/').next().unwrap() {
        "readiness" => {
            let waits_for = (asked.before == 0).then(|| "a machine to run it".to_owned());
            reply(&Readiness { ready: waits_for.is_none(), waits_for })
        }
        last if last == instance().to_string() => {
            reply(&bakery_forum([Creating, SettingUp, Open][asked.before.min(2)]))
        }
        _ => reply(&order(OrderPhase::Complete)),
    })
    .await;
    let account = account().to_string();
    let done = Person::at(&platform).runs(&[&place(&account)[..], &["--wait"]].concat()).await;
    let said = done.timeless();
    let waits = said.find("TIME  it waits for a machine to run it").expect(&said);
    assert!(waits < said.find("TIME  the instance is open").unwrap(), "{said}");
}

#[tokio::test]
async fn an_open_instance_is_shown_with_what_it_waits_for() {
    let platform = Platform::start(|asked| {
        if asked.line.ends_with("/readiness") {
            let waits_for = Some("its process to be started".into());
            return reply(&Readiness { ready: false, waits_for });
        }
        reply(&bakery_forum(InstanceState::Open))
    })
    .await;
    let shown = Person::at(&platform).runs(&["instance", "show", "bakery-forum.localhost"]).await;
    let shown = shown.good();
    assert!(shown.contains("Nothing answers: it waits for its process to be started."), "{shown}");
}

#[tokio::test]
async fn whoever_may_set_up_and_not_look_is_not_held_up() {
    let platform = Platform::start(|asked| match asked.line.rsplit('/').next().unwrap() {
        "readiness" => problem(Kind::Denied, "denied", "you may not"),
        "setup" => reply(&setup(InstanceState::Open, [JobState::Succeeded; 2], "")),
        _ => reply(&bakery_forum(InstanceState::Open)),
    })
    .await;
    let (account, instance) = (account().to_string(), instance().to_string());
    let words = ["instance", "setup", &instance, "--wait", "--account", &account];
    let said = Person::at(&platform).runs(&words).await.timeless();
    assert!(said.contains("the instance is open"), "{said}");
    assert!(!said.contains("says:"), "nothing was printed: {said}");
}

#[tokio::test]
async fn an_operator_finds_an_instance_by_its_host() {
    let platform = Platform::start(|asked| match asked.line.as_str() {
        "GET /configurator/v1/instances/bakery-forum.localhost" => {
            reply(&bakery_forum(InstanceState::Open))
        }
        "GET /configurator/v1/instances" => {
            reply(&Page { items: vec![bakery_forum(InstanceState::Open)], next: None })
        }
        "POST /identity/v1/names" => {
            assert_eq!(asked.body::<GetNames>().accounts, [account()].into());
            let accounts = [(account(), "The Bakery".to_owned())].into();
            reply(&Names { accounts, ..Names::default() })
        }
        line if line.ends_with("/maintenance") => reply(&Maintenance { revision: 1 }),
        line if line.ends_with("/suspension") => reply(&api::Empty {}),
        line if line.ends_with("/secrets/SECRET_KEY") => reply(&api::Empty {}),
        line if line.ends_with("/setup") => {
            reply(&setup(InstanceState::Open, [JobState::Succeeded; 2], ""))
        }
        line if line.ends_with("/jobs") => reply(&Page::<Job> { items: vec![], next: None }),
        _ => not_found(),
    })
    .await;
    let operator = Person::at(&platform);
    let host = "Bakery-Forum.localhost";
    let all = operator.runs(&["instance", "list", "--all"]).await.good();
    assert!(all.contains("The Bakery") && all.contains("bakery-forum.localhost"), "{all}");
    let asked = platform.asked().len();
    for words in [
        &["instance", "show", host][..],
        &["instance", "setup", host],
        &["instance", "jobs", host],
        &["instance", "suspend", host, "--reason", "unpaid"],
        &["instance", "maintenance", host],
        &["instance", "rotate", host, "SECRET_KEY"],
    ] {
        operator.runs(words).await.good();
    }
    let lines = platform.lines().split_off(asked);
    let of_account = format!("/v1/accounts/{}", account());
    let alone = |line: &&String| line.contains("/instances/") && !line.contains(&of_account);
    assert_eq!(lines.iter().filter(alone).count(), 6, "each is found with one question: {lines:?}");
    // Two of them are shown, with what an instance that is open waits for; one also with what comes.
    assert_eq!(lines.len(), 6 + 6 + 2, "and nothing is listed: {lines:?}");
    let other: AccountId = id("other");
    let other = ["instance", "show", host, "--account", &other.to_string()];
    let none = operator.runs(&other).await;
    assert!(none.status == 4 && none.err.contains("there is no instance"), "{}", none.err);
}

#[tokio::test]
async fn what_the_set_up_does_not_ask_for_is_refused_by_the_platform() {
    let platform = Platform::start(|asked| {
        let mut setup = setup(InstanceState::AwaitingSetup, [JobState::Ready; 2], "");
        if asked.line.starts_with("POST ") {
            setup.problem = Some("there is no field `nonsense`: leave it out".into());
        }
        reply(&setup)
    })
    .await;
    let (account, instance) = (account().to_string(), instance().to_string());
    let words = ["instance", "setup", &instance, "nonsense=3", "--wait", "--account", &account];
    let done = Person::at(&platform).runs(&words).await;
    assert_eq!(done.status, 5, "{done:?}");
    assert!(done.err.contains("there is no field `nonsense`"), "{}", done.err);
    assert!(done.err.contains("admin_email"), "it says what it asks for: {}", done.err);
}

#[tokio::test]
async fn a_set_up_that_fails_shows_what_was_printed() {
    let platform = Platform::start(setting_up(InstanceState::Failed, JobState::Failed)).await;
    let words = [
        "instance",
        "setup",
        &instance().to_string(),
        "admin_email=ada@bakery.example",
        "--wait",
        "--account",
        &account().to_string(),
    ];
    let done = Person::at(&platform).runs(&words).await;
    assert_eq!(done.status, 5);
    insta::assert_snapshot!("instance_setup_failed", done.err);
}

#[tokio::test]
async fn what_is_set_up_is_called_open_when_something_answers() {
    let platform = Platform::start(|asked| {
        if asked.line.ends_with("/readiness") {
            let waits_for = (asked.before == 0).then(|| "a healthy replica".to_owned());
            return reply(&Readiness { ready: waits_for.is_none(), waits_for });
        }
        reply(&setup(InstanceState::Open, [JobState::Succeeded; 2], ""))
    })
    .await;
    let ada = Person::at(&platform);
    let (account, instance) = (account().to_string(), instance().to_string());
    let words = ["instance", "setup", instance.as_str(), "--account", &account];
    let early = ada.runs(&words).await.good();
    assert!(early.contains("nothing answers yet: it waits for a healthy replica"), "{early}");
    assert!(!early.contains("is open"), "{early}");
    let then = ada.runs(&words).await.good();
    assert!(then.contains("the instance is open"), "{then}");
    assert!(!then.contains("--defaults"), "there is nothing left to be sent: {then}");
}

#[tokio::test]
async fn a_set_up_shows_its_fields_and_what_is_wrong_with_a_value() {
    let platform = Platform::start(|asked| {
        let mut setup = setup(InstanceState::AwaitingSetup, [JobState::Ready; 2], "");
        if asked.line.starts_with("POST ") {
            setup.fields[0].problem = Some("`ada` is not an e-mail address".into());
        }
        reply(&setup)
    })
    .await;
    let ada = Person::at(&platform);
    let (account, instance) = (account().to_string(), instance().to_string());
    let words = ["instance", "setup", instance.as_str(), "--account", &account];
    insta::assert_snapshot!("instance_setup", ada.runs(&words).await.good());
    let wrong = ada.runs(&[&words[..], &["admin_email=ada"]].concat()).await;
    assert_eq!(wrong.status, 5);
    assert!(wrong.err.contains("`admin_email`: `ada` is not an e-mail address"), "{}", wrong.err);
    assert_eq!(ada.runs(&[&words[..], &["a=b", "a=c"]].concat()).await.status, 2);
}

#[tokio::test]
async fn a_set_up_that_nobody_would_take_is_not_sent() {
    let (account, instance) = (account().to_string(), instance().to_string());
    let words = ["instance", "setup", instance.as_str(), "--account", &account];
    let in_state = |state| Platform::start(move |_| reply(&setup(state, [JobState::Ready; 2], "")));
    let run = async |state, more: &[&str]| {
        let platform = in_state(state).await;
        let done = Person::at(&platform).runs(&[&words[..], more].concat()).await;
        assert!(platform.lines().iter().all(|line| line.starts_with("GET ")), "{more:?}");
        (done.status, done.err)
    };
    let (status, err) = run(InstanceState::AwaitingSetup, &["--wait"]).await;
    assert!(status == 5 && err.contains("no values were given"), "{status} {err}");
    let (status, err) = run(InstanceState::Open, &["admin_email=a@b.example", "--wait"]).await;
    assert!(status == 5 && err.contains("open: nothing was sent"), "{status} {err}");
    let (status, err) = run(InstanceState::SettingUp, &["admin_email=a@b.example"]).await;
    assert!(status == 5 && err.contains("under way"), "{status} {err}");
    // Defaults say nothing that could be lost: what is set up already may be waited for.
    assert_eq!(run(InstanceState::Open, &["--defaults"]).await.0, 0);
}

#[tokio::test]
async fn an_offer_is_shown_with_its_prices() {
    let offer = Offer {
        service: "guestbook".parse().unwrap(),
        release: Digest::of(b"package"),
        manifest: Manifest::parse("mandate.toml", MANIFEST).unwrap(),
        plans: vec!["basic".into()],
    };
    let kept = offer.clone();
    let platform = Platform::start(move |asked| match asked.line.as_str() {
        "GET /provider/v1/offers" => reply(&Page { items: vec![kept.clone()], next: None }),
        "GET /provider/v1/offers/guestbook" => reply(&kept),
        "GET /billing/v1/price-books/guestbook" => {
            reply(&PriceBook::parse("prices.toml", PRICES).unwrap())
        }
        _ => problem(Kind::NotFound, "not_found", "there is no such service"),
    })
    .await;
    let nobody = Person::new().with("MANDATE_URL", &platform.url);
    insta::assert_snapshot!("offer_list", nobody.runs(&["offer", "list"]).await.good());
    insta::assert_snapshot!(
        "offer_show",
        nobody.runs(&["offer", "show", "guestbook"]).await.good()
    );
    let json: Offer = nobody.runs(&["offer", "show", "guestbook", "--json"]).await.json();
    assert_eq!(json, offer);
    assert_eq!(nobody.runs(&["offer", "show", "nothing"]).await.status, 4);
}

#[tokio::test]
async fn a_job_is_shown_with_what_it_printed() {
    let job = Job {
        job: id("job"),
        account: account(),
        instance: instance(),
        service: "forum".parse().unwrap(),
        class: "default".into(),
        name: "migrate".into(),
        version: 1,
        priority: 0,
        state: JobState::Failed,
        not_before: noon(),
        attempts: 3,
        attempts_max: 3,
        release: Some(Digest::of(b"package")),
        lost: 0,
        problem: None,
        progress: None,
        waits_for: None,
        payload: serde_json::Value::Null,
        result: None,
        output: "line one\nline two\n".into(),
        created: noon(),
        started: Some(noon()),
        ended: None,
        node: None,
    };
    let platform = Platform::start(move |asked| match asked.line.as_str() {
        "POST /configurator/v1/hosts" => {
            let host = "bakery-forum.localhost".parse().unwrap();
            reply(&Hosts { hosts: [(instance(), host)].into() })
        }
        "POST /identity/v1/names" => {
            let accounts = [(account(), "The Bakery".to_owned())].into();
            reply(&Names { accounts, ..Names::default() })
        }
        "GET /jobs/v1/jobs" => reply(&Page { items: vec![job.clone()], next: None }),
        _ => reply(&job),
    })
    .await;
    let operator = Person::at(&platform);
    insta::assert_snapshot!("job_list", operator.runs(&["job", "list"]).await.good());
    let job: JobId = id("job");
    let shown = operator.runs(&["job", "show", &job.to_string()]).await;
    insta::assert_snapshot!("job_show", shown.good());
}

#[tokio::test]
async fn an_instance_is_shown_with_the_version_that_it_comes_to() {
    let shown = async |update: Update, json: bool| {
        let platform = Platform::start(move |asked| match asked.line.as_str() {
            "GET /configurator/v1/instances/bakery-forum.localhost" => {
                reply(&bakery_forum(InstanceState::Open))
            }
            line if line.ends_with("/update") => {
                reply(&InstanceUpdate { update: Some(update.clone()) })
            }
            _ => not_found(),
        })
        .await;
        let show = ["instance", "show", "bakery-forum.localhost", "--json"];
        let count = if json { show.len() } else { show.len() - 1 };
        Person::at(&platform).runs(&show[..count]).await.good()
    };
    let planned = Update {
        to: types::Digest::of(b"next"),
        state: UpdateState::Planned,
        at: noon(),
        closes: true,
        longest_millis: Some(3_812),
    };
    insta::assert_snapshot!("instance_show_update", shown(planned.clone(), false).await);
    let json: serde_json::Value =
        serde_json::from_str(&shown(planned.clone(), true).await).unwrap();
    assert_eq!(
        (&json["host"], &json["update"]["state"]),
        (&"bakery-forum.localhost".into(), &"planned".into())
    );
    let waits = Update { state: UpdateState::Waiting, closes: false, ..planned.clone() };
    assert!(shown(waits, false).await.ends_with("others move before. Visitors notice nothing.\n"));
    let failed = Update { state: UpdateState::Failed, ..planned };
    assert!(shown(failed, false).await.ends_with("The instance is served as before.\n"));
}
