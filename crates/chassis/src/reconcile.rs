//! Keeping something true.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use api::Problem;
use futures_util::FutureExt as _;
use types::Timestamp;

use crate::Room;

/// When a reconciler wants to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more to do at once.
    Now,
    /// Something is under way; look again in a moment.
    Soon,
    /// Something is due after this long; look again then, or when something changes.
    In(Duration),
    /// All is as it should be, until something changes.
    Idle,
}

impl Next {
    /// To rest until the first of what waits is due; `None` if it is due by now.
    pub fn rest(first: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        match first {
            None => Some(Self::Idle),
            Some(due) => (due > now).then(|| Self::In(due.since(now))),
        }
    }
}

/// What a step comes to. One that panics has failed, and is tried again like any other: what it was
/// to keep true would otherwise be nobody's matter any more.
async fn attempt<E: Into<Problem>>(
    step: impl Future<Output = Result<Next, E>>,
) -> Result<Next, Problem> {
    // The step is gone after a panic, and what it shares is a transaction's or behind a lock.
    let outcome = AssertUnwindSafe(step).catch_unwind().await;
    outcome.map_or_else(
        |_| {
            tracing::error!("a step panicked");
            Err(Problem::internal())
        },
        |outcome| outcome.map_err(Into::into),
    )
}

/// Until what could not be done is tried again; doubled after each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long to wait before a row is looked at again with which something was tried so often in vain.
/// It is due later by itself, so it holds up no other.
pub fn pause(tries: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.pow(tries.min(10))).min(LONGEST_PAUSE)
}

const SOON: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What has a step run again before it is due.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wakes {
    ByChanges,
    ByTime,
}

/// Runs `step` for as long as it is polled.
pub(crate) async fn keep<S, F, A, E>(room: Room<S>, what: &'static str, wakes: Wakes, step: F)
where
    F: Fn(Room<S>) -> A,
    A: Future<Output = Result<Next, E>>,
    E: Into<Problem>,
{
    let mut pause = SOON;
    loop {
        // Armed before looking, so that a change while the step runs is not missed.
        let changed = room.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let patience = match attempt(step(room.clone())).await {
            Ok(next) => {
                pause = SOON;
                match next {
                    Next::Now => continue,
                    Next::Soon => SOON,
                    Next::In(patience) => patience.min(IDLE),
                    Next::Idle => IDLE,
                }
            }
            Err(problem) => {
                tracing::warn!(component = room.inner().name, what, %problem, "will be tried again");
                // Whatever changes meanwhile, a step that fails is not tried faster.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
        };
        match wakes {
            Wakes::ByChanges => drop(tokio::time::timeout(patience, changed).await),
            Wakes::ByTime => tokio::time::sleep(patience).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn who_waits_waits_longer_each_time_and_never_too_long(tries in 0_u32..100) {
            prop_assert_eq!(pause(tries + 1), (pause(tries) * 2).min(LONGEST_PAUSE));
            prop_assert_eq!(pause(0), FIRST_PAUSE);
        }
    }

    #[tokio::test]
    async fn a_step_that_panics_has_failed_and_is_tried_again() {
        let panics =
            async { if true { panic!("on purpose") } else { Ok::<_, Problem>(Next::Idle) } };
        assert_eq!(attempt(panics).await.unwrap_err().kind, api::Kind::Internal);
        assert_eq!(attempt(async { Ok::<_, Problem>(Next::Now) }).await.unwrap(), Next::Now);
    }
}
