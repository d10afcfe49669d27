//! Asks new replicas whether they answer from here, and says which do. A node's word for it is not
//! enough: this machine may not reach that one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use api::{
    Client,
    manifest::Check,
    releases::{PutReached, REACHED_MAX},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until, timeout};
use types::{ReplicaId, Site};

use super::{
    hosts::Hosts,
    releases::{Home, New, Releases},
};
use crate::upstream::{endpoint::Endpoint, health::Probe};

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// So many are asked at the same time.
const AT_ONCE: usize = 32;
/// What has not answered is asked again after so long, and what has is named again after so long, for
/// whoever has forgotten it.
const AGAIN: Duration = Duration::from_secs(1);

/// How a new replica was found when it was asked last.
enum Found {
    Asked,
    Answers,
    Silent(Instant),
}

/// What is needed to ask.
pub(crate) struct Asking<'a> {
    pub(crate) hosts: &'a Hosts,
    pub(crate) releases: &'a Releases,
    pub(crate) site: Site,
}

/// Asks replicas that are not proven, and says which answer, for as long as it is polled.
pub(crate) async fn tell(from: &Asking<'_>, client: Client, gateway: String) {
    let mut found: HashMap<ReplicaId, (Arc<Endpoint>, Found)> = HashMap::new();
    let mut asking = FuturesUnordered::new();
    let mut say_at = Instant::now();
    loop {
        let changed = from.releases.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let unproven = from.releases.unproven();
        found.retain(|id, (it, _)| {
            unproven.get(id).is_some_and(|new| Arc::ptr_eq(&new.endpoint, it))
        });
        for (id, new) in unproven.iter() {
            let is_due = match found.get(id) {
                None => true,
                Some((_, Found::Silent(since))) => since.elapsed() >= AGAIN,
                Some((_, Found::Asked | Found::Answers)) => false,
            };
            if is_due && asking.len() < AT_ONCE {
                found.insert(*id, (Arc::clone(&new.endpoint), Found::Asked));
                asking.push(ask(from, *id, new.clone()));
            }
        }
        if say_at <= Instant::now() {
            say(&client, &gateway, &found).await;
            say_at = Instant::now() + AGAIN;
        }
        tokio::select! {
            () = changed => {}
            Some((id, endpoint, answered)) = asking.next() => {
                if let Some(it) = found.get_mut(&id).filter(|it| Arc::ptr_eq(&it.0, &endpoint)) {
                    it.1 = if answered { Found::Answers } else { Found::Silent(Instant::now()) };
                    if answered {
                        say_at = Instant::now();
                    }
                }
            }
            () = sleep_until(say_at), if !unproven.is_empty() => {}
        }
    }
}

async fn say(client: &Client, gateway: &str, found: &HashMap<ReplicaId, (Arc<Endpoint>, Found)>) {
    let answer = found.iter().filter(|(_, (_, found))| matches!(found, Found::Answers));
    let answer: Vec<_> = answer.map(|(id, (it, _))| (*id, it.authority.to_string())).collect();
    for some in answer.chunks(REACHED_MAX) {
        let replicas: BTreeMap<_, _> = some.iter().cloned().collect();
        let put = PutReached { gateway: gateway.to_owned(), replicas };
        if let Err(problem) = client.call(put).await {
            tracing::warn!(%problem, "nobody could be told which replicas answer");
            return;
        }
    }
}

async fn ask(from: &Asking<'_>, id: ReplicaId, new: New) -> (ReplicaId, Arc<Endpoint>, bool) {
    let New { home, endpoint } = new;
    let asked = timeout(ANSWER_TIME_MAX, answers(from, &home, &endpoint)).await;
    let trouble = asked.unwrap_or_else(|_| Err("nothing in time".to_owned())).err();
    if let Some(cause) = &trouble {
        tracing::warn!(replica = %id, at = %endpoint.authority, cause, "a new replica does not answer");
    }
    (id, endpoint, trouble.is_none())
}

/// Asks what its node asks it too. Where that is not a request, it is to take a connection.
async fn answers(
    from: &Asking<'_>,
    (release, instance, process): &Home,
    endpoint: &Endpoint,
) -> Result<(), String> {
    let manifest = from.releases.manifest(release).ok_or("its release is not known yet")?;
    let check = manifest.process(process).and_then(|process| process.health.clone());
    let probe = match check {
        Some(Check::Path(path)) => {
            let host = instance.and_then(|instance| from.hosts.host_of(instance));
            let port = from.site.port_suffix();
            let host = host.map_or_else(|| "localhost".to_owned(), |host| format!("{host}{port}"));
            Probe::Request { path, host }
        }
        Some(Check::Request { http, host }) => Probe::Request { path: http, host },
        Some(Check::Connection { .. } | Check::Command { .. }) | None => Probe::Connection,
    };
    probe.ask(from.site, endpoint).await
}
