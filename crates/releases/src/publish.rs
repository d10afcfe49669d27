//! Publishing: checked in full, then staged.

use std::{collections::HashMap, sync::Arc};

use api::{
    manifest::Manifest,
    prices::PriceBook,
    releases::{
        ListReleases, ListServices, OnNodes, PublishRelease, Release, ReleasePhase, ReleaseState,
        ReplicaState, SOURCE_CHARS_MAX, ServiceSummary, signed_text,
    },
};
use chassis::Call;
use ed25519_dalek::Signature;
use types::{Digest, Page};

use crate::{
    Error, State, announce, keys, packages,
    planning::{self, Plan},
    said::Report,
    store::{self, Stored},
};

pub(crate) async fn publish_release(cx: Call<State>, op: PublishRelease) -> Result<Release, Error> {
    check_signature(&op)?;
    let is_long = |source: &String| source.chars().count() > SOURCE_CHARS_MAX;
    if op.source.as_ref().is_some_and(|it| is_long(it) || it.contains(char::is_control)) {
        return Err(Error::Source);
    }
    let (manifest, prices) = checked(&op)?;
    // Nobody deletes the package before the release is one of the last.
    let held = cx.state().turns.of(&op.digest).lock_owned().await;
    packages::check_texts(cx.room().clone(), op.digest.clone(), op.manifest, op.prices).await?;
    let release = Release {
        digest: op.digest,
        service: op.service,
        phase: ReleasePhase::Announcing,
        public_key: op.public_key.to_lowercase(),
        signature: op.signature.to_lowercase(),
        source: op.source,
        created: cx.now(),
        published_by: Some(cx.caller.principal.clone()),
        problem: None,
        current: false,
        does_old_jobs: false,
        collected: false,
        on_nodes: OnNodes::default(),
    };
    let mut write = cx.begin().await?;
    let (service, key, now) = (&release.service, &release.public_key, release.created);
    store::bind_publisher(write.tx(), service, key, now).await?;
    keys::may_sign(write.tx(), service, key).await?;
    let turn = store::next_turn(write.tx(), &release.service).await?;
    let stored = Stored { release, manifest, prices, turn };
    // Published again, it is announced again: whatever was missed is told now.
    store::put_release(write.tx(), &stored).await?;
    write.commit().await?;
    drop(held);
    // The reconciler would do it too; done here, the publisher is told how it went.
    if let Err(problem) = announce::step(cx.room().clone()).await {
        tracing::warn!(%problem, "the announcement will be tried again");
    }
    let (service, digest) = (&stored.release.service, &stored.release.digest);
    let now = store::release(cx.db(), service, digest).await?;
    let current = store::current_of(cx.db(), service).await?;
    let release = now.ok_or(Error::NoService)?.release;
    let is_current = current.is_some_and(|(current, _)| current == *digest);
    Ok(Release { current: is_current, ..release })
}

fn check_signature(op: &PublishRelease) -> Result<(), Error> {
    let (_, key) = keys::parsed(&op.public_key).ok_or(Error::Signature)?;
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
    if releases.is_empty() && !store::is_known(cx.db(), &op.service).await? {
        return Err(Error::NoService);
    }
    let page = Page::cut(releases, &cursor, |stored| stored.turn.to_string());
    let plan = planning::plan(&cx).await?;
    let living = cx.state().nodes.reports(cx.now());
    let said = said(&plan, &living);
    let is_current =
        |release: &Release| plan.releases.is_current(&release.service, &release.digest);
    let kept = store::kept(cx.db()).await?;
    let is_kept = |it: &Release| kept.contains(&(it.service.clone(), it.digest.clone()));
    let digests = page.items.iter().map(|stored| &stored.release.digest);
    let there = store::packages_of(cx.db(), digests).await?;
    let shown = |stored: Stored| Release {
        collected: !there.contains(&stored.release.digest),
        current: is_current(&stored.release),
        does_old_jobs: is_kept(&stored.release),
        on_nodes: said(&stored.release.digest),
        ..stored.release
    };
    Ok(Page { items: page.items.into_iter().map(shown).collect(), next: page.next })
}

/// What the living say of releases, each of which is looked for once.
fn said(plan: &Plan, living: &[Arc<Report>]) -> impl Fn(&Digest) -> OnNodes {
    let mut said: HashMap<&Digest, OnNodes> = HashMap::new();
    for node in living {
        for report in &node.releases {
            let of = said.entry(&report.digest).or_default();
            of.ready += u32::from(report.state == ReleaseState::Ready);
            if report.state == ReleaseState::Failed {
                of.failed += 1;
                tell_problem(of, node, &report.log);
            }
        }
        for report in &node.replicas {
            let of = said.entry(&report.digest).or_default();
            of.healthy += u32::from(report.state == ReplicaState::Healthy);
            if report.state.has_failed() {
                tell_problem(of, node, &report.log);
            }
        }
    }
    move |digest| {
        let said = said.get(digest).cloned().unwrap_or_default();
        OnNodes { nodes: count(living.len()), replicas: count(plan.replicas_of(digest)), ..said }
    }
}

fn tell_problem(of: &mut OnNodes, node: &Report, log: &str) {
    of.problem.get_or_insert_with(|| format!("node `{}`: {}", node.name, log.trim()));
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
    let plan = planning::plan(&cx).await?;
    let living = cx.state().nodes.reports(cx.now());
    let said = said(&plan, &living);
    let summary = |stored: Stored| {
        let OnNodes { ready, healthy, .. } = said(&stored.release.digest);
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
