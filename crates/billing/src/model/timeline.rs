//! Time, in whole seconds: what was had without a break, cut where prices change.

use std::collections::BTreeMap;

use api::prices::PriceBook;
use types::{Period, Timestamp};

use super::{Prices, Taken, Terms};

/// The second that `moment` is in.
pub(super) fn second_of(moment: Timestamp) -> i64 {
    moment.micros().div_euclid(1_000_000)
}

/// When a second begins.
pub(super) fn start_of(second: i64) -> Timestamp {
    Timestamp::from_micros(second.saturating_mul(1_000_000))
}

/// Something that was had without a break, on one plan after the other; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
}

/// The seconds from `starts` up to but not including `ends`, on a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) plan: &'a str,
    pub(super) starts: i64,
    pub(super) ends: i64,
}

/// A part of a piece in which one version of the prices holds.
pub(super) struct Slice<'a> {
    pub(super) plan: &'a str,
    pub(super) book: &'a PriceBook,
    pub(super) seconds: i64,
}

impl<'a> Run<'a> {
    pub(super) fn starts(&self) -> i64 {
        self.pieces.first().map_or(0, |piece| piece.starts)
    }

    pub(super) fn ends(&self) -> i64 {
        self.pieces.last().map_or(0, |piece| piece.ends)
    }

    /// Lets it last at least `seconds`, the added ones on its last plan.
    pub(super) fn last_at_least(&mut self, seconds: i64) {
        let least = self.starts().saturating_add(seconds);
        if let Some(last) = self.pieces.last_mut() {
            last.ends = last.ends.max(least);
        }
    }

    /// Its part in `period`, cut where `prices` change.
    pub(super) fn slices(&self, period: Period, prices: &'a Prices) -> Vec<Slice<'a>> {
        let mut slices = Vec::new();
        for piece in &self.pieces {
            let (mut from, ends) = clip(period, piece.starts, piece.ends);
            while from < ends {
                let Some(book) = prices.at(start_of(from)) else { break };
                let next = prices.next_after(start_of(from)).map_or(ends, second_of).min(ends);
                slices.push(Slice { plan: piece.plan, book, seconds: next - from });
                from = next;
            }
        }
        slices
    }
}

/// The part of the seconds from `starts` to `ends` that is in `period`; nothing if the first is not
/// before the second.
pub(super) fn clip(period: Period, starts: i64, ends: i64) -> (i64, i64) {
    (starts.max(second_of(period.starts())), ends.min(second_of(period.ends())))
}

/// What `taken` had of each thing that `names` finds in its terms, up to `until`.
///
/// Terms that begin and end in the same second count for nothing.
pub(super) fn runs<'a, N: IntoIterator<Item = &'a str>>(
    taken: &'a Taken,
    until: Timestamp,
    names: impl Fn(&'a Terms) -> N,
) -> BTreeMap<&'a str, Vec<Run<'a>>> {
    let mut runs: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
    for (place, terms) in taken.terms.iter().enumerate() {
        let next = taken.terms.get(place + 1).map_or(until, |next| next.since.min(until));
        let piece =
            Piece { plan: &terms.plan, starts: second_of(terms.since), ends: second_of(next) };
        if piece.starts >= piece.ends {
            continue;
        }
        for name in names(terms) {
            let before = runs.entry(name).or_default();
            match before.last_mut().filter(|run| run.ends() == piece.starts) {
                Some(run) => run.pieces.push(piece),
                None => before.push(Run { pieces: vec![piece] }),
            }
        }
    }
    runs
}
