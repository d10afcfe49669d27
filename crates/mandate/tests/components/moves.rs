//! Which release an instance is on: it stays on it until the next one serves where it is.

use std::{collections::BTreeSet, time::Duration};

use api::{
    Client, Kind,
    access::ListPermissions,
    configurator::{GetInstance, InstanceState, SetFreeze},
    releases::{
        DesiredReplica, GetReadiness, GetUpdate, Heartbeat, ListMoves, ListReleases, ListRollouts,
        MoveCounts, MoveState, PromoteRelease, ReadSnapshot, Release, ReleasePhase, ReleaseReport,
        ReleaseState, ReplicaReport, ReplicaState, Rollout, RolloutPlan, RolloutState, Steer,
        SteerRollout, UpdateState, Wave,
    },
};
use types::{Clock as _, Digest, InstanceId, NodeId};

use crate::{
    machine,
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
    let change = |plain: &str| format!("# {note}\n{plain}{more}").replace("shared", tenancy);
    stage_changed(world, change).await
}

async fn stage_changed(world: &World, change: impl Fn(&str) -> String) -> Release {
    let manifest = MANIFEST.replace("NAME", "forum");
    let database = manifest.find("[database]").unwrap()..manifest.find("[modules.polls]").unwrap();
    let mut plain = manifest.clone();
    plain.replace_range(database, "");
    let prices = PRICES.replace("NAME", "forum");
    let prices = prices.replace("jobs = { per_second = \"0.00001\" }", "");
    world.stage_texts("forum", &change(&plain), &prices).await.unwrap()
}

fn promotion(release: &Digest) -> PromoteRelease {
    PromoteRelease::new("forum".parse().unwrap(), release.clone())
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
            state: *state,
            log: "what it printed".into(),
            ..machine::healthy(replica)
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

    async fn what_routes_of_a_former_release_need_is_known_until_nobody_is_on_it(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let bakery = open(&ada, "bakery.localhost").await;
        let node = Node::join(world).await;
        let old = node.runs(&[&first], 1).await;
        node.says(&healthy(&old)).await;
        let pins = |text: &str| text.replace("removeUsers", "pinUsers");
        let second = stage_changed(world, pins).await;
        let known = async || {
            let list = ListPermissions {
                service: Some("forum".parse().unwrap()),
                ..ListPermissions::default()
            };
            let known = world.operator().await.call(list).await.unwrap().items;
            let known = known.iter().map(|entry| entry.permission.as_str().to_owned());
            known.collect::<Vec<_>>()
        };
        let of_first = ["forum.addUsers", "forum.removeUsers"];
        assert_eq!(known().await, of_first);
        let promote = PromoteRelease { accept_loss: true, ..promotion(&second.digest) };
        world.promote_as(promote).await.unwrap();
        let both = node.runs(&[&first, &second.digest], 2).await;
        let of_both = ["forum.addUsers", "forum.pinUsers", "forum.removeUsers"];
        for _ in 0..10 {
            assert_eq!(known().await, of_both, "the instance is on the first one");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        node.says(&healthy(&both)).await;
        moves_to(&ada, bakery, &second.digest).await;
        until("what nobody needs is forgotten", async || {
            known().await == ["forum.addUsers", "forum.pinUsers"]
        })
        .await;
        // And the way back brings it back.
        publish(world, "first", "shared", "").await;
        assert_eq!(known().await, of_both);
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
        let all = node.runs(&[&first, &second], 5).await;
        let new = of(&all, &second);
        let one = new[0].instance.unwrap();
        let other = if one == bakery { library } else { bakery };
        assert!(new.iter().all(|replica| replica.instance == Some(one)), "one after the other");
        let named = |it: &&DesiredReplica| (it.process.clone(), it.index);
        let wanted = [("web", 0), ("worker", 0), ("worker", 1)];
        let wanted = wanted.map(|(process, index)| (process.to_owned(), index));
        assert_eq!(new.iter().map(named).collect::<Vec<_>>(), wanted);
        let some = healthy(old.iter().chain(new[..2].iter().copied()));
        // For longer than it takes until a rollout is looked at by itself.
        for _ in 0..15 {
            assert_eq!(node.says(&some).await.len(), 5, "a worker is missing");
            assert_eq!(release_of(&ada, one).await, first);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Nobody is sent to a worker, whatever its node says of it.
        let snapshot = world.component("gateway").call(ReadSnapshot { after: None }).await.unwrap();
        let told = snapshot.documents.iter().filter(|document| document.topic == "replica");
        assert_eq!(told.count(), 3, "two old ones and a new `web`");
        assert_eq!(release_of(&ada, one).await, first);
        node.says(&healthy(old.iter().chain(new.iter().copied()))).await;
        moves_to(&ada, one, &second).await;
        assert_eq!(release_of(&ada, other).await, first, "which begins now");
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
        let second = world.stage_texts("forum", &dedicated, &prices).await.unwrap().digest;
        // It takes no part in a rollout, whatever the plan says of it.
        let plan = RolloutPlan { except: [bakery].into(), ..RolloutPlan::default() };
        let promote = PromoteRelease { plan, ..promotion(&second) };
        world.operator().await.call(promote).await.unwrap();
        moves_to(&ada, bakery, &second).await;
        assert_eq!(rollouts(world).await[0].counts, MoveCounts::default());
    }
    async fn what_is_staged_serves_nobody_until_it_is_promoted(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let newest = async || rollouts(world).await.remove(0);
        let is_done = |rollout: &Rollout| rollout.state == RolloutState::Done;
        let begun = eventually("nobody is to move", newest, is_done).await;
        assert_eq!((begun.number, begun.from, &begun.to), (1, None, &first));
        assert_eq!((begun.counts, begun.by), (MoveCounts::default(), None));
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
        assert!(rollout.by.is_some());
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
    async fn instances_move_in_waves_and_stop_where_that_was_planned(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let mut all = Vec::new();
        for host in ["a", "b", "c", "d", "e"] {
            all.push(open(&ada, &format!("{host}.localhost")).await);
        }
        let node = Node::join(world).await;
        let second = stage(world, "second", "shared", "").await;
        node.has(&second, ReleaseState::Ready).await;
        let operator = world.operator().await;
        let plan = |plan: RolloutPlan| PromoteRelease { plan, ..promotion(&second.digest) };
        for wrong in [
            RolloutPlan { stop_after: 0, ..RolloutPlan::default() },
            RolloutPlan { waves: vec![Wave::Rest, Wave::Count(1)], ..RolloutPlan::default() },
            RolloutPlan { canary: [all[0]].into(), except: [all[0]].into(), ..RolloutPlan::default() },
        ] {
            assert_eq!(operator.call(plan(wrong)).await.unwrap_err().code, "rollout_plan");
        }
        let wanted = RolloutPlan {
            canary: [all[3]].into(),
            except: [all[4]].into(),
            waves: vec![Wave::Count(2)],
            at_once: None,
            pause_after: Some(1),
            ..RolloutPlan::default()
        };
        let number = operator.call(plan(wanted)).await.unwrap().number;
        let both = node.runs(&[&first, &second.digest], 2).await;
        node.says(&healthy(&both)).await;
        let state = async |wanted: RolloutState| {
            let last = async || rollouts(world).await.remove(0);
            eventually("it is so far", last, |rollout| rollout.state == wanted).await
        };
        let paused = state(RolloutState::Paused).await;
        assert_eq!(paused.problem.unwrap(), "wave 1 is done, as planned");
        let counts = MoveCounts { waiting: 3, moved: 1, excepted: 1, ..MoveCounts::default() };
        assert_eq!(paused.counts, counts);
        let mut on = Vec::new();
        for instance in &all {
            on.push(release_of(&ada, *instance).await == second.digest);
        }
        assert_eq!(on, [false, false, false, true, false]);
        // Somebody else's instance that comes meanwhile is on the current one.
        let late = open(&ada, "late.localhost").await;
        assert_eq!(release_of(&ada, late).await, second.digest);
        let steer = |steer| SteerRollout { service: "forum".parse().unwrap(), number, steer };
        operator.call(steer(Steer::Resume)).await.unwrap();
        let done = state(RolloutState::Done).await;
        assert_eq!(done.counts, MoveCounts { moved: 4, excepted: 1, ..MoveCounts::default() });
        assert_eq!(release_of(&ada, all[4]).await, first, "it stays");
        let ended = operator.call(steer(Steer::Pause)).await.unwrap_err();
        assert_eq!(ended.code, "rollout_ended");
        let list = ListMoves {
            service: "forum".parse().unwrap(),
            number: None,
            after: None,
            limit: Some(2),
        };
        let page = operator.call(list.clone()).await.unwrap();
        let waves: Vec<_> = page.items.iter().map(|one| (one.instance, one.wave)).collect();
        assert_eq!(waves[0], (all[4], 0), "what is not where it should be comes first");
        let next = operator.call(ListMoves { after: page.next, limit: None, ..list }).await.unwrap();
        let seen: BTreeSet<InstanceId> =
            page.items.iter().chain(&next.items).map(|one| one.instance).collect();
        assert_eq!(seen, all.into_iter().collect());
        // Nothing runs it any more but for the one that stays.
        node.runs(&[&first, &second.digest], 2).await;
    }

    async fn who_is_to_stay_for_a_while_moves_when_that_is_over(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let [bakery, library] =
            [open(&ada, "bakery.localhost").await, open(&ada, "library.localhost").await];
        let (account, hour) = (ada.account, Duration::from_hours(1));
        let freeze = |until| SetFreeze { account, instance: bakery, until };
        let too_long = freeze(Some(world.clock.now().plus(hour * 24 * 91)));
        assert_eq!(ada.client.call(too_long).await.unwrap_err().code, "freeze");
        ada.client.call(freeze(Some(world.clock.now().plus(hour)))).await.unwrap();
        let node = Node::join(world).await;
        let second = stage(world, "second", "shared", "").await;
        let plan = RolloutPlan {
            canary: [bakery].into(),
            at_once: Some(1),
            ..RolloutPlan::default()
        };
        node.has(&second, ReleaseState::Ready).await;
        let promote = PromoteRelease { plan, ..promotion(&second.digest) };
        world.operator().await.call(promote).await.unwrap();
        let both = node.runs(&[&first, &second.digest], 2).await;
        node.says(&healthy(&both)).await;
        moves_to(&ada, library, &second.digest).await;
        let newest = async || rollouts(world).await.remove(0);
        let counts = MoveCounts { waiting: 1, moved: 1, ..MoveCounts::default() };
        eventually("one is left", newest, |rollout| rollout.counts == counts).await;
        // Also when it is looked at again by itself.
        for _ in 0..15 {
            let rollout = newest().await;
            assert_eq!((rollout.state, rollout.counts), (RolloutState::Moving, counts));
            node.says(&healthy(&both)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(release_of(&ada, bakery).await, first);
        world.clock.advance(hour);
        node.says(&healthy(&both)).await;
        moves_to(&ada, bakery, &second.digest).await;
        eventually("all are on it", newest, |it: &Rollout| it.state == RolloutState::Done).await;
        // Let go, it moves with the others.
        ada.client.call(freeze(Some(world.clock.now().plus(hour)))).await.unwrap();
        ada.client.call(freeze(None)).await.unwrap();
        let back = Release { digest: first.clone(), ..second.clone() };
        world.promote(&back).await.unwrap();
        let both = node.runs(&[&first, &second.digest], 2).await;
        node.says(&healthy(&both)).await;
        moves_to(&ada, bakery, &first).await;
    }

    async fn what_fails_stops_a_rollout_and_is_tried_again_when_it_goes_on(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "dedicated", "").await;
        let [bakery, library] =
            [open(&ada, "bakery.localhost").await, open(&ada, "library.localhost").await];
        let node = Node::join(world).await;
        let old = node.runs(&[&first], 2).await;
        node.says(&healthy(&old)).await;
        let second = publish(world, "second", "dedicated", "").await;
        let begun = node.runs(&[&first, &second], 3).await;
        let new = of(&begun, &second)[0];
        let mut said = healthy(&old);
        said.push((new, ReplicaState::CrashLoop));
        node.says(&said).await;
        let newest = async || rollouts(world).await.remove(0);
        let state = async |wanted| eventually("it is so far", newest, |it: &Rollout| it.state == wanted).await;
        let paused = state(RolloutState::Paused).await;
        assert_eq!(paused.problem.unwrap(), "1 instance could not be moved in the first wave");
        let list = ListMoves {
            service: "forum".parse().unwrap(),
            number: Some(paused.number),
            after: None,
            limit: None,
        };
        let operator = world.operator().await;
        let moves = operator.call(list).await.unwrap().items;
        assert_eq!(moves[0].state, MoveState::Failed);
        let why = moves[0].problem.clone().unwrap();
        assert!(why.contains("node `one`") && why.contains("what it printed"), "{why}");
        assert_eq!(moves[1].state, MoveState::Waiting);
        // Their customers are told, and nothing of nodes or of others.
        for (one, wanted) in [(&moves[0], UpdateState::Failed), (&moves[1], UpdateState::Paused)] {
            let ask = GetUpdate { account: ada.account, instance: one.instance };
            let told = ada.client.call(ask).await.unwrap();
            assert_eq!(told.update.as_ref().unwrap().state, wanted);
            assert!(!serde_json::to_string(&told).unwrap().contains("printed"), "{told:?}");
        }
        // It is not left running in vain, and nobody noticed.
        node.runs(&[&first], 2).await;
        for instance in [bakery, library] {
            assert_eq!(release_of(&ada, instance).await, first);
        }
        let service = || "forum".parse().unwrap();
        let steer = |steer| SteerRollout { service: service(), number: paused.number, steer };
        operator.call(steer(Steer::Resume)).await.unwrap();
        let again = node.runs(&[&first, &second], 3).await;
        assert_eq!(of(&again, &second)[0], new, "the same one is tried again");
        // What takes too long has failed too.
        world.clock.advance(Duration::from_secs(121));
        node.says(&healthy(&old)).await;
        assert!(state(RolloutState::Paused).await.counts.failed == 1);
        operator.call(steer(Steer::Resume)).await.unwrap();
        let again = node.runs(&[&first, &second], 3).await;
        node.says(&healthy(&again)).await;
        eventually("it has moved", newest, |rollout| rollout.counts.moved == 1).await;
        operator.call(steer(Steer::Cancel)).await.unwrap();
        let given_up = state(RolloutState::Cancelled).await;
        let counts = MoveCounts { waiting: 1, moved: 1, ..MoveCounts::default() };
        assert_eq!(given_up.counts, counts);
        node.runs(&[&first, &second], 2).await;
    }

    async fn a_rollout_that_is_planned_for_later_changes_nothing_until_then(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = publish(world, "first", "shared", "").await;
        let bakery = open(&ada, "bakery.localhost").await;
        let second = stage(world, "second", "shared", "").await;
        let operator = world.operator().await;
        let at = Some(world.clock.now().plus(Duration::from_hours(1)));
        let plan = RolloutPlan { at, ..RolloutPlan::default() };
        let promote = PromoteRelease { plan, ..promotion(&second.digest) };
        let planned = operator.call(promote.clone()).await.unwrap();
        assert_eq!(planned.state, RolloutState::Scheduled);
        let other = operator.call(promotion(&second.digest)).await.unwrap_err();
        assert_eq!(other.code, "rollout_under_way");
        let service = || "forum".parse().unwrap();
        let steer = |number, steer| SteerRollout { service: service(), number, steer };
        let early = operator.call(steer(planned.number, Steer::Resume)).await.unwrap_err();
        assert_eq!(early.code, "rollout_not_begun");
        operator.call(steer(planned.number, Steer::Cancel)).await.unwrap();
        operator.call(promote).await.unwrap();
        assert!(releases(world).await.iter().any(|it| it.current && it.digest == first));
        assert_eq!(release_of(&ada, bakery).await, first);
        world.clock.advance(Duration::from_hours(1));
        until("it is the current one", async || {
            releases(world).await.iter().any(|it| it.current && it.digest == second.digest)
        })
        .await;
    }
}
