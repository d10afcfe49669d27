//! From facts to lines, each with all that explains it.

use std::collections::BTreeMap;

use api::{
    billing::{BillLine, JOB_MILLISECONDS, LineKind, LinePart, LineUsage, Words},
    manifest::title_of,
    prices::PriceBook,
};
use types::{Amount, Currency, InstanceId, Money, MoneyError};

use super::{Facts, Prices, Taken, UsageSum, line_name, meters::Portion, words::plain};

/// A line, and how it came about.
#[derive(Debug, Clone)]
pub(crate) struct Rated {
    pub(crate) line: BillLine,
    /// The sum of the parts; what was rounded.
    pub(crate) exact: Amount,
    pub(crate) parts: Vec<LinePart>,
    pub(crate) source: Source,
}

/// Where a line's quantity came from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Time; the newest first.
    Spans(Vec<LineUsage>),
    /// Events of a meter.
    Events {
        /// Which one.
        meter: String,
    },
}

/// The most that a line can come to, in minor units: so much that no account's total overflows.
pub(crate) const LINE_MINOR_MAX: i64 = 100_000_000_000_000;

/// The lines of a bill: by instance, then plan, sizes, modules, meters and jobs, each by name.
pub(crate) fn rate(facts: &Facts) -> Vec<Rated> {
    let mut usage: BTreeMap<InstanceId, BTreeMap<&str, Vec<&UsageSum>>> = BTreeMap::new();
    for sum in &facts.usage {
        usage.entry(sum.instance).or_default().entry(&sum.meter).or_default().push(sum);
    }
    let mut lines = Vec::new();
    for taken in &facts.taken {
        let Some(prices) = facts.prices.get(&taken.service) else { continue };
        let Some(book) = prices.at(facts.until) else { continue };
        let words = facts.words.get(&taken.service);
        let rating = Rating { facts, taken, prices, book, words, currency: book.currency };
        for kind in [LineKind::Plan, LineKind::Size, LineKind::Module] {
            rating.time_lines(kind, &mut lines);
        }
        let mut used = usage.remove(&taken.instance).unwrap_or_default();
        let jobs = used.remove(JOB_MILLISECONDS);
        for (meter, sums) in used {
            lines.push(rating.usage_line(LineKind::Meter, meter, sums));
        }
        if let Some(sums) = jobs {
            lines.push(rating.usage_line(LineKind::Jobs, JOB_MILLISECONDS, sums));
        }
    }
    lines
}

/// The sum of the lines for each currency.
pub(crate) fn totals<'a>(
    lines: impl IntoIterator<Item = &'a Money>,
) -> Result<Vec<Money>, MoneyError> {
    let mut totals: BTreeMap<String, Money> = BTreeMap::new();
    for amount in lines {
        let zero = Money::zero(amount.currency);
        let total = totals.entry(amount.currency.to_string()).or_insert(zero);
        *total = total.plus(*amount)?;
    }
    Ok(totals.into_values().collect())
}

/// One instance's usage at its prices, from which its lines are made.
pub(super) struct Rating<'a> {
    pub(super) facts: &'a Facts,
    pub(super) taken: &'a Taken,
    pub(super) prices: &'a Prices,
    /// The prices that hold at the end.
    book: &'a PriceBook,
    words: Option<&'a Words>,
    currency: Currency,
}

/// A line before it is added up and rounded.
pub(super) struct Draft<'n> {
    pub(super) kind: LineKind,
    pub(super) name: &'n str,
    pub(super) title: String,
    pub(super) unit: String,
    pub(super) source: Source,
    /// How much there is of it, and what its parts cost.
    pub(super) sum: Result<(Amount, Vec<LinePart>), MoneyError>,
}

impl Rating<'_> {
    /// What a plan is called for people.
    pub(super) fn plan_title<'n>(&'n self, name: &'n str) -> &'n str {
        self.book.plans.get(name).map_or(name, |plan| &plan.title)
    }

    /// What a size, module or meter is called for people.
    pub(super) fn title_of(&self, kind: LineKind, name: &str) -> String {
        let titles = self.words.map(|words| match kind {
            LineKind::Size => &words.sizes,
            LineKind::Module => &words.modules,
            _ => &words.meters,
        });
        let unnamed = if kind == LineKind::Meter { title_of } else { plain };
        titles.and_then(|titles| titles.get(name)).cloned().unwrap_or_else(|| unnamed(name))
    }

    /// What a meter counts, in the plural.
    pub(super) fn unit_of(&self, meter: &str) -> String {
        let unit = self.words.and_then(|words| words.units.get(meter));
        unit.cloned().unwrap_or_else(|| plain(meter))
    }

    /// Adds up and rounds. What is too large for that is the line's problem and no other's.
    pub(super) fn line(&self, draft: Draft<'_>) -> Rated {
        let Draft { kind, name, title, unit, source, sum } = draft;
        let added = sum.and_then(|(quantity, parts)| {
            let exact = parts.iter().try_fold(Amount::zero(), |sum, part| sum.plus(part.amount));
            Ok((quantity, exact?, parts))
        });
        let none = || (Amount::zero(), Amount::zero(), Vec::new());
        let amount = added.as_ref().ok().and_then(|(_, exact, _)| due(*exact, self.currency));
        let (quantity, exact, parts) = added.unwrap_or_else(|_| none());
        let line = BillLine {
            line: line_name(&self.taken.host, kind, name),
            kind,
            instance: self.taken.instance,
            host: self.taken.host.clone(),
            service: self.taken.service.clone(),
            title,
            quantity,
            unit,
            problem: amount.is_none().then(|| TOO_LARGE.to_owned()),
            amount: amount.unwrap_or(Money::zero(self.currency)),
        };
        Rated { line, exact, parts, source }
    }
}

const TOO_LARGE: &str = "this comes to more than a bill can hold, and nothing is charged for it: \
                         the price or the usage must be a mistake";

fn due(exact: Amount, currency: Currency) -> Option<Money> {
    exact.round(currency).ok().filter(|money| money.minor <= LINE_MINOR_MAX)
}

/// A quantity at a price by a version of the prices; one that is not priced says so.
pub(super) fn part(
    portion: Portion,
    book: &PriceBook,
    priced: bool,
) -> Result<LinePart, MoneyError> {
    let Portion { mut note, quantity, price } = portion;
    if !priced {
        note.push_str(": nothing is charged, since it has no price");
    }
    let amount = quantity.times(price)?;
    Ok(LinePart { note, quantity, rate: price, amount, effective: book.effective })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leaves_room_for_those_beside_it() {
        let currency: Currency = "USD".parse().unwrap();
        let most = Amount::of(Money { currency, minor: LINE_MINOR_MAX });
        assert_eq!(due(most, currency).unwrap().minor, LINE_MINOR_MAX);
        assert_eq!(due(most.plus(Amount::whole(1)).unwrap(), currency), None);
        assert!(LINE_MINOR_MAX.checked_mul(50_000).is_some(), "so many make a bill");
    }
}
