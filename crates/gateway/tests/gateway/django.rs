//! A real Django behind us: what it knows of a request it knows from the headers that we send.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::world::{Answer, World};

const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/django/app.py");
const HTTPS: (&str, &str) = ("X-Forwarded-Proto", "https");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

struct Django {
    address: SocketAddr,
    _process: Child,
}

impl Django {
    /// Installs it from the package index into a folder of its own, and starts it.
    async fn start(folder: &Path) -> Self {
        let folder = folder.join("django");
        runs(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await;
        let pip = ["install", "--quiet", "--disable-pip-version-check", "Django>=5.2,<5.3"];
        runs(Command::new(folder.join("bin/pip")).args(pip)).await;
        let mut process = Command::new(folder.join("bin/python"))
            .arg(APP)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port: u16 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        Self { address: ([127, 0, 0, 1], port).into(), _process: process }
    }
}

async fn runs(command: &mut Command) {
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Loads the form and sends it, as a browser does that came by HTTPS.
async fn sends_the_form(world: &World) -> Answer {
    let request = "GET /topics/1/posts HTTP/1.1\r\nHost: forum.localhost\r\n\
                   X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let bytes = world.raw(request.as_bytes()).await;
    let token = Answer::read(&bytes).body;
    let page = String::from_utf8(bytes).unwrap();
    let cookie = page.split_once("csrftoken=").unwrap().1.split(';').next().unwrap();
    let body = format!("csrfmiddlewaretoken={token}");
    let cookie = format!("csrftoken={cookie}");
    let origin = ("Origin", "https://forum.localhost");
    let referer = ("Referer", "https://forum.localhost/topics/1/posts");
    let headers = [HTTPS, FORM, origin, referer, ("Cookie", cookie.as_str())];
    world.ask("POST /topics/1/posts", "forum.localhost", &headers, &body).await
}

#[tokio::test]
async fn its_check_of_forms_passes_behind_tls() {
    let (world, upstream) = World::behind_proxy().await;
    drop(upstream);
    let django = Django::start(&world.folder).await;
    world.replica("one", django.address, None).await;
    let answer = sends_the_form(&world).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "taken"));

    // It is by our word: one who only says so does not pass.
    let (open, upstream) = World::with_forum().await;
    drop(upstream);
    open.replica("one", django.address, None).await;
    assert_eq!(sends_the_form(&open).await.status, 403);
}
