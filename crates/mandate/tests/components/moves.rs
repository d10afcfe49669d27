//! Which release an instance is on: it stays on it until the next one serves where it is.

use std::collections::BTreeSet;

use api::{
    Client, Kind,
    configurator::{GetInstance, InstanceState},
    releases::{
        DesiredReplica, GetReadiness, Heartbeat, ListReleases, ListRollouts, PromoteRelease,
        ReadSnapshot, Release, ReleasePhase, ReleaseReport, ReleaseState, ReplicaReport,
        ReplicaState, Rollout, RolloutState,
    },
};
use types::{Digest, InstanceId, NodeId};

use crate::{
    orders::{order, take},
    world::{MANIFEST, PRICES, Person, World, eventually, until},
};

/// Publishes a service that asks for nothing, so that an instance opens by itself.
async fn publish(world: &World, note: &str, tenancy: &str, more: &str) -> Digest {
    let release = stage(world, note, tenancy, more).await;
    if !release.current {
        world.promote(&release).await.unwrap();
    }
    release.digest
}

async fn stage(world: &World, note: &str, tenancy: &str, more: &str) -> Release {
    let manifest = MANIFEST.replace("NAME", "forum").replace("shared", tenancy);
    let database = manifest.find("[database]").unwrap()..manifest.find("[modules.polls]").unwrap();
    let mut plain = manifest.clone();
    plain.replace_range(database, "");
    let prices = PRICES.replace("NAME", "forum");
    let prices = prices.replace("jobs = { per_second = \"0.00001\" }", "");
    let text = format!("# {note}\n{plain}{more}");
    world.stage_texts("forum", &text, &prices).await.unwrap()
}

fn promotion(release: &Digest) -> PromoteRelease {
    let (service, release) = ("forum".parse().unwrap(), release.clone());
    PromoteRelease { service, release, replaces: None, without: [].into() }
}

async fn rollouts(world: &World) -> Vec<Rollout> {
    let list = ListRollouts { service: "forum".parse().unwrap(), after: None, limit: None };
    world.operator().await.call(list).await.unwrap().items
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

    /// Says how far it is with a release; answers the releases that it is to have.
    async fn has(&self, release: &Release, state: ReleaseState) -> Vec<Digest> {
        let report = ReleaseReport {
            digest: release.digest.clone(),
            service: release.service.clone(),
            state,
            log: "no compiler\n".into(),
        };
        let heartbeat = Heartbeat {
            releases: vec![report],
            ..Heartbeat::new(self.node, "one".parse().unwrap())
        };
        let desired = self.client.call(heartbeat).await.unwrap();
        desired.releases.into_iter().map(|release| release.digest).collect()
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
    async fn what_is_staged_serves_nobody_until_it_is_promoted(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let [begun] = rollouts(world).await.try_into().unwrap();
        assert_eq!((begun.number, begun.from, &begun.to), (1, None, &first));
        assert_eq!((begun.state, begun.by), (RolloutState::Done, None), "nobody is to move");
        let bakery = open(&ada, "bakery.localhost").await;
        let node = Node::join(world).await;
        node.runs(&[&first], 1).await;
        let second = stage(world, "second", "shared", "").await;
        assert_eq!((second.phase, second.current), (ReleasePhase::Staged, false));
        let named = node.has(&second, ReleaseState::Fetching).await;
        assert!(named.contains(&second.digest), "the node makes it ready");
        node.runs(&[&first], 1).await;
        let operator = world.operator().await;
        let refused = async |promote: PromoteRelease| operator.call(promote).await.unwrap_err();
        let promote = promotion(&second.digest);
        node.has(&second, ReleaseState::Building).await;
        let problem = refused(promote.clone()).await;
        assert_eq!((problem.kind, problem.code.as_str()), (Kind::Conflict, "nodes_not_ready"));
        assert!(problem.detail.contains("node `one` builds it"), "{}", problem.detail);
        node.has(&second, ReleaseState::Failed).await;
        let problem = refused(promote.clone()).await;
        assert!(problem.detail.contains("cannot have it: no compiler"), "{}", problem.detail);
        assert_eq!(refused(promotion(&first)).await.code, "release_is_current");
        let unknown = refused(promotion(&Digest::of(b"unknown"))).await;
        assert_eq!(unknown.kind, Kind::NotFound);
        node.has(&second, ReleaseState::Ready).await;
        let other = PromoteRelease { replaces: Some(second.digest.clone()), ..promote.clone() };
        assert_eq!(refused(other).await.code, "other_release_current");
        assert!(ada.client.call(promote.clone()).await.is_err_and(|it| it.kind == Kind::Denied));
        assert_eq!(rollouts(world).await.len(), 1, "nothing has changed");
        assert_eq!(release_of(&ada, bakery).await, first);
        let rollout = operator.call(PromoteRelease { replaces: Some(first), ..promote }).await;
        let rollout = rollout.unwrap();
        assert_eq!((rollout.number, rollout.state), (2, RolloutState::Moving));
        assert!(rollout.by.is_some() && rollout.left == 1);
    }

    async fn two_rollouts_are_one_after_the_other_and_the_way_back_is_always_open(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let bakery = open(&ada, "bakery.localhost").await;
        let node = Node::join(world).await;
        let old = node.runs(&[&first], 1).await;
        node.says(&healthy(&old)).await;
        let second = publish(world, "second", "shared", "").await;
        let third = stage(world, "third", "shared", "").await;
        let operator = world.operator().await;
        let problem = operator.call(promotion(&third.digest)).await.unwrap_err();
        assert_eq!(problem.code, "rollout_under_way");
        // Back, while it moves: a node that has nothing ready is no reason to wait.
        let back = operator.call(promotion(&first)).await.unwrap();
        assert_eq!((back.number, back.from, &back.to), (3, Some(second.clone()), &first));
        let is_done = async || rollouts(world).await[0].state == RolloutState::Done;
        until("nobody is left to move", is_done).await;
        assert_eq!(release_of(&ada, bakery).await, first);
        let states: Vec<RolloutState> = rollouts(world).await.iter().map(|it| it.state).collect();
        assert_eq!(states, [RolloutState::Done, RolloutState::RolledBack, RolloutState::Done]);
        // What was published later than the current one is made ready, and can be promoted.
        let named = node.has(&third, ReleaseState::Ready).await;
        assert!(named.contains(&third.digest) && !named.contains(&second));
        operator.call(promotion(&third.digest)).await.unwrap();
        let both = node.runs(&[&first, &third.digest], 2).await;
        node.says(&healthy(&both)).await;
        moves_to(&ada, bakery, &third.digest).await;
        until("the rollout is done", is_done).await;
        assert!(rollouts(world).await.iter().all(|rollout| rollout.ended.is_some()));
    }
}
