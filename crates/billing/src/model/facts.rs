//! What a bill is made from.

use std::collections::{BTreeMap, BTreeSet};

use api::{billing::Words, prices::PriceBook};
use serde::{Deserialize, Serialize};
use types::{AccountId, Host, InstanceId, Name, Period, Timestamp};

/// How long usage is summed, in microseconds.
pub(super) const HOUR_MICROS: i64 = 3_600_000_000;

/// The beginning of the clock hour that `moment` is in.
pub(crate) fn hour_of(moment: Timestamp) -> Timestamp {
    let hours = moment.micros().div_euclid(HOUR_MICROS);
    Timestamp::from_micros(hours.saturating_mul(HOUR_MICROS))
}

/// Whether something can be used or billed at `moment`: from 2000 to 2199.
pub(crate) fn is_billable(moment: Timestamp) -> bool {
    (946_684_800_000_000..7_258_118_400_000_000).contains(&moment.micros())
}

/// All that a bill depends on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) account: AccountId,
    pub(crate) period: Period,
    /// Up to when time counts: inside the period, or at its end.
    pub(crate) until: Timestamp,
    pub(crate) taken: Vec<Taken>,
    pub(crate) prices: BTreeMap<Name, Prices>,
    /// What things are called, where that is known; names do otherwise.
    #[serde(skip)]
    pub(crate) words: BTreeMap<Name, Words>,
    #[serde(skip)]
    pub(crate) usage: Vec<UsageSum>,
}

/// What an instance has taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) instance: InstanceId,
    pub(crate) service: Name,
    /// What its lines are named after; no other instance of the account has it.
    pub(crate) host: Host,
    /// Ascending; at least one.
    pub(crate) terms: Vec<Terms>,
}

/// What an instance has taken from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) since: Timestamp,
    pub(crate) plan: String,
    pub(crate) size: String,
    pub(crate) modules: BTreeSet<String>,
}

/// The versions of a service's prices, ascending.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Prices(pub(crate) Vec<PriceBook>);

/// What was used of a meter, in one hour or in several that are rated alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageSum {
    pub(crate) instance: InstanceId,
    pub(crate) meter: String,
    /// The first of the hours.
    pub(crate) hour: Timestamp,
    pub(crate) quantity: u64,
    /// Of how many events.
    pub(crate) events: u64,
}

impl Facts {
    /// The hours of the period at which an hour may begin to be rated differently.
    pub(crate) fn cuts(&self) -> BTreeSet<Timestamp> {
        let terms = self.taken.iter().flat_map(|taken| &taken.terms);
        let books = self.prices.values().flat_map(|prices| &prices.0);
        // Terms that begin within an hour hold from the next full one on.
        let full = |moment: Timestamp| {
            let up = moment.micros().saturating_add(HOUR_MICROS - 1);
            hour_of(Timestamp::from_micros(up))
        };
        let moments = terms.map(|terms| full(terms.since)).chain(books.map(|book| book.effective));
        moments.filter(|moment| self.period.contains(*moment)).collect()
    }
}

impl Taken {
    /// What holds at `moment`; the first terms hold also before they begin.
    pub(crate) fn at(&self, moment: Timestamp) -> Option<&Terms> {
        let later = self.terms.partition_point(|terms| terms.since <= moment);
        self.terms.get(later.saturating_sub(1))
    }
}

impl Prices {
    /// What holds at `moment`; the first version holds also before it begins.
    pub(crate) fn at(&self, moment: Timestamp) -> Option<&PriceBook> {
        let later = self.0.partition_point(|book| book.effective <= moment);
        self.0.get(later.saturating_sub(1))
    }

    /// When the next version after `moment` begins.
    pub(crate) fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let later = self.0.partition_point(|book| book.effective <= moment);
        self.0.get(later).map(|book| book.effective)
    }
}
