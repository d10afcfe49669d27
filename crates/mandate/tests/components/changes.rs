//! What is refused leaves everything as it was, and what several ask for at once is all done.

use std::{collections::BTreeSet, time::Duration};

use api::{
    Problem,
    billing::{GetBill, PutSubscription},
    configurator::{GetInstance, Instance, InstanceState, ListInstances, PutInstance},
    provider::{ChangeSubscription, GetOffer, ListOffers, OrderPhase},
    releases::ReleasePhase,
};
use types::{AccountId, InstanceId, OrderId};

use crate::{
    orders::{complete, ends, instance, order},
    world::{MANIFEST, PRICES, Person, World, eventually},
};

/// The forum with another size, at prices that hold from `effective` on.
async fn publish_with_large(world: &World, effective: &str) {
    let large = "[sizes.large]\ntitle = \"Large\"\ncpu = 1.0\nmemory = \"512MiB\"\n";
    let manifest = format!("{}\n{large}", MANIFEST.replace("NAME", "forum"));
    let prices = PRICES
        .replace("NAME", "forum")
        .replace("2026-01-01T00:00:00Z", effective)
        .replace("[plans.basic]", "[plans.basic]\nsizes.large = { per_hour = \"0.05\" }");
    let ask = async || world.publish_texts("forum", &manifest, &prices).await.unwrap();
    eventually("everybody is told", ask, |r| r.phase == ReleasePhase::Staged).await;
}

fn change(account: AccountId, instance: InstanceId) -> ChangeSubscription {
    ChangeSubscription { account, instance, modules: None, size: None, builds_on: None }
}

fn modules(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

async fn shown(person: &Person, instance: InstanceId) -> Instance {
    let get = GetInstance { account: person.account, instance };
    person.client.call(get).await.unwrap()
}

/// Nobody has anything, and nobody pays for anything.
async fn has_nothing(person: &Person) {
    let list = ListInstances { account: person.account, after: None, limit: None };
    assert_eq!(person.client.call(list).await.unwrap().items, []);
    let bill = person.client.call(GetBill { account: person.account, month: None }).await.unwrap();
    assert_eq!(bill.lines, []);
}

/// What the provider would tell the others, told by the test.
fn other_instance(account: AccountId, host: &str) -> PutInstance {
    PutInstance {
        account,
        instance: InstanceId::named(&[host]),
        service: "forum".parse().unwrap(),
        host: host.parse().unwrap(),
        modules: BTreeSet::new(),
        size: "small".into(),
    }
}

stories! {
    async fn what_has_no_price_yet_is_not_shown_and_cannot_be_ordered(world: &World) {
        publish_with_large(world, "2027-01-01T00:00:00Z").await;
        let ada = world.sign_up("ada").await;
        assert_eq!(world.visitor().call(ListOffers::default()).await.unwrap().items, []);
        let get = GetOffer { service: "forum".parse().unwrap() };
        assert_eq!(world.visitor().call(get.clone()).await.unwrap_err().status, 404);
        let place = order(ada.account, "a.localhost", &[]);
        let refused = ada.client.call(place.clone()).await.unwrap_err();
        assert_eq!(refused.code, "not_yet", "{refused}");
        has_nothing(&ada).await;
        world.clock.advance(Duration::from_hours(31 * 24));
        let ada = world.sign_in_again(&ada, "ada").await;
        let offer = world.visitor().call(get).await.unwrap();
        assert_eq!(offer.manifest.sizes.keys().collect::<Vec<_>>(), ["large", "small"]);
        let placed = ada.client.call(place).await.unwrap();
        complete(&ada, placed).await;
    }

    async fn a_size_that_is_priced_later_is_refused_and_blocks_nothing(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        publish_with_large(world, "2027-01-01T00:00:00Z").await;
        let larger = ChangeSubscription { size: Some("large".into()), ..change(ada.account, instance) };
        let refused = ada.client.call(larger.clone()).await.unwrap_err();
        assert!(refused.code == "unknown_size" && refused.detail.contains("`small`"), "{refused}");
        assert_eq!(shown(&ada, instance).await.size, "small");
        let fewer =
            ChangeSubscription { modules: Some(modules(&[])), ..change(ada.account, instance) };
        let placed = ada.client.call(fewer).await.unwrap();
        complete(&ada, placed).await;
        world.clock.advance(Duration::from_hours(31 * 24));
        let ada = world.sign_in_again(&ada, "ada").await;
        let placed = ada.client.call(larger).await.unwrap();
        complete(&ada, placed).await;
        let seen = shown(&ada, instance).await;
        assert_eq!((seen.size.as_str(), seen.modules), ("large", modules(&[])));
    }

    async fn an_order_that_billing_refuses_makes_nothing_and_gives_its_host_back(world: &World) {
        world.publish("forum", "first").await;
        let ada = world.sign_up("ada").await;
        let first = order(ada.account, "a.localhost", &[]);
        // Another instance of the account has the host's name on its bills.
        let (now, instance) = (types::Clock::now(&*world.clock), InstanceId::named(&["another"]));
        let put = PutSubscription {
            account: ada.account,
            instance,
            service: first.service.clone(),
            host: first.host.clone(),
            plan: "basic".into(),
            size: first.size.clone(),
            modules: BTreeSet::new(),
            since: now,
        };
        world.component("provider").call(put).await.unwrap();
        let placed = ada.client.call(first.clone()).await.unwrap();
        let failed = ends(&ada, placed).await;
        assert_eq!(failed.phase, OrderPhase::Failed);
        assert!(failed.problem.unwrap().contains("a.localhost"));
        let list = ListInstances { account: ada.account, after: None, limit: None };
        assert_eq!(ada.client.call(list).await.unwrap().items, []);
        let eve = world.sign_up("eve").await;
        let placed = eve.client.call(order(eve.account, "a.localhost", &[])).await.unwrap();
        complete(&eve, placed).await;
    }

    async fn an_order_that_the_configurator_refuses_is_not_billed(world: &World) {
        world.publish("forum", "first").await;
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let other = other_instance(eve.account, "a.localhost");
        world.component("provider").call(other).await.unwrap();
        let placed = ada.client.call(order(ada.account, "a.localhost", &[])).await.unwrap();
        let failed = ends(&ada, placed).await;
        assert_eq!(failed.phase, OrderPhase::Failed);
        assert!(failed.problem.unwrap().contains("taken"));
        world.clock.advance(Duration::from_hours(24));
        let ada = world.sign_in_again(&ada, "ada").await;
        has_nothing(&ada).await;
        // The same host can be asked for again.
        let placed = ada.client.call(order(ada.account, "a.localhost", &[])).await.unwrap();
        assert_eq!(ends(&ada, placed).await.phase, OrderPhase::Failed);
    }

    async fn a_change_that_is_refused_leaves_the_former_wish_in_force(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        publish_with_large(world, "2026-12-01T01:00:00Z").await;
        world.clock.advance(Duration::from_hours(2));
        let ada = world.sign_in_again(&ada, "ada").await;
        // Billing has heard otherwise of the moment at which the change would begin.
        let put = PutSubscription {
            account: ada.account,
            instance,
            service: "forum".parse().unwrap(),
            host: "bakery.localhost".parse().unwrap(),
            plan: "basic".into(),
            size: "small".into(),
            modules: modules(&["badges", "polls"]),
            since: types::Clock::now(&*world.clock),
        };
        world.component("provider").call(put).await.unwrap();
        let larger = ChangeSubscription { size: Some("large".into()), ..change(ada.account, instance) };
        let fewer =
            ChangeSubscription { modules: Some(modules(&[])), ..change(ada.account, instance) };
        // Billing refuses the first when the second has been placed upon it.
        let mut busy = world.billing.begin().await.unwrap();
        let prices = db::query("select service from price_service /*for update*/");
        prices.all(&mut busy, |row| row.get::<String>("service")).await.unwrap();
        let first = ada.client.call(larger.clone()).await.unwrap();
        let second = ada.client.call(fewer).await.unwrap();
        drop(busy);
        assert_eq!(ends(&ada, first).await.phase, OrderPhase::Failed);
        let second = complete(&ada, second).await;
        assert_eq!(second.size, "small", "it builds on what is in force");
        let seen = shown(&ada, instance).await;
        assert_eq!((seen.size.as_str(), seen.modules), ("small", modules(&[])));
        let third = ada.client.call(larger).await.unwrap();
        complete(&ada, third).await;
        assert_eq!(shown(&ada, instance).await.size, "large");
    }

    async fn changes_at_once_are_all_made(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        publish_with_large(world, "2026-12-01T01:00:00Z").await;
        world.clock.advance(Duration::from_hours(2));
        let ada = world.sign_in_again(&ada, "ada").await;
        for round in 0..5 {
            let (size, names) = if round % 2 == 0 { ("large", &[][..]) } else { ("small", &["polls"][..]) };
            let size = ChangeSubscription { size: Some(size.into()), ..change(ada.account, instance) };
            let wanted = size.size.clone();
            let some =
                ChangeSubscription { modules: Some(modules(names)), ..change(ada.account, instance) };
            let (size, some) = tokio::join!(ada.client.call(size), ada.client.call(some));
            complete(&ada, size.unwrap()).await;
            complete(&ada, some.unwrap()).await;
            let seen = shown(&ada, instance).await;
            assert_eq!((Some(seen.size), seen.modules), (wanted, modules(names)));
        }
    }

    async fn a_change_that_builds_on_an_older_order_is_refused(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        let fewer = |builds_on: Option<OrderId>| ChangeSubscription {
            modules: Some(modules(&[])),
            builds_on,
            ..change(ada.account, instance)
        };
        let first = ada.client.call(fewer(None)).await.unwrap();
        let second = ada.client.call(fewer(Some(first.order))).await.unwrap();
        let stale = ada.client.call(fewer(Some(first.order))).await.unwrap_err();
        assert_eq!(stale.code, "stale", "{stale}");
        ada.client.call(fewer(Some(second.order))).await.unwrap();
        let nothing = ada.client.call(change(ada.account, instance)).await.unwrap_err();
        assert_eq!(nothing.code, "nothing_to_change", "{nothing}");
    }

    async fn an_instance_that_is_told_twice_at_once_is_one(world: &World) {
        world.publish("forum", "first").await;
        let ada = world.sign_up("ada").await;
        let provider = world.component("provider");
        for number in 0..10 {
            let put = other_instance(ada.account, &format!("at-once-{number}.localhost"));
            let calls = [1, 2, 3].map(|_| provider.call(put.clone()));
            let told: Vec<Result<Instance, Problem>> = futures_util::future::join_all(calls).await;
            for instance in told {
                assert_eq!(instance.unwrap().instance, put.instance);
            }
            let taken = PutInstance { instance: InstanceId::named(&["a second"]), ..put };
            assert_eq!(provider.call(taken).await.unwrap_err().code, "host_already_taken");
        }
        let seen = shown(&ada, InstanceId::named(&["at-once-0.localhost"])).await.state;
        assert!(matches!(seen, InstanceState::Creating | InstanceState::AwaitingSetup));
    }
}
