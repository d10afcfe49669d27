//! The bill once more, from the events themselves, by other means.
//!
//! Nothing here rates with the code of `model`: no sums of usage, no spans, no rationals. Time is
//! swept from change to change, usage is folded event by event, and money is counted in whole
//! numbers over a denominator that each line keeps. Only what lines are called, and what the facts
//! are, is shared.

mod number;
mod sweep;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use api::{
    billing::{JOB_MILLISECONDS, LineKind, VerifiedLine, VerifiedTotal},
    prices::{PriceBook, Rate},
};
use serde::{Deserialize, Serialize};
use types::{InstanceId, Money, MoneyError, Timestamp};

use crate::model::{Facts, Taken, line_name};
use number::{PICOS, picos, times};
use tally::Tally;

/// A usage event, as far as it matters here.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) at: Timestamp,
    pub(crate) instance: InstanceId,
    pub(crate) meter: String,
    pub(crate) quantity: u64,
}

/// A bill that is being made again.
pub(crate) struct Recomputation<'a> {
    facts: &'a Facts,
    taken: BTreeMap<InstanceId, &'a Taken>,
    memory: Memory,
}

/// What was made of the events so far: enough to go on after a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    tally: Tally,
    /// How many units of each meter were used so far in the month.
    counts: BTreeMap<InstanceId, BTreeMap<String, i128>>,
    /// How many events were read.
    events: u64,
}

impl<'a> Recomputation<'a> {
    /// Begins with what does not depend on usage. The facts' sums of usage are not looked at.
    pub(crate) fn begin(facts: &'a Facts) -> Self {
        let mut tally = Tally::default();
        for taken in &facts.taken {
            let prices = facts.prices.get(&taken.service);
            if let Some(prices) = prices.filter(|prices| !prices.0.is_empty()) {
                sweep::time(facts, taken, &prices.0, &mut tally);
            }
        }
        Self::resume(facts, Memory { tally, ..Memory::default() })
    }

    /// Goes on from what was made with the same facts.
    pub(crate) fn resume(facts: &'a Facts, memory: Memory) -> Self {
        let taken = facts.taken.iter().map(|taken| (taken.instance, taken)).collect();
        Self { facts, taken, memory }
    }

    /// What to go on from later.
    pub(crate) fn memory(self) -> Memory {
        self.memory
    }

    /// How many events were read.
    pub(crate) fn events(&self) -> u64 {
        self.memory.events
    }

    /// Adds an event of the month; they must come in the order of their time.
    pub(crate) fn add(&mut self, used: &Used) {
        self.memory.events += 1;
        let Some(taken) = self.taken.get(&used.instance) else { return };
        let Some((plan, book)) = self.rated_by(taken, used.at) else { return };
        let plan = book.plans.get(plan);
        let quantity = i128::from(used.quantity);
        if used.meter == JOB_MILLISECONDS {
            let line = line_name(&taken.host, LineKind::Jobs, "time");
            let price = plan.and_then(|plan| plan.jobs.as_ref()).map(|price| price.per_second);
            let cost = price.map_or(Ok(0), picos).and_then(|price| times(quantity, price));
            return self.memory.tally.add(line, book.currency, PICOS * 1000, cost);
        }
        let counts = self.memory.counts.entry(used.instance).or_default();
        let count = counts.entry(used.meter.clone()).or_insert(0);
        let before = *count;
        *count += quantity;
        let cost = match plan.and_then(|plan| plan.meters.get(&used.meter)) {
            Some(rate) => cost_of(rate, before, quantity),
            None => Ok(0),
        };
        let line = line_name(&taken.host, LineKind::Meter, &used.meter);
        self.memory.tally.add(line, book.currency, PICOS, cost);
    }

    /// The plan and the prices by which usage at `at` is rated: those at the beginning of its hour.
    fn rated_by(&self, taken: &'a Taken, at: Timestamp) -> Option<(&'a str, &'a PriceBook)> {
        let hour = at.micros() - at.micros().rem_euclid(3_600_000_000);
        let books = &self.facts.prices.get(&taken.service)?.0;
        let mut terms = taken.terms.first()?;
        for later in &taken.terms {
            if later.since.micros() <= hour {
                terms = later;
            }
        }
        let mut book = books.first()?;
        for later in books {
            if later.effective.micros() <= hour {
                book = later;
            }
        }
        Some((&terms.plan, book))
    }

    /// The lines' amounts; `None` for what is too large for a bill.
    pub(crate) fn finish(self) -> BTreeMap<String, Option<Money>> {
        self.memory.tally.rounded()
    }
}

/// What `quantity` units cost after `before` others, walking up from unit to unit where the price
/// changes.
fn cost_of(rate: &Rate, before: i128, quantity: i128) -> Result<i128, MoneyError> {
    let (mut at, end, mut cost) = (before, before + quantity, 0_i128);
    let mut add = |units: i128, price| -> Result<(), MoneyError> {
        cost = cost.checked_add(times(units, picos(price)?)?).ok_or(MoneyError::Overflow)?;
        Ok(())
    };
    match rate {
        Rate::PerUnit { included, unit } => {
            at = at.max((*included).into());
            if at < end {
                add(end - at, *unit)?;
            }
        }
        Rate::Graduated { included, tiers } => {
            at = at.max((*included).into());
            while at < end {
                // The next unit's tier is the first that does not end before it.
                let next = tiers.iter().find(|tier| tier.up_to.is_none_or(|last| at < last.into()));
                let Some(tier) = next else { break };
                let last = tier.up_to.map_or(end, |last| end.min(last.into()));
                add(last - at, tier.unit)?;
                at = last;
            }
        }
        Rate::Package { included, size, price } => {
            // A package is paid for by its first unit: numbers 1, size + 1, … above the included.
            let first_units_up_to = |number: i128| match number - i128::from(*included) {
                above if above > 0 => (above - 1) / i128::from(*size) + 1,
                _ => 0,
            };
            add(first_units_up_to(end) - first_units_up_to(at), *price)?;
        }
    }
    Ok(cost)
}

/// Both bills, line by line, by the lines' names.
pub(crate) fn compare(
    billed: &BTreeMap<String, Option<Money>>,
    recomputed: &BTreeMap<String, Option<Money>>,
) -> Vec<VerifiedLine> {
    let names: BTreeSet<&String> = billed.keys().chain(recomputed.keys()).collect();
    let line = |name: &String| {
        let (here, there) = (billed.get(name), recomputed.get(name));
        VerifiedLine {
            line: name.clone(),
            agrees: here == there,
            billed: here.copied().flatten(),
            recomputed: there.copied().flatten(),
        }
    };
    names.into_iter().map(line).collect()
}

/// The sums of both, for each currency.
pub(crate) fn compare_totals(lines: &[VerifiedLine]) -> Result<Vec<VerifiedTotal>, MoneyError> {
    let mut totals: BTreeMap<String, VerifiedTotal> = BTreeMap::new();
    for line in lines {
        for (money, again) in [(line.billed, false), (line.recomputed, true)] {
            let Some(money) = money else { continue };
            let zero = Money::zero(money.currency);
            let empty = VerifiedTotal { currency: money.currency, billed: zero, recomputed: zero };
            let total = totals.entry(money.currency.to_string()).or_insert(empty);
            let side = if again { &mut total.recomputed } else { &mut total.billed };
            side.minor = side.minor.checked_add(money.minor).ok_or(MoneyError::Overflow)?;
        }
    }
    Ok(totals.into_values().collect())
}
