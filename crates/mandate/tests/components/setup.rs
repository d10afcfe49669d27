//! Setting up: what is told to whom, and what a later release changes.

use std::time::Duration;

use api::{
    configurator::{
        GetEnvironment, GetInstance, GetSetup, InstanceState, RepeatInstances, SetMaintenance,
        SubmitSetup,
    },
    jobs::{
        GetJob, JobState, LeaseJobs, ListInstanceJobs, Outcome, Report, ReportJobs, SETUP_CLASS,
        SetQueue,
    },
    provider::{PlaceOrder, SuspendInstance},
    releases::{Heartbeat, Release, ReleasePhase},
};
use types::{Digest, InstanceId};

use crate::{
    orders::{complete, instance, order, reaches, submit, take},
    world::{MANIFEST, PRICES, Person, World, eventually, until},
};

pub(crate) async fn publish(world: &World, manifest: &str) -> Release {
    publish_priced(world, manifest, "2026-01-01T00:00:00Z").await
}

async fn publish_priced(world: &World, manifest: &str, effective: &str) -> Release {
    let manifest = manifest.replace("NAME", "forum");
    let prices = prices_of(&manifest).replace("2026-01-01T00:00:00Z", effective);
    let ask = async || world.publish_texts("forum", &manifest, &prices).await.unwrap();
    eventually("everybody is told", ask, |r| r.phase == ReleasePhase::Staged).await
}

/// What has no jobs has no price for them.
fn prices_of(manifest: &str) -> String {
    let prices = PRICES.replace("NAME", "forum");
    let has_jobs = manifest.contains("[database]");
    if has_jobs {
        prices
    } else {
        prices.lines().filter(|l| !l.starts_with("jobs")).collect::<Vec<_>>().join("\n")
    }
}

/// The manifest without what stands from `start` to before `end`.
pub(crate) fn without(manifest: &str, start: &str, end: &str) -> String {
    let (before, rest) = manifest.split_once(start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    format!("{before}{end}{after}")
}

pub(crate) async fn placed(person: &Person, host: &str) -> InstanceId {
    let placed = person.client.call(order(person.account, host, &[])).await.unwrap();
    complete(person, placed).await.instance
}

async fn variables(world: &World, instance: InstanceId, release: Digest) -> Vec<String> {
    let (node, client) = world.node("worker").await;
    let get = GetEnvironment { node, instance, release: Some(release) };
    let environment = client.call(get).await.unwrap();
    let shown =
        environment.variables.iter().map(|(name, value)| format!("{name}={}", value.reveal()));
    shown.collect()
}

fn report(job: types::JobId, token: u64, outcome: Outcome) -> Report {
    let (progress, result, problem) = (None, None, None);
    Report { job, token, outcome, output: "no".into(), progress, result, problem }
}

stories! {
    async fn what_jobs_cannot_take_holds_up_no_other_service(world: &World) {
        world.publish("forum", "first").await;
        world.publish("shop", "first").await;
        let ada = world.sign_up("ada").await;
        let forum = placed(&ada, "forum.localhost").await;
        // What is older comes first.
        world.clock.advance(Duration::from_secs(1));
        let service = "shop".parse().unwrap();
        let place = PlaceOrder { service, ..order(ada.account, "shop.localhost", &[]) };
        let shop = take(&ada, place, InstanceState::AwaitingSetup).await;
        assert!(forum < shop);
        reaches(&ada, forum, InstanceState::AwaitingSetup).await;
        let open = async |component: &str| {
            let password = world.house.database_password(component);
            world.engine.open(component, &password, &[]).await.unwrap()
        };
        let (jobs, own) = (open("jobs").await, open("configurator").await);
        // It is on a release that `jobs` has not heard of yet.
        let is_on = async |release: Digest| {
            let on = db::query("update instance set release = ? where id = ?");
            on.bind(&release).bind(forum).run(&own).await.unwrap();
        };
        let seen = ada.client.call(GetInstance { account: ada.account, instance: forum }).await.unwrap();
        let body = "insert into proposal select service, ?, body, turn from proposal where service = 'forum'";
        let unknown = Digest::of(b"unknown");
        db::query(body).bind(&unknown).run(&own).await.unwrap();
        is_on(unknown).await;
        for instance in [forum, shop] {
            ada.client.call(submit(&ada, instance)).await.unwrap();
        }
        let count = async |instance: InstanceId| {
            let counted = db::query("select count(*) as n from job where instance = ?");
            counted.bind(instance).one(&jobs, |row| row.get::<u64>("n")).await.unwrap()
        };
        until("the shop's set-up is queued", async || count(shop).await > 0).await;
        assert_eq!(count(forum).await, 0);

        is_on(seen.release).await;
        db::query("delete from instance").run(&jobs).await.unwrap();
        world.operator().await.call(RepeatInstances {}).await.unwrap();
        until("all instances are known again", async || {
            let known = db::query("select count(*) as n from instance");
            known.one(&jobs, |row| row.get::<u64>("n")).await.unwrap() == 2
        })
        .await;
        jobs.close().await;
        own.close().await;
    }
    async fn a_reason_that_says_nothing_closes_and_opens_nothing(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        let account = ada.account;
        let close = |reason: &str| SetMaintenance { account, instance, reason: Some(reason.into()) };
        ada.client.call(close("we paint")).await.unwrap();
        let refused = ada.client.call(close(" \t")).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.status), ("reason", 400));
        let suspend = SuspendInstance { account, instance, reason: Some("  ".into()) };
        let refused = world.operator().await.call(suspend).await.unwrap_err();
        assert_eq!(refused.code, "reason");
        let seen = ada.client.call(GetInstance { account, instance }).await.unwrap();
        assert_eq!((seen.maintenance.as_deref(), seen.suspended), (Some("we paint"), None));
    }
    async fn a_field_that_is_not_asked_for_is_refused_by_its_name(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        let sent = submit(&ada, instance);
        let mut more = sent.clone();
        more.values.insert("nonsense".into(), types::Secret::new("3"));
        let refused = ada.client.call(more).await.unwrap();
        assert_eq!(refused.state, InstanceState::AwaitingSetup);
        let problem = refused.problem.unwrap();
        assert!(problem.contains("no field `nonsense`"), "{problem}");
        let taken = ada.client.call(sent).await.unwrap();
        assert_eq!((taken.state, taken.problem), (InstanceState::SettingUp, None));
    }

    async fn a_set_up_that_waits_follows_the_current_release(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        ada.client.call(submit(&ada, instance)).await.unwrap();
        let list = || ListInstanceJobs { account: ada.account, instance, state: None, name: None, after: None, limit: None };
        let jobs = || async { ada.client.call(list()).await.unwrap().items };
        let old = world.publish("forum", "first").await.digest;
        let queued = eventually("both are queued", jobs, |jobs| jobs.len() == 2).await;
        assert_eq!(
            queued.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(),
            ["seed", "migrate"],
            "newest first"
        );
        let operator = world.operator().await;
        let queue = |paused| SetQueue {
            paused: Some(paused),
            ..SetQueue::of("forum".parse().unwrap(), SETUP_CLASS)
        };
        operator.call(queue(true)).await.unwrap();
        let get = GetSetup { account: ada.account, instance };
        let setup = ada.client.call(get.clone()).await.unwrap();
        assert!(setup.steps[0].waits_for.as_ref().unwrap().contains("paused"));
        assert!(setup.steps[1].waits_for.as_ref().unwrap().contains("`migrate`"));
        let next = MANIFEST.replace("./migrate", "./migrate-well");
        let release = publish(world, &next).await.digest;
        operator.call(queue(false)).await.unwrap();
        let (node, client) = world.node("worker").await;
        let old = LeaseJobs {
            node,
            releases: vec![old],
            holding: Vec::new(),
            slots: 1,
            setup_slots: 0,
            wait_millis: 0,
        };
        let leases = client.call(old).await.unwrap().leases;
        assert!(leases.is_empty(), "the release that is not current sets nothing up");
        for name in ["migrate", "seed"] {
            let lease = LeaseJobs {
                node,
                releases: vec![release.clone()],
                holding: Vec::new(),
                slots: 1,
                setup_slots: 0,
                wait_millis: 5_000,
            };
            let asked = async || client.call(lease.clone()).await.unwrap().leases;
            let lease = eventually("there is a job", asked, |leases| !leases.is_empty()).await.remove(0);
            assert_eq!(lease.name, name);
            if name == "migrate" {
                assert_eq!(lease.command, ["./migrate-well"]);
                let seen = ada.client.call(get.clone()).await.unwrap();
                assert_eq!(seen.steps[0].state, JobState::Running);
            }
            let (job, token, outcome) = (lease.job, lease.token, Outcome::Succeeded);
            let report = report(job, token, outcome);
            client.call(ReportJobs { node, reports: vec![report] }).await.unwrap();
        }
        reaches(&ada, instance, InstanceState::Open).await;
    }

    async fn what_asks_for_nothing_opens_by_itself(world: &World) {
        let plain = without(MANIFEST, "[setup.title]", "[modules.polls]");
        let plain = without(&plain, "[database]", "[modules.polls]");
        let release = publish(world, &plain).await.digest;
        let ada = world.sign_up("ada").await;
        let instance = placed(&ada, "bakery.localhost").await;
        reaches(&ada, instance, InstanceState::Open).await;
        let variables = variables(world, instance, release).await;
        assert!(!variables.iter().any(|text| text.starts_with("DATABASE_URL=")), "{variables:?}");
    }

    async fn what_asks_for_nothing_runs_its_jobs_by_itself(world: &World) {
        publish(world, &without(MANIFEST, "[setup.title]", "[modules.polls]")).await;
        let ada = world.sign_up("ada").await;
        let instance = placed(&ada, "bakery.localhost").await;
        reaches(&ada, instance, InstanceState::SettingUp).await;
    }

    async fn a_field_with_a_default_that_comes_later_is_there(world: &World) {
        let plain = without(MANIFEST, "[database]", "[setup.title]");
        let later = plain.replace(
            "[modules.polls]",
            "[setup.colour]\nlabel = \"Its colour\"\ntype = \"text\"\ndefault = \"blue\"\n\n[modules.polls]",
        );
        publish(world, &plain).await;
        let ada = world.sign_up("ada").await;
        let instance = placed(&ada, "bakery.localhost").await;
        reaches(&ada, instance, InstanceState::AwaitingSetup).await;
        ada.client.call(submit(&ada, instance)).await.unwrap();
        reaches(&ada, instance, InstanceState::Open).await;
        let required = later.replace("default = \"blue\"\n", "");
        let required = required.replace("NAME", "forum");
        let prices = prices_of(&required);
        let ask = async || world.publish_texts("forum", &required, &prices).await.unwrap();
        let refused = eventually("it is refused", ask, |r| r.phase == ReleasePhase::Failed).await;
        assert!(refused.problem.unwrap().contains("`colour`"));
        let release = publish(world, &later).await.digest;
        let variables = variables(world, instance, release).await;
        assert!(variables.contains(&"SETUP_COLOUR=blue".to_owned()), "{variables:?}");
        assert!(variables.contains(&"SETUP_TITLE=Bakers".to_owned()), "{variables:?}");
    }

    async fn a_database_that_comes_later_is_made(world: &World) {
        let plain = without(MANIFEST, "[setup.title]", "[modules.polls]");
        publish(world, &without(&plain, "[database]", "[modules.polls]")).await;
        let ada = world.sign_up("ada").await;
        let instance = placed(&ada, "bakery.localhost").await;
        reaches(&ada, instance, InstanceState::Open).await;
        let release = publish_priced(world, &plain, "2026-12-02T00:00:00Z").await.digest;
        let variables = variables(world, instance, release).await;
        assert!(variables.iter().any(|text| text.starts_with("DATABASE_URL=")), "{variables:?}");
    }

    async fn a_set_up_that_failed_says_who_can_do_what(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        let release = world.publish("forum", "first").await.digest;
        ada.client.call(submit(&ada, instance)).await.unwrap();
        let (node, client) = world.node("worker").await;
        for _ in 0..3 {
            let lease = LeaseJobs {
                node,
                releases: vec![release.clone()],
                holding: Vec::new(),
                slots: 1,
                setup_slots: 0,
                wait_millis: 5_000,
            };
            let asked = || async { client.call(lease.clone()).await.unwrap().leases };
            let lease = eventually("there is a job", asked, |leases| !leases.is_empty()).await.remove(0);
            let (job, token, outcome) = (lease.job, lease.token, Outcome::Again);
            let report = report(job, token, outcome);
            client.call(ReportJobs { node, reports: vec![report] }).await.unwrap();
            world.clock.advance(Duration::from_mins(1));
        }
        reaches(&ada, instance, InstanceState::Failed).await;
        let get = GetInstance { account: ada.account, instance };
        let problem = ada.client.call(get).await.unwrap().problem.unwrap();
        for part in ["`migrate` failed", "tried 3 times", "publisher of `forum`", "not billed"] {
            assert!(problem.contains(part), "{problem}");
        }
        let list = ListInstanceJobs { account: ada.account, instance, state: None, name: None, after: None, limit: None };
        let jobs = ada.client.call(list).await.unwrap().items;
        let seed = jobs.iter().find(|job| job.name == "seed").unwrap().job;
        let seed = world.component("configurator").call(GetJob { job: seed }).await.unwrap();
        assert_eq!(seed.state, JobState::Failed, "it does not wait for ever");
    }

    async fn an_application_that_asks_itself_runs_first_and_is_open_when_somebody_says_so(world: &World) {
        let own = without(MANIFEST, "[setup.title]", "[modules.polls]");
        let own = without(&own, "[database]", "[modules.polls]");
        let own = own.replace("\"shared\"", "\"dedicated\"");
        let own = own.replace("[modules.polls]", "[setup]\npath = \"/install\"\n\n[modules.polls]");
        publish(world, &own).await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let instance = placed(&ada, "bakery.localhost").await;
        reaches(&ada, instance, InstanceState::AwaitingSetup).await;
        let get = GetSetup { account: ada.account, instance };
        let setup = ada.client.call(get.clone()).await.unwrap();
        assert_eq!((setup.path.as_deref(), setup.fields.len()), (Some("/install"), 0));
        let (node, client) = world.node("worker").await;
        let beat = Heartbeat::new(node, "worker".parse().unwrap());
        let wanted = async || client.call(beat.clone()).await.unwrap().replicas;
        let before = eventually("it is to run", wanted, |all| all.len() == 1).await;
        let done = SubmitSetup { account: ada.account, instance, key: None, values: [].into() };
        assert!(ben.client.call(done.clone()).await.is_err());
        let opened = ada.client.call(done).await.unwrap();
        assert_eq!((opened.state, opened.path), (InstanceState::Open, None));
        assert_eq!(wanted().await, before, "what runs goes on");
    }
}
