//! The process is killed after each durable step of a publication in turn. Started again, everybody
//! has the release, or nobody has anything of it until it is published again.

use std::time::Duration;

use api::{
    Client, Problem,
    access::ListPermissions,
    identity::SignIn,
    provider::GetOffer,
    releases::{ListReleases, PublishRelease, PutPackage, ReleasePhase, signed_text},
};
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use types::{Digest, Name, Secret};

use crate::platform::Platform;

/// More steps than a publication has.
const STEPS_MAX: u64 = 60;
const MANIFEST: &str = include_str!("service/mandate.toml");
const PRICES: &str = include_str!("service/prices.toml");

#[tokio::test]
async fn a_release_survives_a_kill_after_each_durable_step() {
    let mut platform = Platform::new("releases", "sqlite");
    platform.start().await;
    for steps in 0..STEPS_MAX {
        let release = Publication::new(steps);
        let killed = release.see_through(&mut platform, steps).await;
        release.check(&operator(&mut platform).await).await;
        if !killed {
            assert!(steps > 10, "a publication has more durable steps than {steps}");
            platform.stop().await;
            return;
        }
    }
    panic!("after {STEPS_MAX} durable steps a publication was still killed");
}

/// Signs in. What else the process does takes steps too, so it may have used up the last one after
/// the publication was done: then it is started again.
async fn operator(platform: &mut Platform) -> Client {
    loop {
        let (email, password) = platform.operator();
        let sign_in = SignIn { email, password: Secret::new(password) };
        match platform.client(None).call(sign_in).await {
            Ok(signed_in) => return platform.client(Some(&signed_in.token)),
            Err(problem) => assert!(problem.is_transient(), "{problem}"),
        }
        if platform.was_killed() {
            platform.start().await;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

struct Publication {
    publish: PublishRelease,
    package: Bytes,
    permission: String,
}

fn service() -> Name {
    "counter".parse().unwrap()
}

impl Publication {
    /// A release with a permission of its own.
    fn new(number: u64) -> Self {
        let verb = format!("count{number}");
        let manifest = format!(
            "{MANIFEST}\n[permissions]\n{verb} = {{ title = \"Count\", level = \"write\" }}\n"
        );
        let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        for (name, text) in [("mandate.toml", manifest.as_str()), ("prices.toml", PRICES)] {
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
        };
        Self { publish, package, permission: format!("counter.{verb}") }
    }

    /// Publishes it with a kill after `steps` durable steps; answers whether there was one.
    async fn see_through(&self, platform: &mut Platform, steps: u64) -> bool {
        let mut client = operator(platform).await;
        platform.kill_after(steps);
        let mut killed = false;
        let done = tokio::time::timeout(Duration::from_mins(1), async {
            loop {
                match self.go_on(&client).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(problem) if problem.is_transient() => {}
                    Err(problem) => panic!("after {steps} steps: {problem}"),
                }
                if platform.was_killed() {
                    killed = true;
                    platform.start().await;
                    client = operator(platform).await;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        });
        assert!(done.await.is_ok(), "after {steps} steps it was never there\n{}", platform.log());
        platform.kill_never();
        killed
    }

    /// Publishes it if it is not known, and answers whether it holds. What was begun goes on by
    /// itself.
    async fn go_on(&self, client: &Client) -> Result<bool, Problem> {
        let list = ListReleases { service: service(), after: None, limit: Some(1) };
        let newest = client.call(list).await?.items.into_iter().next();
        let known = newest.filter(|release| release.digest == self.publish.digest);
        if let Some(release) = known {
            assert_ne!(release.phase, ReleasePhase::Failed, "{:?}", release.problem);
            return Ok(release.current && release.phase == ReleasePhase::Published);
        }
        let digest = self.publish.digest.clone();
        client.upload(PutPackage { digest }, self.package.clone()).await?;
        client.call(self.publish.clone()).await.map(|_| false)
    }

    /// Everybody has it, and nothing of another.
    async fn check(&self, client: &Client) {
        let offer = client.call(GetOffer { service: service() }).await.unwrap();
        assert_eq!(offer.release, self.publish.digest);
        let list = ListPermissions { service: Some(service()), ..ListPermissions::default() };
        let permissions = client.call(list).await.unwrap().items;
        let names: Vec<&str> = permissions.iter().map(|entry| entry.permission.as_str()).collect();
        assert_eq!(names, [self.permission.as_str()]);
    }
}
