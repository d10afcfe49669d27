//! Which processes are one command's: all that descend from its holder, who is next of kin to
//! whatever loses its parent. Of a holder that is no more, those that carry its mark, and theirs.

use std::{collections::HashSet, sync::Arc};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{sync::Mutex, time::Instant};

use crate::machine::{self, Seen};

/// The variable that names a command's own folder for temporary files: no two processes that the
/// agent starts have the same, and their children keep it unless they clear their environment.
const MARK: &str = "TMPDIR";

/// What all processes of the machine were at one moment.
pub(crate) struct Survey(Vec<Seen>);

impl Survey {
    /// Looks now, on this thread.
    pub(super) fn take() -> Self {
        Self(machine::processes())
    }

    /// The living that descend from a process.
    pub(crate) fn below(&self, holder: Pid) -> Vec<Seen> {
        let members =
            self.kin(|seen| seen.parent == Some(holder), |seen| [seen.parent, None, None]);
        members.into_iter().filter(|seen| seen.pid != holder).collect()
    }

    /// The living that carry a mark, or are of kin to who does.
    pub(super) fn marked(&self, mark: &str) -> Vec<Seen> {
        let carries = |seen: &Seen| machine::variable(seen.pid, MARK).is_some_and(|m| m == mark);
        self.kin(carries, |seen| [seen.parent, Some(seen.group), seen.session])
    }

    /// Those whom `is_first` knows, and who is related to one that was found.
    fn kin(
        &self,
        is_first: impl Fn(&Seen) -> bool,
        related: impl Fn(&Seen) -> [Option<Pid>; 3],
    ) -> Vec<Seen> {
        let first = self.0.iter().filter(|seen| is_first(seen)).map(|seen| seen.pid);
        let mut members: HashSet<Pid> = first.collect();
        loop {
            let before = members.len();
            for seen in &self.0 {
                if related(seen).iter().flatten().any(|of| members.contains(of)) {
                    members.insert(seen.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        let living = self.0.iter().filter(|seen| !seen.ended);
        living.filter(|seen| members.contains(&seen.pid)).copied().collect()
    }
}

/// Signals processes that were seen a moment ago, and no others that have their numbers now.
pub(super) fn signal(processes: &[Seen], signal: Signal) {
    for seen in processes {
        let Ok(process) = pidfd_open(seen.pid, PidfdFlags::empty()) else { continue };
        if machine::process(seen.pid).is_some_and(|now| now.started == seen.started) {
            // It may have ended meanwhile.
            let _ = pidfd_send_signal(process, signal);
        }
    }
}

/// Surveys, one at a time; whoever waits for the same one gets the same one, so that a hundred who
/// ask together do not look a hundred times. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Surveys(Arc<Mutex<Option<Last>>>);

/// When a survey was begun, and what it found.
type Last = (Instant, Arc<Survey>);

impl Surveys {
    /// A survey that was begun after this question.
    pub(crate) async fn fresh(&self) -> Arc<Survey> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((begun, survey)) = &*last
            && *begun >= asked
        {
            return Arc::clone(survey);
        }
        let begun = Instant::now();
        let survey = tokio::task::spawn_blocking(Survey::take).await;
        let survey = Arc::new(survey.unwrap_or_else(|_| Survey::take()));
        *last = Some((begun, Arc::clone(&survey)));
        survey
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(number: i32) -> Pid {
        Pid::from_raw(number).unwrap()
    }

    /// A process by its number, group, session and parent.
    fn seen([number, group, session, parent]: [i32; 4]) -> Seen {
        let (session, parent) = (Pid::from_raw(session), Pid::from_raw(parent));
        Seen { pid: pid(number), group: pid(group), session, parent, started: 1, ended: false }
    }

    #[test]
    fn who_left_the_group_is_still_below_the_holder() {
        let processes = [
            [2, 2, 2, 1],     // the agent
            [10, 10, 10, 2],  // a holder,
            [11, 11, 10, 10], // its command,
            [12, 12, 12, 11], // a child that left group and session,
            [13, 13, 13, 10], // and one that lost its parent.
            [20, 20, 20, 2],  // Another holder,
            [21, 21, 20, 20],
            [1, 1, 1, 0], // and the first of all.
        ];
        let survey = Survey(processes.map(seen).into());
        let numbers = |seen: Vec<Seen>| -> Vec<i32> {
            seen.iter().map(|seen| seen.pid.as_raw_nonzero().get()).collect()
        };
        assert_eq!(numbers(survey.below(pid(10))), [11, 12, 13]);
        assert_eq!(numbers(survey.below(pid(20))), [21]);
        // Of a holder that was killed, if one of its own is known by its mark.
        let marked = survey
            .kin(|seen| seen.pid == pid(12), |seen| [seen.parent, Some(seen.group), seen.session]);
        assert_eq!(numbers(marked), [12]);
    }
}
