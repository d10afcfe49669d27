//! How an instance comes to another release together with its database: which step follows which,
//! and what is different meanwhile.
//!
//! The database that an instance has is never migrated while requests are kept out: a copy of it is.
//! So the way back is to forget the copy, at any step, and the way there is complete when the
//! instance is written down with the copy. Only what is too large to be copied is migrated itself, where
//! whoever promoted the release has agreed to that; then nothing leads back once that has begun.

use std::{collections::BTreeSet, time::Duration};

use api::{
    configurator::Moving,
    jobs::{Aside, Gate, Strategy as AtUpdate, Workers},
    manifest::{Manifest, Tenancy},
};
use serde::{Deserialize, Serialize};
use types::Digest;

/// A step; the journal says which one is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// It is looked at whether there is room; nothing has changed yet.
    Waiting,
    /// New jobs are kept or refused, and all others are done.
    Drain,
    /// No more of its jobs are begun, and those that run end.
    Quiet,
    /// Others are copied first; nobody is kept out yet.
    Queued,
    /// New requests wait, and those under way end.
    Hold,
    /// Its own processes end.
    Stop,
    /// Its database is copied.
    Copy,
    /// The release's `migrate` runs.
    Migrate,
    /// The release's `check` runs.
    Check,
    /// Its own processes of the release become healthy.
    Start,
    /// Jobs that change with the release are set aside.
    Purge,
    /// On the way back: the copy goes.
    Undo,
    /// On the way back: its own processes of the former release become healthy again.
    Restart,
    /// It is on the release.
    Moved,
    /// It is where it was.
    Failed,
}

impl Step {
    const fn is_last(self) -> bool {
        matches!(
            self,
            Self::Start | Self::Purge | Self::Undo | Self::Restart | Self::Moved | Self::Failed
        )
    }

    pub(crate) const fn has_ended(self) -> bool {
        matches!(self, Self::Moved | Self::Failed)
    }
}

/// What becomes of a database before it is migrated while nobody uses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Snapshot {
    /// It is copied, and the copy is migrated.
    #[default]
    Made,
    /// The same, unless it is too large.
    UnlessTooLarge,
    /// It is too large, and is migrated itself.
    None,
}

/// Which steps an instance's move has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a step that is there or not")]
pub(crate) struct Needs {
    /// Requests and jobs are kept out, and a copy is migrated; otherwise both releases can read what
    /// the database is meanwhile.
    pub(crate) closes: bool,
    /// It has processes of its own.
    pub(crate) stops: bool,
    /// It will have processes of its own.
    pub(crate) starts: bool,
    pub(crate) migrates: bool,
    pub(crate) checks: bool,
    /// The release serves it already, beside the former one: there is only something to be done about its
    /// jobs.
    #[serde(default)]
    pub(crate) beside: bool,
    /// What becomes of its jobs.
    #[serde(default)]
    pub(crate) workers: Workers,
    /// What becomes of its database first, where it closes.
    #[serde(default)]
    pub(crate) snapshot: Snapshot,
}

/// So many machines may be lost that a migration runs on.
const LOST_MAX: u32 = 3;

/// In their order, if nothing fails.
const FORTH: [Step; 12] = [
    Step::Waiting,
    Step::Drain,
    Step::Quiet,
    Step::Queued,
    Step::Hold,
    Step::Stop,
    Step::Copy,
    Step::Migrate,
    Step::Check,
    Step::Start,
    Step::Purge,
    Step::Moved,
];

impl Needs {
    /// What it takes to come to a release that serves it already.
    pub(crate) const fn beside(workers: Workers) -> Self {
        Self {
            closes: false,
            stops: false,
            starts: false,
            migrates: false,
            checks: false,
            beside: true,
            workers,
            snapshot: Snapshot::Made,
        }
    }

    /// What it takes to come from one release to the other with its database.
    pub(crate) fn of(schema: u32, from: &Manifest, to: &Manifest, workers: Workers) -> Self {
        let is_own = |manifest: &Manifest| manifest.service.tenancy == Tenancy::Dedicated;
        let database = to.database.as_ref();
        let is_compatible = database.is_some_and(|database| database.compatible);
        Self {
            // What has no database yet has nothing to lose.
            closes: schema > 0 && !is_compatible,
            stops: is_own(from),
            starts: is_own(to),
            migrates: database.is_some_and(|database| database.migrate.is_some()),
            checks: to.run.check.is_some(),
            beside: false,
            workers,
            snapshot: Snapshot::Made,
        }
    }

    /// Whether its database itself is being changed, which nothing leads back from.
    pub(crate) fn is_in_place(self, step: Step) -> bool {
        let changes = matches!(step, Step::Migrate | Step::Check);
        changes && self.closes && self.snapshot == Snapshot::None
    }

    /// Whether it is too late to turn back, or turned back already.
    pub(crate) fn is_late(self, step: Step) -> bool {
        step.is_last() || self.is_in_place(step)
    }

    const fn has(self, step: Step) -> bool {
        match step {
            Step::Drain => matches!(self.workers.strategy, AtUpdate::Drain),
            Step::Quiet => self.closes || self.stops_jobs(),
            Step::Queued | Step::Hold | Step::Copy => self.closes,
            Step::Stop => self.closes && self.stops,
            Step::Migrate => self.migrates,
            Step::Check => self.checks,
            Step::Start => self.starts,
            // What only code could do that cannot read the database any more is nobody's.
            Step::Purge => self.closes || matches!(self.workers.strategy, AtUpdate::Purge),
            _ => true,
        }
    }

    const fn stops_jobs(self) -> bool {
        matches!(self.workers.strategy, AtUpdate::Restart | AtUpdate::Purge)
    }

    /// What follows a step that is done.
    pub(crate) fn next(self, step: Step) -> Step {
        match step {
            Step::Undo if self.stops => Step::Restart,
            Step::Undo | Step::Restart => Step::Failed,
            _ => {
                let mut rest = FORTH.into_iter().skip_while(|other| *other != step).skip(1);
                rest.find(|next| self.has(*next)).unwrap_or(step)
            }
        }
    }

    /// What follows a step that cannot be done.
    pub(crate) const fn back(self, step: Step) -> Step {
        match step {
            Step::Waiting | Step::Drain | Step::Quiet | Step::Queued | Step::Hold => Step::Failed,
            // What is set aside, or on its way back, is not turned again.
            Step::Purge | Step::Undo | Step::Restart => step,
            // Nothing was copied, and nobody was kept out.
            _ if !self.closes => Step::Failed,
            _ => Step::Undo,
        }
    }

    /// What follows a job that was lost with its machine, as the first or as a later one: nobody knows what
    /// it has left, so a new copy is made. What has none is not done again.
    pub(crate) fn again(self, step: Step, lost: u32) -> Option<Step> {
        let has_copy = self.closes && self.snapshot != Snapshot::None;
        let is_job = matches!(step, Step::Migrate | Step::Check);
        (is_job && has_copy && lost < LOST_MAX).then_some(Step::Copy)
    }

    /// Whether its jobs are not begun while it is at a step.
    pub(crate) const fn holds_jobs(self, step: Step) -> bool {
        let is_open = matches!(step, Step::Waiting | Step::Drain | Step::Moved | Step::Failed);
        (self.closes || self.stops_jobs()) && !is_open
    }

    /// What becomes of its new jobs while it is at a step.
    pub(crate) const fn gate(self, step: Step) -> Gate {
        let is_open = matches!(step, Step::Waiting | Step::Moved | Step::Failed);
        match self.workers {
            Workers { strategy: AtUpdate::Drain, refuses: true, .. } if !is_open => Gate::Refuse,
            Workers { strategy: AtUpdate::Drain, .. } if !is_open => Gate::Hold,
            // What is asked for meanwhile is looked through too.
            Workers { strategy: AtUpdate::Purge, .. } if self.holds_jobs(step) => Gate::Hold,
            _ => Gate::Open,
        }
    }

    /// Which jobs are set aside.
    pub(crate) const fn aside(self) -> Aside {
        match self.workers.strategy {
            AtUpdate::Purge => Aside::Changed,
            _ => Aside::NotAccepted,
        }
    }

    /// Whether it costs nothing but patience while it is at a step, so that many can be there at once.
    pub(crate) const fn is_light(self, step: Step) -> bool {
        self.beside || matches!(step, Step::Drain | Step::Quiet)
    }

    /// For how long is waited for jobs that run, or with a drain for all.
    pub(crate) fn patience(self) -> Duration {
        Duration::from_secs(self.workers.patience().into())
    }

    /// What is different for its requests and processes while it is at a step.
    pub(crate) fn moving(self, step: Step, from: &Digest, to: &Digest) -> Option<Moving> {
        let runs = |these: &[&Digest]| -> BTreeSet<Digest> {
            these.iter().map(|digest| (*digest).clone()).collect()
        };
        let is_open = matches!(step, Step::Waiting | Step::Drain | Step::Quiet | Step::Queued);
        let held = self.closes && !is_open;
        let is_late = matches!(step, Step::Start | Step::Purge);
        let runs = match step {
            Step::Moved | Step::Failed => return None,
            _ if self.beside => runs(&[from, to]),
            Step::Waiting
            | Step::Drain
            | Step::Quiet
            | Step::Queued
            | Step::Hold
            | Step::Restart => runs(&[from]),
            _ if !self.closes && !is_late => runs(&[from]),
            Step::Start | Step::Purge if !self.closes => runs(&[from, to]),
            Step::Start | Step::Purge => runs(&[to]),
            Step::Stop | Step::Copy | Step::Migrate | Step::Check | Step::Undo => runs(&[]),
        };
        Some(Moving { held, runs })
    }
}

/// Whether an instance can come to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// Its database is as the release needs it.
    AtOnce,
    /// Its database must be migrated.
    Migrate,
    /// The release cannot read it.
    None,
}

/// Whether an instance with a database of this shape, which the code of `readable_from` and later
/// reads, can come to a release.
pub(crate) fn way((schema, readable_from): (u32, u32), to: &Manifest) -> Way {
    match to.schema() {
        // It reads none.
        0 => Way::AtOnce,
        needed if needed > schema => Way::Migrate,
        needed if needed >= readable_from => Way::AtOnce,
        _ => Way::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::setup::tests::manifest;

    fn needs() -> impl Strategy<Value = Needs> {
        let strategy = prop_oneof![
            Just(AtUpdate::Versioned),
            Just(AtUpdate::Restart),
            Just(AtUpdate::Purge),
            Just(AtUpdate::Drain)
        ];
        (any::<(bool, bool, bool, bool, bool, bool, bool)>(), strategy).prop_map(
            |(needs, strategy)| {
                let (closes, stops, starts, migrates, checks, beside, snapshot) = needs;
                let workers = Workers { strategy, ..Workers::default() };
                if beside {
                    return Needs::beside(workers);
                }
                let snapshot = if snapshot { Snapshot::Made } else { Snapshot::None };
                Needs { closes, stops, starts, migrates, checks, beside, workers, snapshot }
            },
        )
    }

    fn held(needs: Needs, step: Step) -> bool {
        let (from, to) = (Digest::of(b"from"), Digest::of(b"to"));
        needs.moving(step, &from, &to).is_some_and(|moving| moving.held)
    }

    proptest! {
        /// Whatever fails, it ends: on the release if nothing failed, and where it was otherwise; a
        /// copy is never migrated while requests or jobs may still change the original, and the two
        /// releases never have processes at once when one of them cannot read what is there.
        #[test]
        fn it_comes_to_an_end_and_closes_before_it_copies(
            needs in needs(),
            fails in prop::collection::vec(prop::bool::weighted(0.2), 14),
            loses in prop::collection::vec(any::<bool>(), 14),
        ) {
            let (from, to) = (Digest::of(b"from"), Digest::of(b"to"));
            let (mut step, mut has_failed, mut done) = (Step::Waiting, false, Vec::new());
            let mut lost = 0;
            let ends = fails.into_iter().zip(loses).chain([(false, false); 28]);
            for (fails, loses) in ends {
                if step.has_ended() {
                    break;
                }
                // What is set aside is set aside, and asked again until that is so.
                let on_way_back = matches!(step, Step::Purge | Step::Undo | Step::Restart);
                let gated = needs.gate(step) != Gate::Open;
                if step == Step::Purge {
                    prop_assert!(done.contains(&Step::Quiet) && needs.holds_jobs(step));
                    prop_assert_eq!(needs.next(step), Step::Moved, "nothing leads back from there");
                }
                prop_assert!(!needs.holds_jobs(step) || step == Step::Quiet || done.contains(&Step::Quiet));
                let (strategy, waits) = (needs.workers.strategy, step == Step::Waiting);
                let purges = strategy == AtUpdate::Purge && needs.holds_jobs(step);
                prop_assert!(gated == (purges || strategy == AtUpdate::Drain && !waits));
                let moving = needs.moving(step, &from, &to);
                if held(needs, step) && !on_way_back {
                    prop_assert!(done.contains(&Step::Queued), "nobody is kept out to wait for others");
                }
                prop_assert!(step != Step::Queued || !needs.is_light(step));
                if needs.closes && matches!(step, Step::Copy | Step::Migrate | Step::Check) {
                    prop_assert!(done.contains(&Step::Quiet) && done.contains(&Step::Hold));
                    prop_assert!(!needs.stops || done.contains(&Step::Stop));
                    prop_assert!(held(needs, step) && needs.holds_jobs(step));
                    prop_assert!(moving.as_ref().unwrap().runs.is_empty());
                }
                if needs.closes {
                    prop_assert!(moving.is_none_or(|moving| moving.runs.len() < 2));
                }
                let changes = needs.snapshot == Snapshot::None && done.contains(&Step::Copy);
                if changes && !matches!(step, Step::Undo | Step::Restart) {
                    prop_assert!(needs.is_late(step), "what is changed itself is not turned back");
                }
                if let Some(copy) = needs.again(step, lost).filter(|_| loses) {
                    prop_assert!(needs.closes && needs.snapshot != Snapshot::None);
                    prop_assert!(copy == Step::Copy && lost < LOST_MAX, "with another copy, not for ever");
                    (step, lost) = (copy, lost + 1);
                } else if fails && !on_way_back {
                    has_failed = true;
                    step = needs.back(step);
                } else {
                    done.push(step);
                    step = needs.next(step);
                }
            }
            prop_assert_eq!(step, if has_failed { Step::Failed } else { Step::Moved });
            prop_assert!(needs.moving(step, &from, &to).is_none() && !needs.holds_jobs(step));
            prop_assert_eq!(needs.gate(step), Gate::Open);
            if !has_failed {
                let drains = needs.workers.strategy == AtUpdate::Drain;
                prop_assert_eq!(drains, done.contains(&Step::Drain));
                let purges = needs.closes || needs.workers.strategy == AtUpdate::Purge;
                prop_assert_eq!(purges, done.contains(&Step::Purge));
            }
            if has_failed && needs.closes && needs.stops && done.contains(&Step::Stop) {
                prop_assert_eq!(done.last(), Some(&Step::Restart), "it is served as before");
            }
        }
    }

    #[test]
    fn a_shape_is_migrated_read_or_refused() {
        let with = |more: &str| {
            manifest(&format!(
                "[database]\nengines = [\"sqlite\"]\nmigrate = [\"./migrate\"]\n{more}"
            ))
        };
        let (first, seventh) = (with(""), with("schema = 7\n"));
        assert_eq!(way((0, 0), &first), Way::Migrate);
        assert_eq!(way((1, 1), &first), Way::AtOnce);
        assert_eq!(way((1, 1), &seventh), Way::Migrate);
        assert_eq!(way((7, 7), &first), Way::None);
        assert_eq!(way((7, 1), &first), Way::AtOnce, "the older code could go on");
        assert_eq!(way((7, 7), &manifest("")), Way::AtOnce, "it reads no database");
        let compatible = with("schema = 7\ncompatible = true\n");
        let jobs = Workers::default();
        assert!(Needs::of(1, &first, &seventh, jobs).closes);
        assert!(!Needs::of(1, &first, &compatible, jobs).closes);
        assert!(!Needs::of(0, &manifest(""), &seventh, jobs).closes, "there is nothing to lose");
    }
}
