//! billing: what each account owes, and why, to the cent and the event.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Amount, Currency, Host, InstanceId, Money, Name, Page, Period, Timestamp};

use crate::{Empty, manifest::Manifest, prices::PriceBook};

operations! { "billing":
    /// Puts a version of a service's prices; it holds from its `effective` moment on.
    PutPriceBook PUT "/v1/price-books/{service}" on service by [releases, operator] -> Empty;
    /// Shows a service's prices as they are now.
    GetPriceBook GET "/v1/price-books/{service}" on service by [public] -> PriceBook;
    /// Says what an instance has taken from a moment on: a cycle begins, or its size and modules change.
    PutSubscription PUT "/v1/accounts/{account}/instances/{instance}/subscription" on instance by [provider] -> Empty;
    /// Takes usage events, in batches of which each counts once.
    RecordUsage POST "/v1/usage" on platform by [gateway, jobs] -> Recorded;
    /// Shows the bill of a month; the present month's is a draft.
    GetBill GET "/v1/accounts/{account}/bill" on account by [customer, operator] -> Bill;
    /// Walks from a line's amount to rates, quantities and the usage it came from.
    ExplainLine GET "/v1/accounts/{account}/bill/lines/{line}" on account by [customer, operator] -> LineExplanation;
    /// Asks for the bill to be recomputed from raw usage by other code, and compared; this is done
    /// in the background, one at a time for each bill.
    VerifyBill POST "/v1/accounts/{account}/bill/verification" on account by [customer, operator] -> BillVerification;
    /// Shows how far the latest verification of a bill has come, and what it found.
    GetVerification GET "/v1/accounts/{account}/bill/verification" on account by [customer, operator] -> BillVerification;
    /// Lists usage events of an account, oldest first.
    ListUsage GET "/v1/accounts/{account}/usage" on account by [customer, operator] -> Page<UsageEvent>;
}

/// Puts a version of a service's prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutPriceBook {
    /// The service.
    pub service: Name,
    /// Its prices.
    pub book: PriceBook,
    /// What the things on its bills are called; as before if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
}

/// What the things on a service's bills are called, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Words {
    /// The titles of its sizes.
    pub sizes: BTreeMap<String, String>,
    /// The titles of its modules.
    pub modules: BTreeMap<String, String>,
    /// The titles of its meters.
    pub meters: BTreeMap<String, String>,
    /// What its meters count, in the plural.
    pub units: BTreeMap<String, String>,
}

impl Words {
    /// What a manifest calls them.
    pub fn of(manifest: &Manifest) -> Self {
        let sizes = manifest.sizes.iter().map(|(name, size)| (name.clone(), size.title.clone()));
        let modules =
            manifest.modules.iter().map(|(name, module)| (name.clone(), module.title.clone()));
        let meters = || manifest.meters.iter();
        Self {
            sizes: sizes.collect(),
            modules: modules.collect(),
            meters: meters().map(|(name, meter)| (name.clone(), meter.title.clone())).collect(),
            units: meters().map(|(name, meter)| (name.clone(), meter.unit.clone())).collect(),
        }
    }
}

/// Shows a service's prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetPriceBook {
    /// The service.
    pub service: Name,
}

/// Says what an instance has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutSubscription {
    /// Whose.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// Of which service.
    pub service: Name,
    /// The host name at which it is found. The first that is said names the lines of all its bills,
    /// so that a line keeps its name: saying another one later changes nothing. What names the
    /// lines of one instance of the account is refused for a second one.
    pub host: Host,
    /// On which plan.
    pub plan: String,
    /// How big.
    pub size: String,
    /// With which modules.
    pub modules: BTreeSet<String>,
    /// From when on. Putting the same again changes nothing.
    pub since: Timestamp,
}

/// A batch of usage. The same batch sent twice counts once: `source`, `epoch` and
/// `first_sequence` name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordUsage {
    /// Who counted, such as `gateway/main`.
    pub source: String,
    /// Which life of the source's sequence; a source that lost its place begins a new one.
    pub epoch: u64,
    /// The number of the first event; they follow without gaps.
    pub first_sequence: u64,
    /// At most 1 000 events.
    pub events: Vec<UsageEvent>,
}

/// Something was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageEvent {
    /// What it was: a request's or a job's id.
    pub event: String,
    /// When.
    pub at: Timestamp,
    /// By whose instance.
    pub account: AccountId,
    /// By which instance.
    pub instance: InstanceId,
    /// Of which meter: one of the manifest's, or `job_milliseconds`.
    pub meter: String,
    /// How much.
    pub quantity: u64,
    /// What it was, for people: `POST /topics/*/posts` or `migrate`.
    pub note: String,
}

/// The meter of what jobs took, in milliseconds.
pub const JOB_MILLISECONDS: &str = "job_milliseconds";

/// A batch was taken, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    /// The number of the next event.
    pub next_sequence: u64,
}

/// Shows a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetBill {
    /// Whose.
    pub account: AccountId,
    /// Any moment of the month; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Timestamp>,
}

/// What an account owes for a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bill {
    /// Whose.
    pub account: AccountId,
    /// The month.
    pub period: Period,
    /// Up to when usage is in it: now for a draft, the end of the month otherwise.
    pub until: Timestamp,
    /// Whether the month goes on.
    pub draft: bool,
    /// Its lines.
    pub lines: Vec<BillLine>,
    /// The sum for each currency.
    pub totals: Vec<Money>,
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The plan's monthly price, for the part of the month.
    Plan,
    /// The time the instance ran at a size.
    Size,
    /// A module's monthly price, for the part of the month.
    Module,
    /// A meter's usage.
    Meter,
    /// The time its jobs took.
    Jobs,
}

/// An amount with what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillLine {
    /// Its name on this bill, `HOST.KIND.NAME`, stable from day to day:
    /// `bakery-forum.localhost.meter.requests`.
    pub line: String,
    /// What it is for.
    pub kind: LineKind,
    /// Of which instance.
    pub instance: InstanceId,
    /// The host name at which the instance is found.
    pub host: Host,
    /// Of which service.
    pub service: Name,
    /// In words.
    pub title: String,
    /// How much was used, exactly.
    pub quantity: Amount,
    /// Of what: `requests`, `hours`, `months`, `seconds`.
    pub unit: String,
    /// What it costs, rounded once, half away from zero; nothing if there is a problem.
    pub amount: Money,
    /// Why nothing can be charged for it: what it comes to is more than a bill can hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Asks why a line is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainLine {
    /// Whose.
    pub account: AccountId,
    /// Which line.
    pub line: String,
    /// Any moment of the month; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Timestamp>,
}

/// Why a line is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineExplanation {
    /// The line.
    pub line: BillLine,
    /// The sum of the parts before rounding.
    pub exact: Amount,
    /// What was done to get from `exact` to the amount, in words.
    pub rounding: String,
    /// Each rate times a quantity.
    pub parts: Vec<LinePart>,
    /// The usage that the quantity came from: events for meters and jobs, periods for time. At most
    /// 1 000, the newest first.
    pub usage: Vec<LineUsage>,
    /// How many there are altogether.
    pub usage_count: u64,
}

/// A rate times a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinePart {
    /// In words: `first 100000 included`, `tier up to 1000000`.
    pub note: String,
    /// How much.
    pub quantity: Amount,
    /// At which price for one.
    pub rate: Amount,
    /// The product, exactly.
    pub amount: Amount,
    /// The price book's version that says so.
    pub effective: Timestamp,
}

/// A piece of usage under a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineUsage {
    /// The event's id; for time, what span it is.
    pub event: String,
    /// When it was, or began.
    pub at: Timestamp,
    /// When it ended, for time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How much, in the line's unit.
    pub quantity: Amount,
    /// What it was.
    pub note: String,
}

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

/// Lists usage events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListUsage {
    /// Whose.
    pub account: AccountId,
    /// Only of this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 500; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
