//! From a schedule, the last tick that was dealt with and the time: what is to be queued, and when to
//! look again. A tick is a moment of the line of cron; it is queued its instance's share of the spread
//! later.

use std::{collections::VecDeque, time::Duration};

use api::{jobs::Schedule, manifest::Missed};
use types::{Digest, InstanceId, JobId, Timestamp};

/// Later than this, a tick counts as missed.
pub(crate) const LATE: Duration = Duration::from_mins(1);
/// So many ticks that were missed are made up for at most.
pub(crate) const MADE_UP_MAX: usize = 100;

/// What is to be done about a schedule now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    /// To be queued, in this order.
    pub(crate) ticks: Vec<Timestamp>,
    /// The last tick that is dealt with then.
    pub(crate) last: Timestamp,
    /// When to look again; never if absent.
    pub(crate) next: Option<Timestamp>,
}

/// An instance's share of the spread: always the same, so that its runs keep their distance.
pub(crate) fn offset(schedule: &Schedule, instance: InstanceId, name: &str) -> Duration {
    let digest = Digest::of(format!("{instance} {name}").as_bytes());
    let number = u64::from_str_radix(&digest.hex()[..16], 16).unwrap_or_default();
    let micros = u64::from(schedule.spread_seconds) * 1_000_000;
    Duration::from_micros(number.checked_rem(micros).unwrap_or_default())
}

/// Nothing is due twice, whatever the clock says: only ticks after `last` are.
pub(crate) fn due(schedule: &Schedule, offset: Duration, last: Timestamp, now: Timestamp) -> Due {
    let until = now.minus(offset);
    let past = last_ticks(schedule, last, until);
    let dealt_with = past.back().copied().unwrap_or(last);
    let (missed, mut ticks): (Vec<_>, Vec<_>) =
        past.into_iter().partition(|tick| until.since(*tick) > LATE);
    match schedule.missed {
        Missed::Once if ticks.is_empty() => ticks.extend(missed.last()),
        Missed::Once | Missed::Skip => {}
        Missed::All => ticks = missed.into_iter().chain(ticks).collect(),
    }
    let next = schedule.cron.next(&schedule.time_zone, dealt_with);
    Due { ticks, last: dealt_with, next: next.map(|next| next.plus(offset)) }
}

/// The last ticks after `last`, up to `until`: not all since a year ago if they come every minute.
fn last_ticks(schedule: &Schedule, last: Timestamp, until: Timestamp) -> VecDeque<Timestamp> {
    let mut window = Duration::from_hours(2);
    loop {
        let from = last.max(until.minus(window));
        let next = |after: Timestamp| schedule.cron.next(&schedule.time_zone, after);
        let mut ticks = VecDeque::new();
        let mut tick = next(from);
        while let Some(moment) = tick.filter(|moment| *moment <= until) {
            ticks.push_back(moment);
            tick = next(moment);
        }
        if from == last || ticks.len() >= MADE_UP_MAX {
            ticks.drain(..ticks.len().saturating_sub(MADE_UP_MAX));
            return ticks;
        }
        window *= 2;
    }
}

/// The job that a tick is: the same however often it is asked.
pub(crate) fn job_of(instance: InstanceId, name: &str, tick: Timestamp) -> JobId {
    JobId::named_at(tick, &["tick", &instance.to_string(), name])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(cron: &str, zone: &str, missed: Missed, spread_seconds: u32) -> Schedule {
        let (cron, time_zone) = (cron.parse().unwrap(), zone.parse().unwrap());
        Schedule { cron, time_zone, missed, spread_seconds }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due(missed: Missed, last: &str, now: &str) -> (Vec<String>, String) {
        let schedule = schedule("0 6 * * *", "Europe/Berlin", missed, 0);
        let due = super::due(&schedule, Duration::ZERO, at(last), at(now));
        let ticks = due.ticks.iter().map(ToString::to_string).collect();
        (ticks, due.next.unwrap().to_string())
    }

    #[test]
    fn what_was_missed_is_left_out_or_made_up_for() {
        let (last, now) = ("2026-03-26T05:00:00Z", "2026-03-30T12:00:00Z");
        let next = "2026-03-31T04:00:00Z".to_owned();
        assert_eq!(due(Missed::Skip, last, now), (vec![], next.clone()));
        let once = vec!["2026-03-30T04:00:00Z".to_owned()];
        assert_eq!(due(Missed::Once, last, now), (once, next.clone()));
        // The clocks were set in the night of the 29th.
        let all = ["2026-03-27T05", "2026-03-28T05", "2026-03-29T04", "2026-03-30T04"];
        let all = all.map(|hour| format!("{hour}:00:00Z")).to_vec();
        assert_eq!(due(Missed::All, last, now), (all, next));
    }

    #[test]
    fn a_tick_that_is_not_late_is_queued_by_every_policy() {
        for missed in [Missed::Skip, Missed::Once, Missed::All] {
            let (ticks, _) = due(missed, "2026-03-29T04:00:00Z", "2026-03-30T04:00:59Z");
            assert_eq!(ticks, ["2026-03-30T04:00:00Z"]);
        }
    }

    #[test]
    fn years_of_minutes_cost_what_is_made_up_for() {
        let schedule = schedule("* * * * *", "UTC", Missed::All, 0);
        let (from, now) = (at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"));
        let due = super::due(&schedule, Duration::ZERO, from, now);
        assert_eq!(due.ticks.len(), MADE_UP_MAX);
        assert_eq!(due.last, at("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn instances_are_spread_out() {
        let schedule = schedule("0 6 * * *", "UTC", Missed::Once, 600);
        let minutes: std::collections::BTreeSet<u64> = (0..200)
            .map(|number| InstanceId::named(&[&number.to_string()]))
            .map(|instance| offset(&schedule, instance, "digest").as_secs() / 60)
            .collect();
        assert_eq!(minutes, (0..10).collect(), "every minute of the ten has some");
    }

    const LINES: [&str; 5] =
        ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 6 * * 1-5", "15 */3 29 2,10 *"];
    const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "Australia/Lord_Howe"];

    prop_compose! {
        fn schedules()(
            cron in prop::sample::select(LINES.to_vec()),
            zone in prop::sample::select(ZONES.to_vec()),
            missed in prop::sample::select(vec![Missed::Skip, Missed::Once, Missed::All]),
            spread in prop::sample::select(vec![0_u32, 90, 7_200]),
        ) -> Schedule {
            schedule(cron, zone, missed, spread)
        }
    }

    /// Clocks are set on 25 October, and the moments around it are the likeliest.
    fn starts() -> impl Strategy<Value = Timestamp> {
        (-200_000_i64..200_000).prop_map(|seconds| {
            Timestamp::from_micros(at("2026-10-25T01:00:00Z").micros() + seconds * 1_000_000)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        /// However the clock is set and however long nobody looked.
        #[test]
        fn no_tick_comes_twice_and_each_is_one_of_the_line(
            schedule in schedules(),
            start in starts(),
            leaps in prop::collection::vec(-100_000_i64..200_000, 1..20),
        ) {
            let offset = offset(&schedule, InstanceId::named(&["a"]), "digest");
            let (mut last, mut now, mut seen) = (start, start, Vec::new());
            for leap in leaps {
                now = Timestamp::from_micros(now.micros() + leap * 1_000_000);
                let due = super::due(&schedule, offset, last, now);
                prop_assert!(due.last >= last && due.next.is_none_or(|next| next > now));
                for tick in &due.ticks {
                    let before = Timestamp::from_micros(tick.micros() - 1);
                    prop_assert_eq!(schedule.cron.next(&schedule.time_zone, before), Some(*tick));
                    let late = now.since(tick.plus(offset)) > LATE;
                    prop_assert!(tick.plus(offset) <= now && *tick > last);
                    prop_assert!(!late || schedule.missed != Missed::Skip);
                    prop_assert!(!late || schedule.missed == Missed::All || due.ticks.len() == 1);
                }
                seen.extend(due.ticks);
                last = due.last;
            }
            prop_assert!(seen.is_sorted_by(|one, other| one < other), "{seen:?}");
        }

        /// Who looks when it is said, whatever the policy.
        #[test]
        fn every_tick_comes_once_where_somebody_looks_in_time(
            schedule in schedules(), start in starts(), lag in 0_u64..59,
        ) {
            let offset = offset(&schedule, InstanceId::named(&["a"]), "digest");
            let end = start.plus(Duration::from_hours(30));
            let (mut last, mut seen) = (start, Vec::new());
            let mut look = super::due(&schedule, offset, start, start).next;
            while let Some(moment) = look.filter(|moment| *moment <= end.plus(offset)) {
                let due = super::due(&schedule, offset, last, moment.plus(Duration::from_secs(lag)));
                seen.extend(due.ticks);
                (last, look) = (due.last, due.next);
            }
            let next = |after: &Timestamp| schedule.cron.next(&schedule.time_zone, *after);
            let all: Vec<Timestamp> = std::iter::successors(next(&start), next)
                .take_while(|tick| *tick <= end)
                .collect();
            prop_assert_eq!(&seen[..all.len().min(seen.len())], &all[..]);
        }
    }
}
