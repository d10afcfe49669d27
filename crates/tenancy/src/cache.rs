//! Remembers whom a host belongs to.
//!
//! INVARIANT: at most one question per host is under way, and at most [`ENTRIES_MAX`] hosts are
//! remembered, whatever hosts strangers make up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use types::{Clock, Host, Period, Timestamp};

use crate::{Error, Tenant, source::Source};

/// How long a tenant is remembered.
const HIT: Duration = Duration::from_secs(5);
/// How long it is remembered that there is nobody.
const MISS: Duration = Duration::from_secs(1);
/// How long a tenant is served past its time while the source does not answer.
const GRACE: Duration = Duration::from_mins(1);
/// How long the source is left alone after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How many hosts are remembered.
const ENTRIES_MAX: usize = 10_000;

type Found = Option<Arc<Tenant>>;

pub(crate) struct Cache {
    source: Source,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<Host, Arc<Entry>>>,
}

/// What is known of one host.
#[derive(Default)]
struct Entry {
    known: Mutex<Known>,
    /// Held by the one who asks.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    answer: Option<(Found, Timestamp)>,
    failure: Option<(Error, Timestamp)>,
}

/// Whether that is no longer ago. A clock that was set back does not know.
fn is_within(long: Duration, at: Timestamp, now: Timestamp) -> bool {
    Period::lasting(at, long).contains(now)
}

impl Known {
    /// What can be said at `now` without asking.
    fn fresh(&self, now: Timestamp) -> Option<Result<Found, Error>> {
        if let Some((found, at)) = &self.answer
            && is_within(if found.is_some() { HIT } else { MISS }, *at, now)
        {
            return Some(Ok(found.clone()));
        }
        match &self.failure {
            Some((error, at)) if is_within(PAUSE, *at, now) => {
                Some(self.stale(now).ok_or_else(|| error.clone()))
            }
            _ => None,
        }
    }

    /// What may be said while somebody else waits for a source that did not answer before.
    fn while_silent(&self, now: Timestamp) -> Option<Found> {
        self.failure.as_ref().and_then(|_| self.stale(now))
    }

    /// What may be said if the source does not answer.
    fn stale(&self, now: Timestamp) -> Option<Found> {
        let (found, at) = self.answer.as_ref()?;
        (found.is_some() && is_within(HIT + GRACE, *at, now)).then(|| found.clone())
    }
}

impl Cache {
    pub(crate) fn new(source: Source, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, entries: Mutex::default() }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) async fn by_host(&self, host: &Host) -> Result<Found, Error> {
        let Source::Platform(_) = &self.source else { return self.source.ask(host).await };
        let entry = self.entry(host);
        if let Some(answer) = lock(&entry.known).fresh(self.clock.now()) {
            return answer;
        }
        let free = entry.flight.try_lock().ok();
        if free.is_none()
            && let Some(stale) = lock(&entry.known).while_silent(self.clock.now())
        {
            return Ok(stale);
        }
        let _flight = match free {
            Some(flight) => flight,
            None => entry.flight.lock().await,
        };
        // Whoever flew before may have brought the answer for all.
        if let Some(answer) = lock(&entry.known).fresh(self.clock.now()) {
            return answer;
        }
        let asked = self.source.ask(host).await;
        let now = self.clock.now();
        let mut known = lock(&entry.known);
        match asked {
            Ok(found) => {
                *known = Known { answer: Some((found.clone(), now)), failure: None };
                Ok(found)
            }
            Err(error) => {
                known.failure = Some((error.clone(), now));
                known.stale(now).ok_or(error)
            }
        }
    }

    pub(crate) fn forget(&self, host: &Host) {
        lock(&self.entries).remove(host);
    }

    fn entry(&self, host: &Host) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(host) {
            return entry.clone();
        }
        if entries.len() >= ENTRIES_MAX {
            make_room(&mut entries);
        }
        entries.entry(host.clone()).or_default().clone()
    }
}

/// Drops an eighth, so that a full cache is not searched for each newcomer: first who is nobody,
/// then who was asked about longest ago.
fn make_room(entries: &mut HashMap<Host, Arc<Entry>>) {
    let mut order: Vec<_> = entries
        .iter()
        .map(|(host, entry)| {
            let known = lock(&entry.known);
            let somebody = known.answer.as_ref().is_some_and(|(found, _)| found.is_some());
            (somebody, known.answer.as_ref().map(|(_, at)| *at), host.clone())
        })
        .collect();
    order.sort_unstable();
    for (.., host) in order.into_iter().take(ENTRIES_MAX / 8) {
        entries.remove(&host);
    }
}

/// What the locks guard is whole after every statement, so a panic elsewhere leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_drops_strangers_before_tenants() {
        let mut entries = HashMap::new();
        let tenant = Tenant {
            instance: types::InstanceId::named(&["a"]),
            host: "a.localhost".parse().unwrap(),
            database_url: types::Secret::new("sqlite:a.db"),
            modules: std::collections::BTreeSet::new(),
            settings: std::collections::BTreeMap::new(),
            public_url: String::new(),
        };
        for number in 0..ENTRIES_MAX {
            let found = number.is_multiple_of(2).then(|| Arc::new(tenant.clone()));
            let at = Timestamp::from_micros(i64::try_from(number).unwrap());
            let entry = Entry::default();
            lock(&entry.known).answer = Some((found, at));
            entries.insert(format!("h{number}.localhost").parse().unwrap(), Arc::new(entry));
        }
        make_room(&mut entries);
        assert_eq!(entries.len(), ENTRIES_MAX - ENTRIES_MAX / 8);
        for number in (0..ENTRIES_MAX).step_by(2) {
            assert!(entries.contains_key(format!("h{number}.localhost").as_str()));
        }
    }
}
