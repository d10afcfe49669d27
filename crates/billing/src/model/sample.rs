//! Random histories of two instances over some months around December 2026.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    billing::JOB_MILLISECONDS,
    prices::{JobPrice, ModulePrice, Plan, PriceBook, Rate, SizePrice, Tier},
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};
use types::{AccountId, Amount, Host, InstanceId, Name, Timestamp};

use super::{Facts, Prices, Taken, Terms, UsageSum, facts::HOUR_MICROS, hour_of};
use crate::recompute::Used;

const SECOND: i64 = 1_000_000;

/// Facts, and the events that their sums are of.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) facts: Facts,
    pub(crate) events: Vec<Used>,
}

pub(crate) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// So many microseconds after a day began.
fn after(day: &str, micros: i64) -> Timestamp {
    Timestamp::from_micros(moment(&format!("{day}T00:00:00Z")).micros() + micros)
}

fn service() -> Name {
    "forum".parse().unwrap()
}

fn instance(number: usize) -> InstanceId {
    InstanceId::named(&[["one", "two", "unknown"][number]])
}

/// The second could be taken for the first and part of a line's name.
fn host(number: usize) -> Host {
    ["bakery.localhost", "bakery.localhost.meter"][number].parse().unwrap()
}

fn price(thousandths: u32) -> Amount {
    Amount::fraction(thousandths.into(), 1_000).unwrap()
}

fn rate(model: u8, included: u64, step: u64, unit: u32) -> Rate {
    let (first, last) = (price(unit), price(unit / 2));
    match model % 3 {
        0 => {
            let first = Tier { up_to: Some(included + step), unit: first };
            Rate::Graduated { included, tiers: vec![first, Tier { up_to: None, unit: last }] }
        }
        1 => Rate::PerUnit { included, unit: first },
        _ => Rate::Package { included, size: step, price: first },
    }
}

/// Of which some lack a price for a meter and for jobs, as after a release that dropped them.
fn plans() -> impl Strategy<Value = Plan> {
    let times = (0u32..50_000, 0u32..500, 0u64..400_000);
    let units = (any::<u8>(), 0u64..3_000, 1u64..2_000, 0u32..3_000);
    (times, units, any::<bool>()).prop_map(|(times, units, is_whole)| {
        let ((monthly, hourly, minimum_seconds), (model, included, step, unit)) = (times, units);
        let size = |factor| SizePrice { per_hour: price(hourly * factor), minimum_seconds };
        let module = |share| ModulePrice { monthly: price(monthly / share) };
        let meters = ["requests", "posts", "bytes"].into_iter().zip(0u8..).map(|(name, more)| {
            (name.to_owned(), rate(model.wrapping_add(more), included, step, unit))
        });
        Plan {
            title: "Plan".to_owned(),
            monthly: price(monthly),
            sizes: [("small".to_owned(), size(1)), ("large".to_owned(), size(3))].into(),
            modules: [("polls".to_owned(), module(3)), ("search".to_owned(), module(7))].into(),
            meters: meters.take(if is_whole { 3 } else { 2 }).collect(),
            jobs: is_whole.then(|| JobPrice { per_second: price(unit) }),
        }
    })
}

fn prices() -> impl Strategy<Value = Prices> {
    let book = |(hour, (basic, pro)): (i64, (Plan, Plan))| PriceBook {
        service: service(),
        currency: "USD".parse().unwrap(),
        effective: after("2026-10-20", hour * HOUR_MICROS),
        plans: [("basic".to_owned(), basic), ("pro".to_owned(), pro)].into(),
    };
    btree_map(0i64..2_400, (plans(), plans()), 1..5)
        .prop_map(move |versions| Prices(versions.into_iter().map(book).collect()))
}

/// Changes over a hundred days, some of which follow each other within a second or a minute.
fn terms() -> impl Strategy<Value = Vec<Terms>> {
    let slow = (0i64..9_000_000).prop_map(|seconds| seconds * SECOND + seconds % 7 * 123_456);
    let quick = (0i64..90 * SECOND).prop_map(|micros| 3_300_000 * SECOND + micros);
    let moments = prop_oneof![slow, quick];
    btree_map(moments, 0u8..8, 1..8).prop_map(|changes| {
        let terms = changes.into_iter().map(|(micros, bits)| {
            let chosen = |bit: u8| bits & bit != 0;
            let modules = [("polls", chosen(1)), ("search", chosen(2))].into_iter();
            Terms {
                since: after("2026-10-25", micros),
                plan: if chosen(4) { "basic" } else { "pro" }.to_owned(),
                size: if chosen(1) { "small" } else { "large" }.to_owned(),
                modules: modules.filter(|(_, on)| *on).map(|(name, _)| name.to_owned()).collect(),
            }
        });
        terms.collect()
    })
}

/// Usage of December, in order of time; some of it of what nobody knows.
fn events() -> impl Strategy<Value = Vec<Used>> {
    let meters = ["requests", "posts", "bytes", "unpriced", JOB_MILLISECONDS];
    let event = (0i64..31 * 24 * HOUR_MICROS, 0usize..3, 0usize..5, 0u64..2_000);
    vec(event, 0..120).prop_map(move |events| {
        let used = |(micros, number, meter, quantity): (i64, usize, usize, u64)| Used {
            at: after("2026-12-01", micros),
            instance: instance(number),
            meter: meters[meter].to_owned(),
            quantity,
        };
        let mut events: Vec<Used> = events.into_iter().map(used).collect();
        events.sort_by_key(|used| used.at);
        events
    })
}

pub(crate) fn histories() -> impl Strategy<Value = History> {
    let until = (0i64..=31 * 24 * 3_600).prop_map(|second| after("2026-12-01", second * SECOND));
    (prices(), terms(), terms(), events(), until).prop_map(|(prices, one, two, events, until)| {
        let taken = [one, two].into_iter().zip(0..).map(|(terms, number)| Taken {
            instance: instance(number),
            service: service(),
            host: host(number),
            terms,
        });
        let facts = Facts {
            words: BTreeMap::new(),
            account: AccountId::named(&["ada"]),
            period: after("2026-12-01", 0).month(),
            until,
            taken: taken.collect(),
            prices: BTreeMap::from([(service(), prices)]),
            usage: Vec::new(),
        };
        let usage = sums_of(&facts, &events, false);
        History { facts: Facts { usage, ..facts }, events }
    })
}

/// The events' sums: by the hour, or as coarse as the facts' cuts allow.
pub(crate) fn sums_of(facts: &Facts, events: &[Used], coarse: bool) -> Vec<UsageSum> {
    let cuts: BTreeSet<Timestamp> = facts.cuts();
    let mut sums = BTreeMap::new();
    for used in events {
        let hour = hour_of(used.at);
        let part = if coarse { cuts.range(..=hour).next_back().copied() } else { Some(hour) };
        let sum = sums.entry((used.instance, &used.meter, part)).or_insert((hour, 0));
        sum.0 = sum.0.min(hour);
        sum.1 += used.quantity;
    }
    let sums = sums.into_iter().map(|((instance, meter, _), (hour, quantity))| UsageSum {
        instance,
        meter: meter.clone(),
        hour,
        quantity,
        events: 0,
    });
    sums.collect()
}
