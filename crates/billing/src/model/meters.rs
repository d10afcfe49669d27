//! What units of a meter cost, by the price models.

use api::{billing::reading, prices::Rate};
use types::{Amount, MoneyError};

/// So many at such a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Portion {
    pub(super) note: String,
    pub(super) quantity: Amount,
    pub(super) price: Amount,
}

/// What a month's units cost that come after the first `from`, up to and with number `to`.
///
/// Since units are counted through the month, the prices of two parts of it, one after the other,
/// are the price of both.
pub(super) fn portions(
    rate: &Rate,
    from: i128,
    to: i128,
    unit: &str,
) -> Result<Vec<Portion>, MoneyError> {
    let mut found = Vec::new();
    let included = i128::from(included(rate));
    let free = (to.min(included) - from.min(included)).max(0);
    if free > 0 {
        let note = format!("the first {} are included", said(included));
        found.push(Portion { note, quantity: Amount::whole(free), price: Amount::zero() });
    }
    match rate {
        Rate::Graduated { tiers, .. } => {
            let mut below = included;
            for tier in tiers {
                let end = tier.up_to.map_or(i128::MAX, i128::from);
                let there = to.min(end) - from.max(below);
                if there > 0 {
                    let note = tier_note(below, tier.up_to);
                    let quantity = Amount::whole(there);
                    found.push(Portion { note, quantity, price: tier.unit });
                }
                below = below.max(end);
            }
        }
        Rate::PerUnit { unit: price, .. } => {
            let there = to - from.max(included);
            if there > 0 {
                let note = tier_note(included, None);
                found.push(Portion { note, quantity: Amount::whole(there), price: *price });
            }
        }
        Rate::Package { size, price, .. } => {
            let packages = begun(to - included, *size)?.minus(begun(from - included, *size)?)?;
            if packages > Amount::zero() {
                let note = format!(
                    "packages of {} {unit}; one that is begun is paid for whole",
                    said((*size).into())
                );
                found.push(Portion { note, quantity: packages, price: *price });
            }
        }
    }
    Ok(found)
}

fn included(rate: &Rate) -> u64 {
    match rate {
        Rate::Graduated { included, .. }
        | Rate::PerUnit { included, .. }
        | Rate::Package { included, .. } => *included,
    }
}

fn tier_note(below: i128, up_to: Option<u64>) -> String {
    match (below, up_to) {
        (0, None) => "each one".to_owned(),
        (below, None) => format!("above {}", said(below)),
        (_, Some(up_to)) => format!("up to {}", said(up_to.into())),
    }
}

fn said(units: i128) -> String {
    reading::number(Amount::whole(units), 0)
}

/// How many packages `units` begin.
fn begun(units: i128, size: u64) -> Result<Amount, MoneyError> {
    Amount::whole(units.max(0)).over(Amount::whole(size)).map(Amount::ceil)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::prices::Tier;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn cost(rate: &Rate, from: i128, to: i128) -> Amount {
        let portions = portions(rate, from, to, "units").unwrap();
        let sum = portions.iter().try_fold(Amount::zero(), |sum, portion| {
            sum.plus(portion.quantity.times(portion.price)?)
        });
        sum.unwrap()
    }

    fn graduated(included: u64, tiers: &[(Option<u64>, &str)]) -> Rate {
        let tier = |(up_to, unit): &(Option<u64>, &str)| Tier { up_to: *up_to, unit: amount(unit) };
        Rate::Graduated { included, tiers: tiers.iter().map(tier).collect() }
    }

    #[test]
    fn the_published_examples_come_out() {
        let autumn =
            graduated(0, &[(Some(1_000), "0.01"), (Some(10_000), "0.008"), (None, "0.005")]);
        assert_eq!(cost(&autumn, 0, 15_000), amount("107"));
        let zuplo = graduated(0, &[(Some(1_000), "0.10"), (Some(10_000), "0.05"), (None, "0.01")]);
        assert_eq!(cost(&zuplo, 0, 15_000), amount("600"));
        let stripe = graduated(
            0,
            &[(Some(5), "5"), (Some(10), "4"), (Some(15), "3"), (Some(20), "2"), (None, "1")],
        );
        assert_eq!(cost(&stripe, 0, 6), amount("29"));
        let amazon = graduated(0, &[(Some(10 * 1024), "0.17"), (None, "0.13")]);
        assert_eq!(cost(&amazon, 0, 12 * 1024), amount("2007.04"));
        let package =
            |included, size, price: &str| Rate::Package { included, size, price: amount(price) };
        assert_eq!(cost(&package(0, 10, "100"), 0, 121), amount("1300"));
        assert_eq!(cost(&package(10, 10, "100"), 0, 121), amount("1200"));
        assert_eq!(cost(&package(200, 10, "100"), 0, 121), amount("0"));
        assert_eq!(cost(&package(100, 100, "5"), 0, 201), amount("10"));
        for (users, price) in [(1, "10"), (3, "10"), (5, "10"), (6, "20"), (7, "20")] {
            assert_eq!(cost(&package(0, 5, "10"), 0, users), amount(price));
        }
        let lambda = Rate::PerUnit { included: 1_000_000, unit: amount("0.0000002") };
        assert_eq!(cost(&lambda, 0, 3_000_000), amount("0.4"));
    }

    #[test]
    fn what_is_included_counts_from_the_months_first_unit_like_the_tiers() {
        let rate = graduated(100, &[(Some(150), "1"), (None, "0.5")]);
        assert_eq!(cost(&rate, 0, 160), amount("55"));
        assert_eq!(cost(&rate, 0, 100), amount("0"));
        assert_eq!(cost(&rate, 100, 101), amount("1"));
        assert_eq!(cost(&rate, 150, 151), amount("0.5"));
    }

    fn any_rate() -> impl Strategy<Value = Rate> {
        let price = |number: i128| Amount::fraction(number, 1_000).unwrap();
        let steps = proptest::collection::vec((1u64..40, 0i128..1_000), 0..4);
        let rest = (0u64..50, 0i128..1_000, 1u64..30, 0u8..3);
        (steps, rest).prop_map(move |(steps, (included, last, size, model))| match model {
            0 => {
                let mut below = included;
                let ended = steps.into_iter().map(|(step, unit)| {
                    below += step;
                    Tier { up_to: Some(below), unit: price(unit) }
                });
                let open = Tier { up_to: None, unit: price(last) };
                Rate::Graduated { included, tiers: ended.chain([open]).collect() }
            }
            1 => Rate::PerUnit { included, unit: price(last) },
            _ => Rate::Package { included, size, price: price(last) },
        })
    }

    proptest! {
        #[test]
        fn a_month_cut_anywhere_costs_the_same(
            rate in any_rate(),
            cut in 0i128..300,
            rest in 0i128..300,
        ) {
            let end = cut + rest;
            let (first, second) = (cost(&rate, 0, cut), cost(&rate, cut, end));
            let whole = cost(&rate, 0, end);
            prop_assert_eq!(first.plus(second).unwrap(), whole);
            prop_assert!(!first.is_negative() && first <= whole);
        }

        #[test]
        fn every_unit_is_priced_once(rate in any_rate(), from in 0i128..200, count in 0i128..200) {
            let portions = portions(&rate, from, from + count, "units").unwrap();
            if !matches!(rate, Rate::Package { .. }) {
                let units = portions.iter().map(|portion| portion.quantity);
                let sum = units.into_iter().try_fold(Amount::zero(), Amount::plus);
                prop_assert_eq!(sum.unwrap(), Amount::whole(count));
            }
        }
    }
}
