//! Packages as a publisher makes them.

use api::{
    manifest::Manifest,
    releases::{DesiredRelease, DesiredReplica, signed_text},
};
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use types::{Digest, InstanceId, ReplicaId};

use super::platform::Platform;

/// What a service's program does.
const SERVE: &str = r#"#!/usr/bin/env python3
import http.server, json, os, signal, subprocess, sys, time, urllib.parse
mode = sys.argv[1]
print("starting in mode", mode, flush=True)
if mode == "crash":
    sys.exit(7)
if mode == "silent":
    print("PORT" in os.environ, flush=True)
    time.sleep(3600)
if mode == "late":
    time.sleep(1)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
away = {"start_new_session": True} if mode == "stray" else {}
child = subprocess.Popen(["sleep", "3600"], **away)
other = subprocess.Popen(["sleep", "3600"], env={}, **away)
def say(expression):
    try:
        return str(eval(expression))
    except OSError as cause:
        return type(cause).__name__
GLUTTON = "import time; a = b'x' * (300 << 20); time.sleep(3600)"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(3)
        if self.path == "/eat":
            subprocess.Popen([sys.executable, "-c", GLUTTON], env={}, start_new_session=True)
        if self.path.startswith("/say/"):
            self.send_response(200)
            self.end_headers()
            said = say(urllib.parse.unquote(self.path[5:]))
            return self.wfile.write(json.dumps(said).encode())
        site = urllib.parse.urlsplit(os.environ.get("PUBLIC_URL", ""))
        came = (self.headers["Host"], self.headers["X-Forwarded-Proto"])
        if mode == "picky" and came != (site.netloc, site.scheme):
            return self.send_error(400)
        if mode == "choosy" and self.headers["Host"] != "check.example":
            return self.send_error(400)
        unwell = os.path.exists(os.environ["TMPDIR"] + "/unwell")
        if self.path == "/ready":
            unwell |= os.path.exists(os.environ["TMPDIR"] + "/unready")
        body = {"pid": os.getpid(), "parent": os.getppid(), "child": child.pid, "other": other.pid}
        body["environ"] = dict(os.environ)
        self.send_response(500 if unwell else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *arguments):
        pass
address = (os.environ["HOST"], int(os.environ["PORT"]))
if mode == "astray":
    address = ("127.0.0.1", 0)
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"#;

/// A package that is being made.
#[derive(Clone)]
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) tenancy: &'static str,
    pub(super) mode: &'static str,
    pub(super) build: Option<String>,
    pub(super) job: &'static str,
    /// What is said of its health.
    pub(super) health: &'static str,
    /// What stands under `[run]` beside that.
    pub(super) run: &'static str,
    /// What stands at the end of the manifest.
    pub(super) more: &'static str,
}

/// The health check that everybody has.
const HEALTH: &str = "health = \"/healthz\"";

impl Package {
    pub(super) fn new(mode: &'static str) -> Self {
        let (name, tenancy, job) = ("echo", "dedicated", "true");
        Self { name, tenancy, mode, build: None, job, health: HEALTH, run: "", more: "" }
    }

    pub(super) fn manifest(&self) -> String {
        let Self { name, tenancy, mode, health, run, more, .. } = self;
        let build = if self.build.is_some() { "build = [\"./build.sh\"]" } else { "" };
        format!(
            r#"
[service]
name = "{name}"
title = "Echo"
tenancy = "{tenancy}"
[run]
command = ["./serve", "{mode}"]
{health}
{build}
{run}
[setup.secret_word]
label = "Word"
type = "password"
[sizes.small]
title = "Small"
cpu = 0.5
memory = "128MiB"
[jobs.work]
command = ["./job.sh", "{mode}"]
upgrade = ["./job.sh", "upgrade"]
accepts = "1-2"
version = 2
{more}
"#
        )
    }

    /// The package's bytes, and what a platform says of it.
    pub(super) fn pack(&self) -> (DesiredRelease, Bytes) {
        let job = format!("#!/bin/sh\n{}\n", self.job);
        let build = format!("#!/bin/sh\nset -e\n{}\n", self.build.as_deref().unwrap_or(""));
        let manifest = self.manifest();
        let files = [
            ("mandate.toml", manifest.as_str(), 0o644),
            ("serve", SERVE, 0o755),
            ("job.sh", &job, 0o755),
            ("build.sh", &build, 0o755),
            ("static/greeting.txt", "hello\n", 0o644),
        ];
        let bytes = archive(|tar| {
            for (path, content, mode) in files {
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                header.set_mode(mode);
                tar.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
        });
        (signed(self.name, &manifest, &bytes), bytes)
    }

    /// Stores it at the platform.
    pub(super) fn publish(&self, platform: &Platform) -> DesiredRelease {
        let (release, bytes) = self.pack();
        platform.change(|state| state.packages.insert(release.digest.clone(), bytes));
        release
    }
}

pub(super) fn signed(service: &str, manifest: &str, bytes: &[u8]) -> DesiredRelease {
    let key = SigningKey::from_bytes(&[7; 32]);
    let (service, digest) = (service.parse().unwrap(), Digest::of(bytes));
    let signature = key.sign(signed_text(&service, &digest).as_bytes());
    DesiredRelease {
        manifest: Manifest::parse("mandate.toml", manifest).unwrap(),
        public_key: const_hex::encode(key.verifying_key().as_bytes()),
        signature: const_hex::encode(signature.to_bytes()),
        digest,
        service,
        is_current: true,
    }
}

/// A tar archive, compressed.
pub(super) fn archive(fill: impl FnOnce(&mut tar::Builder<&mut Vec<u8>>)) -> Bytes {
    let mut content = Vec::new();
    let mut builder = tar::Builder::new(&mut content);
    fill(&mut builder);
    builder.finish().unwrap();
    drop(builder);
    zstd::encode_all(content.as_slice(), 1).unwrap().into()
}

/// The replica of a release, for an instance if it is a dedicated one.
pub(super) fn replica(release: &DesiredRelease, generation: u64) -> DesiredReplica {
    let dedicated = release.manifest.service.tenancy == api::manifest::Tenancy::Dedicated;
    DesiredReplica {
        replica: ReplicaId::named(&[release.digest.as_str()]),
        digest: release.digest.clone(),
        service: release.service.clone(),
        instance: dedicated.then(|| InstanceId::named(&["instance"])),
        size: Some("small".into()),
        generation,
        process: "web".to_owned(),
        index: 0,
    }
}
