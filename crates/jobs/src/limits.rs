//! How many more may run at once: of a queue, of a name, of a name for an instance.

use std::collections::{BTreeMap, BTreeSet};

use api::jobs::JobDefinition;
use types::{InstanceId, Name};

use crate::{
    Error,
    offers::Able,
    store::{self, Kind},
};

/// What is left under each limit; what is not in here is not limited.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    queues: BTreeMap<(Name, String), u32>,
    names: BTreeMap<(Name, String), u32>,
    /// How many may run for each instance, and how many do.
    each: BTreeMap<(Name, String), (u32, BTreeMap<InstanceId, u32>)>,
}

impl Limits {
    /// The limits of these kinds, less what runs.
    pub(crate) async fn read(
        tx: &mut db::Tx,
        services: &BTreeSet<Name>,
        kinds: &[Able<'_>],
    ) -> Result<Self, Error> {
        let mut limits = Self::default();
        for queue in store::limited_queues(&mut *tx).await? {
            if let Some(concurrency) = queue.concurrency {
                limits.queues.insert((queue.service, queue.class), concurrency);
            }
        }
        for able in kinds {
            // While instances are on several releases, the least that one of them allows counts.
            let least =
                |most: fn(&JobDefinition) -> Option<u32>| able.definitions().filter_map(most).min();
            let key = named(&able.kind);
            if let Some(most) = least(|definition| definition.concurrency) {
                limits.names.insert(key.clone(), most);
            }
            if let Some(most) = least(|definition| definition.concurrency_per_instance) {
                limits.each.insert(key, (most, BTreeMap::new()));
            }
        }
        if !limits.are_none() {
            for (kind, instance, count) in store::running(tx, services).await? {
                limits.less(&kind, instance, count);
            }
        }
        Ok(limits)
    }

    fn are_none(&self) -> bool {
        self.queues.is_empty() && self.names.is_empty() && self.each.is_empty()
    }

    fn less(&mut self, kind: &Kind, instance: InstanceId, count: u32) {
        if let Some(left) = self.queues.get_mut(&queued(kind)) {
            *left = left.saturating_sub(count);
        }
        if let Some(left) = self.names.get_mut(&named(kind)) {
            *left = left.saturating_sub(count);
        }
        if let Some((_, running)) = self.each.get_mut(&named(kind)) {
            *running.entry(instance).or_default() += count;
        }
    }

    /// How many of the kind may be begun.
    pub(crate) fn free(&self, kind: &Kind) -> u32 {
        let left = |limits: &BTreeMap<_, u32>, key| limits.get(&key).copied().unwrap_or(u32::MAX);
        left(&self.queues, queued(kind)).min(left(&self.names, named(kind)))
    }

    /// How many of the kind may be begun for an instance, whatever their version.
    pub(crate) fn free_for(&self, kind: &Kind, instance: InstanceId) -> u32 {
        let Some((most, running)) = self.each.get(&named(kind)) else { return u32::MAX };
        most.saturating_sub(running.get(&instance).copied().unwrap_or(0))
    }

    /// Takes one, if one may be begun.
    pub(crate) fn take(&mut self, kind: &Kind, instance: InstanceId) -> bool {
        let free = self.free(kind).min(self.free_for(kind, instance)) > 0;
        if free {
            self.less(kind, instance, 1);
        }
        free
    }
}

fn queued(kind: &Kind) -> (Name, String) {
    (kind.service.clone(), kind.class.clone())
}

fn named(kind: &Kind) -> (Name, String) {
    (kind.service.clone(), kind.name.clone())
}
