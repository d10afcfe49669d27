//! No instance is led to a replica before each gateway has had an answer from it.

use std::{collections::BTreeMap, time::Duration};

use api::{
    Client,
    releases::{
        FollowChanges, ListMoves, PutReached, REACHED_MAX, ReadSnapshot, ReplicaAddress,
        RolloutState,
    },
};
use tokio::task::JoinHandle;
use types::{Digest, ReplicaId};

use crate::{
    machine::{Machine, NAME, Shop, promote, publish, rollout, stage},
    world::{World, eventually, until},
};

/// So many seconds pass at once: fewer than a node may be silent.
const SLICE: u32 = 5;

/// Longer than a step of a rollout takes that waits for nothing.
const A_WHILE: Duration = Duration::from_millis(1_500);

/// A gateway that follows what it is told, until it is dropped.
struct Gateway {
    name: String,
    client: Client,
    follows: JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.follows.abort();
    }
}

impl Gateway {
    async fn follow(world: &World, name: &str) -> Self {
        let (client, name) = (world.component("gateway"), format!("{name}.gateway"));
        let (follower, reader) = (name.clone(), client.clone());
        let follow = move |applied| {
            let follower = follower.clone();
            FollowChanges { follower, applied, lease_seconds: 10, wait_millis: 200 }
        };
        client.call(follow(0)).await.unwrap();
        let follows = tokio::spawn(async move {
            let mut applied = 0;
            loop {
                match reader.call(follow(applied)).await {
                    Ok(news) if news.reset => {
                        let snapshot = reader.call(ReadSnapshot { after: None }).await.unwrap();
                        applied = snapshot.revision;
                    }
                    Ok(news) => {
                        applied = news.changes.last().map_or(applied, |last| last.revision);
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        Self { name, client, follows }
    }

    async fn reaches(&self, replicas: &[&ReplicaAddress]) {
        let at = replicas.iter().map(|it| (it.replica, it.address.clone()));
        self.says(at.collect()).await.unwrap();
    }

    async fn says(&self, replicas: BTreeMap<ReplicaId, String>) -> Result<(), api::Problem> {
        let put = PutReached { gateway: self.name.clone(), replicas };
        self.client.call(put).await.map(drop)
    }
}

/// The replica of a release that the gateways are told of.
async fn told(world: &World, release: &Digest) -> ReplicaAddress {
    let client = world.component("gateway");
    let found = async || {
        let snapshot = client.call(ReadSnapshot { after: None }).await.unwrap();
        let replicas = snapshot.documents.into_iter().filter(|it| it.topic == "replica");
        let mut replicas =
            replicas.map(|it| serde_json::from_value::<ReplicaAddress>(it.body.unwrap()).unwrap());
        replicas.find(|it| it.release.as_ref() == Some(release))
    };
    eventually("they are told of it", found, Option::is_some).await.unwrap()
}

stories! {
    async fn an_instance_is_led_to_a_replica_when_every_gateway_has_had_an_answer(world: &World) {
        let health = "health = \"/healthz\"";
        let first = publish(world, "shared", "", health).await;
        let _machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let one = Gateway::follow(world, "one").await;
        let two = Gateway::follow(world, "two").await;
        let old = told(world, &first).await;
        assert!(old.unproven);
        one.reaches(&[&old]).await;
        assert!(told(world, &first).await.unproven, "one is not all");
        two.reaches(&[&old]).await;
        assert!(!told(world, &first).await.unproven);
        let second = stage(world, "shared", "", "health = \"/healthz\"\n# second").await.digest;
        promote(world, &second).await;
        let new = told(world, &second).await;
        one.reaches(&[&new, &old]).await;
        // What it has said of another address counts for nothing.
        two.says([(new.replica, "127.0.0.1:1".to_owned())].into()).await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(shop.seen().await.release, first);
        two.reaches(&[&new]).await;
        rollout(world, RolloutState::Done).await;
        assert_eq!(shop.seen().await.release, second);
        assert!(!told(world, &second).await.unproven);
        // One that is gone is not waited for.
        let third = stage(world, "shared", "", "health = \"/healthz\"\n# third").await.digest;
        promote(world, &third).await;
        let new = told(world, &third).await;
        one.reaches(&[&new]).await;
        assert!(told(world, &third).await.unproven);
        drop(two);
        until("it is led there", async || {
            one.reaches(&[&new]).await;
            shop.seen().await.release == third
        })
        .await;
    }

    async fn what_a_gateway_cannot_reach_is_told_so_and_stops_a_rollout(world: &World) {
        let first = publish(world, "shared", "", "health = \"/healthz\"").await;
        let machine = Machine::join(world).await;
        let shop = Shop::open(world).await;
        let gateway = Gateway::follow(world, "one").await;
        let second = stage(world, "shared", "", "health = \"/healthz\"\n# second").await.digest;
        let under_way = promote(world, &second).await;
        told(world, &second).await;
        // Its node is heard of all the while.
        for _ in 0..=under_way.plan.within_seconds / SLICE {
            world.advance(Duration::from_secs(SLICE.into()));
            let before = machine.told(|told| told.runs.len());
            until("it is heard of", async || machine.told(|told| told.runs.len() > before + 1)).await;
        }
        let paused = rollout(world, RolloutState::Paused).await;
        assert!(paused.problem.unwrap().contains("1 instance could not be moved"));
        let (service, operator) = (NAME.parse().unwrap(), world.operator().await);
        let moves = ListMoves { service, number: None, after: None, limit: None };
        let why = operator.call(moves).await.unwrap().items.remove(0).problem.unwrap();
        assert!(why.contains("not every gateway had an answer from it within"), "{why}");
        assert_eq!(shop.seen().await.release, first);
        let many = (0..=REACHED_MAX).map(|n| (ReplicaId::named(&[&n.to_string()]), String::new()));
        let problem = gateway.says(many.collect()).await.unwrap_err();
        assert_eq!(problem.code, "replicas", "{problem}");
    }
}
