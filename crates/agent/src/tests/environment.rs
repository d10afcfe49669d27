//! What a manifest adds to the environment, and the folders that it asks for.

use std::{fs, path::Path};

use api::{
    jobs::Outcome,
    releases::{ReplicaReport, ReplicaState},
};
use types::{InstanceId, Secret};

use super::{
    Agent, Folder,
    jobs::{queue, queue_packed},
    packages::Package,
    platform::{Platform, State},
    replicas::{ask, want},
};

const RUN: &str = "volumes = [\"uploads\"]";
const MORE: &str = r#"
[database]
engines = ["sqlite"]
[secrets]
SECRET_KEY = "64 hex"
[env]
LISTEN = "{host}:{port}"
DB_FILE = "{database.path}"
DATABASE_URL = "sqlite+aiosqlite:///{database.path}"
KEY = "key {secret.SECRET_KEY}"
FILES = "{volume.uploads}"
RELEASE = "{release_dir}"
SIZE = "{size.memory_mib}"
MODE = "production"
"#;

fn told(platform: &Platform, secret: &str) {
    let variables = [("DATABASE_URL", "sqlite:////x.db"), ("MANDATE_SIZE", "small")];
    let variables = variables.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    let secrets = [("SECRET_KEY", secret), ("FORMER", "of another release")];
    let secrets = secrets.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    platform.change(|state| {
        (state.variables, state.secrets) = (variables.into(), secrets.into());
    });
}

#[tokio::test]
async fn a_replica_finds_what_its_manifest_says() {
    let (platform, folder) = (Platform::new(), Folder::new());
    told(&platform, "5ec7e75ec7e7");
    let package = Package { run: RUN, more: MORE, ..Package::new("serve") };
    want(&platform, &package, 1);
    let agent = Agent::start(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let environ = ask(&healthy.address, "/")["environ"].take();
    let text = |name: &str| environ[name].as_str().unwrap_or("absent").to_owned();
    let data = folder.path().join("instances").join(InstanceId::named(&["instance"]).to_string());
    let uploads = data.join("volumes/uploads");
    assert_eq!(text("LISTEN"), healthy.address);
    assert_eq!(text("DB_FILE"), "/x.db");
    assert_eq!(text("DATABASE_URL"), "sqlite+aiosqlite:////x.db");
    assert_eq!(
        (text("SECRET_KEY"), text("KEY")),
        ("5ec7e75ec7e7".into(), "key 5ec7e75ec7e7".into())
    );
    assert_eq!(text("FORMER"), "absent");
    assert_eq!((text("SIZE"), text("MODE")), ("128".into(), "production".into()));
    assert!(Path::new(&text("RELEASE")).join("mandate.toml").is_file());
    assert_eq!(text("DATA_DIR"), data.display().to_string());
    for name in ["VOLUME_UPLOADS", "FILES"] {
        assert_eq!(text(name), uploads.display().to_string());
    }
    fs::write(uploads.join("cake"), "baked").unwrap();
    // It begins anew with another secret, and finds what the one before has left.
    told(&platform, "07he7");
    want(&platform, &package, 2);
    let other = |state: &State| {
        let mut replicas = state.nodes.values().flat_map(|node| &node.replicas);
        let is_new = |replica: &&ReplicaReport| {
            replica.state == ReplicaState::Healthy && replica.address != healthy.address
        };
        replicas.find(is_new).map(|replica| replica.address.clone())
    };
    let address = platform.until("another replica", other).await;
    let environ = ask(&address, "/")["environ"].take();
    assert_eq!(environ["SECRET_KEY"], "07he7");
    assert_eq!(fs::read_to_string(uploads.join("cake")).unwrap(), "baked");
    agent.stop().await;
}

#[tokio::test]
async fn a_job_finds_it_too_but_no_port_and_shows_no_secret() {
    let (platform, folder) = (Platform::new(), Folder::new());
    told(&platform, "5ec7e75ec7e7");
    let job = "test -d $VOLUME_UPLOADS && echo \"$MODE ${LISTEN:-nowhere} with $KEY\"";
    queue_packed(&platform, &Package { job, run: RUN, more: MORE, ..Package::new("serve") });
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.problem), (Outcome::Succeeded, None));
    assert_eq!(end.output, "production nowhere with key [secret]\n");
    agent.stop().await;
}

#[tokio::test]
async fn what_others_have_not_heard_of_yet_is_asked_for_again() {
    let (platform, folder) = (Platform::new(), Folder::new());
    // Its environment, its token.
    platform.change(|state| state.unheard = 4);
    let lease = queue(&platform, "cat $MANDATE_JOBS_TOKEN_FILE");
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.problem), (Outcome::Succeeded, None));
    assert_eq!(end.output, format!("{}-1", lease.instance));
    assert_eq!(platform.change(|state| state.unheard), 0);
    // Two tokens of a service.
    platform.change(|state| state.unheard = 4);
    want(&platform, &Package { tenancy: "shared", ..Package::new("serve") }, 1);
    let begun = |state: &State| {
        let mut replicas = state.nodes.values().flat_map(|node| &node.replicas);
        replicas.find_map(|it| (it.state != ReplicaState::Starting).then_some(it.state))
    };
    let state = platform.until("a replica that has begun", begun).await;
    assert_eq!(state, ReplicaState::Healthy);
    assert_eq!(platform.change(|state| state.unheard), 0);
    agent.stop().await;
}
