//! Syncs what was written, and sends closed segments to billing.
//!
//! An event that billing refuses, such as one of 1970 after a start with a wrong clock, is set aside
//! there and named here; it does not hold up those that follow.

use std::{io, sync::Arc, time::Duration};

use api::{
    Client, Kind, Problem,
    billing::{RecordUsage, Recorded, UsageEvent},
};
use tokio::task::spawn_blocking;

use super::{journal::Journal, segment::Segment};

/// How often what was written is synced. A machine that dies may lose a second of it.
const SYNC_PERIOD: Duration = Duration::from_millis(500);
/// How often usage is sent.
const PERIOD: Duration = Duration::from_secs(1);
/// How long to leave billing alone when it does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The operation takes no more.
const BATCH: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the journal cannot be read")]
    File(#[from] io::Error),
    #[error("billing does not take the usage: {0}")]
    Billing(#[from] Problem),
    #[error("billing expects event {expected} and not {next} of the journal")]
    Sequence { next: u64, expected: u64 },
}

impl SendError {
    /// Whether it ends by itself.
    fn heals(&self) -> bool {
        match self {
            Self::Billing(problem) => matches!(
                problem.kind,
                Kind::Unavailable | Kind::Exhausted | Kind::Internal | Kind::Unauthenticated
            ),
            Self::File(_) | Self::Sequence { .. } => false,
        }
    }
}

/// Syncs and sends usage for as long as it is polled.
pub(crate) async fn send(journal: Arc<Journal>, client: Client, source: String) {
    tokio::join!(keep_synced(&journal), keep_sent(&journal, &client, &source));
}

async fn keep_synced(journal: &Arc<Journal>) {
    loop {
        tokio::time::sleep(SYNC_PERIOD).await;
        if let Err(cause) = blocking(journal, Journal::sync).await {
            tracing::error!(%cause, "usage is not safe from the end of this machine");
        }
    }
}

async fn keep_sent(journal: &Arc<Journal>, client: &Client, source: &str) {
    let mut pause = PERIOD;
    loop {
        tokio::time::sleep(pause).await;
        pause = match drain(journal, client, source).await {
            Ok(()) => PERIOD,
            Err(cause) => {
                if cause.heals() {
                    tracing::warn!(%cause, "usage is kept and sent later");
                } else {
                    tracing::error!(%cause, "usage is kept, and not sent until this is mended");
                }
                (pause * 2).min(PAUSE_MAX)
            }
        };
    }
}

/// Sends all that there is.
pub(crate) async fn drain(
    journal: &Arc<Journal>,
    client: &Client,
    source: &str,
) -> Result<(), SendError> {
    blocking(journal, Journal::sync).await?;
    // What was left over goes first; as long as it does not go, no more files are made.
    send_closed(journal, client, source).await?;
    blocking(journal, Journal::close_active).await?;
    send_closed(journal, client, source).await
}

async fn send_closed(
    journal: &Arc<Journal>,
    client: &Client,
    source: &str,
) -> Result<(), SendError> {
    for segment in blocking(journal, Journal::closed).await? {
        let events = blocking(journal, move |journal| journal.read_for_good(segment)).await?;
        let mut next = segment.first;
        for batch in events.chunks(BATCH) {
            next = send_batch(client, source, Segment { first: next, ..segment }, batch).await?;
        }
        blocking(journal, move |journal| journal.remove(segment)).await?;
    }
    Ok(())
}

async fn send_batch(
    client: &Client,
    source: &str,
    place: Segment,
    events: &[UsageEvent],
) -> Result<u64, SendError> {
    let batch = RecordUsage {
        source: source.to_owned(),
        epoch: place.epoch,
        first_sequence: place.first,
        events: events.to_vec(),
    };
    let recorded = client.call(batch).await?;
    tell_refused(source, place, events, &recorded);
    let next = place.first + events.len() as u64;
    if recorded.next_sequence < next {
        return Err(SendError::Sequence { next, expected: recorded.next_sequence });
    }
    Ok(next)
}

fn tell_refused(source: &str, place: Segment, events: &[UsageEvent], recorded: &Recorded) {
    for refused in &recorded.refused {
        let index = refused.sequence.checked_sub(place.first).and_then(|n| usize::try_from(n).ok());
        let (sequence, reason) = (refused.sequence, &refused.reason);
        let event = index.and_then(|index| events.get(index));
        tracing::error!(
            source,
            epoch = place.epoch,
            sequence,
            reason,
            ?event,
            "usage is set aside"
        );
    }
}

async fn blocking<T: Send + 'static>(
    journal: &Arc<Journal>,
    work: impl FnOnce(&Journal) -> io::Result<T> + Send + 'static,
) -> Result<T, SendError> {
    let journal = Arc::clone(journal);
    let done = spawn_blocking(move || work(&journal)).await;
    Ok(done.unwrap_or_else(|cause| Err(io::Error::other(cause)))?)
}
