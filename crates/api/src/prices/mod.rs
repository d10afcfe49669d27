//! `prices.toml`: what a service costs. Published apart from its code, at any time.

mod check;
mod parse;

pub use check::Flaw;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Amount, Currency, Name, Timestamp};

use crate::manifest::{Faults, reader::Reader};

/// What a service costs from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceBook {
    /// Of which service.
    pub service: Name,
    /// In which currency all of its amounts are.
    pub currency: Currency,
    /// From when on.
    pub effective: Timestamp,
    /// The plans that a customer can choose from; at least one.
    pub plans: BTreeMap<String, Plan>,
}

/// A plan that a customer can choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Its name for people.
    pub title: String,
    /// What it costs each month, whatever is used.
    pub monthly: Amount,
    /// What the sizes cost.
    pub sizes: BTreeMap<String, SizePrice>,
    /// What the modules cost.
    pub modules: BTreeMap<String, ModulePrice>,
    /// What the meters cost.
    pub meters: BTreeMap<String, Rate>,
    /// What jobs cost; there if the service has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobPrice>,
}

/// What a size costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SizePrice {
    /// For each hour, billed by the second.
    pub per_hour: Amount,
    /// The least time that a stay at this size is billed for, in seconds.
    pub minimum_seconds: u64,
}

/// What a module costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModulePrice {
    /// For each month.
    pub monthly: Amount,
}

/// What jobs cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobPrice {
    /// For each second that a job runs.
    pub per_second: Amount,
}

/// What a meter costs in a month. The first `included` units are free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Rate {
    /// Each unit costs what the tier says that it falls into.
    Graduated {
        /// How many are free.
        included: u64,
        /// Ascending, the last one open. `up_to` counts from the month's first unit, also those
        /// that are free.
        tiers: Vec<Tier>,
    },
    /// Each unit costs the same.
    PerUnit {
        /// How many are free.
        included: u64,
        /// For each one more.
        unit: Amount,
    },
    /// Units are sold in packages; one that is begun counts whole.
    Package {
        /// How many are free.
        included: u64,
        /// How many are in a package; at least one.
        size: u64,
        /// For each package.
        price: Amount,
    },
}

/// A tier of a graduated rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tier {
    /// The last unit that it holds for; all further ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
    /// For each unit.
    pub unit: Amount,
}

impl PriceBook {
    /// Reads `prices.toml`. All faults are told, not only the first.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Faults> {
        Reader::read(file_name, text, parse::book)
    }
}
