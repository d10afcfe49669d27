//! What runs for one instance cannot read, signal or fill what is another's. Where the agent is not
//! root it says that all is one user's.

use std::{fs, path::Path};

use api::releases::{DesiredReplica, ReplicaState};
use types::{InstanceId, ReplicaId, Secret};

use super::{
    Agent, Folder,
    packages::{Package, replica},
    platform::{Platform, State, desired},
    replicas::{ask, number, want},
};
use crate::users::{User, folder_within};

/// So many processes an instance may have in these tests.
const PROCESSES_MAX: usize = 64;

/// What a replica says an expression of Python comes to, or which error.
pub(super) fn say(address: &str, expression: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let escaped = expression.bytes().map(|byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    });
    let path = format!("/say/{}", escaped.collect::<String>());
    ask(address, &path).as_str().unwrap().to_owned()
}

/// What the node says of its users; `None` if each instance has one.
async fn one_user(platform: &Platform) -> Option<String> {
    let said = |state: &State| state.nodes.values().find_map(|node| node.isolation.clone());
    platform.until("what the node says of its users", said).await.one_user
}

/// Starts a replica of two instances each; where they answer.
pub(super) async fn two(platform: &Platform) -> [String; 2] {
    let release = Package::new("serve").publish(platform);
    let wanted = ["a", "b"].map(|name| DesiredReplica {
        replica: ReplicaId::named(&[name]),
        instance: Some(InstanceId::named(&[name])),
        ..replica(&release, 1)
    });
    platform.want(move |_| desired(vec![release.clone()], wanted.to_vec()));
    let both = |state: &State| {
        let of = |name| {
            let mut all = state.nodes.values().flat_map(|node| &node.replicas);
            let instance = Some(InstanceId::named(&[name]));
            let found = all.find(|it| it.instance == instance);
            Some(found.filter(|it| it.state == ReplicaState::Healthy)?.address.clone())
        };
        Some([of("a")?, of("b")?])
    };
    platform.until("both", both).await
}

#[tokio::test]
async fn nobody_reads_or_signals_what_is_anothers() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let agent = Agent::with_users(&platform, folder.path());
    let [a, b] = two(&platform).await;
    if let Some(why) = one_user(&platform).await {
        assert_eq!(why, "the agent is not root");
        assert_eq!(say(&a, "os.getuid()"), say(&b, "os.getuid()"));
        return agent.stop().await;
    }
    let users = [&a, &b].map(|address| say(address, "os.getuid()"));
    assert!(users[0] != users[1] && users.iter().all(|user| user.parse::<u32>().unwrap() > 1_000));
    assert_eq!(say(&a, "os.getgroups()"), "[]");
    assert_eq!(say(&a, "open('/proc/self/status').read().split('NoNewPrivs:')[1][1]"), "1");
    let environ =
        |address: &str, name: &str| ask(address, "/")["environ"][name].as_str().unwrap().to_owned();
    let denied =
        |expression: &str| assert_eq!(say(&a, expression), "PermissionError", "{expression}");
    // What is its own it may use.
    let own = environ(&a, "DATA_DIR");
    assert_eq!(say(&a, &format!("open('{own}/note', 'w').write('x')")), "1");
    let token = environ(&a, "MANDATE_JOBS_TOKEN_FILE");
    assert!(say(&a, &format!("open('{token}').read()")).starts_with("inst_"));
    assert!(say(&a, "open('mandate.toml').read()").contains("[service]"));
    // What is another's, the agent's or the release it may not.
    for name in ["DATA_DIR", "TMPDIR"] {
        denied(&format!("os.listdir('{}')", environ(&b, name)));
    }
    let start = environ(&b, "TMPDIR");
    let start = Path::new(&start).parent().unwrap();
    denied(&format!("open('{}').read()", start.join("output.log").display()));
    let control = start.join("control");
    denied(&format!(
        "__import__('socket').socket(__import__('socket').AF_UNIX).connect('{}')",
        control.display()
    ));
    denied(&format!("open('{}').read()", environ(&b, "MANDATE_JOBS_TOKEN_FILE")));
    for file in ["node.key", "users.json"] {
        denied(&format!("open('{}').read()", folder.path().join(file).display()));
    }
    denied(&format!("os.listdir('{}')", folder.path().display()));
    denied("open('mandate.toml', 'a')");
    denied("open('new', 'w')");
    // Nor end or look into.
    let other = number(&ask(&b, "/")["pid"]);
    for pid in [other, rustix::process::getpid().as_raw_nonzero().get()] {
        denied(&format!("os.kill({pid}, 0)"));
        denied(&format!("open('/proc/{pid}/environ').read()"));
    }
    denied("os.kill(os.getppid(), 15)");
    agent.stop().await;
}

#[tokio::test]
async fn no_link_and_no_look_at_processes_leads_to_what_is_anothers() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let agent = Agent::with_users(&platform, folder.path());
    let [a, b] = two(&platform).await;
    if one_user(&platform).await.is_some() {
        return agent.stop().await;
    }
    let data =
        |address: &str| ask(address, "/")["environ"]["DATA_DIR"].as_str().unwrap().to_owned();
    let denied =
        |expression: &str| assert_eq!(say(&a, expression), "PermissionError", "{expression}");
    let secret = format!("{}/secret", data(&b));
    assert_eq!(say(&b, &format!("open('{secret}', 'w').write('x')")), "1");
    let key = folder.path().join("node.key").display().to_string();
    for (number, file) in [&secret, &key].into_iter().enumerate() {
        let link = format!("{}/link{number}", data(&a));
        assert_eq!(say(&a, &format!("os.symlink('{file}', '{link}')")), "None");
        denied(&format!("open('{link}').read()"));
        denied(&format!("os.link('{file}', '{link}.hard')"));
    }
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let holder = number(&ask(&b, "/")["parent"]);
    for pid in [number(&ask(&b, "/")["pid"]), holder, me] {
        for name in ["mem", "maps", "environ", "auxv", "stack"] {
            denied(&format!("open('/proc/{pid}/{name}', 'rb').read(1)"));
        }
        for name in ["cwd", "root", "exe"] {
            denied(&format!("os.readlink('/proc/{pid}/{name}')"));
        }
        denied(&format!("os.listdir('/proc/{pid}/fd')"));
        denied(&format!("open('/proc/{pid}/root{secret}').read()"));
    }
    // What the agent and the holder had open was not left to it.
    let own = "[os.readlink('/proc/self/fd/' + it) for it in os.listdir('/proc/self/fd')[:-1]]";
    let open = say(&a, own);
    assert!(!open.contains(folder.path().to_str().unwrap()), "{open}");
    assert!(!open.contains("memfd") && open.matches("socket").count() <= 2, "{open}");
    agent.stop().await;
}

#[tokio::test]
async fn a_volume_that_was_made_a_link_is_given_to_nobody_and_told() {
    let (platform, folder) = (Platform::new(), Folder::new());
    want(&platform, &Package { run: "volumes = [\"own\"]", ..Package::new("serve") }, 1);
    let agent = Agent::with_users(&platform, folder.path());
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let anothers = folder.path().join("anothers");
    fs::create_dir(&anothers).unwrap();
    let volume = ask(&healthy.address, "/")["environ"]["VOLUME_OWN"].as_str().unwrap().to_owned();
    say(&healthy.address, &format!("os.rmdir('{volume}')"));
    let link = format!("os.symlink('{}', '{volume}')", anothers.display());
    assert_eq!(say(&healthy.address, &link), "None");
    ask(&healthy.address, "/die");
    let why = "`volumes/own` of the instance is no folder: remove it";
    let told = |state: &State| {
        let mut all = state.nodes.values().flat_map(|node| &node.replicas);
        all.find(|it| it.log.contains(why)).map(drop)
    };
    platform.until("why it is not started", told).await;
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&anothers).unwrap());
    assert_eq!(owner, rustix::process::geteuid().as_raw());
    fs::remove_file(&volume).unwrap();
    platform.replica(ReplicaState::Healthy, 2).await;
    agent.stop().await;
}

/// The race that somebody runs who may write where the folder is made: a folder of their own, a link
/// to another's, and nothing, by turns.
#[test]
fn a_link_that_comes_and_goes_is_not_followed_where_a_folder_is_made() {
    let folder = Folder::new();
    let (own, anothers) = (folder.path().join("own"), folder.path().join("anothers"));
    fs::create_dir(&own).unwrap();
    fs::create_dir(&anothers).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let is_root = rustix::process::geteuid().is_root();
    let user = is_root.then_some(User { user: 1_900_000_000, group: 1_900_000_000 });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let place = own.join("volumes");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::os::unix::fs::symlink(&anothers, &place);
                let _ = fs::remove_file(&place);
                let _ = fs::remove_dir_all(&place);
            }
        });
        // On a busy machine the turns of the two may fall so that for a while it is never made.
        let mut made = 0;
        for tries in 0..5_000_000 {
            made += u32::from(folder_within(&own, &["volumes", "x"], user).is_ok());
            if tries >= 5_000 && made > 0 {
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(made > 0, "it was made at times");
    });
    assert_eq!(fs::read_dir(&anothers).unwrap().count(), 0);
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&anothers).unwrap());
    assert_eq!(owner, rustix::process::geteuid().as_raw());
}

#[tokio::test]
async fn an_instance_that_forks_without_end_leaves_room_for_others() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let agent = Agent::with_users(&platform, folder.path());
    let [a, b] = two(&platform).await;
    if one_user(&platform).await.is_some() {
        return agent.stop().await;
    }
    // It ends by itself, should nothing stop it.
    let bomb = "[subprocess.Popen(['sleep', '30']) for _ in range(200)]";
    assert_eq!(say(&a, bomb), "BlockingIOError");
    let user: u32 = say(&b, "os.getuid()").parse().unwrap();
    let of_other = say(&b, "subprocess.run(['true']).returncode");
    assert_eq!(of_other, "0", "the user {user} has room");
    let own = number(&ask(&a, "/")["pid"]);
    let own = rustix::process::Pid::from_raw(own).unwrap();
    let children = crate::machine::processes().into_iter().filter(|seen| seen.parent == Some(own));
    let count = children.count();
    assert!((10..PROCESSES_MAX).contains(&count), "{count}");
    agent.stop().await;
}

#[tokio::test]
async fn a_database_of_sqlite_is_its_instances() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let instance = InstanceId::named(&["instance"]);
    let databases = folder.path().join("databases");
    let own = databases.join("instances").join(instance.to_string());
    fs::create_dir_all(&own).unwrap();
    let file = own.join("database.db");
    fs::write(&file, "").unwrap();
    let url = Secret::new(format!("sqlite:///{}", file.display()));
    platform.change(|state| state.variables.insert("DATABASE_URL".to_owned(), url));
    want(&platform, &Package::new("serve"), 1);
    let agent = Agent::with_users(&platform, &folder.path().join("agent"));
    let healthy = platform.replica(ReplicaState::Healthy, 1).await;
    let write = format!(
        "__import__('sqlite3').connect('{}').execute('pragma journal_mode=wal').fetchone()[0]",
        file.display()
    );
    assert_eq!(say(&healthy.address, &write), "wal");
    if one_user(&platform).await.is_none() {
        let user = say(&healthy.address, "os.getuid()");
        let owner = |path: &Path| {
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap()).to_string()
        };
        assert_eq!([owner(&file), owner(&own)], [user.clone(), user]);
        assert_eq!(owner(&databases), "0");
    }
    agent.stop().await;
}

#[test]
fn a_folder_with_a_name_of_anothers_file_is_given_to_nobody() {
    let folder = Folder::new();
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("own"), "").unwrap();
    let user = User { user: 1_900_000_000, group: 1_900_000_000 };
    user.check_all(&inside).unwrap();
    fs::write(folder.path().join("anothers"), "").unwrap();
    fs::hard_link(folder.path().join("anothers"), inside.join("mine")).unwrap();
    assert!(user.check_all(&inside).unwrap_err().to_string().contains("a name of another's file"));
}
