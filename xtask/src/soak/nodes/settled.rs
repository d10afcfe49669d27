//! What must be true in the end, and what is told of how it came to that.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, bail};

use super::{
    MACHINES, Scene,
    history::{Outcome, compare, notes},
};
use crate::{
    demo::browser::Browser,
    process::{processes_of, until, variable},
};

/// The services whose processes serve all instances.
const SHARED: [&str; 2] = ["common", "pool"];
/// Everything is well again within this time.
const SETTLES_LONGEST: Duration = Duration::from_mins(3);

/// Waits until each host answers and each instance runs exactly once; what serves all, on each node.
pub(super) async fn settles(scene: &Scene) -> anyhow::Result<()> {
    let mut last = String::new();
    let settled = until(SETTLES_LONGEST, async || {
        last = unsettled(scene).await?;
        Ok(last.is_empty().then_some(()))
    });
    match settled.await? {
        Some(()) => Ok(()),
        None => bail!("after {} s {last}", SETTLES_LONGEST.as_secs()),
    }
}

/// What is not as it should be; nothing if all is.
async fn unsettled(scene: &Scene) -> anyhow::Result<String> {
    let places = scene.places().await?;
    if places.len() < MACHINES.len() {
        return Ok(format!("only {:?} are heard of", places.keys()));
    }
    for host in scene.hosts.values() {
        let answer = Browser::new(scene.port, host).read("/").await;
        let status = answer.map_or(0, |answer| answer.status);
        if status != 200 {
            return Ok(format!("{host} answers {status}"));
        }
    }
    let running = running(scene);
    let is_shared = |host: &str| SHARED.into_iter().any(|service| super::is_of(host, service));
    let shared = SHARED.into_iter().filter(|service| scene.hosts_of(service).next().is_some());
    for host in scene.hosts.values().map(String::as_str).chain(shared) {
        let wanted = match host {
            service if SHARED.contains(&service) => MACHINES.len(),
            host if is_shared(host) => 0,
            _ => 1,
        };
        let found = running.get(host).copied().unwrap_or_default();
        if found != wanted {
            return Ok(format!("{host} runs {found} times and not {wanted}"));
        }
    }
    Ok(String::new())
}

/// How many processes there are that serve each instance, by its host, and each service that serves
/// all of them, by its name.
fn running(scene: &Scene) -> BTreeMap<String, usize> {
    let mut running = BTreeMap::new();
    for pid in processes_of(&scene.folder) {
        if variable(pid, "PORT").is_none() {
            continue;
        }
        let url = variable(pid, "PUBLIC_URL");
        let host = url.and_then(|url| url.split(['/', ':']).nth(3).map(str::to_owned));
        if let Some(of) = host.or_else(|| variable(pid, "MANDATE_SERVICE")) {
            *running.entry(of).or_default() += 1;
        }
    }
    running
}

/// Whoever was told that an instance is closed must find that in its record.
pub(super) fn nobody_was_closed_out_for_nothing(scene: &Scene) {
    let (seen, closed) = (scene.seen.borrow(), scene.closed.borrow());
    for host in seen.closed.keys().filter(|host| !closed.contains(*host)) {
        scene.wrong.borrow_mut().push(format!("{host} was closed, and its record does not say so"));
    }
}

/// Waits until each job that was taken has had its effect.
pub(super) async fn all_jobs_are_done(scene: &Scene, folder: &Path) -> anyhow::Result<()> {
    let done = until(SETTLES_LONGEST, async || {
        let outcome = compare(&scene.seen.borrow().asked, &notes(folder)?);
        Ok(outcome.missing.is_empty().then_some(()))
    });
    done.await?.context("some jobs have had no effect")
}

/// Tells of all of it.
pub(super) fn report(scene: &Scene, outcome: &Outcome) {
    let seen = scene.seen.borrow();
    let row = |what: &str, count: u64| println!("  {what:<52}{count:>8}");
    let size = |several: &[String]| several.len() as u64;
    println!("\nWhat happened");
    for (what, times) in scene.happened.borrow().iter() {
        row(what, u64::from(*times));
    }
    println!("Requests");
    let failed: u64 = seen.failed.values().sum();
    let closed: u64 = seen.closed.values().sum();
    row("sent", seen.answered + seen.excused + closed + failed);
    row("answered", seen.answered);
    row("not answered, while the replica was lost", seen.excused);
    row("told that it is closed, while its database moved", closed);
    row("not answered although a replica lived", failed);
    for (why, times) in &seen.failed {
        row(&format!("  {why}"), *times);
    }
    println!("Jobs");
    row("asked for and taken", seen.asked.len() as u64);
    for (why, times) in &seen.refused {
        row(&format!("not taken, to be asked for again: {why}"), *times);
    }
    row("taken without the answer being heard", outcome.unheard as u64);
    row("started again, since an attempt was lost", outcome.again as u64);
    row("attempts that came too late and changed nothing", outcome.stale as u64);
    row("had no effect", size(&outcome.missing));
    row("had their effect twice", size(&outcome.twice));
    row("ran twice at once", size(&outcome.beside));
    for line in seen.first.iter().chain(scene.wrong.borrow().iter()) {
        println!("  {line}");
    }
    let jobs = [&outcome.missing, &outcome.twice, &outcome.beside];
    for job in jobs.into_iter().flatten().take(20) {
        println!("  {job}");
    }
}
