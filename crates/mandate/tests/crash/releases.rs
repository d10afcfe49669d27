//! The process is killed after each durable step of a publication in turn. Started again, everybody
//! has the release, or nobody has anything of it until it is published again.

use api::{
    Client, Problem,
    access::ListPermissions,
    provider::GetOffer,
    releases::{
        ListReleases, ListRollouts, PromoteRelease, PublishRelease, PutPackage, PutPackagePart,
        ReleasePhase, RolloutState, signed_text,
    },
};
use bytes::Bytes;
use db::EngineKind;
use ed25519_dalek::{Signer as _, SigningKey};
use types::{Digest, Name};

use crate::{platform::Platform, shop::operator};

const MANIFEST: &str = include_str!("service/mandate.toml");
const PRICES: &str = include_str!("service/prices.toml");

#[tokio::test]
async fn a_release_survives_a_kill_after_each_durable_step() {
    let mut platform = Platform::new("releases", EngineKind::Sqlite);
    platform.start().await;
    let publish = async |platform: &mut Platform, steps| {
        let release = Publication::new(steps);
        let token = operator(platform).await;
        let go_on = async |platform: &Platform| release.go_on(&platform.client(Some(&token))).await;
        let killed = platform.goes_on(steps, go_on).await;
        release.check(&platform.client(Some(&token))).await;
        killed
    };
    let steps = platform.killed_after_each_step(1, publish).await;
    assert!(steps > 10, "a publication has more durable steps than {steps}");
    platform.stop().await;
}

struct Publication {
    publish: PublishRelease,
    package: Bytes,
    permission: String,
}

pub(crate) fn service() -> Name {
    "counter".parse().unwrap()
}

/// A release with this manifest, and more files in its package; always by the same publisher.
pub(crate) fn packed(manifest: String, files: &[(&str, &str)]) -> (PublishRelease, Bytes) {
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (name, text) in [("mandate.toml", &*manifest), ("prices.toml", PRICES)].iter().chain(files)
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let package = Bytes::from(archive.into_inner().unwrap().finish().unwrap());
    let (key, digest) = (SigningKey::from_bytes(&[7; 32]), Digest::of(&package));
    let signature = key.sign(signed_text(&service(), &digest).as_bytes());
    let publish = PublishRelease {
        service: service(),
        digest,
        manifest,
        prices: PRICES.to_owned(),
        public_key: chassis::hex(key.verifying_key().as_bytes()),
        signature: chassis::hex(&signature.to_bytes()),
        source: None,
    };
    (publish, package)
}

/// Sends a small package.
pub(crate) async fn put_package(client: &Client, package: Bytes) -> Result<(), Problem> {
    let (digest, bytes) = (Digest::of(&package), package.len() as u64);
    client.upload(PutPackagePart { digest: digest.clone(), offset: 0 }, package).await?;
    client.call(PutPackage { digest, bytes }).await.map(drop)
}

impl Publication {
    /// A release with a permission of its own.
    fn new(number: u64) -> Self {
        let verb = format!("count{number}");
        let manifest = format!(
            "{MANIFEST}\n[permissions]\n{verb} = {{ title = \"Count\", level = \"write\" }}\n"
        );
        let (publish, package) = packed(manifest, &[]);
        Self { publish, package, permission: format!("counter.{verb}") }
    }

    /// Publishes it if it is not known, promotes it once it is staged, and answers whether it is
    /// current, everybody is on it, and nothing is known of the one before. What was begun goes on by itself.
    async fn go_on(&self, client: &Client) -> Result<bool, Problem> {
        let list = ListReleases { service: service(), after: None, limit: Some(1) };
        let newest = match client.call(list).await {
            Err(problem) if problem.kind == api::Kind::NotFound => None,
            listed => listed?.items.into_iter().next(),
        };
        let known = newest.filter(|release| release.digest == self.publish.digest);
        if let Some(release) = known {
            assert_ne!(release.phase, ReleasePhase::Failed, "{:?}", release.problem);
            let list = ListRollouts { service: service(), after: None, limit: Some(1) };
            let rollout = client.call(list).await?.items.into_iter().next();
            let ours = rollout.filter(|rollout| rollout.to == release.digest);
            if let Some(rollout) = ours {
                let is_done = release.current && rollout.state == RolloutState::Done;
                // `access` is told after the end that nobody is on the one before.
                return Ok(is_done && permissions(client).await? == [self.permission.as_str()]);
            }
            if release.phase == ReleasePhase::Staged {
                // The permission of the one before goes.
                let promote = PromoteRelease::new(service(), release.digest);
                let promote = PromoteRelease { accept_loss: true, ..promote };
                match client.call(promote).await {
                    // The node makes it ready meanwhile.
                    Err(problem) if problem.code == "nodes_not_ready" => {}
                    promoted => drop(promoted?),
                }
            }
            return Ok(false);
        }
        put_package(client, self.package.clone()).await?;
        client.call(self.publish.clone()).await.map(|_| false)
    }

    /// Everybody has it, and nothing of another.
    async fn check(&self, client: &Client) {
        let offer = client.call(GetOffer { service: service() }).await.unwrap();
        assert_eq!(offer.release, self.publish.digest);
        assert_eq!(permissions(client).await.unwrap(), [self.permission.as_str()]);
    }
}

/// The permissions that `access` knows of the service.
async fn permissions(client: &Client) -> Result<Vec<String>, Problem> {
    let list = ListPermissions { service: Some(service()), ..ListPermissions::default() };
    let known = client.call(list).await?.items;
    Ok(known.iter().map(|entry| entry.permission.as_str().to_owned()).collect())
}
