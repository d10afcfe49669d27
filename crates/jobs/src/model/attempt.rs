//! What becomes of a job after an attempt.

use std::time::Duration;

use api::jobs::Outcome;
use types::{Digest, JobId, Timestamp};

use super::State;

/// So many attempts may be lost with their worker.
const LOST_MAX: u32 = 10;
const PAUSE_MAX: Duration = Duration::from_hours(6);

/// An attempt that was made, or is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) job: JobId,
    /// How many were made, this one included.
    pub(crate) attempts: u32,
    pub(crate) attempts_max: u32,
    /// How many of them were lost before this one.
    pub(crate) lost: u32,
    /// Somebody has taken the job back meanwhile.
    pub(crate) cancelled: bool,
    /// Whether it is never begun a second time, also if it was lost.
    pub(crate) once: bool,
    /// The pause after the first attempt.
    pub(crate) backoff: Duration,
}

/// What becomes of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It runs.
    Runs,
    /// It is tried again.
    Again { not_before: Timestamp, lost: u32, problem: Option<String> },
    /// It has ended.
    Ended { state: State, lost: u32, problem: Option<String> },
}

/// What follows from an outcome. An attempt that was lost says nothing about the job, so such
/// attempts are counted apart; what was cancelled is not tried again, however the attempt ended.
pub(crate) fn after(
    outcome: Outcome,
    problem: Option<String>,
    attempt: &Attempt,
    now: Timestamp,
) -> Fate {
    let lost = attempt.lost + u32::from(outcome == Outcome::Lost);
    let end = |state, problem| Fate::Ended { state, lost, problem };
    match outcome {
        Outcome::Running => return Fate::Runs,
        Outcome::Succeeded => return end(State::Succeeded, None),
        _ if attempt.cancelled => {
            return end(State::Cancelled, Some("it was cancelled while it ran".to_owned()));
        }
        Outcome::Refused => return end(State::Failed, problem),
        Outcome::Lost if attempt.once => return end(State::Failed, problem),
        Outcome::Again | Outcome::Lost | Outcome::Cancelled => {}
    }
    let failed = attempt.attempts.saturating_sub(lost);
    if lost >= LOST_MAX {
        let problem = format!("it was lost with its machine {lost} times");
        return end(State::Failed, Some(problem));
    }
    if failed >= attempt.attempts_max {
        if failed == 1 {
            return end(State::Failed, problem);
        }
        let why = problem.map_or_else(String::new, |problem| format!("; the last time {problem}"));
        let problem = format!("it was tried {failed} times, and failed each time{why}");
        return end(State::Failed, Some(problem));
    }
    Fate::Again { not_before: now.plus(pause(attempt)), lost, problem }
}

/// Doubled after each attempt, and up to a quarter longer, so that what failed together is not
/// tried again together. The same attempt always has the same pause.
fn pause(attempt: &Attempt) -> Duration {
    let doubled = attempt.backoff * (1 << attempt.attempts.saturating_sub(1).min(16));
    let seed = Digest::of(format!("{} {}", attempt.job, attempt.attempts).as_bytes());
    let part = u32::from_str_radix(&seed.hex()[..4], 16).unwrap_or(0);
    (doubled + doubled / 4 * part / 0x1_0000).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attempt(attempts: u32, attempts_max: u32, lost: u32) -> Attempt {
        let backoff = Duration::from_secs(1);
        let job = JobId::named(&["job"]);
        Attempt { job, attempts, attempts_max, lost, cancelled: false, once: false, backoff }
    }

    const NOW: Timestamp = Timestamp::from_micros(0);

    #[test]
    fn pauses_double_and_are_the_same_for_the_same_attempt() {
        let first = pause(&attempt(1, 3, 0)).as_millis();
        let third = pause(&attempt(3, 3, 0)).as_millis();
        assert!((1_000..1_250).contains(&first) && (4_000..5_000).contains(&third));
        assert_eq!(pause(&attempt(3, 3, 0)).as_millis(), third);
        let other = Attempt { job: JobId::named(&["other"]), ..attempt(3, 3, 0) };
        assert_ne!(pause(&other).as_millis(), third);
        assert_eq!(pause(&attempt(1_000, 3, 0)), PAUSE_MAX);
    }

    #[test]
    fn what_is_done_once_is_not_begun_again_after_it_was_lost() {
        let once = Attempt { once: true, ..attempt(1, 1, 0) };
        let lost = after(Outcome::Lost, Some("it was lost".into()), &once, NOW);
        let problem = Some("it was lost".to_owned());
        assert_eq!(lost, Fate::Ended { state: State::Failed, lost: 1, problem });
    }

    #[test]
    fn who_refuses_is_not_asked_again() {
        let refused = after(Outcome::Refused, Some("no".into()), &attempt(1, 3, 0), NOW);
        let problem = Some("no".to_owned());
        assert_eq!(refused, Fate::Ended { state: State::Failed, lost: 0, problem });
    }

    /// Whatever happens, a job that is not renewed for ever ends, and after no more attempts than
    /// it may have.
    fn attempts_of(outcomes: &[Outcome], attempts_max: u32) -> Option<(u32, State)> {
        let (mut made, mut lost) = (0, 0);
        for outcome in outcomes {
            made += 1;
            match after(*outcome, None, &attempt(made, attempts_max, lost), NOW) {
                Fate::Runs => made -= 1,
                Fate::Again { lost: counted, not_before, .. } => {
                    assert!(not_before > NOW);
                    lost = counted;
                }
                Fate::Ended { state, .. } => return Some((made, state)),
            }
        }
        None
    }

    #[test]
    fn attempts_that_were_lost_are_counted_apart() {
        let lost = |count| vec![Outcome::Lost; count];
        assert_eq!(attempts_of(&lost(9), 1), None);
        assert_eq!(attempts_of(&lost(10), 1), Some((10, State::Failed)));
        let failed_once = [lost(9), vec![Outcome::Again]].concat();
        assert_eq!(attempts_of(&failed_once, 2), None);
        let twice = [failed_once, vec![Outcome::Again]].concat();
        assert_eq!(attempts_of(&twice, 2), Some((11, State::Failed)));
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Running),
            Just(Outcome::Succeeded),
            Just(Outcome::Again),
            Just(Outcome::Refused),
            Just(Outcome::Lost),
            Just(Outcome::Cancelled)
        ]
    }

    proptest! {
        #[test]
        fn every_job_ends(outcomes in prop::collection::vec(outcome(), 0..80), max in 1_u32..20) {
            let real: Vec<Outcome> =
                outcomes.iter().copied().filter(|outcome| *outcome != Outcome::Running).collect();
            match attempts_of(&outcomes, max) {
                None => prop_assert!(real.len() < (max + LOST_MAX) as usize),
                Some((made, state)) => {
                    prop_assert!(made < max + LOST_MAX);
                    let lost = real[..made as usize].iter().filter(|o| **o == Outcome::Lost);
                    prop_assert!(made - u32::try_from(lost.count()).unwrap() <= max);
                    let last = real[made as usize - 1];
                    prop_assert_eq!(state == State::Succeeded, last == Outcome::Succeeded);
                }
            }
        }

        #[test]
        fn what_was_cancelled_is_not_tried_again(outcome in outcome(), made in 1_u32..5) {
            let attempt = Attempt { cancelled: true, ..attempt(made, 9, 0) };
            let fate = after(outcome, None, &attempt, NOW);
            let again = matches!(fate, Fate::Again { .. });
            prop_assert!(!again);
        }
    }
}
