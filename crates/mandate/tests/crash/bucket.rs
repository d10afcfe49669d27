//! Packages lie in a bucket, here one of a server that is made for tests, and the process that stores
//! them is killed.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use api::{
    Client, Problem,
    releases::{
        GetPackage, GetPackagePart, PACKAGE_PART_BYTES_MAX, PackageState, PutPackage,
        PutPackagePart,
    },
};
use bytes::Bytes;
use db::EngineKind;
use serde::Deserialize;
use types::Digest;

use crate::{platform::Platform, shop::operator};

/// What `pip` fetches.
const MOTO: &str = "moto[server]==5.2.5";
/// Another server stores nothing so slowly.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server with a bucket, that ends with this value.
struct Server {
    process: Child,
    questions: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    url: String,
}

/// What is in the bucket.
#[derive(Debug, Deserialize)]
struct Found {
    objects: Vec<String>,
    unfinished: usize,
}

impl Server {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/bucket.py");
        let mut process = Command::new(python())
            .args(["-B", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let questions = process.stdin.take();
        let mut answers = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = answers.next().unwrap().unwrap();
        Self { process, questions, answers, url }
    }

    fn found(&mut self) -> Found {
        self.found_after_begun("")
    }

    /// Somebody has begun an upload to a key, and was killed before they knew its id.
    fn found_after_begun(&mut self, key: &str) -> Found {
        writeln!(self.questions.as_mut().unwrap(), "{key}").unwrap();
        serde_json::from_str(&self.answers.next().unwrap().unwrap()).unwrap()
    }

    /// What a process is told that keeps its packages here.
    fn variables(&self, bucket: &str) -> Vec<(&'static str, String)> {
        vec![
            ("MANDATE_PACKAGES", format!("s3://{bucket}/some/packages")),
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when nobody can ask any more.
        drop(self.questions.take());
        let _ = self.process.wait();
    }
}

/// A Python that has `moto`, in a folder that is kept from run to run.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let python = folder.join("bin/python");
    let runs = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let there = || runs(&python, &["-c", "import moto.server"]);
    if !there() {
        let folder = folder.to_str().unwrap();
        assert!(runs(Path::new("python3"), &["-m", "venv", "--clear", folder]));
        assert!(runs(&python, &["-m", "pip", "install", "--quiet", MOTO]));
        assert!(there());
    }
    python
}

async fn there(client: &Client, digest: &Digest) -> PackageState {
    client.call(GetPackage { digest: digest.clone() }).await.unwrap()
}

/// Sends what is not there yet, or only the next part of it.
async fn send(client: &Client, package: &Bytes, only_one: bool) -> Result<(), Problem> {
    let digest = Digest::of(package);
    let mut offset = usize::try_from(there(client, &digest).await.bytes).unwrap();
    while offset < package.len() {
        let end = package.len().min(offset + PACKAGE_PART_BYTES_MAX);
        let part = PutPackagePart { digest: digest.clone(), offset: offset as u64 };
        client.upload(part, package.slice(offset..end)).await?;
        if only_one {
            break;
        }
        offset = end;
    }
    Ok(())
}

#[tokio::test]
async fn packages_lie_in_a_bucket_and_whoever_is_killed_goes_on() {
    let mut server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let mut platform = Platform::new("bucket", EngineKind::Sqlite).without_agent();
    platform.variables = server.variables("nobodys");
    let refused = platform.does_not_start().await;
    for words in ["packages cannot be stored in `s3://nobodys/some/packages`", "AWS_ENDPOINT_URL"] {
        assert!(refused.contains(words), "{refused}");
    }
    platform.variables = server.variables("bucket");
    platform.start().await;
    let token = operator(&platform).await;
    let bytes = 6 * PACKAGE_PART_BYTES_MAX + 1_000;
    let package: Bytes =
        (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect();
    let (digest, bytes) = (Digest::of(&package), package.len() as u64);
    let whole = PutPackage { digest: digest.clone(), bytes };

    // Killed while it is sent.
    send(&platform.client(Some(&token)), &package, true).await.unwrap();
    platform.kill();
    platform.start().await;
    let client = platform.client(Some(&token));
    let sent = PackageState { bytes: PACKAGE_PART_BYTES_MAX as u64, whole: false };
    assert_eq!(there(&client, &digest).await, sent);
    send(&client, &package, false).await.unwrap();

    // Killed while it is stored.
    let storing = tokio::spawn({
        let whole = whole.clone();
        async move { client.call(whole).await }
    });
    let begun = tokio::time::timeout(PATIENCE, async {
        while server.found().unfinished == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    begun.await.unwrap();
    platform.kill();
    assert!(storing.await.unwrap().is_err());
    assert_eq!(server.found().objects, ["some/packages/check"]);
    platform.start().await;
    let client = platform.client(Some(&token));
    assert_eq!(there(&client, &digest).await, PackageState { bytes, whole: false });
    let key = format!("some/packages/{}", digest.hex());
    assert_eq!(server.found_after_begun(&key).unfinished, 2);
    client.call(whole).await.unwrap();

    assert_eq!(there(&client, &digest).await, PackageState { bytes, whole: true });
    let found = server.found();
    let names = ["some/packages/check".to_owned(), key];
    found.objects.iter().for_each(|name| assert!(names.contains(name), "{found:?}"));
    assert_eq!((found.objects.len(), found.unfinished), (2, 0), "nothing is left half made");
    let mut read = Vec::new();
    loop {
        let part = GetPackagePart { digest: digest.clone(), offset: read.len() as u64 };
        match client.download(part).await.unwrap() {
            part if part.is_empty() => break,
            part => read.extend_from_slice(&part),
        }
    }
    assert!(read == package);
    platform.publish();
    platform.stop().await;
}
