//! Bills that are made again, and compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Currency, Money, Timestamp};

/// Asks for a bill to be recomputed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyBill {
    /// Whose.
    pub account: AccountId,
    /// Any moment of the month; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Timestamp>,
}

/// Asks for the latest verification of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetVerification {
    /// Whose.
    pub account: AccountId,
    /// Any moment of the month; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Timestamp>,
}

/// Where a verification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationState {
    /// Events are being read.
    Running,
    /// There is a result.
    Done,
    /// There is a problem instead.
    Failed,
}

/// A verification that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillVerification {
    /// Whose bill.
    pub account: AccountId,
    /// When the bill's month begins.
    pub month: Timestamp,
    /// Where it stands.
    pub state: VerificationState,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When it was done, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Up to when usage counts.
    pub until: Timestamp,
    /// How many usage events were read so far.
    pub events: u64,
    /// How many there are altogether.
    pub events_total: u64,
    /// What was found, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Verification>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Two ways to compute one bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// Whether they agree to the cent.
    pub agrees: bool,
    /// Up to when usage was looked at.
    pub until: Timestamp,
    /// How many usage events were read again.
    pub events: u64,
    /// How many events of the account are set aside and on no bill; at most 10 000 are counted.
    #[serde(default)]
    pub set_aside: u64,
    /// Line by line.
    pub lines: Vec<VerifiedLine>,
    /// The sums of the bill and of the recomputation, for each currency.
    pub totals: Vec<VerifiedTotal>,
}

/// A line in both computations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedLine {
    /// Which one.
    pub line: String,
    /// Whether both computations have it, and find the same.
    pub agrees: bool,
    /// As billed; absent if only the recomputation has it, or if it is too large to be billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed: Option<Money>,
    /// As recomputed; absent if only the bill has it, or if it is too large to be billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recomputed: Option<Money>,
}

/// A sum in both computations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedTotal {
    /// Of which currency.
    pub currency: Currency,
    /// As billed.
    pub billed: Money,
    /// As recomputed.
    pub recomputed: Money,
}
