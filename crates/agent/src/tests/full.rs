//! A disk that is full: whatever is being done says so, nothing breaks, and it goes on when there
//! is room.

use std::{fs, path::PathBuf};

use api::{
    jobs::Outcome,
    releases::{ReleaseState, ReplicaState},
};

use super::{
    Agent, Folder, eventually,
    jobs::queue,
    packages::Package,
    platform::{Platform, State, desired},
    replicas::{ask, want},
    sharing::{large, shares, sharing},
    users::{say, two},
};

/// The disk of these tests, which is small.
fn disk() -> Option<PathBuf> {
    std::env::var("SMALL_DISK").ok().map(PathBuf::from)
}

/// Fills it to the last byte; it has room again when what is given back is removed.
fn fill(disk: &std::path::Path) -> PathBuf {
    let path = disk.join("filling");
    let mut file = fs::File::create(&path).unwrap();
    let block = vec![0_u8; 4 << 10];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    path
}

/// Not a test of its own: what `a_full_disk_is_told_and_does_no_harm` does on a disk of its own.
#[tokio::test]
#[ignore = "it is run by `a_full_disk_is_told_and_does_no_harm`"]
async fn a_disk_is_full_while_a_release_comes() {
    let Some(disk) = disk() else { return };
    let (platform, data) = (Platform::new(), disk.join("release"));
    let build = Some("head -c 300000 /dev/zero > ballast".to_owned());
    let release = Package { build, ..Package::new("serve") }.publish(&platform);
    let plain = Package { name: "plain", ..Package::new("serve") }.publish(&platform);
    let (digest, plain_digest) = (release.digest.clone(), plain.digest.clone());
    let agent = Agent::start(&platform, &data);
    platform.until("the join", |state| (state.joins == 1).then_some(())).await;
    eventually("its node's id", || data.join("node.id").exists()).await;
    let filling = fill(&disk);
    platform.want(move |_| desired(vec![release.clone(), plain.clone()], vec![]));
    let full = "the node cannot store the release: No space left on device";
    for digest in [&digest, &plain_digest] {
        let log = platform.release(digest, ReleaseState::Failed).await;
        assert!(log.contains(full), "{log}");
    }
    // With room for the package and not for what its hook makes.
    fs::OpenOptions::new().write(true).open(&filling).unwrap().set_len(0).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&filling).unwrap();
    let room = rustix::fs::statvfs(&disk).unwrap();
    let bytes = room.f_bavail * room.f_frsize - (200 << 10);
    std::io::Write::write_all(&mut file, &vec![0; usize::try_from(bytes).unwrap()]).unwrap();
    drop(file);
    let log = platform
        .until("a build that fails", |state| {
            let releases = state.nodes.values().flat_map(|node| &node.releases);
            let mut logs = releases.map(|release| release.log.clone());
            logs.find(|log| log.contains("the build hook ended"))
        })
        .await;
    assert!(log.ends_with("with status 1; the disk of the node is full"), "{log}");
    fs::remove_file(filling).unwrap();
    platform.release(&digest, ReleaseState::Ready).await;
    platform.release(&plain_digest, ReleaseState::Ready).await;
    agent.stop().await;
}

/// The same.
#[tokio::test]
#[ignore = "it is run by `a_full_disk_is_told_and_does_no_harm`"]
async fn a_disk_is_full_while_an_instance_fills_its_folder() {
    let Some(disk) = disk() else { return };
    let (platform, data) = (Platform::new(), disk.join("folders"));
    let agent = Agent::start(&platform, &data);
    let [greedy, other] = two(&platform).await;
    let own = ask(&greedy, "/")["environ"]["DATA_DIR"].as_str().unwrap().to_owned();
    let fill = format!("open('{own}/all', 'wb').write(b'x' * (2 << 20))");
    assert_eq!(say(&greedy, &fill), "OSError");
    // Nothing bounds what it stores; who needs no room does not notice.
    let theirs = ask(&other, "/")["environ"]["DATA_DIR"].as_str().unwrap().to_owned();
    assert_eq!(say(&other, &format!("open('{theirs}/more', 'w').write('x' * 9999)")), "OSError");
    ask(&other, "/die");
    let told = |state: &State| {
        let mut replicas = state.nodes.values().flat_map(|node| &node.replicas);
        replicas.find(|it| it.log.contains("No space left on device")).map(drop)
    };
    platform.until("why it is not started", told).await;
    assert_eq!(say(&greedy, &format!("os.remove('{own}/all')")), "None");
    let again = platform.replica(ReplicaState::Healthy, 2).await;
    assert_eq!(
        say(&again.address, &format!("open('{theirs}/more', 'w').write('x' * 9999)")),
        "9999"
    );
    agent.stop().await;
}

/// The same.
#[tokio::test]
#[ignore = "it is run by `a_full_disk_is_told_and_does_no_harm`"]
async fn a_disk_is_full_while_something_runs() {
    let Some(disk) = disk() else { return };
    let (platform, data) = (Platform::new(), disk.join("running"));
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::start(&platform, &data);
    let first = platform.replica(ReplicaState::Healthy, 1).await;
    let filling = fill(&disk);
    // It goes on as long as it needs no room, and its end is known all the same.
    assert!(ask(&first.address, "/")["pid"].is_i64());
    ask(&first.address, "/die");
    let replicas = fs::read_dir(data.join("replicas")).unwrap();
    let start = replicas.map(|replica| replica.unwrap().path().join("1/exit")).next().unwrap();
    let known = || fs::read_to_string(&start).unwrap().contains("\"status\":3");
    eventually("its end to be written down", known).await;
    let told = platform
        .until("why it is not started", |state| {
            let replicas = state.nodes.values().flat_map(|node| &node.replicas);
            let mut logs = replicas.map(|replica| replica.log.clone());
            logs.find(|log| log.contains("No space left on device"))
        })
        .await;
    assert!(!told.is_empty());
    fs::remove_file(filling).unwrap();
    platform.replica(ReplicaState::Healthy, 2).await;
    agent.stop().await;
}

/// The same.
#[tokio::test]
#[ignore = "it is run by `a_full_disk_is_told_and_does_no_harm`"]
async fn a_disk_is_full_while_a_job_runs() {
    let Some(disk) = disk() else { return };
    let (platform, data) = (Platform::new(), disk.join("job"));
    let script = "cat /dev/zero > ../../filling; echo nothing is left; exit 65";
    queue(&platform, script);
    let agent = Agent::start(&platform, &data);
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.result), (Outcome::Refused, None));
    assert_eq!(
        end.problem.unwrap(),
        "the command ended with status 65; the disk of the node is full"
    );
    // Another one cannot be begun, and that is not its fault.
    let gone = || fs::read_dir(data.join("jobs")).unwrap().count() == 0;
    eventually("its folder to be removed", gone).await;
    let filling = fill(&disk);
    queue(&platform, script);
    let lost = platform
        .until("a job that is not begun", |state| {
            let mut lost = state.reports.iter().filter(|r| r.outcome == Outcome::Lost);
            lost.next().cloned()
        })
        .await;
    assert!(lost.problem.unwrap().contains("No space left on device"));
    fs::remove_file(filling).unwrap();
    agent.stop().await;
}

/// The same.
#[tokio::test]
#[ignore = "it is run by `a_full_disk_is_told_and_does_no_harm`"]
async fn a_disk_is_full_while_packages_are_shared() {
    let Some(disk) = disk() else { return };
    let (platform, data) = (Platform::new(), disk.join("sharing"));
    let first = large(&platform, "first", 200 << 10);
    let second = Package::new("serve").publish(&platform);
    let wanted = first.clone();
    platform.want(move |_| desired(vec![wanted.clone()], vec![]));
    let agent = sharing(&platform, &data);
    shares(&platform, &first.digest).await;
    let filling = fill(&disk);
    let (releases, digest) = (vec![first, second.clone()], second.digest);
    platform.want(move |_| desired(releases.clone(), vec![]));
    // What is kept for others gives way.
    platform.release(&digest, ReleaseState::Ready).await;
    let told = |state: &State| {
        let packages = &state.nodes.values().next()?.sharing.as_ref()?.packages;
        (packages.len() == 1 && packages.contains(&digest)).then_some(())
    };
    platform.until("what is shared now", told).await;
    fs::remove_file(filling).unwrap();
    agent.stop().await;
}

/// Where the machine lets nobody mount a disk, nothing is shown.
#[tokio::test]
async fn a_full_disk_is_told_and_does_no_harm() {
    let folder = Folder::new();
    let ready = "mount -t tmpfs -o size=1m tmpfs \"$0\"";
    let inside = |script: &str| {
        let mut command = tokio::process::Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-ec", script]);
        command.arg(folder.path()).arg(std::env::current_exe().unwrap()).kill_on_drop(true);
        command
    };
    match inside(ready).output().await {
        Ok(tried) if tried.status.success() => {}
        refused => return eprintln!("no disk can be mounted here: {refused:?}"),
    }
    let names = [
        "a_release_comes",
        "something_runs",
        "a_job_runs",
        "an_instance_fills_its_folder",
        "packages_are_shared",
    ];
    for name in names {
        let name = format!("tests::full::a_disk_is_full_while_{name}");
        let script = format!("{ready}; exec \"$1\" --ignored --exact --nocapture {name}");
        let mut command = inside(&script);
        let done = command.env("SMALL_DISK", folder.path()).output().await.unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && said.contains("1 passed"), "{said}{why}");
    }
}
