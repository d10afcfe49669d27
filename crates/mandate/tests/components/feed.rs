//! The change feed: gapless, resumable, acknowledged under a lease.

use std::time::Duration;

use api::{
    Client,
    access::{CreateGrant, FollowChanges, Grant, ReadSnapshot, RevokeGrant},
    feed::Document as _,
};
use tokio::time::Instant;
use types::Resource;

use crate::world::Person;

async fn grant(ada: &Person) -> Grant {
    let (account, principal) = (ada.account, ada.principal());
    let (given, on) = ("access.listGrants".parse().unwrap(), Resource::Account(account));
    ada.client.call(CreateGrant { account, principal, given, on }).await.unwrap()
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
        let grants = (0..20).map(|_| grant(&ada));
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
        let kept = grant(&ada).await;
        let gone = grant(&ada).await;
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
        assert!(follow(&reader, head + 1).await.reset, "a database that was restored looks like this");
    }

    async fn a_change_waits_for_the_living_and_not_for_the_dead(world: &World) {
        let ada = world.sign_up("ada").await;
        let reader = world.component("console");
        let head = follow(&reader, 0).await.head;
        let alive = FollowChanges {
            follower: "alive".into(),
            applied: head,
            lease_seconds: 10,
            wait_millis: 0,
        };
        reader.call(alive.clone()).await.unwrap();
        let begun = Instant::now();
        let granting = grant(&ada);
        let acknowledging = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            reader.call(FollowChanges { applied: head + 1, ..alive }).await.unwrap();
        };
        tokio::join!(granting, acknowledging);
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(300), "{waited:?}: it had not been acknowledged");
        assert!(waited < Duration::from_secs(5), "{waited:?}: its lease had not to run out");
    }
}

/// Runs all of them at the same time.
async fn futures<F: Future<Output: Send> + Send>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}
