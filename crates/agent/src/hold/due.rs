//! When a command is asked to end and when it is ended, whoever asked first. Pure.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine was booted, also those that it slept: nobody sets that clock.
pub(crate) type Moment = u64;

/// This moment.
pub(crate) fn now() -> Moment {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.cast_unsigned() * 1_000 + now.tv_nsec.cast_unsigned() / 1_000_000
}

/// The moment in so long a time.
pub(super) fn after(time: Duration) -> Moment {
    now().saturating_add(millis(time))
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A reason for a command to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// From when on it is asked.
    pub(super) ask: Moment,
    /// When it is ended without asking.
    pub(super) end: Moment,
    /// Why.
    pub(super) why: String,
}

/// Why and when a command is to end.
#[derive(Debug, Default)]
pub(super) struct Dues {
    /// The lease, which may be extended as long as it is not due.
    lease: Option<Due>,
    others: Vec<Due>,
    /// What came first: it is what is told.
    begun: Option<String>,
}

/// What to do with a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until that moment.
    Wait(Option<Moment>),
    /// Ask it to end; it is ended at that moment.
    Ask(Moment),
    /// End it.
    End,
}

impl Dues {
    pub(super) fn add(&mut self, due: Due) {
        self.others.push(due);
    }

    /// A command that was asked to end for its lease is not asked to go on.
    pub(super) fn lease(&mut self, due: Due, now: Moment) {
        if self.lease.as_ref().is_none_or(|lease| now < lease.ask) {
            self.lease = Some(due);
        }
    }

    /// Why it was ended, if it was.
    pub(super) fn why(&self) -> Option<&str> {
        self.begun.as_deref()
    }

    /// What is to be done now.
    pub(super) fn step(&mut self, now: Moment) -> Step {
        let all = || self.lease.iter().chain(&self.others);
        let begun: Vec<&Due> = all().filter(|due| due.ask <= now).collect();
        let Some(first) = begun.iter().min_by_key(|due| due.ask) else {
            return Step::Wait(all().map(|due| due.ask).min());
        };
        let end = begun.iter().map(|due| due.end).min().unwrap_or(now);
        let why = first.why.clone();
        self.begun.get_or_insert(why);
        if end <= now { Step::End } else { Step::Ask(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(ask: Moment, end: Moment, why: &str) -> Due {
        Due { ask, end, why: why.to_owned() }
    }

    #[test]
    fn the_first_reason_is_told_and_the_earliest_end_holds() {
        let mut dues = Dues::default();
        assert_eq!(dues.step(5), Step::Wait(None));
        dues.lease(due(20, 25, "lease"), 0);
        dues.add(due(100, 110, "limit"));
        assert_eq!(dues.step(10), Step::Wait(Some(20)));
        dues.lease(due(120, 125, "lease"), 10);
        assert_eq!(dues.step(20), Step::Wait(Some(100)), "it was renewed");
        assert_eq!((dues.step(100), dues.why()), (Step::Ask(110), Some("limit")));
        dues.add(due(101, 104, "asked"));
        assert_eq!((dues.step(103), dues.why()), (Step::Ask(104), Some("limit")));
        assert_eq!((dues.step(104), dues.why()), (Step::End, Some("limit")));
    }

    #[test]
    fn a_lease_that_is_due_is_renewed_too_late() {
        let mut dues = Dues::default();
        dues.lease(due(20, 25, "lease"), 0);
        dues.lease(due(40, 45, "late"), 20);
        assert_eq!(dues.step(21), Step::Ask(25));
        assert_eq!((dues.step(30), dues.why()), (Step::End, Some("lease")));
    }
}
