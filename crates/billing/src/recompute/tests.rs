//! Both ways to compute a bill agree, and a disagreement shows.

use std::collections::BTreeMap;

use proptest::prelude::*;
use types::Money;

use super::{Recomputation, compare, compare_totals};
use crate::model::{
    Facts, rate,
    sample::{History, histories},
};

fn billed(facts: &Facts) -> BTreeMap<String, Money> {
    let lines = rate(facts).unwrap();
    lines.into_iter().map(|rated| (rated.line.line, rated.line.amount)).collect()
}

fn recomputed(history: &History) -> BTreeMap<String, Money> {
    let mut recomputation = Recomputation::begin(&history.facts).unwrap();
    for used in &history.events {
        recomputation.add(used).unwrap();
    }
    recomputation.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn both_agree_on_every_history(history in histories()) {
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
        let lines = compare(tampered.clone(), recomputed(&history));
        let found = lines.iter().any(|line| line.billed != line.recomputed);
        prop_assert_eq!(found, tampered != honest);
    }
}

#[test]
fn lines_that_only_one_side_has_are_shown() {
    let dollars = |minor| Money { currency: "USD".parse().unwrap(), minor };
    let billed = BTreeMap::from([("a".to_owned(), dollars(1)), ("b".to_owned(), dollars(2))]);
    let again = BTreeMap::from([("b".to_owned(), dollars(2)), ("c".to_owned(), dollars(4))]);
    let lines = compare(billed, again);
    let sides: Vec<_> =
        lines.iter().map(|line| (line.billed.is_some(), line.recomputed.is_some())).collect();
    assert_eq!(sides, [(true, false), (true, true), (false, true)]);
    let totals = compare_totals(&lines).unwrap();
    assert_eq!((totals[0].billed, totals[0].recomputed), (dollars(3), dollars(6)));
}
