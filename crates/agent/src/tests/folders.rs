//! What processes may write, and for how long it stays.

use std::{fs, path::PathBuf};

use api::{
    jobs::{Outcome, Report},
    releases::{DesiredReplica, ReleaseState, ReplicaState},
};
use types::{InstanceId, ReplicaId};

use super::{
    Agent, Folder, eventually,
    jobs::queue,
    packages::{Package, replica},
    platform::{Platform, State, desired},
    replicas::ask,
};

#[tokio::test]
async fn an_instances_folder_is_its_own_and_outlives_its_processes() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let release = Package::new("serve").publish(&platform);
    let wanted = ["a", "b"].map(|name| DesiredReplica {
        replica: ReplicaId::named(&[name]),
        instance: Some(InstanceId::named(&[name])),
        ..replica(&release, 1)
    });
    platform.want(move |_| desired(vec![release.clone()], wanted.to_vec()));
    let healthy = |starts| {
        move |state: &State| {
            let all = state.nodes.values().flat_map(|node| &node.replicas);
            let well = all.filter(|r| r.state == ReplicaState::Healthy && r.starts >= starts);
            let addresses: Vec<String> = well.map(|r| r.address.clone()).collect();
            (addresses.len() == 2).then_some(addresses)
        }
    };
    let folder_of = |address: &String| {
        let environ = &ask(address, "/")["environ"];
        assert_eq!(environ["HOME"], environ["DATA_DIR"]);
        PathBuf::from(environ["DATA_DIR"].as_str().unwrap())
    };
    let agent = Agent::start(&platform, folder.path());
    let first = platform.until("both", healthy(1)).await;
    let own: Vec<PathBuf> = first.iter().map(folder_of).collect();
    assert_ne!(own[0], own[1]);
    for (own, address) in own.iter().zip(&first) {
        fs::write(own.join("upload"), own.to_str().unwrap()).unwrap();
        ask(address, "/die");
    }
    let second = platform.until("both again", healthy(2)).await;
    assert_eq!(second.iter().map(folder_of).collect::<Vec<_>>(), own);
    agent.stop().await;
    let agent = Agent::start(&platform, folder.path());
    let third = platform.until("both under another agent", healthy(1)).await;
    assert_eq!(third.iter().map(folder_of).collect::<Vec<_>>(), own);
    let kept =
        |own: &PathBuf| fs::read_to_string(own.join("upload")).unwrap() == own.to_str().unwrap();
    assert!(own.iter().all(kept));
    agent.stop().await;
}

/// Not a test of its own: root may write everywhere, so it is run as somebody else.
#[tokio::test]
#[ignore = "it is run by `a_release_is_not_written_to`"]
async fn somebody_writes_to_a_release() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let script = "(echo x > upload) 2>&1; (echo x > job.sh) 2>&1; mkdir new 2>&1; \
        echo kept > \"$DATA_DIR/note\"; pwd";
    let digest = queue(&platform, script).release;
    let agent = Agent::start(&platform, folder.path());
    let Report { outcome, output, .. } = platform.end_of_job().await;
    let place = folder.path().join("releases").join(digest.hex());
    assert_eq!(outcome, Outcome::Succeeded, "{output}");
    assert_eq!(output.to_lowercase().matches("permission denied").count(), 3, "{output}");
    assert!(output.ends_with(&format!("{}\n", place.display())), "commands are found: {output}");
    // What is sealed can be removed.
    for mode in ["second", "third", "fourth"] {
        let release = Package::new(mode).publish(&platform);
        let digest = release.digest.clone();
        platform.want(move |_| desired(vec![release.clone()], vec![]));
        platform.release(&digest, ReleaseState::Ready).await;
    }
    eventually("the removal of the first release", || !place.exists()).await;
    let left = || fs::read_dir(folder.path().join("releases")).unwrap();
    let parts = || left().any(|entry| entry.unwrap().path().to_string_lossy().contains(".part"));
    eventually("the removal of what was given away", || !parts()).await;
    agent.stop().await;
    crate::folder::remove_folder(folder.path()).unwrap();
}

#[tokio::test]
async fn a_release_is_not_written_to() {
    let mut words = vec![];
    if rustix::process::getuid().is_root() {
        words.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    let program = std::env::current_exe().unwrap();
    words.extend([
        program.to_str().unwrap(),
        "--ignored",
        "--exact",
        "tests::folders::somebody_writes_to_a_release",
    ]);
    let done = tokio::process::Command::new(words[0]).args(&words[1..]).output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
