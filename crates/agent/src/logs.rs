//! What replicas print, for whoever reads it at the platform.

use api::{
    Client,
    releases::{LOG_BYTES_MAX, LogPart, LogPlace, LogWish, PutLogs},
};
use types::{InstanceId, Name, NodeId, ReplicaId};

use crate::hold::Output;

/// One start of a replica, and what it prints.
pub(crate) struct Printed {
    pub(crate) replica: ReplicaId,
    pub(crate) service: Name,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) process: String,
    pub(crate) index: u32,
    pub(crate) start: u32,
    pub(crate) output: Output,
}

impl Printed {
    fn is_meant(&self, wish: &LogWish) -> bool {
        (&self.service, self.instance) == (&wish.service, wish.instance)
            && wish.process.as_ref().is_none_or(|process| *process == self.process)
    }

    fn part(self, wish: &LogWish) -> Option<LogPart> {
        let before = wish.after.get(&self.replica);
        let after = match before {
            None => None,
            Some(place) if place.start == self.start => Some((place.file, place.offset)),
            // Another start has a log of its own, which is read from its beginning.
            Some(_) => Some((0, 0)),
        };
        let lines = before.is_none().then_some(wish.lines as usize);
        let (text, (file, offset)) = self.output.read(after, lines, LOG_BYTES_MAX)?;
        let place = LogPlace { start: self.start, file, offset };
        let Self { replica, process, index, .. } = self;
        Some(LogPart { replica, process, index, text, place })
    }
}

/// Tells what is asked. If it is not heard, whoever waits is told that nobody answers.
pub(crate) async fn answer(client: Client, node: NodeId, wish: LogWish, all: Vec<Printed>) {
    let number = wish.wish;
    let reading = tokio::task::spawn_blocking(move || {
        let meant = all.into_iter().filter(|printed| printed.is_meant(&wish));
        meant.filter_map(|printed| printed.part(&wish)).collect()
    });
    let parts = reading.await.unwrap_or_default();
    if let Err(problem) = client.call(PutLogs { node, wish: number, parts }).await {
        tracing::warn!(%problem, "nobody hears what was printed");
    }
}
