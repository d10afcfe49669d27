//! Properties of bills, over random histories.

use std::collections::{BTreeMap, BTreeSet};

use api::billing::LineKind;
use proptest::prelude::*;
use types::{Amount, Period, Timestamp};

use super::{
    Facts, Rated, Source, rate,
    sample::{History, histories, moment, sums_of},
    totals,
};

fn sum(amounts: impl IntoIterator<Item = Amount>) -> Amount {
    amounts.into_iter().try_fold(Amount::zero(), Amount::plus).unwrap()
}

fn hours_at_sizes(facts: &Facts, period: Period) -> BTreeMap<String, Amount> {
    let facts = Facts { period, until: period.ends(), usage: Vec::new(), ..facts.clone() };
    let lines = rate(&facts).into_iter();
    let sizes = lines.filter(|rated| rated.line.kind == LineKind::Size);
    sizes.map(|rated| (rated.line.line, rated.line.quantity)).collect()
}

proptest! {
    #[test]
    fn the_parts_are_the_whole_and_nothing_is_negative(history in histories()) {
        let lines = rate(&history.facts);
        let names: BTreeSet<&str> = lines.iter().map(|rated| rated.line.line.as_str()).collect();
        prop_assert_eq!(names.len(), lines.len());
        for rated in &lines {
            prop_assert_eq!(sum(rated.parts.iter().map(|part| part.amount)), rated.exact);
            prop_assert!(!rated.exact.is_negative() && rated.line.amount.minor >= 0);
            for part in &rated.parts {
                prop_assert_eq!(part.quantity.times(part.rate), Ok(part.amount));
            }
            if let Source::Spans(spans) = &rated.source {
                prop_assert_eq!(sum(spans.iter().map(|span| span.quantity)), rated.line.quantity);
            }
        }
        let amounts: Vec<_> = lines.iter().map(|rated| rated.line.amount).collect();
        let total: i64 = totals(&amounts).unwrap().iter().map(|total| total.minor).sum();
        prop_assert_eq!(total, amounts.iter().map(|amount| amount.minor).sum::<i64>());
    }

    #[test]
    fn how_usage_was_summed_does_not_matter(history in histories()) {
        let History { facts, events } = history;
        let coarse = Facts { usage: sums_of(&facts, &events, true), ..facts.clone() };
        let lines = |facts: &Facts| -> Vec<_> {
            let rated = rate(facts).into_iter();
            rated.map(|rated| (rated.line, rated.exact, rated.parts)).collect()
        };
        prop_assert_eq!(lines(&facts), lines(&coarse));
    }

    #[test]
    fn a_later_draft_is_never_smaller(history in histories(), earlier in 0i64..2_678_400) {
        let facts = history.facts;
        let earlier = facts.period.starts().micros() + earlier * 1_000_000;
        let until = Timestamp::from_micros(earlier).min(facts.until);
        let after = rate(&facts).into_iter();
        let after: BTreeMap<String, Rated> =
            after.map(|rated| (rated.line.line.clone(), rated)).collect();
        for rated in rate(&Facts { until, ..facts }) {
            let later = after.get(&rated.line.line);
            prop_assert!(later.is_some_and(|later| later.line.quantity >= rated.line.quantity));
            // What a stay's minimum adds may turn out to be on a cheaper plan.
            let is_size = rated.line.kind == LineKind::Size;
            prop_assert!(is_size || later.is_some_and(|later| later.exact >= rated.exact));
        }
    }

    #[test]
    fn months_tile(history in histories()) {
        let starts = ["2026-10", "2026-11", "2026-12", "2027-01", "2027-02", "2027-03"];
        let months = starts.map(|month| moment(&format!("{month}-01T00:00:00Z")).month());
        let mut tiled: BTreeMap<String, Amount> = BTreeMap::new();
        for month in months {
            for (line, hours) in hours_at_sizes(&history.facts, month) {
                let sum = tiled.entry(line).or_insert(Amount::zero());
                *sum = sum.plus(hours).unwrap();
            }
        }
        let whole = Period::new(months[0].starts(), months[5].ends()).unwrap();
        prop_assert_eq!(tiled, hours_at_sizes(&history.facts, whole));
    }
}
