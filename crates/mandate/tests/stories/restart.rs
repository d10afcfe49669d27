//! The platform ends, well or not, and starts again on the same data.

use std::{cell::Cell, collections::BTreeSet};

use api::{
    billing::{Bill, BillLine, LineKind, Verification},
    configurator::{Instance, InstanceState},
    identity::Me,
    releases::{ListNodes, ReplicaState},
};
use types::{InstanceId, Page};

use crate::{
    bill::{count, usage},
    world::{Answer, Browser, Person, World, alive, eventually, processes_of, replicas_at, until},
};

const FORUM: &str = "mill-forum.localhost";
const STORE: &str = "mill-store.localhost";
/// The service that never answers.
const MUTE: &str = "mute";

type Whose<'a> = (&'a Person, InstanceId);

pub(crate) async fn story(world: &mut World) {
    let mia = world.registers("mia").await;
    let forum = mia.opens_forum(world, FORUM).await.instance;
    mia.opens_store(world, STORE).await;
    let visitor = world.browser(FORUM);
    let fields = [("name", "nat"), ("email", "nat@example.com"), ("password", "rye and wheat")];
    visitor.post("/join", &fields).await.is(303);
    let mut counted = requests(&mia, forum).await;
    counted = ended_well(world, (&mia, forum), &visitor, counted).await;
    ended_badly(world, (&mia, forum), &visitor, counted).await;
}

async fn ended_well(
    world: &mut World,
    (mia, forum): Whose<'_>,
    visitor: &Browser,
    counted: usize,
) -> usize {
    let told = all_is_told((mia, forum), counted).await;
    let before = meters(mia).await;
    let replicas = replicas(world).await;
    world.stop().await;
    let go_on = world.leaves_replicas();
    assert!(replicas.iter().all(|pid| alive(*pid) == go_on), "{replicas:?}");
    world.start_again().await;
    let answers = all_is_back(world, mia, visitor).await;
    assert!(!go_on || replicas.iter().all(|pid| alive(*pid)), "{replicas:?}");
    let after = all_is_told((mia, forum), counted + answers).await;
    assert_eq!(after.items[..told.items.len()], told.items);
    let now = meters(mia).await;
    assert_eq!(before.len(), now.len());
    for (old, new) in before.iter().zip(&now).filter(|(old, _)| old.kind == LineKind::Jobs) {
        assert_eq!(old, new);
    }
    counted + answers
}

async fn ended_badly(
    world: &mut World,
    (mia, forum): Whose<'_>,
    visitor: &Browser,
    counted: usize,
) {
    let replicas = replicas(world).await;
    for _ in 0..25 {
        visitor.get("/").await.is(200);
    }
    world.kill().await;
    assert!(replicas.is_subset(&processes_of(world.folder())), "they lived with the platform");
    world.will_end_replicas();
    world.start_again().await;
    let answers = 25 + all_is_back(world, mia, visitor).await;
    let now = self::replicas(world).await;
    assert_eq!(now, replicas, "they go on, and nothing beside them");
    all_is_told((mia, forum), counted + answers).await;
    // Nothing comes a second time later: what is sent next comes after all of it.
    visitor.get("/").await.is(200);
    all_is_told((mia, forum), counted + answers + 1).await;
    let verification: Verification = mia.does(&["bill", "verify"]).await;
    assert!(verification.agrees, "{verification:?}");
}

/// The processes of all replicas, once the node has told that they are healthy: after a restart they
/// serve before. What never answers is started again and again.
async fn replicas(world: &World) -> BTreeSet<u32> {
    let operator = world.operator().await;
    let look = || async {
        let nodes = operator.asks(ListNodes::default()).await.unwrap().items;
        let replicas = nodes.iter().flat_map(|node| &node.replicas);
        let answering: Vec<_> =
            replicas.filter(|replica| replica.service.as_str() != MUTE).collect();
        if answering.iter().any(|replica| replica.state != ReplicaState::Healthy) {
            return BTreeSet::new();
        }
        let processes = answering.iter();
        let processes = processes.flat_map(|replica| replicas_at(world.folder(), &replica.address));
        processes.collect::<BTreeSet<u32>>()
    };
    eventually("the node tells what it runs", look, |processes| processes.len() >= 2).await
}

/// Waits until everything serves again; how often the forum answered meanwhile.
async fn all_is_back(world: &World, mia: &Person, visitor: &Browser) -> usize {
    let answers = Cell::new(0);
    until("the forum is back", async || {
        let answer = visitor.try_send(http::Method::GET, "/", None).await;
        answers.set(answers.get() + usize::from(answer.as_ref().is_some_and(is_the_forums)));
        // The member's session is the forum's, and is in the instance's database.
        answer.filter(|answer| answer.status == 200).map(|answer| answer.shows("nat")).is_some()
    })
    .await;
    let store = world.browser(STORE);
    until("the store is back", async || store.get("/").await.status == 200).await;
    let me: Me = mia.does(&["whoami"]).await;
    assert_eq!(me.user.unwrap().email, mia.email);
    let instances: Page<Instance> = mia.does(&["instance", "list"]).await;
    assert_eq!(instances.items.len(), 2);
    assert!(instances.items.iter().all(|instance| instance.state == InstanceState::Open));
    answers.get()
}

/// Whether the forum itself answered, and not the gateway in its place: only that is counted.
fn is_the_forums(answer: &Answer) -> bool {
    answer.header("content-security-policy").contains("style-src 'self'")
}

/// How many requests are counted, once nothing more comes.
async fn requests(mia: &Person, forum: InstanceId) -> usize {
    // Whoever has joined was answered last.
    let joined = |page: &Page<_>| {
        page.items.iter().any(|event: &api::billing::UsageEvent| event.note == "POST /join")
    };
    let seen = eventually("usage is told", || usage(mia, forum), joined).await;
    count(&seen, "requests")
}

/// All usage, once it has `requests` requests; more would be too many.
async fn all_is_told((mia, forum): Whose<'_>, requests: usize) -> Page<api::billing::UsageEvent> {
    eventually(
        "usage is told",
        || usage(mia, forum),
        |seen| {
            let counted = count(seen, "requests");
            assert!(counted <= requests, "{counted} requests counted, {requests} answered");
            counted == requests
        },
    )
    .await
}

/// The lines of the bill that do not grow with time.
async fn meters(mia: &Person) -> Vec<BillLine> {
    let bill: Bill = mia.does(&["bill", "show"]).await;
    let timeless = |line: &BillLine| matches!(line.kind, LineKind::Meter | LineKind::Jobs);
    bill.lines.into_iter().filter(timeless).collect()
}
