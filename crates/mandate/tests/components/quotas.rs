//! How much an account may have, and which hosts.

use std::{collections::BTreeSet, time::Duration};

use api::{
    Kind,
    provider::{ChangeSubscription, GetQuota, PlaceOrder, Quota, SetQuota},
};

use crate::{
    orders::{complete, instance, order},
    world::{Person, World},
};

async fn allow(world: &World, person: &Person, instances: u32, orders_an_hour: u32) {
    let (instances, orders_an_hour) = (Some(instances), Some(orders_an_hour));
    let set = SetQuota { account: person.account, instances, orders_an_hour };
    world.operator().await.call(set).await.unwrap();
}

async fn refused(person: &Person, place: PlaceOrder) -> (Kind, String) {
    let problem = person.client.call(place).await.unwrap_err();
    (problem.kind, problem.code)
}

stories! {
    async fn an_account_has_as_many_instances_as_it_may(world: &World) {
        world.publish("forum", "first").await;
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        allow(world, &ada, 2, 100).await;
        let get = GetQuota { account: ada.account };
        let quota = Quota { instances: 2, orders_an_hour: 100 };
        assert_eq!(ada.client.call(get).await.unwrap(), quota);
        let more = SetQuota { account: ada.account, instances: Some(9), orders_an_hour: None };
        assert_eq!(ada.client.call(more).await.unwrap_err().kind, Kind::Denied);
        let place = |host: &str| ada.client.call(order(ada.account, host, &[]));
        let at_once = tokio::join!(place("a.localhost"), place("b.localhost"), place("c.localhost"));
        let placed = [at_once.0, at_once.1, at_once.2];
        assert_eq!(placed.iter().filter(|placed| placed.is_ok()).count(), 2);
        let third = refused(&ada, order(ada.account, "d.localhost", &[])).await;
        assert_eq!(third, (Kind::Conflict, "quota_instances".to_owned()));
        // What was refused took no host.
        let other = eve.client.call(order(eve.account, "d.localhost", &[])).await.unwrap();
        complete(&eve, other).await;
    }

    async fn an_account_places_as_many_orders_an_hour_as_it_may(world: &World) {
        let ada = world.sign_up("ada").await;
        let instance = instance(world, &ada, "bakery.localhost").await;
        allow(world, &ada, 100, 2).await;
        let change = || ChangeSubscription {
            account: ada.account,
            instance,
            modules: Some(BTreeSet::new()),
            size: None,
            builds_on: None,
        };
        ada.client.call(change()).await.unwrap();
        assert_eq!(ada.client.call(change()).await.unwrap_err().code, "quota_orders");
        let order = order(ada.account, "a.localhost", &[]);
        assert_eq!(refused(&ada, order.clone()).await, (Kind::Exhausted, "quota_orders".to_owned()));
        world.clock.advance(Duration::from_hours(1));
        let ada = world.sign_in_again(&ada, "ada").await;
        ada.client.call(order).await.unwrap();
    }

    async fn hosts_that_share_cookies_are_one_accounts(world: &World) {
        world.publish("forum", "first").await;
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        ada.client.call(order(ada.account, "b.a.localhost", &[])).await.unwrap();
        for host in ["a.localhost", "c.b.a.localhost"] {
            let crosses = refused(&eve, order(eve.account, host, &[])).await;
            assert_eq!(crosses, (Kind::Conflict, "host_crosses".to_owned()), "{host}");
            ada.client.call(order(ada.account, host, &[])).await.unwrap();
        }
        eve.client.call(order(eve.account, "ba.localhost", &[])).await.unwrap();
        for host in ["com", "2130706433", "metadata.google.internal"] {
            let refused = refused(&eve, order(eve.account, host, &[])).await;
            assert_eq!(refused, (Kind::Invalid, "host_not_public".to_owned()), "{host}");
        }
    }
}
