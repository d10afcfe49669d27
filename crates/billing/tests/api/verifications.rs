//! Bills are made again in the background.

use std::time::Duration;

use api::{
    Kind,
    billing::{GetVerification, VerificationState, VerifyBill},
};
use db::query;

use super::{refused, used_forum, verified, verify};
use crate::world::{World, engines, moment};

/// The first thousand requests again, thirty times, as if they had come in one by one.
async fn busy(world: &World) {
    let more = "with recursive n(k) as (select 1 union all select k + 1 from n where k < 30)
         insert into usage_event (source, epoch, sequence, account, revision, instance, meter,
         used_at, quantity, event, note)
         select source, epoch, sequence + k * 10000, account, revision, instance, meter,
         used_at + k, quantity, event, note from usage_event cross join n
         where source = 'gateway/main' and sequence < 1000";
    assert_eq!(query(more).run(&world.tables).await.unwrap(), 30_000);
    let sums = "update usage_total set quantity = quantity + 30000, events = events + 30000
         where meter = 'requests' and events = 1000";
    assert_eq!(query(sums).run(&world.tables).await.unwrap(), 1);
}

#[tokio::test]
async fn a_verification_goes_on_after_a_restart() {
    for place in engines("restart") {
        let mut world = World::open(place.clone()).await;
        used_forum(&world).await;
        busy(&world).await;
        let (account, month) = (world.ada.account, Some(moment("2026-12-01T00:00:00Z")));
        let show = || GetVerification { account, month };
        let none = world.ada.client.call(show()).await;
        refused(none, Kind::NotFound, "ask for one");
        let asked = world.ada.client.call(VerifyBill { account, month }).await.unwrap();
        assert_eq!((asked.state, asked.events_total), (VerificationState::Running, 31_004));
        // Who asks meanwhile hears of the one that is under way, and it takes nothing from others.
        let again = world.ada.client.call(VerifyBill { account, month }).await.unwrap();
        assert_eq!((again.asked, again.until), (asked.asked, asked.until));
        let seen = loop {
            let seen = world.ada.client.call(show()).await.unwrap();
            if seen.events > 0 || seen.state != VerificationState::Running {
                break seen;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(seen.state, VerificationState::Running, "it was too fast to be interrupted");
        world = world.restart(place).await;
        let found = verified(&world.ada, month).await;
        assert!(found.agrees, "{found:?}");
        assert_eq!(found.events, 31_004);
        let ended = world.ada.client.call(show()).await.unwrap();
        assert_eq!((ended.state, ended.events), (VerificationState::Done, 31_004));
        // What comes in afterwards is in the next one.
        let late = world.ada.used("late", "2026-12-02T10:00:00Z", "requests", 1);
        world.record(1_003, vec![late]).await.unwrap();
        assert_eq!(verify(&world.ada).await.events, 31_005);
        world.close().await;
    }
}

#[tokio::test]
async fn a_verification_that_nobody_can_read_any_more_ends() {
    for place in engines("unread") {
        let world = World::open(place).await;
        used_forum(&world).await;
        let (account, month) = (world.ada.account, None);
        // As if an earlier version of the program had begun it.
        let begun = "insert into verification (account, month, asked_at, counts_until, revision,
             events, events_total, turn, facts, billed, place, progress)
             values (?, ?, 0, 0, 1, 5, 9, 0, '{}', '{}', 'there', '{}')";
        let begins = moment("2026-12-01T00:00:00Z");
        query(begun).bind(account).bind(begins).run(&world.tables).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(90), async {
            loop {
                let seen = world.ada.client.call(GetVerification { account, month }).await.unwrap();
                if seen.state != VerificationState::Running {
                    break seen;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let ended = ended.await.unwrap();
        assert!(ended.problem.unwrap().contains("ask for it again"));
        assert!(verify(&world.ada).await.agrees);
        world.close().await;
    }
}
