//! Time, swept from one moment at which anything changes to the next.

use std::collections::BTreeSet;

use api::{billing::LineKind, prices::PriceBook};
use types::{Amount, MoneyError, Timestamp};

use super::{
    number::{PICOS, picos, times},
    tally::Tally,
};
use crate::model::{Facts, Taken, Terms, line_name};

/// A stretch of seconds in which nothing changes.
struct Still<'a> {
    from: i64,
    to: i64,
    book: &'a PriceBook,
}

/// Adds the lines of an instance's plan, sizes and modules.
pub(super) fn time(facts: &Facts, taken: &Taken, books: &[PriceBook], tally: &mut Tally) {
    let (first, last) = (floor(facts.period.starts()), floor(facts.period.ends()));
    let until = floor(facts.until);
    let mut moments: BTreeSet<i64> = [first, last, until].into();
    moments.extend(taken.terms.iter().map(|terms| floor(terms.since)));
    moments.extend(books.iter().map(|book| floor(book.effective)));
    let month = i128::from((last - first).max(1));
    let mut from = first;
    for to in moments.range(first..=last.min(until)).copied() {
        let still = Still { from, to, book: book_at(books, from) };
        from = to;
        if still.from < still.to
            && let Some(terms) = terms_at(taken, still.from)
        {
            add_still(taken, terms, &still, month, tally);
        }
    }
    minimums(facts, taken, books, tally);
}

fn add_still(taken: &Taken, terms: &Terms, still: &Still<'_>, month: i128, tally: &mut Tally) {
    let currency = still.book.currency;
    let plan = still.book.plans.get(&terms.plan);
    let seconds = i128::from(still.to - still.from);
    let line = |kind, name: &str| line_name(&taken.host, kind, name);
    let cost = cost_of(plan.map(|plan| plan.monthly), seconds);
    tally.add(line(LineKind::Plan, &terms.plan), currency, PICOS * month, cost);
    for module in &terms.modules {
        let price = plan.and_then(|plan| plan.modules.get(module));
        let cost = cost_of(price.map(|price| price.monthly), seconds);
        tally.add(line(LineKind::Module, module), currency, PICOS * month, cost);
    }
    add_size(taken, terms, still, tally);
}

/// In trillionths, of the month's or hour's price; what is not priced costs nothing.
fn cost_of(price: Option<Amount>, seconds: i128) -> Result<i128, MoneyError> {
    times(price.map_or(Ok(0), picos)?, seconds)
}

fn add_size(taken: &Taken, terms: &Terms, still: &Still<'_>, tally: &mut Tally) {
    let price = still.book.plans.get(&terms.plan).and_then(|plan| plan.sizes.get(&terms.size));
    let cost = cost_of(price.map(|price| price.per_hour), (still.to - still.from).into());
    let line = line_name(&taken.host, LineKind::Size, &terms.size);
    tally.add(line, still.book.currency, PICOS * 3_600, cost);
}

/// Adds what is missing to the minimum of stays that were shorter.
fn minimums(facts: &Facts, taken: &Taken, books: &[PriceBook], tally: &mut Tally) {
    let until = floor(facts.until);
    // The terms that held for at least a second, which the last ones of a second do.
    let mut held: Vec<&Terms> = Vec::new();
    for terms in taken.terms.iter().filter(|terms| floor(terms.since) < until) {
        if held.last().is_some_and(|before| floor(before.since) == floor(terms.since)) {
            held.pop();
        }
        held.push(terms);
    }
    let mut began = 0;
    for place in 0..held.len() {
        let next = held.get(place + 1);
        if next.is_some_and(|next| next.size == held[place].size) {
            continue;
        }
        let (start, end) = (floor(held[began].since), next.map_or(until, |next| floor(next.since)));
        let plan = book_at(books, start).plans.get(&held[began].plan);
        let least = plan.and_then(|plan| plan.sizes.get(&held[began].size));
        let least =
            least.map_or(0, |price| i64::try_from(price.minimum_seconds).unwrap_or(i64::MAX));
        top_up(facts, taken, held[place], books, (end, start.saturating_add(least)), tally);
        began = place + 1;
    }
}

/// Adds the seconds from `missing.0` to `missing.1`, as far as they are in the month.
fn top_up(
    facts: &Facts,
    taken: &Taken,
    terms: &Terms,
    books: &[PriceBook],
    missing: (i64, i64),
    tally: &mut Tally,
) {
    let mut from = missing.0.max(floor(facts.period.starts()));
    let end = missing.1.min(floor(facts.period.ends()));
    while from < end {
        let changes = books.iter().map(|book| floor(book.effective));
        let to = changes.filter(|change| *change > from).fold(end, i64::min);
        add_size(taken, terms, &Still { from, to, book: book_at(books, from) }, tally);
        from = to;
    }
}

fn floor(moment: Timestamp) -> i64 {
    let micros = moment.micros();
    (micros - micros.rem_euclid(1_000_000)) / 1_000_000
}

fn terms_at(taken: &Taken, second: i64) -> Option<&Terms> {
    taken.terms.iter().rev().find(|terms| floor(terms.since) <= second)
}

/// The last version that began; the first one if none has.
fn book_at(books: &[PriceBook], second: i64) -> &PriceBook {
    books.iter().rev().find(|book| floor(book.effective) <= second).unwrap_or(&books[0])
}
