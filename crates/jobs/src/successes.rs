//! Jobs that have succeeded: the way that most of them go.

use std::collections::BTreeMap;

use api::{
    billing::{JOB_MILLISECONDS, UsageEvent},
    jobs::SETUP_CLASS,
};
use chassis::Write;
use types::{InstanceId, JobId, NodeId, Timestamp};

use crate::{
    Error, State as Memory,
    model::State,
    store::{self, Moves, Success, Whose},
};

/// A job that has ended, and for which others may wait.
pub(crate) struct End {
    pub(crate) job: JobId,
    pub(crate) name: String,
    pub(crate) state: State,
}

/// What a node has done. The leases have ended.
pub(crate) struct Successes {
    pub(crate) node: NodeId,
    pub(crate) done: Vec<Success>,
    /// Whose the jobs of each lane are.
    pub(crate) lanes: BTreeMap<i64, Whose>,
}

impl Successes {
    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.done.iter().map(|success| success.attempt.job)
    }

    fn each(&self) -> impl Iterator<Item = (&Success, &Whose)> {
        let whose = |success: &Success| self.lanes.get(&success.attempt.lane);
        self.done.iter().filter_map(move |success| Some((success, whose(success)?)))
    }

    /// What they took: one event for all of a name and instance, called after the first of them.
    pub(crate) fn usage(&self, now: Timestamp) -> Vec<UsageEvent> {
        let mut events: BTreeMap<(InstanceId, &str), (u32, UsageEvent)> = BTreeMap::new();
        for (Success { attempt, .. }, Whose { account, instance, kind }) in self.each() {
            let took = now.since(attempt.started).as_millis();
            let (count, event) = events.entry((*instance, &kind.name)).or_insert_with(|| {
                let event = UsageEvent {
                    event: format!("{}.{}", attempt.job, attempt.attempts),
                    at: now,
                    account: *account,
                    instance: *instance,
                    meter: JOB_MILLISECONDS.to_owned(),
                    quantity: 0,
                    note: kind.name.clone(),
                };
                (0, event)
            });
            *count += 1;
            let took = u64::try_from(took).unwrap_or(u64::MAX);
            event.quantity = event.quantity.saturating_add(took);
            if *count > 1 {
                event.note = format!("{} ({count} jobs)", kind.name);
            }
        }
        events.into_values().map(|(_, event)| event).collect()
    }

    /// Makes it so; answers which of them others wait for.
    pub(crate) async fn keep(
        self,
        cx: &mut Write<Memory>,
        moves: &mut Moves,
    ) -> Result<Vec<End>, Error> {
        let (mut ends, mut keys, mut untold) = (vec![], vec![], vec![]);
        for (Success { attempt, .. }, Whose { kind, .. }) in self.each() {
            let job = attempt.job;
            moves.moved(attempt.lane, Some(State::Running), Some(State::Succeeded));
            keys.extend(attempt.has_key.then_some(job));
            untold.extend((kind.class == SETUP_CLASS).then_some(job));
            let end = || End { job, name: kind.name.clone(), state: State::Succeeded };
            ends.extend(attempt.is_awaited.then(end));
        }
        let now = cx.now();
        store::insert_successes(cx.tx(), self.node, &self.done, now).await?;
        store::give_keys_back(cx.tx(), keys).await?;
        store::insert_untold(cx.tx(), &untold).await?;
        Ok(ends)
    }
}
