//! Measures usage, rates it, and explains every bill down to its events.
//!
//! A bill is a pure function of four things (`model::Facts`): what instances have taken, the
//! versions of the price books, sums of usage, and the month. The rules, each of which stands in
//! the code where it is kept:
//!
//! - **Time** counts in whole seconds: a moment counts as the second that it is in. A month's price
//!   is due for the part of the month's seconds that a plan or module was had.
//! - **A stay** at a size runs from the moment the size was taken until another one is. It is
//!   billed as if it had lasted at least the minimum that held when it began, also past its end
//!   and into the next month.
//! - **Usage** is summed by the clock hour, and an hour is rated by the plan and the prices that
//!   held when it began. Prices can therefore change only at a full hour, and what lies before the
//!   first version is rated by the first.
//! - **Units of a meter are counted through the month**: when prices or plans change, what was used
//!   earlier has filled the included units and the lower tiers, or begun the package, and each
//!   further unit costs what the version says that holds when it is used. Included units are not
//!   prorated.
//! - **What has no price** any more (a meter that a later version dropped) stays on the bill, at
//!   nothing, and says so.
//! - **A line is rounded once**, half away from zero; everything before is exact.
//!
//! Lines are named `HOST.KIND.NAME`, after the host that billing was first told of the instance:
//! `bakery.localhost.plan.basic`, `….size.small`, `….module.polls`, `….meter.requests`,
//! `….jobs.time`. An account has one instance for a host, and no `KIND` or `NAME` has a dot, so no
//! two lines of a bill are named alike.
//!
//! An event that cannot be billed as it came, such as one from a clock that stood in 1970, is set
//! aside with the reason, and holds up nothing (`set_aside`).
//!
//! Usage counts once: a source numbers its events without gaps, and the number that comes next is
//! kept in the transaction that adds the events (`usage`). Bills are made from sums that are kept
//! in that transaction too. `recompute` makes them again from the events themselves and shares no
//! rule with `model`, so that a mistake in one of the two, or a sum that was tampered with, shows. That
//! reads every event of a month, so `verifications` does it in the background, step by step; what
//! is asked at a click reads sums and pages.

mod bills;
mod error;
mod forecasts;
mod model;
mod priced;
mod prices;
mod recompute;
mod set_aside;
mod store;
mod subscriptions;
mod usage;
mod verifications;

use api::billing::{
    AcceptUsageGap, CheckSubscriptions, DropPrices, ExplainLine, ForecastBills, GetBill,
    GetPriceBook, GetVerification, ListPriced, ListSetAside, ListUsage, ListUsageGaps,
    PromotePrices, PutPriceBook, PutReleasePrices, PutSubscription, RecordUsage, VerifyBill,
    WithdrawSubscription,
};
use chassis::Component;

pub(crate) use error::Error;

/// Billing keeps nothing in memory.
pub(crate) struct State;

const MIGRATIONS: &[db::Migration] = &[
    db::Migration { name: "billing_0001", sql: include_str!("../migrations/0001_billing.sql") },
    db::Migration { name: "billing_0002", sql: include_str!("../migrations/0002_summaries.sql") },
    db::Migration { name: "billing_0003", sql: include_str!("../migrations/0003_set_aside.sql") },
    db::Migration { name: "billing_0004", sql: include_str!("../migrations/0004_newest.sql") },
    chassis::PROPOSALS,
];

/// The component.
pub fn component() -> Component<impl Send + Sync + 'static> {
    Component::new("billing", MIGRATIONS, State)
        .writes::<PutPriceBook>(prices::put_price_book)
        .writes::<PutReleasePrices>(prices::put_release_prices)
        .writes::<PromotePrices>(prices::promote_prices)
        .writes::<DropPrices>(prices::drop_prices)
        .reads::<GetPriceBook>(prices::get_price_book)
        .writes::<PutSubscription>(subscriptions::put_subscription)
        .writes::<WithdrawSubscription>(subscriptions::withdraw_subscription)
        .reads::<ListPriced>(priced::list_priced)
        .reads::<ForecastBills>(forecasts::forecast_bills)
        .reads::<CheckSubscriptions>(subscriptions::check_subscriptions)
        .acts::<RecordUsage>(usage::record_usage)
        .reads::<ListSetAside>(set_aside::list_set_aside)
        .reads::<ListUsageGaps>(set_aside::list_usage_gaps)
        .writes::<AcceptUsageGap>(set_aside::accept_usage_gap)
        .reads::<ListUsage>(usage::list_usage)
        .reads::<GetBill>(bills::get_bill)
        .reads::<ExplainLine>(bills::explain_line)
        .acts::<VerifyBill>(verifications::verify_bill)
        .reads::<GetVerification>(verifications::get_verification)
        .keeps("verifications", verifications::step)
}
