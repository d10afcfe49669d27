use proptest::prelude::*;
use types::Timestamp;

use super::*;

/// Which instances are healthy wherever they are, and where they were found.
#[derive(Default)]
struct Seen {
    healthy: BTreeSet<InstanceId>,
    found: HashMap<InstanceId, NodeId>,
}

impl Running for Seen {
    fn is_healthy(&self, need: &Need, _: NodeId) -> bool {
        self.healthy.contains(&need.instance)
    }

    fn found(&self, need: &Need) -> Option<NodeId> {
        self.found.get(&need.instance).copied()
    }
}

fn node(at: i64) -> NodeId {
    NodeId::new(Timestamp::from_micros(at))
}

fn hosts(count: i64) -> Vec<Host> {
    let host = |at: i64| Host {
        node: NodeId::named(&["node", &at.to_string()]),
        name: format!("n-{at}").parse().unwrap(),
        machine: Machine::default(),
        standing: Standing::Alive,
        drains: false,
        yields: false,
    };
    (0..count).map(host).collect()
}

fn need(at: u64) -> Need {
    Need {
        instance: InstanceId::named(&[&at.to_string()]),
        account: AccountId::named(&["ada"]),
        service: "store".parse().unwrap(),
        release: Digest::of(b"release"),
        shared: false,
        labels: Labels::new(),
        memory: 256 << 20,
        cpu: 500,
        bound: false,
        runs: true,
    }
}

fn needs(count: u64) -> Vec<Need> {
    (0..count).map(need).collect()
}

fn apply(places: &mut Places, decisions: &Decisions) {
    for (instance, placed) in &decisions.changes {
        match placed {
            Some(there) => places.insert(*instance, *there),
            None => places.remove(instance),
        };
    }
}

/// Decides again and again, all being healthy at once, until nothing changes.
fn settle(needs: &[Need], places: &mut Places, hosts: &[Host]) -> Decisions {
    let seen =
        Seen { healthy: needs.iter().map(|need| need.instance).collect(), ..Seen::default() };
    for _ in 0..1_000 {
        let decisions = decide(needs, places, hosts, &seen);
        if decisions.changes.is_empty() {
            return decisions;
        }
        apply(places, &decisions);
    }
    panic!("it never comes to rest");
}

fn on(places: &Places, node: NodeId) -> usize {
    places.values().filter(|placed| placed.node == Some(node)).count()
}

proptest! {
    #[test]
    fn each_instance_is_on_one_node_and_equal_nodes_share_equally(
        instances in 0_u64..40, nodes in 1_i64..6,
    ) {
        let (needs, hosts, mut places) = (needs(instances), hosts(nodes), Places::new());
        settle(&needs, &mut places, &hosts);
        prop_assert_eq!(places.len() as u64, instances);
        let counts: Vec<usize> = hosts.iter().map(|host| on(&places, host.node)).collect();
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
    }

    #[test]
    fn what_is_placed_stays_when_nodes_come_and_what_a_lost_node_had_moves_alone(
        instances in 0_u64..40, nodes in 2_i64..6,
    ) {
        let (needs, mut hosts, mut places) = (needs(instances), hosts(nodes), Places::new());
        settle(&needs, &mut places, &hosts[1..]);
        let before = places.clone();
        settle(&needs, &mut places, &hosts);
        prop_assert_eq!(&places, &before, "a node that comes moves nothing");
        hosts[1].standing = Standing::Lost;
        let lost = hosts[1].node;
        settle(&needs, &mut places, &hosts);
        for (instance, placed) in &before {
            if placed.node == Some(lost) {
                prop_assert_ne!(places[instance].node, Some(lost));
            } else {
                prop_assert_eq!(&places[instance], placed);
            }
        }
    }

    #[test]
    fn nothing_is_promised_twice_and_labels_are_kept(
        instances in 1_u64..40,
        rooms in prop::collection::vec((0_u64..8, any::<bool>()), 1..6),
        picky in any::<bool>(),
    ) {
        let ssd: Labels = [("disk".to_owned(), "ssd".to_owned())].into();
        let mut hosts = hosts(i64::try_from(rooms.len()).unwrap());
        for (host, (room, has_label)) in hosts.iter_mut().zip(&rooms) {
            host.machine.memory = Some(room * (256 << 20));
            host.machine.labels = if *has_label { ssd.clone() } else { Labels::new() };
        }
        let labels = if picky { ssd.clone() } else { Labels::new() };
        let needs: Vec<Need> =
            needs(instances).into_iter().map(|need| Need { labels: labels.clone(), ..need }).collect();
        let mut places = Places::new();
        let decisions = settle(&needs, &mut places, &hosts);
        let mut whole = 0;
        for (host, (room, has_label)) in hosts.iter().zip(&rooms) {
            let here = on(&places, host.node) as u64;
            prop_assert!(here <= *room);
            prop_assert!(here == 0 || !picky || *has_label);
            whole += if picky && !has_label { 0 } else { *room };
        }
        prop_assert_eq!(places.len() as u64, whole.min(instances), "no room is left unused");
        prop_assert_eq!(decisions.waits.len() as u64, instances - places.len() as u64);
    }

    #[test]
    fn an_emptied_node_keeps_only_what_cannot_move(
        instances in 0_u64..40, nodes in 2_i64..6, bound in 0_u64..40,
    ) {
        let mut needs = needs(instances);
        for need in needs.iter_mut().take(usize::try_from(bound).unwrap()) {
            need.bound = true;
        }
        let (mut hosts, mut places) = (hosts(nodes), Places::new());
        settle(&needs, &mut places, &hosts);
        let before = places.clone();
        hosts[0].drains = true;
        let decisions = settle(&needs, &mut places, &hosts);
        let stays = needs.iter().filter(|need| {
            need.bound && before[&need.instance].node == Some(hosts[0].node)
        });
        let stays: Vec<InstanceId> = stays.map(|need| need.instance).collect();
        prop_assert_eq!(on(&places, hosts[0].node), stays.len());
        let told = decisions.emptying.get(&hosts[0].node).cloned().unwrap_or_default();
        prop_assert_eq!((told.left, told.stays), (0, stays));
        prop_assert_eq!(decisions.moving, 0);
    }
}

#[test]
fn accounts_instances_are_spread_before_load_is() {
    let (mut hosts, mut places) = (hosts(2), Places::new());
    hosts[0].machine.memory = Some(100 << 30);
    hosts[1].machine.memory = Some(1 << 30);
    settle(&needs(2), &mut places, &hosts);
    assert_eq!(hosts.iter().map(|host| on(&places, host.node)).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn what_moves_runs_where_it_was_until_it_is_healthy_and_few_move_at_once() {
    let (needs, mut hosts, mut places) = (needs(30), hosts(1), Places::new());
    settle(&needs, &mut places, &hosts);
    hosts = self::hosts(2);
    hosts[0].drains = true;
    let (old, new) = (hosts[0].node, hosts[1].node);
    let first = decide(&needs, &places, &hosts, &Seen::default());
    assert_eq!((first.changes.len(), first.moving), (MOVES_MAX, MOVES_MAX));
    let goes = Placed { node: Some(new), former: Some(old) };
    assert!(first.changes.iter().all(|(_, placed)| *placed == Some(goes)));
    assert_eq!(first.emptying[&old].left, 30);
    apply(&mut places, &first);
    let waits = decide(&needs, &places, &hosts, &Seen::default());
    assert!(waits.changes.is_empty(), "the others wait until these are healthy");
    let moved = first.changes[0].0;
    let seen = Seen { healthy: [moved].into(), ..Seen::default() };
    let next = decide(&needs, &places, &hosts, &seen);
    let there = Placed { node: Some(new), former: None };
    assert!(next.changes.contains(&(moved, Some(there))));
    assert_eq!(next.changes.len(), 2, "another one may begin");
    // What has no process does not wait for one.
    let idle: Vec<Need> = needs.iter().map(|need| Need { runs: false, ..need.clone() }).collect();
    let all = decide(
        &idle,
        &Places::from_iter([(idle[0].instance, Placed { node: Some(old), former: None })]),
        &hosts,
        &Seen::default(),
    );
    assert!(
        all.changes.contains(&(idle[0].instance, Some(Placed { node: Some(new), former: None })))
    );
}

#[test]
fn a_silent_nodes_instances_wait_and_what_is_bound_waits_for_ever() {
    let mut bound = need(1);
    bound.bound = true;
    let (needs, mut hosts) = ([need(0), bound], hosts(2));
    let gone = hosts[0].node;
    let at = |node| Placed { node: Some(node), former: None };
    let places: Places = needs.iter().map(|need| (need.instance, at(gone))).collect();
    hosts[0].standing = Standing::Silent;
    let silent = decide(&needs, &places, &hosts, &Seen::default());
    assert!(silent.changes.is_empty());
    assert_eq!(silent.waits[&needs[0].instance], "node `n-0`, which is silent");
    hosts[0].drains = true;
    let told = decide(&needs, &places, &hosts, &Seen::default()).emptying.remove(&gone).unwrap();
    assert_eq!((told.left, told.stays), (1, vec![needs[1].instance]), "it is not empty");
    hosts[0].drains = false;
    for standing in [Standing::Lost, Standing::Removed] {
        hosts[0].standing = standing;
        let moved = decide(&needs, &places, &hosts, &Seen::default());
        assert_eq!(moved.changes, [(needs[0].instance, Some(at(hosts[1].node)))]);
        let what = &moved.waits[&needs[1].instance];
        assert!(what.ends_with("its data is there"), "{what}");
    }
    // A node that nobody remembers was removed.
    let strange: Places = [(needs[1].instance, at(node(9)))].into();
    let stays = decide(&needs[1..], &strange, &hosts, &Seen::default());
    assert!(stays.changes.is_empty() && stays.waits.len() == 1);
}

#[test]
fn what_is_missing_is_said() {
    let mut hosts = hosts(1);
    let waits = |need: &Need, hosts: &[Host]| {
        let decisions = decide(std::slice::from_ref(need), &Places::new(), hosts, &Seen::default());
        decisions.waits.get(&need.instance).cloned().unwrap_or_default()
    };
    assert_eq!(waits(&need(0), &[]), "a machine to run it");
    let picky = Need { labels: [("disk".to_owned(), "ssd".to_owned())].into(), ..need(0) };
    assert_eq!(waits(&picky, &hosts), "a node with `disk=ssd`");
    let shared = Need { shared: true, ..picky };
    assert_eq!(waits(&shared, &hosts), "a node with `disk=ssd`");
    assert_eq!(waits(&Need { labels: Labels::new(), ..shared }, &hosts), "");
    hosts[0].machine.cpu = Some(400);
    let room = "room: no node has 256 MiB of memory and 0.5 of a processor left to promise";
    assert_eq!(waits(&need(0), &hosts), room);
    hosts[0].drains = true;
    assert_eq!(waits(&need(0), &hosts), "a machine to run it");
}

#[test]
fn what_ran_before_places_were_written_down_stays_there() {
    let hosts = hosts(5);
    let seen = Seen { found: [(need(0).instance, hosts[3].node)].into(), ..Seen::default() };
    let decisions = decide(&[need(0)], &Places::new(), &hosts, &seen);
    let there = Placed { node: Some(hosts[3].node), former: None };
    assert_eq!(decisions.changes, [(need(0).instance, Some(there))]);
}

#[test]
fn a_service_may_come_to_serve_all_and_what_has_ended_is_nowhere() {
    let (hosts, mut places) = (hosts(2), Places::new());
    settle(&needs(2), &mut places, &hosts);
    let shared = Need { shared: true, ..need(0) };
    let decisions = settle(&[shared], &mut places, &hosts);
    assert_eq!(places, [(need(0).instance, Placed::default())].into());
    assert!(decisions.promised.values().all(|promised| promised.instances == 0));
    settle(&[need(0)], &mut places, &hosts);
    assert!(places[&need(0).instance].node.is_some());
}
