//! Files that are served without asking the application.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::symlink,
};

use api::releases::ReplicaState;
use types::InstanceId;

use super::{
    Agent, Folder,
    packages::Package,
    platform::{Platform, State},
    processes::{all_of, want_all},
};

const STATIC: &str = "\n[static]\n\"/assets\" = \"static\"\n\"/media\" = \"volumes/media\"\n";

/// The head and the body of an answer.
fn fetch(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let (line, more) = request.split_once('\n').unwrap_or((request, ""));
    write!(stream, "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{more}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn files_are_served_from_the_release_and_from_the_instance() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let instance = InstanceId::named(&["instance"]).to_string();
    let media = folder.path().join("instances").join(instance).join("volumes/media");
    fs::create_dir_all(media.join("2026")).unwrap();
    fs::write(media.join("2026/cat.txt"), "a cat of last year").unwrap();
    fs::write(media.join(".hidden"), "hidden").unwrap();
    symlink("/proc/self/environ", media.join("out")).unwrap();
    symlink("2026/cat.txt", media.join("inside")).unwrap();
    want_all(&platform, &Package { more: STATIC, ..Package::new("serve") });
    let agent = Agent::start(&platform, folder.path());
    let serving = platform.until("the process that serves files", |state: &State| {
        let found = all_of(state, "files").find(|it| it.state == ReplicaState::Healthy);
        found.map(|it| it.address.clone())
    });
    let at = serving.await;
    let status = |request: &str| fetch(&at, request).0[9..12].to_owned();
    let (head, body) = fetch(&at, "GET /media/2026/cat.txt?size=2");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/plain"),
        "{head}"
    );
    assert!(head.contains("x-content-type-options: nosniff"));
    assert_eq!(body, "a cat of last year");
    let modified = head.split("last-modified: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let since = format!("GET /media/2026/cat.txt\nIf-Modified-Since: {modified}\r\n");
    assert_eq!(fetch(&at, &since).0[9..12].to_owned(), "304", "{since}");
    let (head, body) = fetch(&at, "GET /media/2026/cat.txt\nRange: bytes=2-4\r\n");
    assert!(head.starts_with("HTTP/1.1 206") && head.contains("bytes 2-4/18"), "{head}");
    assert_eq!(body, "cat");
    let (head, body) = fetch(&at, "HEAD /media/2026/cat.txt");
    assert!(head.contains("content-length: 18") && body.is_empty());
    assert_eq!(fetch(&at, "GET /assets/greeting.txt").1, "hello\n");
    assert_eq!(fetch(&at, "GET /media/inside").1, "a cat of last year");
    for nothing in [
        "/media/out",
        "/media/.hidden",
        "/media/%2ehidden",
        "/media/2026",
        "/media/2026/",
        "/media/",
        "/media",
        "/media/none",
        "/assets/../mandate.toml",
        "/assets/%2e%2e/mandate.toml",
        "/assets/%2Fetc/passwd",
        "/mandate.toml",
        "/",
    ] {
        assert_eq!(status(&format!("GET {nothing}")), "404", "{nothing}");
    }
    assert_eq!(status("DELETE /media/2026/cat.txt"), "405");
    agent.stop().await;
}
