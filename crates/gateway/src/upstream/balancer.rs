//! Which endpoint is asked next.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::endpoint::Endpoint;

/// How long an endpoint that could not be reached comes last.
const SHUN_MILLIS: i64 = 1_000;

/// Chooses among endpoints.
pub(crate) struct Balancer {
    began: Instant,
    turn: AtomicUsize,
}

impl Balancer {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), turn: AtomicUsize::default() }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The one with the least to do among those that could be reached lately and whose nodes are
    /// heard of; among equals they take turns. If there is none, all are tried all the same.
    pub(crate) fn choose<'a>(
        &self,
        all: &'a [Arc<Endpoint>],
        tried: &[&Arc<Endpoint>],
    ) -> Option<&'a Arc<Endpoint>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % all.len().max(1);
        let (after, before) = all.split_at_checked(first)?;
        let in_turn = before.iter().chain(after);
        let now = self.now();
        let untried = in_turn.filter(|it| !tried.iter().any(|tried| Arc::ptr_eq(tried, it)));
        untried.min_by_key(|endpoint| {
            let shunned = endpoint.shunned.load(Ordering::Relaxed) > now;
            let silent = endpoint.silent.load(Ordering::Relaxed);
            (shunned, silent, endpoint.in_flight.load(Ordering::Relaxed))
        })
    }

    /// It could not be reached.
    pub(crate) fn shun(&self, endpoint: &Endpoint) {
        endpoint.shunned.store(self.now() + SHUN_MILLIS, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::endpoint::Busy;

    #[test]
    fn the_least_busy_comes_first_and_the_unreachable_last() {
        let all: Vec<_> = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
            .iter()
            .map(|address| Arc::new(Endpoint::new(address, address).unwrap()))
            .collect();
        let balancer = Balancer::new();
        assert!(balancer.choose(&[], &[]).is_none());
        let _busy = [Busy::new(&all[0]), Busy::new(&all[0]), Busy::new(&all[1])];
        for _ in 0..5 {
            assert_eq!(balancer.choose(&all, &[]).unwrap().key.as_ref(), "127.0.0.1:3");
        }
        all[2].set_silent(true);
        assert_eq!(balancer.choose(&all, &[]).unwrap().key.as_ref(), "127.0.0.1:2");
        assert_eq!(balancer.choose(&all, &[&all[0], &all[1]]).unwrap().key.as_ref(), "127.0.0.1:3");
        all[2].set_silent(false);
        balancer.shun(&all[2]);
        assert_eq!(balancer.choose(&all, &[]).unwrap().key.as_ref(), "127.0.0.1:2");
        assert_eq!(balancer.choose(&all, &[&all[0], &all[1]]).unwrap().key.as_ref(), "127.0.0.1:3");
        assert!(balancer.choose(&all, &all.iter().collect::<Vec<_>>()).is_none());
    }
}
