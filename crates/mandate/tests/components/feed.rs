//! The change feed: gapless, resumable, acknowledged under a lease.

use std::{cell::Cell, fmt::Debug, time::Duration};

use api::{
    Client,
    access::{CreateGrant, FollowChanges, Grant, ReadSnapshot, RevokeGrant},
    feed::Document as _,
    jobs::SetQueue,
};
use chassis::{House, HouseConfig, MountError};
use tokio::time::Instant;
use types::Resource;

use crate::world::{Person, until};

/// Far longer than an answer takes.
const PATIENCE: Duration = Duration::from_millis(700);
/// Shorter than a lease.
const ANSWER_LONGEST: Duration = Duration::from_secs(9);

/// The `n`th of what one customer can grant another.
fn creation(ada: &Person, n: usize) -> CreateGrant {
    let mut listings = api::listings().into_iter();
    let nth = listings.by_ref().filter(|own| own.askers.contains(&api::Asker::Customer)).nth(n);
    let (account, principal) = (ada.account, ada.principal());
    let (given, on) = (nth.unwrap().permission.parse().unwrap(), Resource::Account(account));
    CreateGrant { account, principal, given, on }
}

async fn grant(ada: &Person, n: usize) -> Grant {
    ada.client.call(creation(ada, n)).await.unwrap()
}

/// A copy that has applied `applied` and says so.
fn alive(applied: u64) -> FollowChanges {
    FollowChanges { follower: "alive".into(), applied, lease_seconds: 10, wait_millis: 0 }
}

/// A copy that says so again and again.
async fn stays_alive(reader: &Client, applied: u64) {
    loop {
        reader.call(alive(applied)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until so much was done that came after `head`.
async fn is_done(reader: &Client, head: u64, changes: usize) {
    until("it is done", async || follow(reader, head).await.changes.len() == changes).await;
}

/// Gives up for whoever asks, after it was `done` and a while more: a copy is alive that has
/// applied `applied` only.
async fn in_vain<T: Debug>(
    (reader, applied): (&Client, u64),
    asks: impl Future<Output = T>,
    done: impl Future<Output = ()>,
) {
    let gives_up = async {
        done.await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        answer = asks => panic!("answered before the copy had it: {answer:?}"),
        () = stays_alive(reader, applied) => unreachable!("it does not end"),
        () = gives_up => {}
    }
}

async fn follow(client: &Client, applied: u64) -> api::feed::Changes {
    let follower = "reader".to_owned();
    let follow = FollowChanges { follower, applied, lease_seconds: 0, wait_millis: 0 };
    client.call(follow).await.unwrap()
}

stories! {
    async fn revisions_have_no_gaps_also_when_many_write_at_once(world: &World) {
        let ada = world.sign_up("ada").await;
        let reader = world.component("gateway");
        let before = follow(&reader, 0).await.head;
        let grants = (0..20).map(|n| grant(&ada, n));
        let grants: Vec<Grant> = futures(grants).await;
        let after = follow(&reader, before).await;
        assert_eq!(after.head, before + 20);
        let revisions: Vec<u64> = after.changes.iter().map(|change| change.revision).collect();
        assert_eq!(revisions, (before + 1..=before + 20).collect::<Vec<_>>());
        let mut told: Vec<&str> = after.changes.iter().map(|change| change.key.as_str()).collect();
        let mut made: Vec<String> = grants.iter().map(Grant::key).collect();
        told.sort_unstable();
        made.sort();
        assert_eq!(told, made);
    }

    async fn a_snapshot_and_the_changes_after_it_are_everything(world: &World) {
        let ada = world.sign_up("ada").await;
        let reader = world.component("gateway");
        let kept = grant(&ada, 0).await;
        let gone = grant(&ada, 1).await;
        let snapshot = reader.call(ReadSnapshot { after: None }).await.unwrap();
        let account = ada.account;
        ada.client.call(RevokeGrant { account, grant: gone.grant }).await.unwrap();
        let changes = follow(&reader, snapshot.revision).await.changes;
        let keys = |changes: &[api::feed::Change]| -> Vec<String> {
            changes.iter().map(|change| change.key.clone()).collect()
        };
        let known = keys(&snapshot.documents);
        assert!(known.contains(&kept.key()) && known.contains(&gone.key()));
        assert_eq!(keys(&changes), [gone.key()]);
        assert!(changes[0].body.is_none(), "a change without a body takes the document away");
        let fresh = reader.call(ReadSnapshot { after: None }).await.unwrap();
        assert!(!keys(&fresh.documents).contains(&gone.key()));
    }

    async fn one_who_claims_more_than_there_is_begins_anew(world: &World) {
        let reader = world.component("gateway");
        let head = follow(&reader, 0).await.head;
        // Far more, since what the start brings may still come.
        let claimed = follow(&reader, head + 1_000).await;
        assert!(claimed.reset, "a database that was restored looks like this");
    }

    async fn a_change_waits_for_the_living_and_not_for_the_dead(world: &World) {
        let ada = world.sign_up("ada").await;
        let reader = world.component("console");
        let head = follow(&reader, 0).await.head;
        reader.call(alive(head)).await.unwrap();
        let acknowledged = Cell::new(None);
        let granting = async {
            grant(&ada, 0).await;
            let since: Instant = acknowledged.get().expect("it waits until the copy has it");
            assert!(since.elapsed() < ANSWER_LONGEST, "its lease had not to run out");
        };
        let acknowledging = async {
            tokio::select! {
                () = stays_alive(&reader, head) => unreachable!("it does not end"),
                () = is_done(&reader, head, 1) => {}
            }
            tokio::time::sleep(PATIENCE).await;
            acknowledged.set(Some(Instant::now()));
            reader.call(alive(head + 1)).await.unwrap();
        };
        tokio::join!(granting, acknowledging);
    }

    async fn a_name_is_one_process_for_as_long_as_that_lives(world: &World) {
        let reader = world.component("console");
        let ask = async |process: &str, lease_seconds: u32| {
            let follower = format!("door.guard#{process}");
            reader.call(FollowChanges { follower, applied: 0, lease_seconds, wait_millis: 0 }).await
        };
        ask("machine-a.1.1", 10).await.unwrap();
        let taken = ask("machine-b.1.1", 10).await.unwrap_err();
        assert_eq!((taken.kind, taken.code.as_str()), (api::Kind::Conflict, "follower_taken"));
        ask("machine-a.1.1", 0).await.unwrap();
        ask("machine-b.1.1", 10).await.unwrap();
        assert_eq!(ask("machine-a.1.1", 10).await.unwrap_err().code, "follower_taken");
    }

    async fn a_database_belongs_to_one_process_at_a_time(world: &World) {
        let password = world.house.database_password("jobs");
        let db = world.engine.open("jobs", &password, &[]).await.unwrap();
        let this: String =
            db::query("select process from owner").one(&db, |row| row.get("process")).await.unwrap();
        let dead = format!("{}.1", this.rsplit_once('.').unwrap().0);
        let own = async |process: &str| {
            db::query("update owner set process = ?").bind(process).run(&db).await.unwrap();
        };
        let second = async || {
            let house = world.another_house("second");
            let mounted = house.mount(jobs::component()).await.map(drop);
            house.close().await;
            mounted
        };
        let follower = "main.old#".to_owned() + &dead;
        let known = db::query("insert into feed_follower (follower) values (?)").bind(&follower);
        known.run(&db).await.unwrap();
        own(&dead).await;
        let begun = Instant::now();
        second().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(18), "whoever is dead is not waited for");
        let left = db::query("select follower from feed_follower where follower = ?");
        let left = left.bind(&follower).optional(&db, |_| Ok(())).await.unwrap();
        assert!(left.is_none(), "nor is a copy of theirs");

        db::query("insert into owner (only_row, process, beat) values (1, 'else', 0)
            on conflict (only_row) do update set process = excluded.process")
            .run(&db)
            .await
            .unwrap();
        own("another-machine.1.1").await;
        let beating = async {
            loop {
                let beat = "update owner set beat = beat + 1 where process = 'another-machine.1.1'";
                db::query(beat).run(&db).await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let refused = tokio::select! {
            refused = second() => refused.unwrap_err(),
            () = beating => return,
        };
        let MountError::Refused { problem, .. } = &refused else { panic!("{refused}") };
        assert_eq!(problem.code, "component_runs_already", "{refused}");
        let operator = world.operator().await;
        let pause = || SetQueue {
            paused: Some(true),
            ..SetQueue::of("forum".parse().unwrap(), "default")
        };
        until("the former owner writes no more", async || {
            operator.call(pause()).await.is_err_and(|refused| refused.status == 503)
        })
        .await;
        db.close().await;
    }

    async fn a_database_is_for_whoever_has_its_master_key(world: &World) {
        let data = world.house.data().join("elsewhere");
        let config = || HouseConfig {
            name: "other".into(),
            data: data.clone(),
            engine: world.engine.clone(),
            clock: world.house.clock(),
        };
        let refused = House::open(config()).unwrap().mount(jobs::component()).await.map(drop);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("the database of jobs was made with another `master.key`"), "{refused}");
        std::fs::remove_file(data.join("master.key")).unwrap();
        let lost = House::open(config()).map(drop).unwrap_err().to_string();
        assert!(lost.contains("master.key` is gone"), "{lost}");
        assert!(!data.join("master.key").exists(), "no other one is made");
        // A server's user has the password that was told last.
        world.engine.create("jobs", &world.house.database_password("jobs")).await.unwrap();
    }

    async fn who_asks_again_is_not_answered_before_the_copies_have_it(world: &World) {
        let ada = world.sign_up("ada").await;
        let reader = world.component("console");
        let head = follow(&reader, 0).await.head;
        reader.call(alive(head)).await.unwrap();
        let create = || ada.client.call_once(creation(&ada, 0), "key");
        // Whoever asked gave up; what they asked for was done all the same.
        let copy = (&reader, head);
        in_vain(copy, create(), is_done(&reader, head, 1)).await;
        in_vain(copy, create(), async {}).await;
        // An equal grant.
        in_vain(copy, grant(&ada, 0), async {}).await;
        reader.call(alive(head + 1)).await.unwrap();
        let granted = create().await.unwrap().grant;

        let revoke = || ada.client.call(RevokeGrant { account: ada.account, grant: granted });
        let copy = (&reader, head + 1);
        in_vain(copy, revoke(), is_done(&reader, head, 2)).await;
        // It is still in a copy.
        in_vain(copy, revoke(), async {}).await;
        reader.call(alive(head + 2)).await.unwrap();
        assert_eq!(revoke().await.unwrap_err().kind, api::Kind::NotFound);
    }
}

/// Runs all of them at the same time.
async fn futures<F: Future<Output: Send> + Send>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}
