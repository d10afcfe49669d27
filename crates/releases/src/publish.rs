//! Publishing: checked in full, then announced.

use api::{
    manifest::Manifest,
    prices::PriceBook,
    releases::{
        ListReleases, ListServices, Node, OnNodes, PublishRelease, Release, ReleasePhase,
        ReleaseState, ReplicaState, ServiceSummary, signed_text,
    },
};
use chassis::Call;
use ed25519_dalek::{Signature, VerifyingKey};
use types::{Digest, Page};

use crate::{
    Error, State, announce, packages,
    planning::{self, ALIVE, Plan},
    store::{self, Stored},
};

pub(crate) async fn publish_release(cx: Call<State>, op: PublishRelease) -> Result<Release, Error> {
    check_signature(&op)?;
    let (manifest, prices) = checked(&op)?;
    let path = cx.state().path(&op.digest);
    packages::check_texts(path, op.digest.clone(), op.manifest, op.prices).await?;
    let release = Release {
        digest: op.digest,
        service: op.service,
        phase: ReleasePhase::Announcing,
        public_key: op.public_key.to_lowercase(),
        signature: op.signature.to_lowercase(),
        created: cx.now(),
        problem: None,
        current: false,
        on_nodes: OnNodes::default(),
    };
    let mut write = cx.begin().await?;
    let bound = store::bind_publisher(write.tx(), &release.service, &release.public_key).await;
    if !bound? {
        return Err(Error::OtherPublisher(release.service));
    }
    let turn = store::next_turn(write.tx(), &release.service).await?;
    let stored = Stored { release, manifest, prices, turn };
    // Published again, it is announced again: whatever was missed is told now.
    store::put_release(write.tx(), &stored).await?;
    write.commit().await?;
    // The reconciler would do it too; done here, the publisher is told how it went.
    if let Err(problem) = announce::step(cx.room().clone()).await {
        tracing::warn!(%problem, "the announcement will be tried again");
    }
    let (service, digest) = (&stored.release.service, &stored.release.digest);
    let now = store::release(cx.db(), service, digest).await?;
    let release = now.ok_or(Error::NoService)?.release;
    Ok(Release { current: release.phase == ReleasePhase::Published, ..release })
}

fn check_signature(op: &PublishRelease) -> Result<(), Error> {
    let key = chassis::unhex::<32>(&op.public_key).ok_or(Error::Signature)?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| Error::Signature)?;
    let signature = chassis::unhex::<64>(&op.signature).ok_or(Error::Signature)?;
    let text = signed_text(&op.service, &op.digest);
    key.verify_strict(text.as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| Error::Signature)
}

fn checked(op: &PublishRelease) -> Result<(Manifest, PriceBook), Error> {
    let faults = |faults: api::manifest::Faults| Error::Faults(faults.to_string());
    let manifest = Manifest::parse("mandate.toml", &op.manifest).map_err(faults)?;
    let prices = PriceBook::parse("prices.toml", &op.prices).map_err(faults)?;
    prices.check_against("prices.toml", &op.prices, &manifest).map_err(faults)?;
    if manifest.service.name != op.service {
        let (named, found) = (op.service.clone(), manifest.service.name);
        return Err(Error::OtherService { named, found });
    }
    Ok((manifest, prices))
}

pub(crate) async fn list_releases(
    cx: Call<State>,
    op: ListReleases,
) -> Result<Page<Release>, Error> {
    let cursor = op.cursor();
    let releases = store::releases(cx.db(), &op.service, &cursor).await?;
    let page = Page::cut(releases, &cursor, |stored| stored.turn.to_string());
    let nodes = store::alive_nodes(cx.db(), cx.now().minus(ALIVE)).await?;
    let plan = planning::plan(&cx).await?;
    let shown = |stored: Stored| Release {
        current: plan.current.iter().any(|current| current.release.digest == stored.release.digest),
        on_nodes: on_nodes(&stored.release.digest, &plan, &nodes),
        ..stored.release
    };
    Ok(Page { items: page.items.into_iter().map(shown).collect(), next: page.next })
}

/// What the living say of a release.
fn on_nodes(digest: &Digest, plan: &Plan, nodes: &[Node]) -> OnNodes {
    let mut said = OnNodes { nodes: count(nodes.len()), ..OnNodes::default() };
    said.replicas = count(plan.replicas_of(digest));
    for node in nodes {
        let mut problem = None;
        for report in node.releases.iter().filter(|report| report.digest == *digest) {
            said.ready += u32::from(report.state == ReleaseState::Ready);
            if report.state == ReleaseState::Failed {
                said.failed += 1;
                problem = Some(&report.log);
            }
        }
        for report in node.replicas.iter().filter(|report| report.digest == *digest) {
            said.healthy += u32::from(report.state == ReplicaState::Healthy);
            if report.state == ReplicaState::Failing {
                problem.get_or_insert(&report.log);
            }
        }
        let told = problem.map(|log| format!("node `{}`: {}", node.name, log.trim()));
        said.problem = said.problem.or(told);
    }
    said
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(crate) async fn list_services(
    cx: Call<State>,
    op: ListServices,
) -> Result<Page<ServiceSummary>, Error> {
    let cursor = op.cursor();
    let services = store::services(cx.db(), &cursor).await?;
    let nodes = store::alive_nodes(cx.db(), cx.now().minus(ALIVE)).await?;
    let plan = planning::plan(&cx).await?;
    let summary = |stored: Stored| {
        let OnNodes { ready, healthy, .. } = on_nodes(&stored.release.digest, &plan, &nodes);
        ServiceSummary {
            title: stored.manifest.service.title,
            nodes_ready: ready,
            replicas_healthy: healthy,
            release: stored.release.digest,
            service: stored.release.service,
        }
    };
    let page = Page::cut(services, &cursor, |stored| stored.release.service.to_string());
    Ok(Page { items: page.items.into_iter().map(summary).collect(), next: page.next })
}
