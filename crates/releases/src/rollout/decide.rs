//! What is done next: who begins to move, who has moved, who has failed, and whether it stops.

use std::time::Duration;

use api::releases::RolloutPlan;
use types::{InstanceId, Timestamp};

/// How an instance's next release is seen to be, where the instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// All of it is healthy, or the instance runs nothing, or is on it already.
    Serves,
    /// Not yet.
    Starts,
    /// It is, but not every gateway has had an answer from it.
    Unreached,
    /// It is on its way, with its database.
    Moves,
    /// It has ended again and again; what it said last.
    Fails(String),
}

/// An instance that has begun to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Starting {
    pub(crate) instance: InstanceId,
    pub(crate) wave: u32,
    pub(crate) since: Timestamp,
    pub(crate) seen: Seen,
}

/// How far a rollout is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) starting: Vec<Starting>,
    /// The first wave that any instance waits in.
    pub(crate) waiting_in: Option<u32>,
    /// How many have failed in the first wave, and in later ones.
    pub(crate) failed: (u32, u32),
    /// The wave after which it has paused already.
    pub(crate) passed: u32,
    pub(crate) is_paused: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// So many of a wave begin.
    Start { wave: u32, count: u32 },
    /// It pauses, for this reason.
    Pause(String),
    /// It pauses as planned, after this wave.
    PauseAfter(u32),
    /// Nobody is left to move.
    End,
}

/// Those that can be moved now, those that have failed and why, and what follows for the others,
/// which is decided as if these had been moved and had failed.
pub(crate) fn decide(
    plan: &RolloutPlan,
    standing: &Standing,
    now: Timestamp,
) -> (Vec<InstanceId>, Vec<(InstanceId, String)>, Option<Decision>) {
    let within = Duration::from_secs(plan.within_seconds.into());
    let (mut moved, mut failed, mut going) = (Vec::new(), Vec::new(), Vec::new());
    let (mut in_first, mut in_later) = standing.failed;
    for Starting { instance, wave, since, seen } in &standing.starting {
        let why = match seen {
            Seen::Serves => {
                moved.push(*instance);
                continue;
            }
            Seen::Starts | Seen::Unreached if now.since(*since) < within => {
                going.push(*wave);
                continue;
            }
            Seen::Moves => {
                going.push(*wave);
                continue;
            }
            Seen::Starts => format!("it was not healthy within {} s", plan.within_seconds),
            Seen::Unreached => format!(
                "its node says that it is healthy, and not every gateway had an answer from it within \
                 {} s",
                plan.within_seconds
            ),
            Seen::Fails(why) => why.clone(),
        };
        failed.push((*instance, why));
        *if *wave == 1 { &mut in_first } else { &mut in_later } += 1;
    }
    let failures = (in_first, in_later);
    let decision = if standing.is_paused { None } else { next(plan, standing, failures, &going) };
    (moved, failed, decision)
}

fn next(
    plan: &RolloutPlan,
    standing: &Standing,
    (first, later): (u32, u32),
    going: &[u32],
) -> Option<Decision> {
    let could_not = |count: u32| match count {
        1 => "1 instance could not be moved".to_owned(),
        count => format!("{count} instances could not be moved"),
    };
    if first > 0 {
        return Some(Decision::Pause(format!("{} in the first wave", could_not(first + later))));
    }
    if later >= plan.stop_after {
        return Some(Decision::Pause(could_not(later)));
    }
    let Some(wave) = standing.waiting_in else {
        return going.is_empty().then_some(Decision::End);
    };
    // A wave begins when the one before is over.
    if going.iter().any(|before| *before < wave) {
        return None;
    }
    if let Some(after) = plan.pause_after.filter(|after| *after < wave && standing.passed < *after)
    {
        return Some(Decision::PauseAfter(after));
    }
    let most = plan.at_once.unwrap_or(u32::MAX);
    let count = most.saturating_sub(u32::try_from(going.len()).unwrap_or(u32::MAX));
    (count > 0).then_some(Decision::Start { wave, count })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn instance(number: u32) -> InstanceId {
        InstanceId::named(&[&number.to_string()])
    }

    fn starting(number: u32, wave: u32, seen: Seen) -> Starting {
        Starting { instance: instance(number), wave, since: NOW, seen }
    }

    fn decided(plan: &RolloutPlan, standing: &Standing) -> Option<Decision> {
        decide(plan, standing, NOW).2
    }

    #[test]
    fn one_after_the_other_and_wave_after_wave() {
        let plan = RolloutPlan::default();
        let waiting = Standing { waiting_in: Some(1), ..Standing::default() };
        assert_eq!(decided(&plan, &waiting), Some(Decision::Start { wave: 1, count: 1 }));
        let busy = Standing { starting: vec![starting(1, 1, Seen::Starts)], ..waiting.clone() };
        assert_eq!(decided(&plan, &busy), None, "one at a time");
        let four = RolloutPlan { at_once: Some(4), ..plan.clone() };
        assert_eq!(decided(&four, &busy), Some(Decision::Start { wave: 1, count: 3 }));
        let next_wave = Standing { waiting_in: Some(2), ..busy.clone() };
        assert_eq!(decided(&four, &next_wave), None, "the first wave is not over");
        let served = Standing { starting: vec![starting(1, 1, Seen::Serves)], ..next_wave };
        let (moved, failed, decision) = decide(&four, &served, NOW);
        assert_eq!((moved, failed), (vec![instance(1)], vec![]));
        assert_eq!(decision, Some(Decision::Start { wave: 2, count: 4 }));
        assert_eq!(decided(&plan, &Standing::default()), Some(Decision::End));
    }

    #[test]
    fn failures_stop_it_and_a_planned_pause_is_made_once() {
        let plan = RolloutPlan { stop_after: 2, pause_after: Some(1), ..RolloutPlan::default() };
        let one = |wave| Standing {
            starting: vec![starting(1, wave, Seen::Fails("no module".into()))],
            waiting_in: Some(wave),
            ..Standing::default()
        };
        let (_, failed, decision) = decide(&plan, &one(1), NOW);
        assert_eq!(failed, [(instance(1), "no module".to_owned())]);
        let why = "1 instance could not be moved in the first wave".to_owned();
        assert_eq!(decision, Some(Decision::Pause(why)));
        // In a later wave more may fail.
        let later = Standing { passed: 1, ..one(2) };
        assert_eq!(decided(&plan, &later), Some(Decision::Start { wave: 2, count: 1 }));
        let second = Standing { failed: (0, 1), ..later };
        let stopped = decided(&plan, &second);
        assert_eq!(stopped, Some(Decision::Pause("2 instances could not be moved".into())));
        let over = Standing { waiting_in: Some(2), ..Standing::default() };
        let paused = decided(&plan, &over);
        assert_eq!(paused, Some(Decision::PauseAfter(1)));
        let resumed = Standing { passed: 1, ..over };
        assert_eq!(decided(&plan, &resumed), Some(Decision::Start { wave: 2, count: 1 }));
        let slow = Standing {
            starting: vec![Starting {
                since: Timestamp::from_micros(0),
                ..starting(1, 1, Seen::Starts)
            }],
            ..Standing::default()
        };
        assert_eq!(decide(&plan, &slow, NOW).1.len(), 1, "it took too long");
    }

    proptest! {
        /// Whatever fails, it comes to an end: everybody has moved or failed, or it has stopped; no
        /// more are under way than may be, and no wave begins before the one before is over.
        #[test]
        fn it_comes_to_an_end(
            sizes in prop::collection::vec(1_u32..6, 1..5),
            fails in prop::collection::vec(any::<bool>(), 30),
            at_once in prop::option::of(1_u32..5),
            stop_after in 1_u32..4,
            pause_after in prop::option::of(1_u32..5),
        ) {
            let plan = RolloutPlan { at_once, stop_after, pause_after, ..RolloutPlan::default() };
            let mut waiting: Vec<(u32, u32)> = sizes
                .iter()
                .zip(1..)
                .flat_map(|(size, wave)| (0..*size).map(move |_| wave))
                .zip(0..)
                .collect();
            let wave_of: BTreeMap<InstanceId, u32> =
                waiting.iter().map(|(wave, number)| (instance(*number), *wave)).collect();
            let all = waiting.len();
            let mut going: Vec<(u32, u32)> = Vec::new();
            let (mut moved, mut failed, mut passed, mut stopped) = (0, (0, 0), 0, false);
            for _ in 0..200 {
                let standing = Standing {
                    starting: going.iter().map(|(wave, number)| {
                        let fails = fails[*number as usize];
                        let seen = if fails { Seen::Fails(String::new()) } else { Seen::Serves };
                        starting(*number, *wave, seen)
                    }).collect(),
                    waiting_in: waiting.iter().map(|(wave, _)| *wave).min(),
                    failed,
                    passed,
                    is_paused: false,
                };
                let first = |instance| wave_of[&instance] == 1;
                let (done, bad, decision) = decide(&plan, &standing, NOW);
                moved += done.len();
                let in_first = bad.iter().filter(|(it, _)| first(*it)).count();
                failed.0 += u32::try_from(in_first).unwrap();
                failed.1 += u32::try_from(bad.len() - in_first).unwrap();
                going.clear();
                match decision {
                    Some(Decision::Start { wave, count }) => {
                        prop_assert!(waiting.iter().all(|(other, _)| *other >= wave));
                        let some = waiting.iter().filter(|(of, _)| *of == wave);
                        going = some.take(count as usize).copied().collect();
                        prop_assert!(plan.at_once.is_none_or(|most| going.len() <= most as usize));
                        waiting.retain(|it| !going.contains(it));
                    }
                    Some(Decision::PauseAfter(wave)) => passed = wave,
                    Some(Decision::Pause(_)) => { stopped = true; break; }
                    Some(Decision::End) => break,
                    None => {}
                }
            }
            let bad = (failed.0 + failed.1) as usize;
            if stopped {
                prop_assert!(failed.0 > 0 || failed.1 >= stop_after);
            } else {
                prop_assert_eq!(moved + bad, all);
                prop_assert!(failed.0 == 0 && failed.1 < stop_after);
            }
        }
    }
}
