//! Taking an instance: what is refused at once, and what is seen through.

use api::{
    Kind, Problem,
    billing::GetBill,
    configurator::{
        GetInstance, GetSetup, InstanceState, ListInstances, ResolveHost, SetMaintenance,
        SubmitSetup,
    },
    jobs::{JobState, LeaseJobs, ListInstanceJobs, Outcome, Report, ReportJobs},
    provider::{
        ChangeSubscription, GetOrder, ListOffers, ListOrders, Order, OrderPhase, PlaceOrder,
    },
};
use types::{AccountId, InstanceId};

use crate::world::{Person, World, eventually, secrets};

pub(crate) fn order(account: AccountId, host: &str, modules: &[&str]) -> PlaceOrder {
    PlaceOrder {
        account,
        service: "forum".parse().unwrap(),
        plan: None,
        modules: modules.iter().map(ToString::to_string).collect(),
        size: "small".into(),
        host: host.parse().unwrap(),
    }
}

pub(crate) async fn ends(person: &Person, order: Order) -> Order {
    let ask = || async {
        let get = GetOrder { account: order.account, order: order.order };
        person.client.call(get).await.unwrap()
    };
    let has_ended =
        |order: &Order| matches!(order.phase, OrderPhase::Complete | OrderPhase::Failed);
    eventually("the order ends", ask, has_ended).await
}

pub(crate) async fn complete(person: &Person, order: Order) -> Order {
    let ended = ends(person, order).await;
    assert_eq!(ended.problem, None);
    ended
}

pub(crate) async fn reaches(person: &Person, instance: InstanceId, state: InstanceState) {
    let ask = || async {
        let get = GetInstance { account: person.account, instance };
        person.client.call(get).await.unwrap().state
    };
    eventually("the instance gets on", ask, |seen| *seen == state).await;
}

pub(crate) async fn instance(world: &World, person: &Person, host: &str) -> InstanceId {
    world.publish("forum", "first").await;
    take(person, order(person.account, host, &["polls"]), InstanceState::AwaitingSetup).await
}

/// Takes an instance, and waits until it is so far.
pub(crate) async fn take(person: &Person, place: PlaceOrder, state: InstanceState) -> InstanceId {
    let placed = person.client.call(place).await.unwrap();
    let instance = complete(person, placed).await.instance;
    reaches(person, instance, state).await;
    instance
}

pub(crate) fn submit(person: &Person, instance: InstanceId) -> SubmitSetup {
    SubmitSetup {
        account: person.account,
        instance,
        key: None,
        values: secrets(&[("title", "Bakers"), ("admin_password", "a long password")]),
    }
}

/// A worker that says how each job ended.
pub(crate) async fn work(world: &World, outcomes: &[Outcome]) {
    let release = world.publish("forum", "first").await.digest;
    let (node, client) = world.node("worker").await;
    for outcome in outcomes {
        let lease = LeaseJobs {
            node,
            releases: vec![release.clone()],
            holding: Vec::new(),
            slots: 1,
            setup_slots: 0,
            wait_millis: 5_000,
        };
        let lease = eventually(
            "there is a job",
            || async { client.call(lease.clone()).await.unwrap().leases },
            |leases| !leases.is_empty(),
        )
        .await
        .remove(0);
        let report = Report {
            job: lease.job,
            token: lease.token,
            outcome: *outcome,
            output: format!("{} says {outcome:?}", lease.name),
            progress: None,
            result: None,
            problem: None,
        };
        client.call(ReportJobs { node, reports: vec![report] }).await.unwrap();
    }
}

async fn refused(person: &Person, place: PlaceOrder) -> Problem {
    person.client.call(place).await.unwrap_err()
}

stories! {
    async fn an_order_is_seen_through_to_an_instance_and_a_cycle(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        let get = GetInstance { account: ada.account, instance };
        let seen = ada.client.call(get).await.unwrap();
        assert!(seen.setup_url.unwrap().starts_with("http://bakery.localhost:8080/.mandate/setup?key="));
        world.clock.advance(std::time::Duration::from_hours(24));
        let ada = world.sign_in_again(&ada, "ada").await;
        let bill = ada.client.call(GetBill { account: ada.account, month: None }).await.unwrap();
        assert!(bill.draft && bill.lines.iter().all(|line| line.instance == instance));
        assert!(!bill.lines.is_empty());
    }

    async fn the_same_order_twice_is_one(world: &World) {
        world.publish("forum", "first").await;
        let ada = world.sign_up("ada").await;
        let place = || order(ada.account, "bakery.localhost", &[]);
        let first = ada.client.call_once(place(), "key").await.unwrap();
        let again = ada.client.call_once(place(), "key").await.unwrap();
        assert_eq!(first, again);
        let list = ListOrders { account: ada.account, after: None, limit: None };
        assert_eq!(ada.client.call(list).await.unwrap().items.len(), 1);
    }

    async fn what_is_wrong_with_an_order_is_said_and_nothing_is_half_made(world: &World) {
        world.publish("forum", "first").await;
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let place = |host: &str, modules: &[&str]| order(ada.account, host, modules);
        let cases = [
            (place("a.localhost", &["chess"]), "chess"),
            (place("a.localhost", &["badges"]), "polls"),
            (PlaceOrder { size: "huge".into(), ..place("a.localhost", &[]) }, "`small`"),
            (PlaceOrder { plan: Some("gold".into()), ..place("a.localhost", &[]) }, "`basic`"),
            (PlaceOrder { service: "chess".parse().unwrap(), ..place("a.localhost", &[]) }, "chess"),
            (place("console.localhost", &[]), "console.localhost"),
        ];
        for (place, word) in cases {
            let problem = refused(&ada, place).await;
            assert!(!problem.is_transient() && problem.detail.contains(word), "{problem}");
        }
        ada.client.call(place("a.localhost", &[])).await.unwrap();
        let taken = refused(&eve, order(eve.account, "a.localhost", &[])).await;
        assert_eq!((taken.kind, taken.code.as_str()), (Kind::Conflict, "host_already_taken"));
        let foreign = refused(&eve, order(ada.account, "b.localhost", &[])).await;
        assert_eq!(foreign.kind, Kind::Denied);
        let list = ListOrders { account: ada.account, after: None, limit: None };
        assert_eq!(ada.client.call(list).await.unwrap().items.len(), 1);
        let list = ListInstances { account: eve.account, after: None, limit: None };
        assert!(eve.client.call(list).await.unwrap().items.is_empty());
    }

    async fn set_up_runs_its_jobs_once_and_opens(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        let setup = ada.client.call(submit(&ada, instance)).await.unwrap();
        assert_eq!(setup.state, InstanceState::SettingUp);
        let again = ada.client.call(submit(&ada, instance)).await.unwrap();
        let jobs = |setup: &api::configurator::Setup| -> Vec<_> {
            setup.steps.iter().map(|step| step.job).collect()
        };
        assert_eq!(jobs(&setup), jobs(&again), "sent twice, queued once");
        work(world, &[Outcome::Succeeded, Outcome::Succeeded]).await;
        reaches(&ada, instance, InstanceState::Open).await;
        let list = ListInstanceJobs { account: ada.account, instance, state: None, name: None, after: None, limit: None };
        let jobs = ada.client.call(list).await.unwrap().items;
        assert_eq!(jobs.len(), 2);
        assert!(jobs.iter().all(|job| job.state == JobState::Succeeded && job.attempts == 1));
        ada.client.call(submit(&ada, instance)).await.unwrap();
        let list = ListInstanceJobs { account: ada.account, instance, state: None, name: None, after: None, limit: None };
        assert_eq!(ada.client.call(list).await.unwrap().items.len(), 2, "also once it is open");
    }

    async fn set_up_needs_its_fields_and_its_key(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        let incomplete = SubmitSetup { values: secrets(&[("title", "x")]), ..submit(&ada, instance) };
        let setup = ada.client.call(incomplete).await.unwrap();
        assert_eq!(setup.state, InstanceState::AwaitingSetup);
        let wrong: Vec<_> =
            setup.fields.iter().filter(|field| field.problem.is_some()).map(|field| &field.name).collect();
        assert_eq!(wrong, ["admin_password"]);
        let gateway = world.component("gateway");
        for key in [None, Some(types::Secret::new("guess"))] {
            let guess = SubmitSetup { key, ..submit(&ada, instance) };
            assert!(gateway.call(guess).await.is_err());
        }
        let get = GetInstance { account: ada.account, instance };
        let url = ada.client.call(get).await.unwrap().setup_url.unwrap();
        let key = types::Secret::new(url.rsplit_once("key=").unwrap().1);
        let shown = SubmitSetup { key: Some(key), ..submit(&ada, instance) };
        assert_eq!(gateway.call(shown).await.unwrap().state, InstanceState::SettingUp);
    }

    async fn one_account_sees_nothing_of_another(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let instance = instance(world, &ada, "bakery.localhost").await;
        let direct = GetInstance { account: ada.account, instance };
        assert_eq!(eve.client.call(direct).await.unwrap_err().kind, Kind::Denied);
        let through_own = GetInstance { account: eve.account, instance };
        assert_eq!(eve.client.call(through_own).await.unwrap_err().kind, Kind::NotFound);
        let own = GetSetup { account: eve.account, instance };
        assert_eq!(eve.client.call(own).await.unwrap_err().kind, Kind::NotFound);
        let close = SetMaintenance { account: eve.account, instance, reason: Some("ha".into()) };
        assert_eq!(eve.client.call(close).await.unwrap_err().kind, Kind::NotFound);
        let resize = ChangeSubscription {
            account: eve.account,
            instance,
            modules: Some(["polls".to_owned()].into()),
            size: None,
            builds_on: None,
        };
        assert_eq!(eve.client.call(resize).await.unwrap_err().kind, Kind::NotFound);
        let bill = GetBill { account: ada.account, month: None };
        assert_eq!(eve.client.call(bill).await.unwrap_err().kind, Kind::Denied);
    }

    async fn each_instance_has_a_database_and_a_password_of_its_own(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let one = instance(world, &ada, "one.localhost").await;
        let two = instance(world, &eve, "two.localhost").await;
        let (node, client) = world.node("worker").await;
        let environment = async |instance| {
            let get = api::configurator::GetEnvironment { node, instance, release: None };
            client.call(get).await.unwrap().variables
        };
        let (one, two) = (environment(one).await, environment(two).await);
        assert_ne!(one["DATABASE_URL"], two["DATABASE_URL"]);
        assert_eq!(one["MODULES"].reveal(), "polls");
        let forum = world.component("identity");
        let resolve = ResolveHost {
            service: "forum".parse().unwrap(),
            host: "one.localhost".parse().unwrap(),
        };
        assert_eq!(forum.call(resolve).await.unwrap_err().kind, Kind::Denied, "only the service may ask");
    }

    async fn a_set_up_that_fails_says_so_and_can_be_sent_again(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        ada.client.call(submit(&ada, instance)).await.unwrap();
        for _ in 0..3 {
            work(world, &[Outcome::Again]).await;
            world.clock.advance(std::time::Duration::from_mins(1));
        }
        reaches(&ada, instance, InstanceState::Failed).await;
        let get = GetSetup { account: ada.account, instance };
        let setup = ada.client.call(get).await.unwrap();
        assert!(setup.problem.unwrap().contains("`migrate` failed"));
        assert_eq!(setup.steps[0].output, "migrate says Again");
        ada.client.call(submit(&ada, instance)).await.unwrap();
        work(world, &[Outcome::Succeeded, Outcome::Succeeded]).await;
        reaches(&ada, instance, InstanceState::Open).await;
    }

    async fn the_catalogue_of_offers_is_open_to_everybody(world: &World) {
        world.publish("forum", "first").await;
        let offers = world.visitor().call(ListOffers::default()).await.unwrap().items;
        assert_eq!(offers.len(), 1);
        assert_eq!(offers[0].plans, ["basic"]);
    }
}
