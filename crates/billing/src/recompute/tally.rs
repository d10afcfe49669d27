//! What each line adds up to.

use std::collections::{BTreeMap, btree_map::Entry};

use types::{Currency, Money, MoneyError};

use super::number::minor_units;

/// The lines, each a numerator over a denominator of its own.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<String, Sum>);

#[derive(Debug)]
struct Sum {
    numerator: i128,
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
        numerator: i128,
    ) -> Result<(), MoneyError> {
        match self.0.entry(line) {
            Entry::Vacant(new) => {
                new.insert(Sum { numerator, denominator, currency });
            }
            Entry::Occupied(mut known) => {
                let sum = known.get_mut();
                sum.numerator = sum.numerator.checked_add(numerator).ok_or(MoneyError::Overflow)?;
            }
        }
        Ok(())
    }

    /// Each line, rounded once.
    pub(super) fn rounded(self) -> Result<BTreeMap<String, Money>, MoneyError> {
        let round = |(line, sum): (String, Sum)| {
            let exponent = sum.currency.exponent();
            let minor = minor_units(sum.numerator, sum.denominator, exponent)?;
            Ok((line, Money { currency: sum.currency, minor }))
        };
        self.0.into_iter().map(round).collect()
    }
}
