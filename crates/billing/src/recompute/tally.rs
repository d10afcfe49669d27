//! What each line adds up to.

use std::collections::{BTreeMap, btree_map::Entry};

use serde::{Deserialize, Serialize};
use types::{Currency, Money, MoneyError};

use super::number::minor_units;
use crate::model::LINE_MINOR_MAX;

/// The lines, each a numerator over a denominator of its own.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally(BTreeMap<String, Sum>);

#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    /// `None` once it is too large.
    numerator: Option<i128>,
    denominator: i128,
    currency: Currency,
}

impl Tally {
    /// Adds `numerator` to a line, which is there from then on. A line's denominator is its kind's.
    pub(super) fn add(
        &mut self,
        line: String,
        currency: Currency,
        denominator: i128,
        numerator: Result<i128, MoneyError>,
    ) {
        let numerator = numerator.ok();
        match self.0.entry(line) {
            Entry::Vacant(new) => {
                new.insert(Sum { numerator, denominator, currency });
            }
            Entry::Occupied(mut known) => {
                let sum = known.get_mut();
                let both = sum.numerator.zip(numerator);
                sum.numerator = both.and_then(|(one, other)| one.checked_add(other));
            }
        }
    }

    /// Each line, rounded once; `None` if it is too large for a bill.
    pub(super) fn rounded(self) -> BTreeMap<String, Option<Money>> {
        let round = |(line, sum): (String, Sum)| {
            let Sum { numerator, denominator, currency } = sum;
            let minor = numerator.and_then(|numerator| {
                minor_units(numerator, denominator, currency.exponent()).ok()
            });
            let minor = minor.filter(|minor| *minor <= LINE_MINOR_MAX);
            (line, minor.map(|minor| Money { currency, minor }))
        };
        self.0.into_iter().map(round).collect()
    }
}
