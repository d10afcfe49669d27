//! What bills become with the prices of another release.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Digest, Money, Name, Period, Timestamp};

/// Asks what the bills of a service's instances become if a release is promoted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastBills {
    /// Which service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
}

/// So many changes of a forecast are listed.
pub const FORECASTS_MAX: usize = 50;

/// What the bills of a service's instances become, usage aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// The month that is compared: the first full one in which the release's prices hold.
    pub month: Period,
    /// When the release's prices begin to hold, if it brings any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Timestamp>,
    /// What instances pay otherwise than before, by what they have taken; at most
    /// [`FORECASTS_MAX`].
    pub changes: Vec<BillChange>,
    /// How many more there are.
    #[serde(default)]
    pub more: u64,
}

/// What instances pay otherwise than before that have taken the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillChange {
    /// Their plan.
    pub plan: String,
    /// Their size.
    pub size: String,
    /// Their modules.
    pub modules: BTreeSet<String>,
    /// How many there are.
    pub instances: u64,
    /// What a month costs now, usage aside.
    pub before: Money,
    /// What it would cost.
    pub after: Money,
}
