//! Where instances are: on which node, what its key opens, and what becomes of them when it goes.

use std::{collections::BTreeMap, time::Duration};

use api::{
    Client, Kind,
    configurator::{GetEnvironment, GetInstance, InstanceState},
    identity::{IssueInstanceToken, IssueServiceToken, Purpose, RemoveNode},
    jobs::{LeaseJobs, ListInstanceJobs},
    provider::PlaceOrder,
    releases::{
        Desired, DrainNode, GetReadiness, Heartbeat, ListNodes, Machine, Node, Placement,
        ReadSnapshot, RefillNode, ReplicaAddress, ReplicaReport, ReplicaState,
    },
};
use types::{AccountId, Digest, InstanceId, NodeId, ReplicaId};

use crate::{
    orders::submit,
    world::{MANIFEST, PRICES, Person, World, eventually, until},
};

/// An agent that does what it is told at once.
struct Agent {
    node: NodeId,
    client: Client,
    machine: Machine,
    name: &'static str,
}

impl Agent {
    async fn join(world: &World, name: &'static str, machine: Machine) -> Self {
        let joined = Self::silently(world, name, machine).await;
        joined.beat().await;
        joined
    }

    /// One of which nobody has heard yet.
    async fn silently(world: &World, name: &'static str, machine: Machine) -> Self {
        let (node, client) = world.joined(name).await;
        Self { node, client, machine, name }
    }

    async fn says(&self, replicas: Vec<ReplicaReport>) -> Desired {
        let heartbeat = Heartbeat {
            replicas,
            machine: Some(self.machine.clone()),
            ..Heartbeat::new(self.node, self.name.parse().unwrap())
        };
        let ask = async || self.client.call(heartbeat.clone()).await;
        eventually("it is answered", ask, Result::is_ok).await.unwrap()
    }

    /// Runs what it is told, and says so. Answers what that is.
    async fn beat(&self) -> Vec<InstanceId> {
        let desired = self.says(Vec::new()).await;
        let healthy = desired.replicas.iter().map(|replica| ReplicaReport {
            next_start: None,
            replica: replica.replica,
            digest: replica.digest.clone(),
            service: replica.service.clone(),
            instance: replica.instance,
            process: replica.process.clone(),
            address: self.address(),
            state: ReplicaState::Healthy,
            starts: 1,
            log: String::new(),
        });
        let desired = self.says(healthy.collect()).await;
        desired.replicas.iter().filter_map(|replica| replica.instance).collect()
    }

    /// Where its replicas listen: each has a machine of its own.
    fn address(&self) -> String {
        format!("127.0.0.{}:4000", self.name.as_bytes()[0])
    }

    async fn shown(&self, world: &World) -> Node {
        let nodes = world.operator().await.call(ListNodes::default()).await.unwrap().items;
        nodes.into_iter().find(|node| node.node == self.node).unwrap()
    }
}

/// Publishes a service of one process for each instance; `more` comes before its sizes. Without a
/// database it is set up by itself, and can move.
async fn publish(world: &World, with_database: bool, more: &str) -> Digest {
    publish_with(world, with_database, ("[sizes.small]", &format!("{more}\n[sizes.small]"))).await
}

/// The same, with another text in place of a line of the manifest.
async fn publish_with(world: &World, with_database: bool, (line, text): (&str, &str)) -> Digest {
    let manifest = MANIFEST.replace("NAME", "store").replace("shared", "dedicated");
    let mut manifest = manifest.replace(line, text);
    let mut prices = PRICES.replace("NAME", "store");
    if !with_database {
        let database =
            manifest.find("[database]").unwrap()..manifest.find("[modules.polls]").unwrap();
        manifest.replace_range(database, "");
        prices = prices.replace("jobs = { per_second = \"0.00001\" }", "");
    }
    world.publish_texts("store", &manifest, &prices).await.unwrap().digest
}

async fn take(person: &Person, host: &str, state: InstanceState) -> InstanceId {
    let account = person.account;
    let place = PlaceOrder {
        account,
        service: "store".parse().unwrap(),
        plan: None,
        modules: [].into(),
        size: "small".into(),
        host: host.parse().unwrap(),
    };
    let instance = person.client.call(place).await.unwrap().instance;
    let look = async || person.client.call(GetInstance { account, instance }).await;
    let is_so_far = |seen: &Result<api::configurator::Instance, _>| {
        seen.as_ref().is_ok_and(|seen| seen.state == state)
    };
    eventually("it is so far", look, is_so_far).await.unwrap().instance
}

/// What the feed of releases says of a topic.
async fn told<D: api::feed::Document>(world: &World) -> BTreeMap<String, D> {
    let snapshot = world.component("gateway").call(ReadSnapshot { after: None }).await.unwrap();
    let documents = snapshot.documents.into_iter().filter(|document| document.topic == D::TOPIC);
    let read = |document: api::feed::Change| {
        (document.key, serde_json::from_value(document.body.unwrap()).unwrap())
    };
    documents.map(read).collect()
}

async fn place_of(world: &World, instance: InstanceId) -> Option<NodeId> {
    told::<Placement>(world).await.get(&instance.to_string()).and_then(|placement| placement.node)
}

async fn placed(world: &World, instance: InstanceId) -> NodeId {
    let look = async || place_of(world, instance).await;
    eventually("it is placed", look, Option::is_some).await.unwrap()
}

async fn waits_for(person: &Person, instance: InstanceId) -> Option<String> {
    let ask = GetReadiness { account: person.account, instance };
    person.client.call(ask).await.ok().and_then(|readiness| readiness.waits_for)
}

async fn says(person: &Person, instance: InstanceId, what: &str) {
    let asked = async || waits_for(person, instance).await.unwrap_or_default();
    eventually(what, asked, |waits: &String| waits.contains(what)).await;
}

stories! {
    async fn a_nodes_key_opens_what_is_placed_there_and_nothing_else(world: &World) {
        let release = publish(world, true, "").await;
        world.publish("forum", "first").await;
        let ssd = Machine { labels: [("disk".into(), "ssd".into())].into(), ..Machine::default() };
        let one = Agent::join(world, "one", Machine::default()).await;
        let two = Agent::join(world, "two", ssd).await;
        let ada = world.sign_up("ada").await;
        let instance = take(&ada, "bakery.localhost", InstanceState::AwaitingSetup).await;
        let at = placed(world, instance).await;
        let (own, other) = if at == one.node { (&one, &two) } else { (&two, &one) };
        let (account, eve) = (ada.account, AccountId::named(&["eve"]));

        let environment = |of: &Agent| GetEnvironment { node: of.node, instance, release: None };
        own.client.call(environment(own)).await.unwrap();
        let refused = other.client.call(environment(other)).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Denied, "not_placed"));
        let as_own = other.client.call(environment(own)).await.unwrap_err();
        assert_eq!(as_own.code, "denied", "nobody asks as another node");

        let token = |of: &Agent, account| IssueInstanceToken { node: of.node, account, instance };
        own.client.call(token(own, account)).await.unwrap();
        let refused = other.client.call(token(other, account)).await.unwrap_err();
        assert_eq!(refused.code, "not_placed");
        let refused = own.client.call(token(own, eve)).await.unwrap_err();
        assert_eq!(refused.code, "not_placed", "and nobody for another account");

        let service = |of: &Agent, name: &str| {
            let service = name.parse().unwrap();
            IssueServiceToken { node: of.node, service, purpose: Purpose::Tenancy }
        };
        for (name, runs) in [("forum", true), ("store", false), ("unheard-of", false)] {
            let issued = own.client.call(service(own, name)).await;
            assert_eq!(issued.is_ok(), runs, "{name}");
        }
        // A service that asks for a label is no matter of a node without it.
        let picky = MANIFEST.replace("NAME", "forum");
        let picky = format!("{picky}\n[placement]\nlabels = {{ disk = \"ssd\" }}\n");
        world.publish_texts("forum", &picky, &PRICES.replace("NAME", "forum")).await.unwrap();
        let ask = async || one.client.call(service(&one, "forum")).await;
        let refused = eventually("it does not run there", ask, Result::is_err).await.unwrap_err();
        assert_eq!(refused.code, "not_placed");
        two.client.call(service(&two, "forum")).await.unwrap();

        ada.client.call(submit(&ada, instance)).await.unwrap();
        let jobs = async || {
            let (state, name, after, limit) = (None, None, None, None);
            let list = ListInstanceJobs { account, instance, state, name, after, limit };
            ada.client.call(list).await.unwrap().items
        };
        eventually("its set-up is queued", jobs, |jobs| !jobs.is_empty()).await;
        let lease = async |of: &Agent| {
            let (node, releases, holding) = (of.node, vec![release.clone()], Vec::new());
            let lease = LeaseJobs { node, releases, holding, slots: 9, setup_slots: 0, wait_millis: 0 };
            of.client.call(lease).await.unwrap().leases
        };
        assert!(lease(other).await.is_empty(), "what has its files elsewhere is done there");
        // A node that is emptied begins nothing.
        let operator = world.operator().await;
        let drained = DrainNode { node: own.node, deadline_seconds: 60 };
        operator.call(drained).await.unwrap();
        assert!(lease(own).await.is_empty() || place_of(world, instance).await != Some(own.node));
        operator.call(RefillNode { node: own.node }).await.unwrap();
        let now = if placed(world, instance).await == own.node { own } else { other };
        let leases = eventually("it is done", async || lease(now).await, |it| !it.is_empty()).await;
        assert_eq!(leases[0].instance, instance);
    }

    async fn an_instance_waits_for_a_node_with_its_label_and_room(world: &World) {
        publish(world, false, "[placement]\nlabels = { disk = \"ssd\" }\n").await;
        let ada = world.sign_up("ada").await;
        let first = take(&ada, "one.localhost", InstanceState::Open).await;
        says(&ada, first, "a machine to run it").await;
        let plain = Agent::join(world, "plain", Machine::default()).await;
        says(&ada, first, "a node with `disk=ssd`").await;
        let labels: api::labels::Labels = [("disk".into(), "ssd".into())].into();
        let small = Machine { labels, memory: Some(300 << 20), cpu: None };
        let ssd = Agent::join(world, "ssd", small.clone()).await;
        assert_eq!(placed(world, first).await, ssd.node);
        let second = take(&ada, "two.localhost", InstanceState::Open).await;
        says(&ada, second, "no node has 256 MiB of memory").await;
        assert_eq!(ssd.shown(world).await.promised.memory, 256 << 20);
        assert_eq!(ssd.shown(world).await.machine, small);
        let other = Agent::join(world, "other", small).await;
        assert_eq!(placed(world, second).await, other.node);
        assert!(plain.beat().await.is_empty());
        assert_eq!(ssd.beat().await, [first], "what is placed stays");
        // A label that cannot be one is refused, and nothing of it is heard.
        let wrong = Machine { labels: [("disk".into(), "a b".into())].into(), ..Machine::default() };
        let wrong = Agent { machine: wrong, ..plain };
        let heartbeat = Heartbeat {
            machine: Some(wrong.machine.clone()),
            ..Heartbeat::new(wrong.node, "plain".parse().unwrap())
        };
        let refused = wrong.client.call(heartbeat).await.unwrap_err();
        assert!(refused.kind == Kind::Invalid && refused.detail.contains("`a b`"), "{refused}");
    }

    async fn what_serves_all_waits_for_a_node_with_its_label_too(world: &World) {
        let shared = "tenancy = \"shared\"\n\n[placement]\nlabels = { disk = \"ssd\" }\n";
        publish_with(world, false, ("tenancy = \"dedicated\"", shared)).await;
        let ada = world.sign_up("ada").await;
        let instance = take(&ada, "one.localhost", InstanceState::Open).await;
        Agent::join(world, "plain", Machine::default()).await;
        says(&ada, instance, "a node with `disk=ssd`").await;
    }

    async fn what_a_silent_node_had_moves_after_a_while_and_runs_once(world: &World) {
        publish(world, false, "").await;
        let ada = world.sign_up("ada").await;
        let one = Agent::join(world, "one", Machine::default()).await;
        let instance = take(&ada, "bakery.localhost", InstanceState::Open).await;
        assert_eq!(placed(world, instance).await, one.node);
        until("it runs", async || one.beat().await == [instance]).await;
        let two = Agent::join(world, "two", Machine::default()).await;
        // Its agent is away for a moment: it is asked if no other can be.
        world.clock.advance(Duration::from_secs(20));
        two.beat().await;
        let silent = async || {
            told::<ReplicaAddress>(world).await.values().map(|it| it.silent).collect::<Vec<_>>()
        };
        until("it is asked last", async || silent().await == [true]).await;
        assert_eq!(one.beat().await, [instance]);
        assert_eq!(silent().await, [false], "it is back");
        // It is away for too long. What it may still run is asked until others do.
        for _ in 0..32 {
            world.clock.advance(Duration::from_secs(10));
            two.says(Vec::new()).await;
        }
        until("it moves", async || place_of(world, instance).await == Some(two.node)).await;
        until("it is still asked", async || silent().await == [true]).await;
        until("it runs there", async || two.beat().await == [instance]).await;
        let at = async || {
            told::<ReplicaAddress>(world).await.values().map(|it| it.node).collect::<Vec<_>>()
        };
        until("nobody is sent elsewhere", async || at().await == [two.node]).await;
        // Back, it never runs what moved away.
        assert!(one.beat().await.is_empty());
        let environment = GetEnvironment { node: one.node, instance, release: None };
        assert_eq!(one.client.call(environment).await.unwrap_err().code, "not_placed");
        assert_eq!(place_of(world, instance).await, Some(two.node), "nor does it come back");
    }

    async fn what_has_volumes_waits_for_its_node(world: &World) {
        let run = "[run]\nvolumes = [\"uploads\"]";
        publish_with(world, false, ("[run]", run)).await;
        let ada = world.sign_up("ada").await;
        let one = Agent::join(world, "one", Machine::default()).await;
        let instance = take(&ada, "bakery.localhost", InstanceState::Open).await;
        until("it runs", async || one.beat().await == [instance]).await;
        let two = Agent::join(world, "two", Machine::default()).await;
        for _ in 0..32 {
            world.clock.advance(Duration::from_secs(10));
            two.beat().await;
        }
        says(&ada, instance, "node `one`, which is silent: its data is there").await;
        assert_eq!(place_of(world, instance).await, Some(one.node));
        assert!(two.beat().await.is_empty(), "it never starts without its files");
        let told = async || told::<ReplicaAddress>(world).await.into_values().collect::<Vec<_>>();
        let is_asked_last = |it: &[ReplicaAddress]| it.len() == 1 && it[0].silent;
        until("it is asked last, since it may still run", async || is_asked_last(&told().await)).await;
        // A machine of the same address is another one, with others' replicas.
        let again = Agent::silently(world, "one-again", Machine::default()).await;
        let replica = ReplicaReport {
            next_start: None,
            replica: ReplicaId::named(&["another"]),
            digest: Digest::of(b"another"),
            service: "store".parse().unwrap(),
            instance: None,
            process: "web".into(),
            address: again.address(),
            state: ReplicaState::Starting,
            starts: 1,
            log: String::new(),
        };
        again.says(vec![replica]).await;
        until("nobody is sent there", async || told().await.is_empty()).await;
        assert_eq!(one.beat().await, [instance], "it goes on where they are");
    }

    async fn a_node_is_emptied_without_a_moment_in_which_nothing_runs(world: &World) {
        publish(world, false, "").await;
        let ada = world.sign_up("ada").await;
        let one = Agent::join(world, "one", Machine::default()).await;
        let instance = take(&ada, "bakery.localhost", InstanceState::Open).await;
        placed(world, instance).await;
        until("it runs", async || one.beat().await == [instance]).await;
        let operator = world.operator().await;
        let removed = operator.call(RemoveNode { node: one.node, force: false }).await.unwrap_err();
        assert_eq!((removed.kind, removed.code.as_str()), (Kind::Conflict, "node_not_empty"));
        let drain = DrainNode { node: one.node, deadline_seconds: 60 };
        let alone = operator.call(drain.clone()).await.unwrap().drain.unwrap();
        assert_eq!((alone.left, alone.waits_for.as_deref()), (1, Some("a machine to run it")));
        assert_eq!(one.beat().await, [instance], "there is no other");

        let two = Agent::silently(world, "two", Machine::default()).await;
        until("it is to run there", async || {
            two.says(Vec::new()).await.replicas.iter().any(|it| it.instance == Some(instance))
        }).await;
        assert_eq!(one.beat().await, [instance], "and here until it is healthy there");
        until("it runs there", async || two.beat().await == [instance]).await;
        until("it ends here", async || one.beat().await.is_empty()).await;
        let left = async || one.shown(world).await.drain.map(|drain| drain.left);
        until("it is empty", async || left().await == Some(0)).await;
        // Undone, it can have others; what moved stays where it is.
        operator.call(RefillNode { node: one.node }).await.unwrap();
        let next = take(&ada, "brewery.localhost", InstanceState::Open).await;
        assert_eq!(placed(world, next).await, one.node);
        assert_eq!(placed(world, instance).await, two.node);
        let wrong = DrainNode { deadline_seconds: 0, ..drain };
        assert_eq!(operator.call(wrong).await.unwrap_err().code, "deadline");
        let removed = RemoveNode { node: one.node, force: true };
        operator.call(removed).await.unwrap();
        until("it moves", async || place_of(world, next).await == Some(two.node)).await;
    }

    async fn what_ended_is_nowhere(world: &World) {
        publish(world, false, "").await;
        let ada = world.sign_up("ada").await;
        let one = Agent::join(world, "one", Machine::default()).await;
        let instance = take(&ada, "bakery.localhost", InstanceState::Open).await;
        placed(world, instance).await;
        until("it runs", async || one.beat().await == [instance]).await;
        (world.ends)(instance).await;
        until("it is told to end", async || one.beat().await.is_empty()).await;
        until("it is nowhere", async || place_of(world, instance).await.is_none()).await;
        let environment = GetEnvironment { node: one.node, instance, release: None };
        let asks = async || one.client.call(environment.clone()).await.is_err();
        until("it is given nothing of it any more", asks).await;
    }
}
