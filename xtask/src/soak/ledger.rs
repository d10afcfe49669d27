//! What visitors were answered, held against what was counted: by the requests' ids.

use std::collections::{BTreeMap, BTreeSet};

/// What visitors saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The ids of the requests that the application answered.
    pub(crate) answered: BTreeSet<String>,
    /// How many the platform answered itself, by status: no replica, no copy, no journal.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// How many got no answer: the process was killed, or not there.
    pub(crate) unanswered: u64,
}

/// How the two differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Answered, and not counted.
    pub(crate) lost: Vec<String>,
    /// Counted more than once.
    pub(crate) twice: Vec<String>,
    /// Counted, and answered to nobody: the count is on disk before the answer leaves.
    pub(crate) unheard: u64,
}

impl Seen {
    /// Notes an answer. Only what the application answered has to be on the bill.
    pub(crate) fn note(&mut self, status: u16, id: Option<&str>) {
        match (status, id) {
            (200, Some(id)) => drop(self.answered.insert(id.to_owned())),
            _ => *self.refused.entry(status).or_default() += 1,
        }
    }

    /// Compares with the ids of what was counted.
    pub(crate) fn compare(&self, counted: &[String]) -> Comparison {
        let mut times: BTreeMap<&String, u32> = BTreeMap::new();
        for id in counted {
            *times.entry(id).or_default() += 1;
        }
        let lost = self.answered.iter().filter(|id| !times.contains_key(id)).cloned().collect();
        let twice = times.iter().filter(|(_, times)| **times > 1).map(|(id, _)| (*id).clone());
        let unheard = times.keys().filter(|id| !self.answered.contains(**id)).count();
        Comparison { lost, twice: twice.collect(), unheard: unheard as u64 }
    }
}

impl Comparison {
    /// Whether everything is as it should be: of the requests without an answer some were counted,
    /// and no others.
    pub(crate) fn is_right(&self, seen: &Seen) -> bool {
        self.lost.is_empty() && self.twice.is_empty() && self.unheard <= seen.unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_or_counted_twice_is_found() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let answered = ids(&["a", "b", "c"]).into_iter().collect();
        let seen = Seen { answered, unanswered: 1, ..Seen::default() };
        let right = seen.compare(&ids(&["c", "b", "a", "x"]));
        assert_eq!(right, Comparison { lost: vec![], twice: vec![], unheard: 1 });
        assert!(right.is_right(&seen));
        let wrong = seen.compare(&ids(&["a", "a", "b"]));
        assert_eq!(wrong, Comparison { lost: ids(&["c"]), twice: ids(&["a"]), unheard: 0 });
        assert!(!wrong.is_right(&seen));
        assert!(!seen.compare(&ids(&["a", "b", "c", "x", "y"])).is_right(&seen));
    }
}
