//! From a folder to a published release.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

use api::{
    Empty,
    releases::{
        MoveCounts, MoveState, OnNodes, PACKAGE_PART_BYTES_MAX, PackageState, PublishRelease,
        Release, ReleasePhase, Rollout, RolloutPlan, RolloutState, signed_text,
    },
};
use axum::response::Response;
use ed25519_dalek::{Signature, VerifyingKey};
use types::{Digest, Page, Principal};

use crate::platform::{Asked, Folder, Person, Platform, noon, not_found, reply, user};

pub(crate) const MANIFEST: &str = r#"
[service]
name = "guestbook"
title = "Guestbook"
summary = "A page that visitors sign."

[package]
command = ["sh", "-c", "echo packing away; cp -R . \"$PACKAGE_DIR\""]

[run]
command = ["./run"]

[setup.admin_email]
label = "Administrator's e-mail"
type = "email"

[setup.admin_password]
label = "Administrator's password"
type = "password"

[setup.tone]
label = "Tone"
type = "choice"
options = ["dry", "warm"]
default = "warm"

[modules.photos]
title = "Photos"

[modules.albums]
title = "Albums"
summary = "Photos in order."
requires = ["photos"]

[meters.requests]
count = "requests"

[meters.bytes_out]
count = "bytes_out"

[sizes.small]
cpu = 0.5
memory = "256MiB"
"#;

pub(crate) const PRICES: &str = r#"
service = "guestbook"
currency = "USD"
effective = 2026-01-01T00:00:00Z

[plans.basic]
monthly = "9.00"
sizes.small = { per_hour = "0.0125", minimum_seconds = 60 }
modules.photos = { monthly = "3.00" }
modules.albums = { monthly = "1.50" }
meters.requests = { model = "graduated", included = 100_000, tiers = [
  { up_to = 1_000_000, unit = "0.0000200" }, { unit = "0.0000120" } ] }
meters.bytes_out = { model = "package", included = 1_000_000, size = 1_000_000, price = "0.09" }
"#;

fn guestbook() -> Folder {
    let folder = Folder::new();
    folder.write("mandate.toml", MANIFEST);
    folder.write("prices.toml", PRICES);
    folder.write("run", "#!/bin/sh\n");
    folder.write("pages/b.html", "<p>b");
    folder.write("pages/a.html", "<p>a");
    fs::set_permissions(folder.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("pages/a.html", folder.path().join("first")).unwrap();
    folder
}

fn release(phase: ReleasePhase, digest: Digest) -> Release {
    Release {
        digest,
        service: "guestbook".parse().unwrap(),
        phase,
        public_key: "ab".repeat(32),
        signature: "cd".repeat(64),
        source: None,
        created: noon(),
        published_by: Some(Principal::User(user())),
        problem: (phase == ReleasePhase::Failed).then(|| "billing refused the prices".into()),
        current: phase == ReleasePhase::Staged,
        does_old_jobs: false,
        collected: false,
        on_nodes: OnNodes::default(),
    }
}

fn no_rollout() -> Response {
    reply(&Page::<Rollout> { items: vec![], next: None })
}

/// Takes a package, of which it has so many bytes already.
pub(crate) fn take_package(asked: &Asked, there: u64) -> Option<Response> {
    let (method, path) = asked.line.split_once(' ').unwrap();
    let path = path.strip_prefix("/releases/v1/packages/")?;
    match (method, path.contains('/')) {
        ("GET", _) => Some(reply(&PackageState { bytes: there, whole: false })),
        _ => Some(reply(&Empty {})),
    }
}

/// The parts that were sent.
pub(crate) fn parts(platform: &Platform) -> Vec<Asked> {
    platform.asked().into_iter().filter(|asked| asked.line.contains("/parts/")).collect()
}

/// Takes packages, and has told everybody at the second look.
fn taking(last: ReleasePhase) -> impl Fn(&Asked) -> Response {
    let digest = std::sync::Mutex::new(None);
    move |asked| match asked.line.as_str() {
        line if line.contains("/packages/") => {
            if line.contains("/parts/") {
                *digest.lock().unwrap() = Some(Digest::of(&asked.body));
            }
            take_package(asked, 0).unwrap()
        }
        "POST /releases/v1/services/guestbook/releases" => {
            let digest = digest.lock().unwrap().clone().unwrap();
            reply(&release(ReleasePhase::Announcing, digest))
        }
        "GET /releases/v1/services/guestbook/releases" => {
            let digest = digest.lock().unwrap().clone().unwrap();
            let phase = if asked.before == 0 { ReleasePhase::Announcing } else { last };
            reply(&Page { items: vec![release(phase, digest)], next: None })
        }
        "GET /releases/v1/services/guestbook/rollouts" => no_rollout(),
        "PUT /billing/v1/price-books/guestbook" => reply(&Empty {}),
        _ => not_found(),
    }
}

/// What is in a package: name to mode and content (or where a link leads), in order.
pub(crate) fn unpacked(package: &[u8]) -> Vec<(String, u32, String)> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(package).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(
            (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
            (0, 0, 0)
        );
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            content = target.to_string_lossy().into_owned();
        }
        (name, header.mode().unwrap(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

#[tokio::test]
async fn a_service_is_checked_packed_signed_and_published() {
    let (platform, folder) = (Platform::start(taking(ReleasePhase::Staged)).await, guestbook());
    let operator = Person::at(&platform);
    let done = operator.runs(&["service", "publish", folder.text()]).await;
    assert!(done.err.contains("packing away"), "what the command prints is shown: {}", done.err);
    let digest = Digest::of(&parts(&platform)[0].body);
    let home = operator.home.path().to_str().unwrap();
    let out = done.timeless().replace(digest.as_str(), "DIGEST").replace(folder.text(), "FOLDER");
    insta::assert_snapshot!("service_publish", out.replace(home, "HOME"));

    let asked = platform.asked();
    let path = format!("/releases/v1/packages/{}", digest.as_str().replace(':', "%3A"));
    let lines: Vec<&str> = asked[..3].iter().map(|asked| asked.line.as_str()).collect();
    let [get, part] = [format!("GET {path}/parts"), format!("PUT {path}/parts/0")];
    assert_eq!(lines, [get, part, format!("PUT {path}")]);
    let mut sent: serde_json::Value = asked[3].body();
    sent["service"] = "guestbook".into();
    let sent: PublishRelease = serde_json::from_value(sent).unwrap();
    assert_eq!(
        (sent.manifest.as_str(), sent.prices.as_str(), &sent.digest),
        (MANIFEST, PRICES, &digest)
    );
    let key = VerifyingKey::from_bytes(&unhex(&sent.public_key)).unwrap();
    let signature = Signature::from_bytes(&unhex(&sent.signature));
    let text = signed_text(&sent.service, &digest);
    key.verify_strict(text.as_bytes(), &signature).unwrap();

    let files = unpacked(&asked[1].body);
    let names: Vec<&str> = files.iter().map(|(name, ..)| name.trim_end_matches('/')).collect();
    assert_eq!(
        names,
        ["first", "mandate.toml", "pages", "pages/a.html", "pages/b.html", "prices.toml", "run"]
    );
    let modes: BTreeMap<&str, u32> =
        names.iter().copied().zip(files.iter().map(|file| file.1)).collect();
    assert_eq!((modes["pages"], modes["run"], modes["pages/a.html"]), (0o755, 0o755, 0o644));
    assert_eq!(files[0].2, "pages/a.html");
    let key = operator.home.path().join("publisher.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N);
    let byte = |place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap();
    std::array::from_fn(byte)
}

#[tokio::test]
async fn the_same_files_are_the_same_package_with_the_same_signature() {
    let (platform, folder) = (Platform::start(taking(ReleasePhase::Staged)).await, guestbook());
    let operator = Person::at(&platform);
    let key = operator.home.path().join("elsewhere").join("my.key");
    let publish = ["service", "publish", folder.text(), "--json", "--key", key.to_str().unwrap()];
    let typed_wrongly = operator.runs(&publish).await;
    assert_eq!(typed_wrongly.status, 4);
    assert!(typed_wrongly.err.contains("there is no publisher's key"), "{}", typed_wrongly.err);
    assert!(!key.exists() && platform.asked().is_empty());
    let first: Release = operator.runs(&[&publish[..], &["--new-key"]].concat()).await.json();
    folder.write("pages/b.html", "<p>b");
    let second: Release = operator.runs(&publish).await.json();
    assert_eq!(first.digest, second.digest);
    let signatures: Vec<String> = platform
        .asked()
        .iter()
        .filter(|a| a.line.starts_with("POST"))
        .map(|a| a.body::<serde_json::Value>()["signature"].to_string())
        .collect();
    assert_eq!(signatures[0], signatures[1]);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = operator.runs(&publish).await;
    assert_eq!(open.status, 5);
    assert!(open.err.contains("others can read the publisher's key"), "{}", open.err);
    fs::write(&key, "no key").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(operator.runs(&publish).await.status, 5);
}

#[tokio::test]
async fn every_fault_is_told_with_its_line_and_mend_before_anything_is_sent() {
    let (platform, folder) = (Platform::start(taking(ReleasePhase::Staged)).await, guestbook());
    folder.write(
        "mandate.toml",
        &MANIFEST.replace("\"email\"", "\"e-mail\"").replace("\"photos\"]", "\"fotos\"]"),
    );
    folder.write("prices.toml", &PRICES.replace("9.00", "nine"));
    let operator = Person::at(&platform);
    let done = operator.runs(&["service", "publish", folder.text()]).await;
    assert_eq!(done.status, 5);
    insta::assert_snapshot!("service_publish_faults", done.err.replace(folder.text(), "FOLDER"));

    folder.write("mandate.toml", MANIFEST);
    folder.write("prices.toml", &PRICES.replace("modules.albums = { monthly = \"1.50\" }\n", ""));
    let done = operator.runs(&["service", "publish", folder.text()]).await;
    assert_eq!(done.status, 5);
    assert!(done.err.contains("prices.toml:"), "{}", done.err);
    fs::remove_file(folder.path().join("prices.toml")).unwrap();
    assert_eq!(operator.runs(&["service", "publish", folder.text()]).await.status, 4);
    assert!(platform.asked().is_empty());
}

#[tokio::test]
async fn what_cannot_be_packed_is_refused_before_anything_is_sent() {
    let platform = Platform::start(taking(ReleasePhase::Staged)).await;
    let operator = Person::at(&platform);
    let cases = [
        ("exit 7", 1, "exit status: 7"),
        ("true", 4, "the package must hold `mandate.toml` and `prices.toml`"),
        (
            "cp *.toml $PACKAGE_DIR; ln -s ../outside $PACKAGE_DIR/link",
            5,
            "leads out of the package",
        ),
        (
            "cp *.toml $PACKAGE_DIR; ln -s /etc/passwd $PACKAGE_DIR/link",
            5,
            "leads out of the package",
        ),
        ("cp *.toml $PACKAGE_DIR; mkfifo $PACKAGE_DIR/pipe", 5, "neither a file"),
        // What a node would not unpack.
        ("cp *.toml $PACKAGE_DIR; ln -s b/../c $PACKAGE_DIR/link", 5, "the link `link` leads out"),
        (
            "cp *.toml $PACKAGE_DIR; cd $PACKAGE_DIR; m=$(printf '%0200d' 0); \
             mkdir -p $m/$m/$m/$m/$m/$m",
            5,
            "longer than 1024 bytes",
        ),
        (
            "cp *.toml $PACKAGE_DIR; cd $PACKAGE_DIR; mv mandate.toml m; ln -s m mandate.toml",
            5,
            "is a link",
        ),
        // What a node could not run.
        ("cp *.toml $PACKAGE_DIR", 5, "the program `./run` of `run.command` is not in the package"),
        ("cp *.toml $PACKAGE_DIR; echo > $PACKAGE_DIR/run", 5, "is not executable"),
    ];
    for (script, status, says) in cases {
        let folder = guestbook();
        let command = format!("command = [\"sh\", \"-c\", \"{script}\"]\n\n[run]\n");
        let begin = MANIFEST.find("command").unwrap();
        let end = MANIFEST.find("[run]\n").unwrap() + 6;
        folder
            .write("mandate.toml", &format!("{}{command}{}", &MANIFEST[..begin], &MANIFEST[end..]));
        let done = operator.runs(&["service", "publish", folder.text()]).await;
        assert_eq!(done.status, status, "{script}: {done:?}");
        assert!(done.err.contains(says), "{script}: {}", done.err);
    }
    assert!(platform.asked().is_empty());
}

#[tokio::test]
async fn histories_and_secrets_are_packed_only_when_asked_for() {
    let platform = Platform::start(taking(ReleasePhase::Staged)).await;
    let (operator, folder) = (Person::at(&platform), Folder::new());
    let begin = MANIFEST.find("[package]").unwrap();
    let end = MANIFEST.find("[run]").unwrap();
    folder.write("mandate.toml", &format!("{}{}", &MANIFEST[..begin], &MANIFEST[end..]));
    folder.write("prices.toml", PRICES);
    folder.write("run", "#!/bin/sh\n");
    fs::set_permissions(folder.path().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    for name in [".git/config", ".env", "app/.env.local", "app/page.html", "notes/draft"] {
        folder.write(name, name);
    }
    let publish = ["service", "publish", folder.text()];
    let said = operator.runs(&publish).await.good();
    assert!(said.contains("left out .env, .git, app/.env.local; a line `!NAME` in"), "{said}");
    folder.write(".mandateignore", "!.env\nnotes/\n");
    let said = operator.runs(&publish).await.good();
    assert!(said.contains("left out .git, .mandateignore, app/.env.local, notes; "), "{said}");
    let packages = parts(&platform);
    let names = |asked: &Asked| -> Vec<String> {
        let files = unpacked(&asked.body).into_iter();
        files.map(|(name, ..)| name.trim_end_matches('/').to_owned()).collect()
    };
    let common = ["app", "app/page.html", "mandate.toml"];
    let packed: Vec<Vec<String>> = packages.iter().map(names).collect();
    let first = [&common[..], &["notes", "notes/draft", "prices.toml", "run"]].concat();
    assert_eq!(packed[0], first);
    assert_eq!(packed[1], [&[".env"], &common[..], &["prices.toml", "run"]].concat());
}

#[tokio::test]
async fn what_was_sent_before_is_not_sent_again() {
    let there = |asked: &Asked| take_package(asked, 1_000).unwrap_or_else(not_found);
    let (platform, folder) = (Platform::start(there).await, guestbook());
    // What cannot be compressed.
    let mut state = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(PACKAGE_PART_BYTES_MAX)
    .collect();
    fs::write(folder.path().join("noise"), noise).unwrap();
    let done = Person::at(&platform).runs(&["service", "publish", folder.text()]).await;
    assert!(done.out.contains("goes on after the 0 KiB that were sent before"), "{}", done.out);
    let sent = parts(&platform);
    let offsets: Vec<&str> =
        sent.iter().map(|part| part.line.rsplit('/').next().unwrap()).collect();
    let second = (1_000 + PACKAGE_PART_BYTES_MAX).to_string();
    assert_eq!(offsets, ["1000", second.as_str()]);
    let bytes = sent.iter().map(|part| part.body.len()).sum::<usize>() + 1_000;
    let whole: serde_json::Value = platform.asked()[3].body();
    assert_eq!(whole["bytes"], bytes);
}

#[tokio::test]
async fn a_release_that_somebody_refuses_fails_with_the_reason() {
    let (platform, folder) = (Platform::start(taking(ReleasePhase::Failed)).await, guestbook());
    let done = Person::at(&platform).runs(&["service", "publish", folder.text()]).await;
    assert_eq!(done.status, 5);
    assert!(
        done.err.ends_with("error: the release failed: billing refused the prices\n"),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn prices_are_published_on_their_own() {
    let (platform, folder) = (Platform::start(taking(ReleasePhase::Staged)).await, guestbook());
    let said = Person::at(&platform).runs(&["service", "prices", folder.text()]).await.good();
    assert_eq!(said, "Published the prices of guestbook.\n");
    assert_eq!(platform.lines(), ["PUT /billing/v1/price-books/guestbook"]);
}

/// The release is current; the nodes say what comes next in the list, and its last for ever.
fn on_nodes(said: Vec<OnNodes>) -> impl Fn(&Asked) -> Response {
    let digest = std::sync::Mutex::new(None);
    move |asked| match asked.line.as_str() {
        line if line.contains("/packages/") => {
            if line.contains("/parts/") {
                *digest.lock().unwrap() = Some(Digest::of(&asked.body));
            }
            take_package(asked, 0).unwrap()
        }
        line if line.ends_with(" /releases/v1/services/guestbook/releases") => {
            let digest = digest.lock().unwrap().clone().unwrap();
            let seen = said[asked.before.min(said.len() - 1)].clone();
            let release = Release { on_nodes: seen, ..release(ReleasePhase::Staged, digest) };
            if line.starts_with("POST") {
                return reply(&release);
            }
            reply(&Page { items: vec![release], next: None })
        }
        "GET /releases/v1/services/guestbook/rollouts" => no_rollout(),
        _ => not_found(),
    }
}

#[tokio::test]
async fn waiting_ends_with_what_the_nodes_say() {
    let begun = OnNodes { nodes: 2, replicas: 2, ready: 1, ..OnNodes::default() };
    let runs = OnNodes { ready: 2, healthy: 2, ..begun.clone() };
    let problem = Some("node `one`: no compiler".to_owned());
    let fails = OnNodes { failed: 1, problem, ..begun.clone() };
    let publish = async |said: Vec<OnNodes>| {
        let (platform, folder) = (Platform::start(on_nodes(said)).await, guestbook());
        let arguments = ["service", "publish", folder.text(), "--wait"];
        Person::at(&platform).runs(&arguments).await
    };
    let done = publish(vec![begun.clone(), begun.clone(), runs]).await;
    assert_eq!(done.status, 0, "{done:?}");
    assert!(done.out.contains("ready on 1 of 2 nodes, 0 of 2 replicas healthy"), "{}", done.out);
    let done = publish(vec![begun, fails]).await;
    assert_eq!(done.status, 5, "{done:?}");
    assert!(done.err.contains("node `one`: no compiler"), "{}", done.err);
    let done = publish(vec![OnNodes::default()]).await;
    assert_eq!(done.status, 5, "{done:?}");
    assert!(done.err.contains("there is no node to run it"), "{}", done.err);
}

#[tokio::test]
async fn waiting_ends_with_the_name_of_each_that_could_not_be_moved() {
    let promoted = AtomicBool::new(false);
    let platform = Platform::start(move |asked: &Asked| {
        if asked.line.starts_with("POST /releases") {
            promoted.store(true, Ordering::SeqCst);
        }
        before_or_stopped(asked, promoted.load(Ordering::SeqCst))
    });
    let platform = platform.await;
    let done = Person::at(&platform).runs(&["release", "promote", "guestbook"]).await;
    assert_eq!(done.status, 5, "{done:?}");
    let bakery = types::InstanceId::named(&["bakery"]);
    let why = format!("{bakery}: `migrate` failed: it ended with status 1");
    assert!(done.err.contains(&why), "{}", done.err);
    assert_eq!(done.err.matches("failed").count(), 1, "one waits: {}", done.err);
}

/// A service with a current release, one that is staged, and one before; promotions are taken.
fn with_three(asked: &Asked) -> Response {
    before_or_stopped(asked, false)
}

/// The same, or what came of it: the one that was staged is current, and its rollout has stopped.
fn before_or_stopped(asked: &Asked, has_stopped: bool) -> Response {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let on_nodes = OnNodes { nodes: 2, ready: 2, replicas: 2, healthy: 2, ..OnNodes::default() };
    let of = |text: &str, current| Release {
        current,
        on_nodes: on_nodes.clone(),
        ..release(ReleasePhase::Staged, digest(text))
    };
    let rollout = |number, from: &str, to: &str, state, left| Rollout {
        service: "guestbook".parse().unwrap(),
        number,
        from: Some(digest(from)),
        to: digest(to),
        plan: RolloutPlan::default(),
        state,
        problem: None,
        by: None,
        begun: noon(),
        ended: None,
        counts: MoveCounts { waiting: left, ..MoveCounts::default() },
    };
    match asked.line.as_str() {
        "GET /releases/v1/services/guestbook/releases" => {
            let items = vec![of("next", has_stopped), of("now", !has_stopped), of("before", false)];
            reply(&Page { items, next: None })
        }
        "POST /releases/v1/services/guestbook/rollouts" => {
            reply(&rollout(7, "now", "next", RolloutState::Moving, 3))
        }
        "GET /releases/v1/services/guestbook/rollouts" => {
            let last = match asked.before {
                _ if has_stopped => rollout(7, "now", "next", RolloutState::Paused, 3),
                0 => rollout(6, "before", "now", RolloutState::Done, 0),
                _ => rollout(7, "now", "next", RolloutState::Moving, 3),
            };
            reply(&Page { items: vec![last], next: None })
        }
        "GET /releases/v1/services/guestbook/moves" => {
            let one = |name: &str, state, problem: Option<&str>| api::releases::Move {
                instance: types::InstanceId::named(&[name]),
                wave: 1,
                state,
                problem: problem.map(str::to_owned),
                since: noon(),
            };
            let why = Some("`migrate` failed: it ended with status 1");
            let items = vec![
                one("bakery", MoveState::Failed, why),
                one("library", MoveState::Waiting, None),
            ];
            reply(&Page { items, next: None })
        }
        "GET /releases/v1/nodes" => {
            reply(&Page::<api::releases::Node> { items: vec![], next: None })
        }
        "POST /identity/v1/names" => {
            let users = [(user(), "ada@bakery.example".to_owned())].into();
            reply(&api::identity::Names { users, ..Default::default() })
        }
        _ => not_found(),
    }
}

#[tokio::test]
async fn a_release_is_promoted_in_place_of_the_one_that_is_current() {
    let (next, now, before) = (Digest::of(b"next"), Digest::of(b"now"), Digest::of(b"before"));
    let sent = |platform: &Platform| -> serde_json::Value {
        let asked = platform.asked();
        asked.iter().find(|asked| asked.line.starts_with("POST /rel")).unwrap().body()
    };
    let cases: [(&[&str], &Digest); 3] = [
        (&["promote", "guestbook"], &next),
        (&["promote", "guestbook", &before.hex()[..8]], &before),
        (&["rollback", "guestbook"], &before),
    ];
    for (verb, wanted) in cases {
        // Seen once more before a rollback, to learn where it leads.
        let platform = Platform::start(move |asked: &Asked| with_three(asked)).await;
        let arguments = [&["release"], verb, &["--no-wait"]].concat();
        let done = Person::at(&platform).runs(&arguments).await;
        let sent = sent(&platform);
        assert_eq!(
            (&sent["release"], &sent["replaces"]),
            (&wanted.as_str().into(), &now.as_str().into())
        );
        if verb[0] == "rollback" {
            assert!(done.good().contains("is the current one"));
        }
    }
    let platform = Platform::start(with_three).await;
    let operator = Person::at(&platform);
    let unknown = operator.runs(&["release", "promote", "guestbook", "0000"]).await;
    assert_eq!(unknown.status, 4);
    assert!(
        unknown.err.contains("no release of `guestbook` begins with `0000`"),
        "{}",
        unknown.err
    );
    insta::assert_snapshot!(
        "release_status",
        operator.runs(&["release", "status", "guestbook"]).await.good()
    );
    insta::assert_snapshot!(
        "release_history",
        operator.runs(&["release", "history", "guestbook"]).await.good()
    );
    insta::assert_snapshot!(
        "release_list",
        operator.runs(&["release", "list", "guestbook"]).await.good()
    );
}
