//! Releases: fetched, checked, built, kept, removed, and what a crash leaves of them.

use std::{fs, sync::Arc};

use api::releases::ReleaseState;
use types::SystemClock;

use super::{
    Agent, Folder, PACE, config, eventually,
    packages::{Package, archive, replica, signed},
    platform::{PART_BYTES, Platform, State, desired},
};
use crate::{Error, run_at};

#[tokio::test]
async fn the_build_hook_runs_once_in_a_small_environment() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let mut package = Package::new("serve");
    package.build = Some("env > built; echo begun >> ../count; echo building".to_owned());
    let release = package.publish(&platform);
    let digest = release.digest.clone();
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    let log = platform.release(&digest, ReleaseState::Ready).await;
    assert_eq!(log, "building\n");
    let place = folder.path().join("releases").join(digest.hex());
    let built = fs::read_to_string(place.join("built")).unwrap();
    assert!(built.contains("DATABASE_ENGINE=sqlite\n") && !built.contains("CARGO"), "{built}");
    let link = folder.path().join("current/echo");
    eventually("the link to the current release", || link.exists()).await;
    assert_eq!(fs::read_link(&link).unwrap(), place);
    agent.stop().await;
    // Whoever starts next finds it ready, and the key and the node as they were.
    let agent = Agent::start(&platform, folder.path());
    let nodes = platform.change(|state| std::mem::take(&mut state.nodes));
    platform.release(&digest, ReleaseState::Ready).await;
    assert_eq!(platform.change(|state| state.joins), 1);
    assert!(platform.change(|state| state.nodes.keys().eq(nodes.keys())));
    agent.stop().await;
}

#[tokio::test]
async fn nothing_that_a_build_hook_started_goes_on_after_it() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let pid = folder.path().join("pid");
    let stray = "env -i setsid sh -c 'trap \"\" TERM; echo $$ > PID; sleep 3600' >&- 2>&- &";
    let hook = format!("{stray}\nuntil test -s PID; do sleep 0.02; done");
    let build = Some(hook.replace("PID", pid.to_str().unwrap()));
    let release = Package { build, ..Package::new("serve") }.publish(&platform);
    let digest = release.digest.clone();
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    platform.release(&digest, ReleaseState::Ready).await;
    let pid = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(!super::runs(pid));
    agent.stop().await;
}

/// The platform may hear a report that was cut short after the one that follows.
#[tokio::test]
async fn no_report_is_cut_short_by_what_happens_meanwhile() {
    let (platform, folder) = (Platform::new(), Folder::new());
    // Longer than it takes until all of a release is on the disk.
    platform.change(|state| state.slow = std::time::Duration::from_secs(2));
    let release = Package::new("serve").publish(&platform);
    let digest = release.digest.clone();
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    platform.release(&digest, ReleaseState::Ready).await;
    assert_eq!(platform.change(|state| state.cut_short), 0);
    agent.stop().await;
}

#[tokio::test]
async fn a_release_that_fails_is_tried_again() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let mut package = Package::new("serve");
    let once = folder.path().join("failed-once");
    let once = once.display();
    package.build = Some(format!("test -e {once} || (echo not now; touch {once}; exit 5)"));
    let release = package.publish(&platform);
    let digest = release.digest.clone();
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    let log = platform.release(&digest, ReleaseState::Failed).await;
    assert_eq!(log, "not now\nthe build hook ended with status 5");
    platform.release(&digest, ReleaseState::Ready).await;
    agent.stop().await;
}

#[tokio::test]
async fn what_fails_is_not_fetched_again() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let tries = folder.path().join("tries");
    let failing = format!("echo >> {0}; test $(wc -l < {0}) -gt 4", tries.display());
    let failing = Package { build: Some(failing), ..Package::new("serve") }.publish(&platform);
    let other = Package { name: "other", ..Package::new("serve") };
    let bytes = archive(|tar| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "a", "b/../c").unwrap();
    });
    let never = signed("other", &other.manifest(), &bytes);
    platform.change(|state| state.packages.insert(never.digest.clone(), bytes));
    let releases = vec![never.clone(), failing.clone()];
    platform.want(move |_| desired(releases.clone(), vec![]));
    let agent = Agent::start(&platform, folder.path());
    let log = platform.release(&never.digest, ReleaseState::Failed).await;
    assert!(log.contains("the link `a`"), "{log}");
    // With the fourth failure that has taken longer than several pauses.
    platform.release(&failing.digest, ReleaseState::Ready).await;
    platform.release(&never.digest, ReleaseState::Failed).await;
    let fetched = platform.change(|state| state.fetched.clone());
    let begun = fetched.into_iter().filter(|(_, offset)| *offset == 0);
    let mut fetched: Vec<_> = begun.map(|(digest, _)| digest).collect();
    fetched.sort();
    let mut once = vec![never.digest, failing.digest];
    once.sort();
    assert_eq!(fetched, once, "each is fetched once");
    let link = folder.path().join("current");
    eventually("the link to the one that runs", || link.join("echo").exists()).await;
    assert!(
        !link.join("other").exists(),
        "what cannot be unpacked does not become the current one"
    );
    agent.stop().await;
}

#[tokio::test]
async fn a_long_build_holds_up_no_other_service() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let [release, begun] = ["release", "begun"].map(|name| folder.path().join(name));
    let slow =
        "until test -e RELEASE; do sleep 0.02; done".replace("RELEASE", release.to_str().unwrap());
    let slow = format!("echo >> {}; {slow}", begun.display());
    let slow = Package { build: Some(slow), ..Package::new("serve") }.publish(&platform);
    let build = Some("true".to_owned());
    let quick = Package { name: "other", build, ..Package::new("serve") }.publish(&platform);
    let first = slow.clone();
    platform.want(move |_| desired(vec![first.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    platform.release(&slow.digest, ReleaseState::Building).await;
    let (releases, digest) = (vec![slow.clone(), quick.clone()], quick.digest);
    platform.want(move |_| desired(releases.clone(), vec![]));
    platform.release(&digest, ReleaseState::Ready).await;
    assert_eq!(fs::read_to_string(&begun).unwrap(), "\n", "the slow one is still at its first try");
    fs::write(release, "").unwrap();
    platform.release(&slow.digest, ReleaseState::Ready).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_changed_package_is_never_unpacked() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("serve").publish(&platform);
    let (_, other) = Package::new("other").pack();
    let digest = release.digest.clone();
    platform.change(|state| state.packages.insert(digest.clone(), other));
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    let log = platform.release(&digest, ReleaseState::Failed).await;
    assert!(log.contains("the package's digest is `sha256:"), "{log}");
    assert!(!folder.path().join("releases").join(digest.hex()).exists());
    agent.stop().await;
}

#[tokio::test]
async fn a_fetch_that_was_interrupted_goes_on_and_one_that_was_damaged_begins_anew() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("serve").publish(&platform);
    let digest = release.digest.clone();
    platform.change(|state| state.parts_max = 2);
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    let log = platform.release(&digest, ReleaseState::Failed).await;
    assert!(log.contains("there are no more"), "{log}");
    agent.stop().await;
    let kept = folder.path().join("releases").join(format!("{}.package", digest.hex()));
    assert_eq!(fs::metadata(&kept).unwrap().len(), 2 * PART_BYTES as u64);

    platform.change(|state| state.parts_max = 4);
    let agent = Agent::start(&platform, folder.path());
    platform.until("two more parts", |state| (state.fetched.len() == 4).then_some(())).await;
    platform.release(&digest, ReleaseState::Failed).await;
    agent.stop().await;
    let offsets = |state: &mut State| state.fetched.iter().map(|(_, offset)| *offset).collect();
    let fetched: Vec<usize> = platform.change(offsets);
    assert_eq!(fetched, [0, 1, 2, 3].map(|number| number * PART_BYTES));

    // As a machine may leave it that failed.
    fs::write(&kept, vec![0; PART_BYTES]).unwrap();
    platform.change(|state| (state.parts_max, state.fetched) = (usize::MAX, Vec::new()));
    let agent = Agent::start(&platform, folder.path());
    platform.release(&digest, ReleaseState::Ready).await;
    let fetched: Vec<usize> = platform.change(offsets);
    assert_eq!((fetched[0], fetched.contains(&0)), (PART_BYTES, true), "{fetched:?}");
    assert!(!kept.exists());
    agent.stop().await;
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_made_anew() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("serve").publish(&platform);
    let digest = release.digest.clone();
    let releases = folder.path().join("releases");
    for half in [digest.hex().to_owned(), format!("{}.part3", digest.hex())] {
        fs::create_dir_all(releases.join(&half)).unwrap();
        fs::write(releases.join(&half).join("half"), "").unwrap();
    }
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    let agent = Agent::start(&platform, folder.path());
    platform.release(&digest, ReleaseState::Ready).await;
    assert!(!releases.join(digest.hex()).join("half").exists());
    assert!(!releases.join(format!("{}.part3", digest.hex())).exists());
    agent.stop().await;
}

#[tokio::test]
async fn only_a_few_old_releases_are_kept() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let releases: Vec<_> = ["serve", "second", "third", "fourth"]
        .map(|mode| Package::new(mode).publish(&platform))
        .into();
    let agent = Agent::start(&platform, folder.path());
    for release in &releases {
        let (wanted, digest) = (release.clone(), release.digest.clone());
        platform.want(move |_| desired(vec![wanted.clone()], vec![]));
        platform.release(&digest, ReleaseState::Ready).await;
    }
    let oldest = folder.path().join("releases").join(releases[0].digest.hex());
    eventually("the removal of the oldest release", || !oldest.exists()).await;
    let second = folder.path().join("releases").join(releases[1].digest.hex());
    assert!(second.exists(), "it is kept for a rollback");
    agent.stop().await;
}

#[tokio::test]
async fn two_agents_do_not_share_a_folder_and_a_refused_one_says_so() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let agent = Agent::start(&platform, folder.path());
    platform.until("the join", |state| (state.joins == 1).then_some(())).await;
    let config = || config(&platform, folder.path(), Arc::new(SystemClock));
    let second = run_at(config(), std::future::pending(), PACE).await;
    assert!(matches!(second, Err(Error::InUse(_))));
    agent.stop().await;
    let fresh = Folder::new();
    let mut stranger = config();
    stranger.data = fresh.path().to_owned();
    stranger.join_token = types::Secret::new("guess");
    let refused = run_at(stranger, std::future::pending(), PACE).await;
    assert!(refused.unwrap_err().to_string().contains("ask an operator"));
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_build_ends_the_build() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let mut package = Package::new("serve");
    let pid = folder.path().join("pid");
    package.build = Some(format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 3600", pid.display()));
    let release = package.publish(&platform);
    let (wanted, digest) = (release.clone(), release.digest.clone());
    let wanted_replica = replica(&release, 1);
    platform.want(move |_| desired(vec![wanted.clone()], vec![wanted_replica.clone()]));
    let agent = Agent::start(&platform, folder.path());
    platform.release(&digest, ReleaseState::Building).await;
    eventually("the build", || pid.exists()).await;
    let pid = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(super::runs(pid));
    agent.stop().await;
    eventually("the end of the build", || !super::runs(pid)).await;
}
