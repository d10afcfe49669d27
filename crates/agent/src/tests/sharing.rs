//! Packages that come from other nodes, and what becomes of it when those lie, hang or go.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{
    http::token::{Claims, sign},
    releases::{DesiredRelease, ReleaseState, TICKET_LIFE, ticket_audience},
};
use ed25519_dalek::SigningKey;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use types::{Clock as _, Digest, NodeId, Principal, SystemClock};

use super::{
    Agent, Folder, PACE, config, eventually,
    packages::{Package, archive, signed},
    platform::{PART_BYTES, Platform, State, desired, ticket, ticket_key},
};
use crate::pause::Pace;

/// So much of a package is given at once by a node.
const SHARED_PART_BYTES: usize = 1 << 20;

/// An agent that shares packages.
pub(super) fn sharing(platform: &Arc<Platform>, data: &Path) -> Agent {
    sharing_at(platform, data, PACE)
}

fn sharing_at(platform: &Arc<Platform>, data: &Path, pace: Pace) -> Agent {
    sharing_with(platform, data, pace, SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn sharing_with(platform: &Arc<Platform>, data: &Path, pace: Pace, at: SocketAddr) -> Agent {
    let config = config(platform, data, Arc::new(SystemClock));
    Agent::run_at(crate::Config { share_packages: Some(at), ..config }, pace)
}

/// Waits until a node gives a package, and says which one and where.
pub(super) async fn shares(platform: &Platform, digest: &Digest) -> (NodeId, SocketAddr) {
    platform
        .until("a node that gives the package", |state| {
            state.nodes.values().find_map(|node| {
                let sharing = node.sharing.as_ref()?;
                sharing.packages.contains(digest).then_some((node.node, sharing.address))
            })
        })
        .await
}

/// A package that cannot be made smaller than `bytes`.
pub(super) fn large(platform: &Platform, name: &'static str, bytes: usize) -> DesiredRelease {
    let manifest = Package { name, ..Package::new("serve") }.manifest();
    let mut seed = 1_u64;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(bytes).collect();
    let bytes = archive(|tar| {
        for (path, content) in [("mandate.toml", manifest.as_bytes()), ("noise", &noise)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, content).unwrap();
        }
    });
    let release = signed(name, &manifest, &bytes);
    platform.change(|state| {
        state.part_bytes = SHARED_PART_BYTES / 8;
        state.packages.insert(release.digest.clone(), bytes);
    });
    release
}

/// Where the parts began that the platform has given since it was asked last.
fn given(platform: &Platform) -> Vec<usize> {
    let fetched = platform.change(|state| std::mem::take(&mut state.fetched));
    fetched.into_iter().map(|(_, offset)| offset).collect()
}

/// Where the parts of so many bytes begin that the platform gives from `first` on.
fn parts(first: usize, bytes: usize) -> Vec<usize> {
    (first..bytes).step_by(PART_BYTES).collect()
}

fn package_of(folder: &Folder, digest: &Digest) -> PathBuf {
    folder.path().join("releases").join(format!("{}.package", digest.hex()))
}

/// Waits until a node, not the first of which that is said, has a release ready.
async fn ready_at_both(platform: &Platform, digest: &Digest) {
    let is_ready = |state: &State| {
        let releases = state.nodes.values().flat_map(|node| &node.releases);
        let ready = releases.filter(|it| it.digest == *digest && it.state == ReleaseState::Ready);
        (ready.count() == 2).then_some(())
    };
    platform.until("both nodes to have it ready", is_ready).await;
}

/// A way to somewhere else, over which so many connections lead; the others are closed.
async fn way(to: SocketAddr, connections_max: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            if counted.fetch_add(1, Ordering::SeqCst) < connections_max {
                let mut to = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut from, &mut to).await;
            }
        }
    });
    (address, count)
}

/// A node that answers its first, second, … request so after a while; it hangs where it has no
/// answer. It is gone when what is given back is aborted.
async fn liar(
    after: Duration,
    answer: impl Fn(usize) -> Option<Vec<u8>> + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let asked = Arc::clone(&count);
    let task = tokio::spawn(async move {
        let mut hanging = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4 << 10];
            let _ = stream.read(&mut head).await;
            let body = answer(asked.fetch_add(1, Ordering::SeqCst));
            tokio::time::sleep(after).await;
            let Some(body) = body else {
                hanging.push(stream);
                continue;
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    });
    (address, count, task.abort_handle())
}

#[tokio::test]
async fn a_package_comes_from_another_node_and_the_platform_gives_nothing() {
    let (platform, folders) = (Platform::new(), [Folder::new(), Folder::new()]);
    let release = large(&platform, "echo", 5 * SHARED_PART_BYTES / 2);
    let digest = release.digest.clone();
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let one = sharing(&platform, folders[0].path());
    let (node, address) = shares(&platform, &digest).await;
    assert!(!given(&platform).is_empty(), "there was no other node");
    let (way, connections) = way(address, usize::MAX).await;
    platform.change(|state| state.others = vec![(node, way)]);
    let two = sharing(&platform, folders[1].path());
    ready_at_both(&platform, &digest).await;
    assert_eq!((given(&platform), connections.load(Ordering::SeqCst)), (vec![], 3));
    let [first, second] = folders.each_ref().map(|it| fs::read(package_of(it, &digest)).unwrap());
    assert!(first == second, "it can be had from there too");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_was_cut_goes_on_at_another_node_or_at_the_platform() {
    let (platform, folders) = (Platform::new(), [Folder::new(), Folder::new(), Folder::new()]);
    let release = large(&platform, "echo", 5 * SHARED_PART_BYTES / 2);
    let digest = release.digest.clone();
    let bytes = platform.change(|state| state.packages[&digest].len());
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let one = sharing(&platform, folders[0].path());
    let (node, address) = shares(&platform, &digest).await;
    given(&platform);

    // The way is cut after a part, and the platform gives none: what came stays.
    let (cut, _) = way(address, 1).await;
    let elsewhere = NodeId::named(&["cut"]);
    platform.change(|state| (state.others, state.parts_max) = (vec![(node, cut)], 0));
    let two = sharing(&platform, folders[1].path());
    platform.release(&digest, ReleaseState::Failed).await;
    two.stop().await;
    let kept = fs::metadata(package_of(&folders[1], &digest)).unwrap().len();
    assert_eq!(kept, SHARED_PART_BYTES as u64);

    // The next agent fetches what is missing, from a node that gives it.
    let (open, connections) = way(address, usize::MAX).await;
    platform.change(|state| state.others = vec![(elsewhere, cut), (node, open)]);
    let two = sharing(&platform, folders[1].path());
    ready_at_both(&platform, &digest).await;
    assert_eq!((given(&platform), connections.load(Ordering::SeqCst)), (vec![], 2));
    two.stop().await;

    // Where nobody else goes on, the platform does.
    let (cut, _) = way(address, 1).await;
    platform.change(|state| {
        state.nodes.retain(|it, _| *it == node);
        (state.others, state.parts_max) = (vec![(node, cut)], usize::MAX);
    });
    let three = sharing(&platform, folders[2].path());
    ready_at_both(&platform, &digest).await;
    let rest = (SHARED_PART_BYTES..bytes).step_by(SHARED_PART_BYTES / 8);
    assert_eq!(given(&platform), rest.collect::<Vec<_>>());
    one.stop().await;
    three.stop().await;
}

#[tokio::test]
async fn whoever_lies_hangs_or_is_gone_is_left_and_the_platform_gives_it() {
    let wrong = || vec![7; 1_000];
    let quick = Duration::ZERO;
    let (first, _, _) =
        liar(quick, move |count| Some(if count == 0 { wrong() } else { Vec::new() })).await;
    let (second, _, _) = liar(quick, move |count| (count == 0).then(wrong)).await;
    let (third, _, _) = liar(quick, |_| None).await;
    let (fourth, _, _) = liar(quick, |_| Some(vec![7; 5 << 20])).await;
    let (fifth, _, is_there) = liar(quick, |_| None).await;
    is_there.abort();
    // What it has given wrong is found at the end, and then all of it is fetched anew.
    for (what, address, came) in [
        ("it says wrong bytes, and that this is all", first, 0),
        ("it says wrong bytes, and hangs", second, 1_000),
        ("it hangs", third, 0),
        ("it says more than a part", fourth, 0),
        ("it is gone", fifth, 0),
    ] {
        let (platform, folder) = (Platform::new(), Folder::new());
        let release = Package::new("serve").publish(&platform);
        let digest = release.digest.clone();
        let bytes = platform.change(|state| state.packages[&digest].len());
        assert!(bytes > 1_000, "some of it is missing");
        let fails = Arc::new(AtomicUsize::new(0));
        let failed = Arc::clone(&fails);
        platform.want(move |beat| {
            let states = beat.releases.iter().map(|release| release.state);
            let count = states.filter(|state| *state == ReleaseState::Failed).count();
            failed.fetch_add(count, Ordering::SeqCst);
            desired(vec![release.clone()], vec![])
        });
        platform.change(|state| state.others = vec![(NodeId::named(&["liar"]), address)]);
        let agent = sharing(&platform, folder.path());
        platform.release(&digest, ReleaseState::Ready).await;
        let mut expected = if came > 0 { parts(came, bytes) } else { Vec::new() };
        if came > 0 {
            let last = expected.last().unwrap() + PART_BYTES;
            expected.push(last.min(bytes));
        }
        expected.extend(parts(0, bytes));
        assert_eq!(given(&platform), expected, "{what}");
        assert_eq!(fails.load(Ordering::SeqCst), 0, "{what}: the platform is there");
        agent.stop().await;
    }
}

#[tokio::test]
async fn nobody_is_asked_twice_or_for_longer_than_that_is_worth() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("serve").publish(&platform);
    let digest = release.digest.clone();
    let bytes = platform.change(|state| state.packages[&digest].len());
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    // It would take more than a minute.
    let (drips, asked, _) = liar(Duration::from_millis(50), |_| Some(vec![7])).await;
    platform.change(|state| {
        state.others = vec![(NodeId::named(&["drips"]), drips)];
        state.parts_max = 0;
    });
    let pace = Pace { sharing: Duration::from_secs(2), ..PACE };
    let agent = sharing_at(&platform, folder.path(), pace);
    platform.release(&digest, ReleaseState::Failed).await;
    platform.until("another attempt", |state| (state.searched > 1).then_some(())).await;
    let count = asked.load(Ordering::SeqCst);
    assert!((1..=41).contains(&count), "{count}");
    platform.until("other attempts", |state| (state.searched > 4).then_some(())).await;
    assert_eq!(asked.load(Ordering::SeqCst), count);
    platform.change(|state| state.parts_max = usize::MAX);
    platform.release(&digest, ReleaseState::Ready).await;
    assert!(given(&platform).ends_with(&parts(0, bytes)));
    agent.stop().await;
}

/// Asks for a part, as somebody may who knows where to. The status is 0 if nothing is answered.
async fn ask(address: SocketAddr, request: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let Some(end) = end else { return (0, answer) };
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head[9..12].parse().unwrap(), answer[end + 4..].to_vec())
}

/// Asks until the key is known there by which tickets are good. It comes with the answer to the report
/// in which a node says what it shares: a moment later.
async fn once_trusted(address: SocketAddr, request: &str) -> (u16, Vec<u8>) {
    let trusted = async {
        loop {
            let answer = ask(address, request).await;
            if answer.0 != 401 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), trusted).await.unwrap()
}

fn get(digest: &str, offset: &str, ticket: Option<&str>) -> String {
    let shown = ticket.map(|ticket| format!("Authorization: Bearer {ticket}\r\n"));
    let path = format!("/releases/v1/packages/{digest}/parts/{offset}");
    format!("GET {path} HTTP/1.1\r\nHost: node\r\n{}\r\n", shown.unwrap_or_default())
}

#[tokio::test]
async fn a_stranger_is_given_nothing() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("serve").publish(&platform);
    let digest = release.digest.clone();
    let package = platform.change(|state| state.packages[&digest].clone());
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = sharing(&platform, folder.path());
    let (node, address) = shares(&platform, &digest).await;
    let session = platform.change(|state| state.nodes[&node].sharing.as_ref().unwrap().session);
    let name = digest.as_str();

    let good = ticket(node, session, &digest);
    let whole = once_trusted(address, &get(name, "0", Some(&good))).await;
    assert!(whole == (200, package.to_vec()), "{}", whole.0);
    let end = package.len().to_string();
    assert_eq!(ask(address, &get(name, &end, Some(&good))).await, (200, Vec::new()));

    let (now, other) = (SystemClock.now(), Digest::of(b"another"));
    let audience = ticket_audience(node, session, &digest);
    let says = |kid: &str, key: &SigningKey, claims: &Claims| Some(sign(kid, key, claims));
    let of = |audience: &str, from, life| {
        let asks = Principal::Node(NodeId::named(&["whoever asks"]));
        says("releases", &ticket_key(), &Claims::new(asks, audience, from, life))
    };
    let (hour, key) = (Duration::from_hours(1), SigningKey::from_bytes(&[8; 32]));
    let claims = Claims::new(Principal::Node(node), &audience, now, TICKET_LIFE);
    let node_key = fs::read_to_string(folder.path().join("node.key")).unwrap();
    let node_key = SigningKey::from_bytes(&const_hex::decode_to_array(node_key.trim()).unwrap());
    for (what, shown) in [
        ("none", None),
        ("no ticket", Some("x.y.z".to_owned())),
        ("for another package", Some(ticket(node, session, &other))),
        ("from before it listened", Some(ticket(node, session - 1, &digest))),
        ("for another node", Some(ticket(NodeId::named(&["another"]), session, &digest))),
        ("that has expired", of(&audience, now.minus(TICKET_LIFE + hour), TICKET_LIFE)),
        ("of the future", of(&audience, now.plus(hour), TICKET_LIFE)),
        ("that is good for too long", of(&audience, now, hour)),
        ("a token for a component", of("configurator", now, TICKET_LIFE)),
        ("signed with another key", says("releases", &key, &claims)),
        ("of another component", says("identity", &ticket_key(), &claims)),
        ("of the node itself", says(&node.to_string(), &node_key, &claims)),
    ] {
        let answer = ask(address, &get(name, "0", shown.as_deref())).await;
        assert_eq!(answer, (401, Vec::new()), "a ticket {what}");
    }

    // A good ticket opens nothing but what it is for.
    let spelled =
        [("..%2Fnode.key", "0"), (other.as_str(), "0"), (name, "-1"), (name, "0/.."), ("", "0")];
    for (digest, offset) in spelled {
        let answer = ask(address, &get(digest, offset, Some(&good))).await;
        assert_eq!(answer, (401, Vec::new()), "{digest} {offset}");
    }
    let put = get(name, "0", Some(&good)).replace("GET", "PUT");
    assert_eq!(ask(address, &put).await, (401, Vec::new()));
    let unknown =
        ask(address, &get(other.as_str(), "0", Some(&ticket(node, session, &other)))).await;
    assert_eq!(unknown, (404, Vec::new()), "what is not here is not found");

    // Heads are limited, in number and size.
    let many = "a: b\r\n".repeat(100);
    let long = format!("a: {}\r\n", "b".repeat(20 << 10));
    for more in [many, long] {
        let request = get(name, "0", Some(&good)).replace("\r\n\r\n", &format!("\r\n{more}\r\n"));
        let (status, _) = ask(address, &request).await;
        assert!([431, 0].contains(&status), "{status}");
    }
    // Whoever says nothing is closed: they hold up nobody for long.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(ask(address, &get(name, "0", Some(&good))).await.0, 200);
    agent.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens without the agent");
}

#[tokio::test]
async fn nothing_is_shared_where_that_is_not_set() {
    let (platform, folders) = (Platform::new(), [Folder::new(), Folder::new()]);
    let release = Package::new("serve").publish(&platform);
    let digest = release.digest.clone();
    let bytes = platform.change(|state| state.packages[&digest].len());
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let one = Agent::start(&platform, folders[0].path());
    platform.release(&digest, ReleaseState::Ready).await;
    assert!(!package_of(&folders[0], &digest).exists());
    assert_eq!(platform.change(|state| state.searched), 0, "it asks nobody else either");
    given(&platform);
    let two = sharing(&platform, folders[1].path());
    ready_at_both(&platform, &digest).await;
    assert_eq!(given(&platform), parts(0, bytes));
    let nodes = platform.change(|state| state.nodes.clone());
    assert_eq!(nodes.values().filter(|node| node.sharing.is_some()).count(), 1);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_package_is_kept_as_long_as_its_release_and_as_it_is_shared() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let releases: Vec<_> = ["serve", "second", "third", "fourth"]
        .map(|mode| Package::new(mode).publish(&platform))
        .into();
    let mut agent = sharing(&platform, folder.path());
    for release in &releases {
        let (wanted, digest) = (release.clone(), release.digest.clone());
        platform.want(move |_| desired(vec![wanted.clone()], vec![]));
        shares(&platform, &digest).await;
    }
    let package = |place: usize| package_of(&folder, &releases[place].digest);
    eventually("the removal of the oldest", || !package(0).exists()).await;
    assert!((1..4).all(|place| package(place).exists()));
    agent.stop().await;
    // The next agent gives what it finds, without fetching it.
    platform.change(|state| state.nodes.clear());
    given(&platform);
    agent = sharing(&platform, folder.path());
    shares(&platform, &releases[1].digest).await;
    assert!(given(&platform).is_empty());
    agent.stop().await;
    // One that does not share keeps nothing for others.
    agent = Agent::start(&platform, folder.path());
    platform.change(|state| state.nodes.clear());
    platform.release(&releases[3].digest, ReleaseState::Ready).await;
    assert!((0..4).all(|place| !package(place).exists()));
    agent.stop().await;
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_waited_for() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("serve").publish(&platform);
    let digest = release.digest.clone();
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let somebody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = somebody.local_addr().unwrap();
    let agent = sharing_with(&platform, folder.path(), PACE, address);
    platform.release(&digest, ReleaseState::Ready).await;
    let told = platform.change(|state| state.nodes.values().next().unwrap().sharing.clone());
    assert_eq!(told, None, "nobody is sent to whom it may be");
    drop(somebody);
    assert_eq!(shares(&platform, &digest).await.1, address);
    agent.stop().await;
}
