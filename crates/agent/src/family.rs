//! Which processes are one command's: its group, and also what has left the group, as far as that
//! can be shown by descent, by session, or by a line of the environment that nobody else has.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::{sync::Mutex, time::Instant};

use crate::machine::{self, Seen};

/// The variable that names a command's own folder for temporary files: no two processes that the
/// agent starts have the same, and their children keep it.
pub(crate) const MARK: &str = "TMPDIR";

/// What all processes of the machine were at one moment.
pub(crate) struct Survey {
    processes: Vec<Seen>,
    marks: HashMap<Pid, String>,
}

/// A command's processes, and how they are known.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// The first process, which leads the group.
    pub(crate) leader: Pid,
    /// The value of [`MARK`] in its environment.
    pub(crate) mark: String,
}

impl Survey {
    /// Looks now, on this thread.
    pub(crate) fn take() -> Self {
        let processes = machine::processes();
        let mark = |seen: &Seen| Some((seen.pid, machine::variable(seen.pid, MARK)?));
        let marks = processes.iter().filter_map(mark).filter(|(_, mark)| !mark.is_empty());
        let marks = marks.collect();
        Self { processes, marks }
    }

    /// The living members of a family.
    pub(crate) fn members(&self, family: &Family) -> Vec<Seen> {
        self.kin(family, |seen| seen.group == family.leader)
    }

    /// The living of a family whose first process has ended: its number may be another's by now.
    pub(crate) fn orphans(&self, family: &Family) -> Vec<Seen> {
        self.kin(family, |_| false)
    }

    /// Who carries the family's mark, those whom `is_own` knows, and who is of kin to them.
    fn kin(&self, family: &Family, is_own: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let marked = |seen: &Seen| self.marks.get(&seen.pid).is_some_and(|m| *m == family.mark);
        let mut members: HashSet<Pid> = HashSet::new();
        loop {
            let before = members.len();
            for seen in &self.processes {
                let kin = [Some(seen.group), seen.session, seen.parent];
                let related = kin.iter().flatten().any(|of| members.contains(of));
                if related || is_own(seen) || marked(seen) {
                    members.insert(seen.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        let living = self.processes.iter().filter(|seen| !seen.ended);
        living.filter(|seen| members.contains(&seen.pid)).copied().collect()
    }
}

/// Signals processes that were seen a moment ago, and no others that have their numbers now.
pub(crate) fn signal(processes: &[Seen], signal: Signal) {
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
    fn who_left_the_group_is_still_of_the_family() {
        let processes = [
            [2, 2, 2, 1],    // the agent
            [10, 10, 2, 2],  // a command,
            [11, 10, 2, 10], // its child,
            [12, 12, 2, 11], // one that left the group,
            [13, 13, 13, 12],
            [14, 14, 13, 1], // one whose parent has ended, in the session of the one before
            [15, 15, 15, 1], // and one that is known by its mark alone.
            [20, 20, 2, 2],  // Another command,
            [21, 21, 21, 20],
            [22, 22, 22, 1], // with a mark of its own,
            [1, 1, 1, 0],    // and the first of all.
        ];
        let marks = [(pid(15), "/a/tmp".to_owned()), (pid(22), "/b/tmp".to_owned())].into();
        let survey = Survey { processes: processes.map(seen).into(), marks };
        let family = |leader, mark: &str| Family { leader: pid(leader), mark: mark.to_owned() };
        let numbers = |seen: Vec<Seen>| -> Vec<i32> {
            seen.iter().map(|seen| seen.pid.as_raw_nonzero().get()).collect()
        };
        let members = |leader, mark| numbers(survey.members(&family(leader, mark)));
        assert_eq!(members(10, "/a/tmp"), [10, 11, 12, 13, 14, 15]);
        assert_eq!(members(20, "/b/tmp"), [20, 21, 22]);
        assert_eq!(numbers(survey.orphans(&family(10, "/b/tmp"))), [22], "10 is another's now");
    }
}
