//! Keeping something true.

use std::{future::Future, time::Duration};

use api::Problem;

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

const SOON: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Runs `step` for as long as it is polled.
pub(crate) async fn keep<S, F, A, E>(room: Room<S>, what: &'static str, step: F)
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
        let patience = match step(room.clone()).await.map_err(Into::into) {
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
                tracing::warn!(component = room.furniture().name, what, %problem, "will be tried again");
                // Whatever changes meanwhile, a step that fails is not tried faster.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                continue;
            }
        };
        let _ = tokio::time::timeout(patience, changed).await;
    }
}
