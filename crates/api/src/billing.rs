//! billing: what each account owes, and why, to the cent and the event.

mod forecast;
mod verification;

pub mod reading;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{AccountId, Amount, Digest, Host, InstanceId, Money, Name, Period, Timestamp};

pub use crate::manifest::JOB_MILLISECONDS;
use crate::{Empty, manifest::Manifest, prices::PriceBook};
pub use forecast::{BillChange, FORECASTS_MAX, Forecast, ForecastBills};
pub use verification::{
    BillVerification, GetVerification, Verification, VerificationState, VerifiedLine,
    VerifiedTotal, VerifyBill,
};

operations! { "billing":
    /// Puts a version of a service's prices; it holds from its `effective` moment on.
    PutPriceBook PUT "/v1/price-books/{service}" on service by [releases, operator] -> Empty;
    /// Proposes the prices that a release brings.
    PutReleasePrices PUT "/v1/price-books/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Puts the prices that a release proposed, unless it was promoted before.
    PromotePrices PUT "/v1/price-books/{service}/release" on service by [releases] -> Empty;
    /// Withdraws the prices of a release that was never promoted.
    DropPrices DELETE "/v1/price-books/{service}/releases/{release}" on service by [releases] -> Empty;
    /// Shows a service's prices as they are now.
    GetPriceBook GET "/v1/price-books/{service}" on service by [public] -> PriceBook;
    /// Says what an instance has taken from a moment on: a cycle begins, or its size and modules change.
    PutSubscription PUT "/v1/accounts/{account}/instances/{instance}/subscription" on instance by [provider] -> Empty;
    /// Takes back what was said of an instance from a moment on, because nobody got it.
    WithdrawSubscription DELETE "/v1/accounts/{account}/instances/{instance}/subscription" on instance by [provider] -> Empty;
    /// Lists what can be taken of services now: what has a price, now and in every version to come.
    ListPriced GET "/v1/priced" on platform by [provider] -> Vec<Priced>;
    /// Says what the bills of a service's instances become if a release is promoted.
    ForecastBills GET "/v1/price-books/{service}/releases/{release}/forecast" on service by [releases] -> Forecast;
    /// Says which of these wishes are not known here, so that they are put again.
    CheckSubscriptions POST "/v1/subscriptions/check" on platform by [provider] -> CheckedSubscriptions;
    /// Takes usage events, in batches of which each counts once.
    RecordUsage POST "/v1/usage" on platform by [gateway, jobs] -> Recorded;
    /// Lists usage that was set aside since it cannot be billed as it came, oldest first.
    ListSetAside GET "/v1/set-aside" on platform by [operator] lists SetAsideUsage;
    /// Lists where usage of a source is missing: gaps that were accepted, and those it waits at.
    ListUsageGaps GET "/v1/gaps" on platform by [operator] lists UsageGap;
    /// Gives up usage that is missing, so that its source goes on with what it has.
    AcceptUsageGap POST "/v1/gaps" on platform by [operator] -> UsageGap;
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
    ListUsage GET "/v1/accounts/{account}/usage" on account by [customer, operator] lists UsageEvent only [instance: InstanceId];
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

/// Proposes the prices that a release brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PutReleasePrices {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// Its prices.
    pub book: PriceBook,
    /// What the things on its bills are called.
    pub words: Words,
}

/// Makes what a release proposed hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromotePrices {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
    /// A service's promotions count up; one that comes after a later one changes nothing.
    pub turn: u64,
}

/// Withdraws what a release proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropPrices {
    /// The service.
    pub service: Name,
    /// Which release.
    pub release: Digest,
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

/// Takes back what was said of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WithdrawSubscription {
    /// Whose.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
    /// From when on it was to hold. Withdrawing what was never said changes nothing.
    pub since: Timestamp,
}

/// Asks what can be taken now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListPriced {
    /// Of which services, at most 500.
    #[serde(default)]
    pub services: Vec<Name>,
}

/// What can be taken of a service now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Priced {
    /// The service.
    pub service: Name,
    /// On which plans.
    pub plans: BTreeSet<String>,
    /// How big.
    pub sizes: BTreeSet<String>,
    /// With which modules.
    pub modules: BTreeSet<String>,
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

/// A batch was taken, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    /// The number of the next event.
    pub next_sequence: u64,
    /// Events of the batch that do not count. They are set aside, and nothing waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedEvent>,
}

/// An event that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedEvent {
    /// Its number.
    pub sequence: u64,
    /// Why.
    pub reason: String,
}

/// Asks which wishes are not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckSubscriptions {
    /// At most 100.
    pub wishes: Vec<PutSubscription>,
}

/// Which wishes are not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckedSubscriptions {
    /// Their places among those that were asked about, from 0.
    pub lacking: Vec<u32>,
}

/// Usage that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetAsideUsage {
    /// Who counted it.
    pub source: String,
    /// In which life of the source's sequence.
    pub epoch: u64,
    /// Its number.
    pub sequence: u64,
    /// When it was set aside.
    pub taken: Timestamp,
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub detail: String,
    /// What it says, as far as that can be kept.
    pub usage: UsageEvent,
}

/// Usage that a source once sent or lost, and that is not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageGap {
    /// Whose.
    pub source: String,
    /// In which life of its sequence.
    pub epoch: u64,
    /// The first number that is missing.
    pub from: u64,
    /// The first one after it that is there.
    pub until: u64,
    /// When the source first came with a later one.
    pub found: Timestamp,
    /// When it was given up; the source waits as long as this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Timestamp>,
}

/// Gives up usage that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptUsageGap {
    /// Whose.
    pub source: String,
    /// In which life of its sequence.
    pub epoch: u64,
    /// The first number that is missing.
    pub from: u64,
    /// The first one after it that is there, as the list of gaps says.
    pub until: u64,
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
    /// In words: `the first 100,000 are included`, `up to 1,000,000`.
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
