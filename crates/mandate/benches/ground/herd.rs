//! Nodes that say what they are told to, and a service that runs nothing.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use api::{
    Client,
    http::token::{self, Claims},
    identity::{JoinNode, SignIn},
    releases::{
        Desired, DesiredReplica, Heartbeat, PublishRelease, PutPackage, PutPackagePart,
        ReleasePhase, ReplicaReport, ReplicaState, signed_text,
    },
};
use db::Engine;
use ed25519_dalek::{Signer as _, SigningKey};
use types::{Clock as _, Digest, Principal, Secret, SystemClock};

use crate::platform::Platform;

pub(crate) const MANIFEST: &str = include_str!("herd.toml");
const PRICES: &str = "service = \"herd\"\ncurrency = \"USD\"\neffective = 2026-01-01T00:00:00Z\n\
    [plans.basic]\ntitle = \"Basic\"\nmonthly = \"1.00\"\n\
    sizes.small = { per_hour = \"0.01\" }\n";

/// A node, and what it says.
pub(crate) struct Animal {
    pub(crate) client: Client,
    pub(crate) report: Heartbeat,
    pub(crate) desired: Desired,
}

impl Animal {
    pub(crate) async fn joins(
        platform: &Platform,
        number: u8,
        join_token: Secret,
    ) -> anyhow::Result<Self> {
        let key = SigningKey::from_bytes(&[number + 1; 32]);
        let public_key = chassis::hex(key.verifying_key().as_bytes());
        let name: types::Name = format!("node-{number}").parse()?;
        let join = JoinNode { join_token, name: name.clone(), public_key };
        let visitor = platform.house.visitor();
        let node = visitor.call(join).await?.node;
        let (sub, hour) = (Principal::Node(node), Duration::from_hours(1));
        let claims = Claims::new(sub, "releases", SystemClock.now(), hour);
        let token: Arc<str> = token::sign(&node.to_string(), &key, &claims).into();
        let client = visitor.with_token(Some(&token));
        let report = Heartbeat::new(node, name);
        let desired = client.call(report.clone()).await?;
        Ok(Self { client, report, desired })
    }
}

/// The databases of a platform with its data in a folder that is called like nothing else of this process.
pub(crate) fn engine(name: &str, server: &str, data: &Path) -> anyhow::Result<Engine> {
    if name == "sqlite" {
        return Ok(Engine::sqlite(data.join("databases")));
    }
    let called = data.file_name().context("the folder has no name")?.to_string_lossy();
    Ok(Engine::postgres(server)?.with_prefix(&format!("bench{}x{called}", std::process::id()))?)
}

/// Asks as whoever runs the platform.
pub(crate) async fn operator(platform: &Platform, data: &Path) -> anyhow::Result<Client> {
    let file = std::fs::read_to_string(data.join("operator.txt"))?;
    let line = |start: &str| file.lines().find_map(|line| line.strip_prefix(start));
    let email = line("e-mail: ").context("no e-mail")?.to_owned();
    let password = Secret::new(line("password: ").context("no password")?);
    let visitor = platform.house.visitor();
    let token = visitor.call(SignIn { email, password }).await?.token;
    Ok(visitor.with_token(Some(token.reveal())))
}

/// Stages a release with this manifest, or promotes it if it is the first one.
pub(crate) async fn publish(operator: &Client, manifest: &str) -> anyhow::Result<Digest> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1)?);
    for (name, content) in [("mandate.toml", manifest), ("prices.toml", PRICES)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_bytes())?;
    }
    let package = archive.into_inner()?.finish()?;
    let (digest, service) = (Digest::of(&package), "herd".parse()?);
    let bytes = package.len() as u64;
    operator.upload(PutPackagePart { digest: digest.clone(), offset: 0 }, package.into()).await?;
    operator.call(PutPackage { digest: digest.clone(), bytes }).await?;
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = key.sign(signed_text(&service, &digest).as_bytes());
    let publish = PublishRelease {
        service,
        digest,
        manifest: manifest.to_owned(),
        prices: PRICES.to_owned(),
        public_key: chassis::hex(key.verifying_key().as_bytes()),
        signature: chassis::hex(&signature.to_bytes()),
        source: None,
    };
    let release = operator.call(publish).await?;
    ensure!(release.phase == ReleasePhase::Staged, "{:?}", release.problem);
    Ok(release.digest)
}

/// What a node says of what it runs.
pub(crate) fn healthy(replica: &DesiredReplica) -> ReplicaReport {
    ReplicaReport {
        replica: replica.replica,
        digest: replica.digest.clone(),
        service: replica.service.clone(),
        process: replica.process.clone(),
        instance: replica.instance,
        address: "127.0.0.1:1".into(),
        state: ReplicaState::Healthy,
        starts: 1,
        next_start: None,
        log: "it listens".into(),
    }
}
