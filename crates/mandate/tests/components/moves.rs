//! Which release an instance is on: it stays on it until the next one serves where it is.

use std::collections::BTreeSet;

use api::{
    Client,
    configurator::{GetInstance, InstanceState},
    releases::{
        DesiredReplica, GetReadiness, Heartbeat, ListReleases, ReadSnapshot, Release,
        ReplicaReport, ReplicaState,
    },
};
use types::{Digest, InstanceId, NodeId};

use crate::{
    orders::{order, take},
    world::{MANIFEST, PRICES, Person, World, eventually, until},
};

/// Publishes a service that asks for nothing, so that an instance opens by itself.
async fn publish(world: &World, note: &str, tenancy: &str, more: &str) -> Digest {
    let manifest = MANIFEST.replace("NAME", "forum").replace("shared", tenancy);
    let database = manifest.find("[database]").unwrap()..manifest.find("[modules.polls]").unwrap();
    let mut plain = manifest.clone();
    plain.replace_range(database, "");
    let prices = PRICES.replace("NAME", "forum");
    let prices = prices.replace("jobs = { per_second = \"0.00001\" }", "");
    let text = format!("# {note}\n{plain}{more}");
    world.publish_texts("forum", &text, &prices).await.unwrap().digest
}

async fn open(ada: &Person, host: &str) -> InstanceId {
    take(ada, order(ada.account, host, &[]), InstanceState::Open).await
}

/// The release that an instance is on.
async fn release_of(ada: &Person, instance: InstanceId) -> Digest {
    let get = GetInstance { account: ada.account, instance };
    ada.client.call(get).await.unwrap().release
}

async fn moves_to(ada: &Person, instance: InstanceId, release: &Digest) {
    let on = async || release_of(ada, instance).await;
    eventually("it is on the next one", on, |now| now == release).await;
}

struct Node {
    node: NodeId,
    client: Client,
}

impl Node {
    async fn join(world: &World) -> Self {
        let (node, client) = world.node("one").await;
        Self { node, client }
    }

    /// Says how its replicas are; answers what it is to run.
    async fn says(&self, replicas: &[(&DesiredReplica, ReplicaState)]) -> Vec<DesiredReplica> {
        let report = |(replica, state): &(&DesiredReplica, ReplicaState)| ReplicaReport {
            replica: replica.replica,
            digest: replica.digest.clone(),
            service: replica.service.clone(),
            process: replica.process.clone(),
            instance: replica.instance,
            address: "127.0.0.1:4000".into(),
            state: *state,
            starts: 1,
            next_start: None,
            log: "what it printed".into(),
        };
        let heartbeat = Heartbeat {
            replicas: replicas.iter().map(report).collect(),
            ..Heartbeat::new(self.node, "one".parse().unwrap())
        };
        let desired = self.client.call(heartbeat).await.unwrap();
        let named: BTreeSet<&Digest> = desired.releases.iter().map(|it| &it.digest).collect();
        assert!(desired.replicas.iter().all(|replica| named.contains(&replica.digest)));
        desired.replicas
    }

    /// Waits until it is to run just what these releases run, `count` replicas in all.
    async fn runs(&self, releases: &[&Digest], count: usize) -> Vec<DesiredReplica> {
        let wanted: BTreeSet<&Digest> = releases.iter().copied().collect();
        let asked = async || self.says(&[]).await;
        let is_so = |replicas: &Vec<DesiredReplica>| {
            let digests: BTreeSet<&Digest> = replicas.iter().map(|it| &it.digest).collect();
            digests == wanted && replicas.len() == count
        };
        eventually("it is to run these", asked, is_so).await
    }
}

fn of<'r>(replicas: &'r [DesiredReplica], release: &Digest) -> Vec<&'r DesiredReplica> {
    replicas.iter().filter(|replica| replica.digest == *release).collect()
}

fn healthy<'r>(
    replicas: impl IntoIterator<Item = &'r DesiredReplica>,
) -> Vec<(&'r DesiredReplica, ReplicaState)> {
    replicas.into_iter().map(|replica| (replica, ReplicaState::Healthy)).collect()
}

async fn releases(world: &World) -> Vec<Release> {
    let list = ListReleases { service: "forum".parse().unwrap(), after: None, limit: None };
    world.operator().await.call(list).await.unwrap().items
}

/// The releases that the gateways know.
async fn known(world: &World) -> BTreeSet<String> {
    let snapshot = world.component("gateway").call(ReadSnapshot { after: None }).await.unwrap();
    let releases = snapshot.documents.into_iter().filter(|document| document.topic == "service");
    releases.map(|document| document.key).collect()
}

stories! {
    async fn instances_stay_on_a_release_until_the_next_one_serves_all(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let bakery = open(&ada, "bakery.localhost").await;
        let node = Node::join(world).await;
        let old = node.runs(&[&first], 1).await;
        node.says(&healthy(&old)).await;
        let second = publish(world, "second", "shared", "").await;
        let both = node.runs(&[&first, &second], 2).await;
        let new = of(&both, &second)[0];
        // The old one dies while the new one does not become healthy; the machine starts again.
        node.says(&[(&old[0], ReplicaState::Failing), (new, ReplicaState::Starting)]).await;
        node.runs(&[&first, &second], 2).await;
        node.says(&[(&old[0], ReplicaState::Healthy), (new, ReplicaState::Failing)]).await;
        assert_eq!(release_of(&ada, bakery).await, first);
        let ask = GetReadiness { account: ada.account, instance: bakery };
        assert!(ada.client.call(ask.clone()).await.unwrap().ready, "by the one that it is on");
        let [current, former] = releases(world).await.try_into().unwrap();
        assert!(current.current && current.digest == second && !former.current);
        assert_eq!((current.on_nodes.replicas, current.on_nodes.healthy), (1, 0));
        assert!(current.on_nodes.problem.unwrap().contains("what it printed"));
        // Who comes now is on the current one, and the other stays where it is.
        let library = open(&ada, "library.localhost").await;
        assert_eq!(release_of(&ada, library).await, second);
        assert_eq!(release_of(&ada, bakery).await, first);
        assert_eq!(known(world).await, [first.to_string(), second.to_string()].into());
        node.says(&healthy([&old[0], new])).await;
        moves_to(&ada, bakery, &second).await;
        let left = node.runs(&[&second], 1).await;
        node.says(&healthy(&left)).await;
        assert!(ada.client.call(ask).await.unwrap().ready);
        until("the gateways forget it", async || known(world).await == [second.to_string()].into())
            .await;
        // Back again, the same way.
        publish(world, "first", "shared", "").await;
        let both = node.runs(&[&first, &second], 2).await;
        assert_eq!(release_of(&ada, bakery).await, second);
        node.says(&healthy(&both)).await;
        moves_to(&ada, bakery, &first).await;
        moves_to(&ada, library, &first).await;
    }

    async fn what_one_instance_has_moves_when_all_of_its_processes_are_healthy(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "dedicated", "").await;
        let [bakery, library] =
            [open(&ada, "bakery.localhost").await, open(&ada, "library.localhost").await];
        let node = Node::join(world).await;
        let old = node.runs(&[&first], 2).await;
        node.says(&healthy(&old)).await;
        let worker = "[processes.worker]\ncommand = [\"./forum\", \"work\"]\nreplicas = 2\n";
        let second = publish(world, "second", "dedicated", worker).await;
        let all = node.runs(&[&first, &second], 8).await;
        let new: Vec<_> =
            of(&all, &second).into_iter().filter(|it| it.instance == Some(bakery)).collect();
        let named = |it: &&DesiredReplica| (it.process.clone(), it.index);
        let wanted = [("web", 0), ("worker", 0), ("worker", 1)];
        let wanted = wanted.map(|(process, index)| (process.to_owned(), index));
        assert_eq!(new.iter().map(named).collect::<Vec<_>>(), wanted);
        let some = healthy(old.iter().chain(new[..2].iter().copied()));
        assert_eq!(node.says(&some).await.len(), 8, "a worker is missing");
        // Nobody is sent to a worker, whatever its node says of it.
        let snapshot = world.component("gateway").call(ReadSnapshot { after: None }).await.unwrap();
        let told = snapshot.documents.iter().filter(|document| document.topic == "replica");
        assert_eq!(told.count(), 3, "two old ones and a new `web`");
        assert_eq!(release_of(&ada, bakery).await, first);
        node.says(&healthy(old.iter().chain(new.iter().copied()))).await;
        moves_to(&ada, bakery, &second).await;
        assert_eq!(release_of(&ada, library).await, first, "which moves by itself");
        node.runs(&[&first, &second], 7).await;
    }

    async fn what_runs_nothing_moves_at_once(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = world.publish("forum", "first").await.digest;
        let waiting = order(ada.account, "bakery.localhost", &[]);
        let bakery = take(&ada, waiting, InstanceState::AwaitingSetup).await;
        assert_eq!(release_of(&ada, bakery).await, first);
        let dedicated = MANIFEST.replace("NAME", "forum").replace("shared", "dedicated");
        let prices = PRICES.replace("NAME", "forum");
        let second = world.publish_texts("forum", &dedicated, &prices).await.unwrap().digest;
        moves_to(&ada, bakery, &second).await;
    }
}
