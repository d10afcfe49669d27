//! What a customer is told of new versions of the service.

use std::time::Duration;

use api::{
    Client, Kind,
    configurator::SetFreeze,
    releases::{GetUpdate, RolloutPlan, RolloutState, Steer, SteerRollout, Update, UpdateState},
};
use types::{AccountId, Clock as _};

use crate::{
    machine::{Machine, NAME, Shop, promote, promote_as, publish, rollout, stage},
    world::{World, eventually, until},
};

async fn update(shop: &Shop) -> Option<Update> {
    let ask = GetUpdate { account: shop.account(), instance: shop.instance };
    shop.ada.client.call(ask).await.unwrap().update
}

async fn reaches(shop: &Shop, wanted: UpdateState) -> Update {
    let now = async || update(shop).await;
    let is_it = |now: &Option<Update>| now.as_ref().is_some_and(|it| it.state == wanted);
    eventually("the update is so far", now, is_it).await.unwrap()
}

async fn give_up(world: &World, number: u64) {
    let steer = SteerRollout { service: NAME.parse().unwrap(), number, steer: Steer::Cancel };
    world.operator().await.call(steer).await.unwrap();
}

stories! {
    async fn an_update_is_announced_followed_and_remembered(world: &World) {
        publish(world, "shared", "", "").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        assert_eq!(update(&shop).await, None, "it came with the version that is current");
        let second = stage(world, "shared", "schema = 2", "").await.digest;
        let at = world.clock.now().plus(Duration::from_hours(1));
        let later = RolloutPlan { at: Some(at), ..RolloutPlan::default() };
        promote_as(world, &second, later.clone()).await.unwrap();
        let planned = reaches(&shop, UpdateState::Planned).await;
        assert_eq!((&planned.to, planned.at), (&second, at));
        assert!(planned.closes && planned.longest_millis.is_none(), "none was migrated yet");
        machine.told(|told| told.lasts = ["migrate".to_owned()].into());
        world.advance(Duration::from_hours(1));
        let moving = reaches(&shop, UpdateState::Moving).await;
        assert!(moving.closes);
        until("its requests wait", async || {
            shop.route(world).await.moving.is_some_and(|moving| moving.held)
        })
        .await;
        world.advance(Duration::from_secs(3));
        machine.told(|told| told.lasts.clear());
        let done = reaches(&shop, UpdateState::Done).await;
        assert_eq!((done.to, done.closes), (second.clone(), false));
        rollout(world, RolloutState::Done).await;
        // The next one is said to take as long at most.
        let third = stage(world, "shared", "schema = 3", "").await.digest;
        let at = world.clock.now().plus(Duration::from_hours(1));
        let later = RolloutPlan { at: Some(at), ..later };
        let number = promote_as(world, &third, later).await.unwrap().number;
        let longest = reaches(&shop, UpdateState::Planned).await.longest_millis.unwrap();
        assert!((3_000..60_000).contains(&longest), "{longest}");
        give_up(world, number).await;
        assert_eq!(update(&shop).await, None, "nothing comes any more");
        // What nobody is kept out for.
        let except = [shop.instance].into();
        let code = stage(world, "shared", "schema = 2", "check = [\"./check\"]").await.digest;
        promote_as(world, &code, RolloutPlan { except, ..RolloutPlan::default() }).await.unwrap();
        let stays = reaches(&shop, UpdateState::Excepted).await;
        assert_eq!((&stays.to, stays.closes, stays.longest_millis), (&code, false, None));
        rollout(world, RolloutState::Done).await;
        assert_eq!(update(&shop).await, Some(stays));
    }

    async fn an_update_waits_while_the_instance_is_to_stay_and_is_nobody_elses(world: &World) {
        publish(world, "shared", "", "").await;
        let _machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let (account, instance) = (shop.account(), shop.instance);
        let until = Some(world.clock.now().plus(Duration::from_hours(1)));
        shop.ada.client.call(SetFreeze { account, instance, until }).await.unwrap();
        let second = publish(world, "shared", "", "check = [\"./check\"]").await;
        let waits = reaches(&shop, UpdateState::Waiting).await;
        assert_eq!((waits.to, waits.closes), (second, false));
        let eve = world.sign_up("eve").await;
        let look = async |who: &Client, account: AccountId| {
            who.call(GetUpdate { account, instance }).await.unwrap_err().kind
        };
        assert_eq!(look(&eve.client, account).await, Kind::Denied);
        assert_eq!(look(&eve.client, eve.account).await, Kind::NotFound, "it is another's");
        shop.ada.client.call(SetFreeze { account, instance, until: None }).await.unwrap();
        reaches(&shop, UpdateState::Done).await;
    }

    async fn why_an_update_is_not_taken_is_told_and_what_it_was(world: &World) {
        let first = publish(world, "shared", "", "").await;
        let _machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        publish(world, "shared", "schema = 2", "").await;
        rollout(world, RolloutState::Done).await;
        promote(world, &first).await;
        let failed = reaches(&shop, UpdateState::Failed).await;
        assert_eq!(failed.to, first);
        let last = shop.last_move().await;
        let why = last.problem.unwrap();
        assert!(last.to == first && why.contains("its database has the shape 2"), "{why}");
        assert_eq!((last.held_millis, last.closed_millis), (0, 0));
    }
}
