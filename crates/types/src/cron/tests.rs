use std::time::Duration;

use jiff::{civil, tz};
use proptest::prelude::*;

use super::*;

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    // Clocks are set by half an hour.
    "Australia/Lord_Howe",
    // A day was left out on 2011-12-30.
    "Pacific/Apia",
    "Asia/Kolkata",
    "Africa/Casablanca",
];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ticks(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone): (Cron, TimeZone) = (line.parse().unwrap(), zone.parse().unwrap());
    let first = cron.next(&zone, at(after));
    let moments = std::iter::successors(first, |moment| cron.next(&zone, *moment));
    moments.take(count).map(|moment| moment.to_string()).collect()
}

#[test]
fn a_line_recurs_by_the_clock_on_the_wall() {
    let berlin = ticks("0 6 * * 1-5", "Europe/Berlin", "2026-03-27T05:00:00Z", 2);
    assert_eq!(berlin, ["2026-03-30T04:00:00Z", "2026-03-31T04:00:00Z"]);
    let either = ticks("0 0 13 * 5", "UTC", "2026-03-01T00:00:00Z", 3);
    assert_eq!(either, ["2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"]);
    let both = ticks("0 0 */2 * 5", "UTC", "2026-03-01T00:00:00Z", 2);
    assert_eq!(both, ["2026-03-13T00:00:00Z", "2026-03-27T00:00:00Z"]);
    assert_eq!(ticks("0 0 * * 7", "UTC", "2026-03-01T00:00:00Z", 1), ["2026-03-08T00:00:00Z"]);
}

#[test]
fn a_leap_day_comes_when_it_comes() {
    let days = ticks("30 12 29 2 *", "UTC", "2096-03-01T00:00:00Z", 2);
    assert_eq!(days, ["2104-02-29T12:30:00Z", "2108-02-29T12:30:00Z"]);
}

#[test]
fn a_time_that_is_left_out_comes_when_the_clock_is_set() {
    let once = ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
    assert_eq!(once, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let several = ticks("*/20 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
    assert_eq!(several, ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
    let a_day = ticks("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00:00Z", 2);
    assert_eq!(a_day, ["2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"]);
}

#[test]
fn a_time_that_is_repeated_comes_once() {
    let once = ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(once, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn every_hour_is_every_hour_that_passes() {
    let forward = ticks("15 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(forward, ["2026-03-29T00:15:00Z", "2026-03-29T01:15:00Z", "2026-03-29T02:15:00Z"]);
    let back = ticks("15 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3);
    assert_eq!(back, ["2026-10-25T00:15:00Z", "2026-10-25T01:15:00Z", "2026-10-25T02:15:00Z"]);
}

#[test]
fn what_never_comes_is_refused() {
    for never in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 */2"] {
        assert_eq!(never.parse::<Cron>(), Err(CronError::Never), "{never}");
    }
    for sometimes in ["0 0 31 2 1", "0 0 29 2 */3", "59 23 31 1-12 *"] {
        assert!(sometimes.parse::<Cron>().is_ok(), "{sometimes}");
    }
    assert!("Europe/Berlino".parse::<TimeZone>().is_err());
    assert!("".parse::<TimeZone>().is_err());
    assert_eq!("europe/berlin".parse::<TimeZone>().unwrap().to_string(), "Europe/Berlin");
}

/// All moments between two, found the slow way: every minute of the clock is looked at, and then
/// it is asked when the clock shows it.
fn slowly(cron: &Cron, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let mut found = Vec::new();
    if cron.hours == EVERY_HOUR {
        let mut moment = from.micros() / 60_000_000 * 60_000_000;
        while moment <= to.micros() {
            let shown = zone.0.to_datetime(super::moment(moment).unwrap());
            if matches(cron, shown) {
                found.push(Timestamp::from_micros(moment));
            }
            moment += 60_000_000;
        }
    } else {
        let day = jiff::Span::new().days(2);
        let start = zone.0.to_datetime(super::moment(from.micros()).unwrap()) - day;
        let end = zone.0.to_datetime(super::moment(to.micros()).unwrap()) + day;
        let mut shown = start.date().at(0, 0, 0, 0);
        while shown < end {
            if matches(cron, shown) {
                found.push(Timestamp::from_micros(shows(zone, shown).as_microsecond()));
            }
            shown += jiff::Span::new().minutes(1);
        }
    }
    found.sort();
    found.dedup();
    found.retain(|moment| from < *moment && *moment <= to);
    found
}

fn matches(cron: &Cron, time: civil::DateTime) -> bool {
    cron.at_or_after(time) == Some(time)
}

fn shows(zone: &TimeZone, time: civil::DateTime) -> jiff::Timestamp {
    let ambiguous = zone.0.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        tz::AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time).unwrap(),
        tz::AmbiguousOffset::Fold { before, .. } => before.to_timestamp(time).unwrap(),
        tz::AmbiguousOffset::Gap { after, .. } => {
            // The clock is set after the moment at which it would show the time by its new offset.
            let early = after.to_timestamp(time).unwrap();
            zone.0.following(early).next().unwrap().timestamp()
        }
    }
}

fn a_field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let number = low..=high;
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => number.clone().prop_map(|n| n.to_string()),
        1 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{a},{b}")),
        1 => (number.clone(), number).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (1..=high).prop_map(|step| format!("*/{step}")),
    ]
}

fn a_line() -> impl Strategy<Value = String> {
    // Most days, and the hours in which clocks are set, so that it is about clocks.
    let hours = prop_oneof![a_field(0, 23), a_field(1, 3), Just("1-2".to_owned())];
    let day = |low, high| prop_oneof![3 => Just("*".to_owned()), 1 => a_field(low, high)];
    let fields = (a_field(0, 59), hours, day(1, 31), day(0, 7));
    fields.prop_map(|(minutes, hours, days, weekdays)| {
        format!("{minutes} {hours} {days} * {weekdays}")
    })
}

/// Moments close to those at which clocks are set.
fn a_moment() -> impl Strategy<Value = Timestamp> {
    let changes = [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-04-04T15:00:00Z",
        "2026-10-03T15:30:00Z",
        "2011-12-30T10:00:00Z",
        "2026-02-15T02:00:00Z",
        "2026-03-22T02:00:00Z",
        "2028-02-28T23:00:00Z",
    ];
    let around = (prop::sample::select(changes.to_vec()), -40_000_i64..40_000);
    around.prop_map(|(change, seconds)| {
        Timestamp::from_micros(at(change).micros() + seconds * 1_000_000)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn it_comes_at_the_moments_that_the_slow_way_finds(
        line in a_line(), zone in prop::sample::select(ZONES.to_vec()), from in a_moment(),
    ) {
        let (cron, zone): (Cron, TimeZone) = (line.parse().unwrap(), zone.parse().unwrap());
        let to = from.plus(Duration::from_hours(30));
        let found: Vec<Timestamp> =
            std::iter::successors(cron.next(&zone, from), |moment| cron.next(&zone, *moment))
                .take_while(|moment| *moment <= to)
                .collect();
        prop_assert_eq!(found, slowly(&cron, &zone, from, to));
    }

    #[test]
    fn no_text_panics(text in "[0-9*/, -]{0,24}") {
        let _ = text.parse::<Cron>();
    }
}
