//! Sends closed segments to billing.

use std::{io, sync::Arc, time::Duration};

use api::{Client, Problem, billing::RecordUsage, billing::UsageEvent};
use tokio::task::spawn_blocking;

use super::{Journal, segment::Segment};

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
    Place { next: u64, expected: u64 },
}

/// Sends usage for as long as it is polled.
pub(crate) async fn send(journal: Arc<Journal>, client: Client, source: String) {
    let mut pause = PERIOD;
    loop {
        tokio::time::sleep(pause).await;
        pause = match drain(&journal, &client, &source).await {
            Ok(()) => PERIOD,
            Err(cause) => {
                tracing::warn!(%cause, "usage is kept and sent later");
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
    let next = place.first + events.len() as u64;
    if recorded.next_sequence < next {
        return Err(SendError::Place { next, expected: recorded.next_sequence });
    }
    Ok(next)
}

async fn blocking<T: Send + 'static>(
    journal: &Arc<Journal>,
    work: impl FnOnce(&Journal) -> io::Result<T> + Send + 'static,
) -> Result<T, SendError> {
    let journal = Arc::clone(journal);
    let done = spawn_blocking(move || work(&journal)).await;
    Ok(done.unwrap_or_else(|cause| Err(io::Error::other(cause)))?)
}
