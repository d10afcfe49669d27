//! Step 2: services are published, and run on the machine's own node.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    Demo,
    person::{items, number, text},
    updates,
};
use crate::process::until;

/// How long a node may take to fetch, build and start a release.
const READY_LONGEST: Duration = Duration::from_mins(3);

/// Publishes both.
pub(crate) async fn publish(demo: &Demo) -> anyhow::Result<()> {
    // The forum is one process for all instances, which runs at once; a store has its own.
    published(demo, "services", "forum", 1).await?;
    let newest = updates::newest(demo);
    published(demo, &newest.to_string_lossy(), "store", 0).await?;
    let permissions = demo.operator.ask("permissions --service forum").await?;
    let known = items(&permissions)?.iter().any(|entry| entry["permission"] == "forum.addUsers");
    ensure!(known, "access does not know `forum.addUsers`: {permissions}");
    let offer = demo.operator.read("offer show forum").await?;
    ensure!(offer.contains("9.00"), "the offer does not show its price: {offer}");
    demo.story.done("access knows `forum.addUsers`; the forum is on offer for 9.00 USD per month");
    prices(demo).await
}

/// Prices can be published at any time, without a release. These make the bill of a minute worth
/// looking at.
async fn prices(demo: &Demo) -> anyhow::Result<()> {
    // Prices may begin with the hour in which they are published.
    let nodes = demo.operator.ask("node list").await?;
    let hour: String = text(&nodes, "/items/0/seen")?.chars().take(13).collect();
    let effective = format!("effective = {hour}:00:00Z");
    let changes = [
        ("effective = 2026-01-01T00:00:00Z", effective.as_str()),
        ("included = 1_000, unit = \"0.0010\"", "included = 0, unit = \"0.25\""),
    ];
    let folder = demo.data.join("prices");
    changed("forum", &folder, &[], &changes)?;
    demo.operator.ask(&format!("service prices {}", folder.display())).await?;
    demo.story
        .done(format!("new prices, without a release: from {hour}:00 on a post costs 0.25 USD"));
    Ok(())
}

/// Writes a service's manifest and prices into a folder, with something replaced.
pub(crate) fn changed(
    service: &str,
    folder: &Path,
    manifest: &[(&str, &str)],
    prices: &[(&str, &str)],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for (file, changes) in [("mandate.toml", manifest), ("prices.toml", prices)] {
        let mut text = fs::read_to_string(Path::new("services").join(service).join(file))?;
        for (from, to) in changes {
            let parts = text.split_once(from);
            let (before, after) = parts.with_context(|| format!("`{file}` has no `{from}`"))?;
            text = format!("{before}{to}{after}");
        }
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}

/// Publishes the service of a folder, which an earlier run may have published otherwise, and waits until
/// a node has it and enough replicas.
pub(crate) async fn published(
    demo: &Demo,
    folder: &str,
    service: &str,
    replicas: i64,
) -> anyhow::Result<()> {
    let release =
        demo.operator.ask(&format!("service publish {folder}/{service} --promote")).await?;
    let digest = text(&release, "/digest")?;
    let short: String = digest.chars().take(19).collect();
    let key: String = text(&release, "/public_key")?.chars().take(8).collect();
    demo.story
        .done(format!("`{service}` is checked, packed and published: {short}…, signed by {key}…"));
    let ready = until(READY_LONGEST, async || {
        check_nodes(demo, digest).await?;
        let services = demo.operator.ask("service list").await?;
        let found = items(&services)?.iter().find(|entry| entry["service"] == service);
        let Some(found) = found.filter(|found| found["release"] == digest) else { return Ok(None) };
        let enough =
            number(found, "/nodes_ready")? > 0 && number(found, "/replicas_healthy")? >= replicas;
        Ok(enough.then(|| found.clone()))
    });
    let ready: Value =
        ready.await?.with_context(|| format!("`{service}` is not ready on any node"))?;
    let (nodes, healthy) = (number(&ready, "/nodes_ready")?, number(&ready, "/replicas_healthy")?);
    demo.story.done(format!(
        "`{service}` is fetched, verified, built: {nodes} node ready, {healthy} healthy replicas"
    ));
    Ok(())
}

/// A release that a node cannot run will not become ready.
async fn check_nodes(demo: &Demo, digest: &str) -> anyhow::Result<()> {
    let nodes = demo.operator.ask("node list").await?;
    for node in items(&nodes)? {
        let reports = node["releases"].as_array().map_or(&[][..], Vec::as_slice);
        let failed =
            reports.iter().find(|report| report["digest"] == digest && report["state"] == "failed");
        ensure!(
            failed.is_none(),
            "a node cannot run the release: {}",
            failed.unwrap_or(&Value::Null)
        );
    }
    Ok(())
}
