//! Both ways to compute a bill agree, and a disagreement shows.

use std::collections::BTreeMap;

use api::{
    billing::BillLine,
    prices::{Plan, Rate},
};
use proptest::prelude::*;
use types::{Amount, Money};

use super::{Recomputation, compare, compare_totals};
use crate::model::{
    Facts, rate,
    sample::{History, histories},
};

fn billed(facts: &Facts) -> BTreeMap<String, Option<Money>> {
    let lines = rate(facts).into_iter().map(|rated| rated.line);
    let due = |line: &BillLine| line.problem.is_none().then_some(line.amount);
    lines.map(|line| (line.line.clone(), due(&line))).collect()
}

fn recomputed(history: &History) -> BTreeMap<String, Option<Money>> {
    let mut recomputation = Recomputation::begin(&history.facts);
    for (place, used) in history.events.iter().enumerate() {
        if place == history.events.len() / 2 {
            // As if the process had been started again here.
            let memory = serde_json::to_string(&recomputation.memory()).unwrap();
            let memory = serde_json::from_str(&memory).unwrap();
            recomputation = Recomputation::resume(&history.facts, memory);
        }
        recomputation.add(used);
    }
    recomputation.finish()
}

/// The highest prices that a book may have.
fn make_absurd(plan: &mut Plan) {
    let high: Amount = "999999999.999999999999".parse().unwrap();
    plan.monthly = high;
    plan.sizes.values_mut().for_each(|price| price.per_hour = high);
    plan.modules.values_mut().for_each(|price| price.monthly = high);
    plan.jobs.iter_mut().for_each(|price| price.per_second = high);
    for rate in plan.meters.values_mut() {
        match rate {
            Rate::Graduated { tiers, .. } => tiers.iter_mut().for_each(|tier| tier.unit = high),
            Rate::PerUnit { unit: price, .. } | Rate::Package { price, .. } => *price = high,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn both_agree_on_every_history(history in histories()) {
        prop_assert_eq!(billed(&history.facts), recomputed(&history));
    }

    #[test]
    fn both_find_the_same_too_large(history in histories(), more in 1u64..1_000_000_000_000) {
        let mut history = history;
        for book in history.facts.prices.values_mut().flat_map(|prices| &mut prices.0) {
            book.plans.values_mut().for_each(make_absurd);
        }
        history.facts.usage.iter_mut().for_each(|sum| sum.quantity *= more);
        history.events.iter_mut().for_each(|used| used.quantity *= more);
        prop_assert_eq!(billed(&history.facts), recomputed(&history));
    }

    #[test]
    fn a_sum_that_was_tampered_with_shows(
        history in histories(),
        which in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!history.facts.usage.is_empty());
        let honest = billed(&history.facts);
        let mut facts = history.facts.clone();
        let place = which.index(facts.usage.len());
        facts.usage[place].quantity += 1_000_000;
        let tampered = billed(&facts);
        // Only what has a price in that hour changes the bill, and whatever changes it is found.
        let lines = compare(&tampered, &recomputed(&history));
        let found = lines.iter().any(|line| !line.agrees);
        prop_assert_eq!(found, tampered != honest);
    }
}

#[test]
fn lines_that_only_one_side_has_are_shown() {
    let dollars = |minor| Money { currency: "USD".parse().unwrap(), minor };
    let due = |name: &str, minor| (name.to_owned(), Some(dollars(minor)));
    let billed = BTreeMap::from([due("a", 1), due("b", 2), ("d".to_owned(), None)]);
    let again = BTreeMap::from([due("b", 2), due("c", 4)]);
    let lines = compare(&billed, &again);
    assert_eq!(
        lines.iter().map(|line| line.agrees).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    let sides: Vec<_> =
        lines.iter().map(|line| (line.billed.is_some(), line.recomputed.is_some())).collect();
    assert_eq!(sides, [(true, false), (true, true), (false, true), (false, false)]);
    let totals = compare_totals(&lines).unwrap();
    assert_eq!((totals[0].billed, totals[0].recomputed), (dollars(3), dollars(6)));
}
