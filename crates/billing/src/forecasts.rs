//! What bills become if a release is promoted: a month is billed twice by the code that bills, with
//! the prices as they are and with those that the release brings.

use std::collections::BTreeMap;

use api::billing::{BillChange, FORECASTS_MAX, Forecast, ForecastBills, PutReleasePrices};
use chassis::Call;
use types::{AccountId, Currency, Host, InstanceId, Money, Name, Period};

use crate::{
    Error, State,
    model::{self, Facts, Prices, Taken, Terms},
    prices, store,
};

/// So many combinations of plan, size and modules are looked at.
const COMBINATIONS_MAX: u32 = 1_000;

pub(crate) async fn forecast_bills(cx: Call<State>, op: ForecastBills) -> Result<Forecast, Error> {
    let (now, db) = (cx.now(), cx.db());
    let books = store::books_now(db, &op.service).await?;
    let proposed: Option<PutReleasePrices> =
        chassis::proposed(db, &op.service, &op.release).await?;
    let proposed = proposed.map(|proposed| proposed.book);
    let effective = proposed.as_ref().map(|book| book.effective);
    let after = match proposed {
        Some(book) => prices::with(&books, book, now),
        None => books.clone(),
    };
    let from = effective.map_or(now, |effective| effective.max(now));
    let month = Some(from.month()).filter(|month| month.starts() == from);
    let month = month.unwrap_or_else(|| from.month().ends().month());
    let (Some(book), true) = (books.first(), model::is_billable(month.starts())) else {
        return Ok(Forecast { month, effective, changes: Vec::new(), more: 0 });
    };
    let had = store::had(db, &op.service, now, COMBINATIONS_MAX).await?;
    let (before, after) = (Prices(books.clone()), Prices(after));
    let mut changes = Vec::new();
    for (terms, instances) in had {
        let cost = |prices: &Prices| costs(&op.service, &terms, prices, month, book.currency);
        let (before, after) = (cost(&before)?, cost(&after)?);
        if before != after {
            let Terms { plan, size, modules, .. } = terms;
            changes.push(BillChange { plan, size, modules, instances, before, after });
        }
    }
    let more = changes.len().saturating_sub(FORECASTS_MAX) as u64;
    changes.truncate(FORECASTS_MAX);
    Ok(Forecast { month, effective, changes, more })
}

/// What a whole month of these costs, usage aside.
fn costs(
    service: &Name,
    terms: &Terms,
    prices: &Prices,
    month: Period,
    currency: Currency,
) -> Result<Money, Error> {
    let terms = Terms { since: month.starts(), ..terms.clone() };
    let instance = InstanceId::named(&[service.as_str()]);
    let taken = Taken {
        instance,
        service: service.clone(),
        host: "forecast.localhost".parse::<Host>().expect("it is written like a host"),
        terms: vec![terms],
    };
    let facts = Facts {
        account: AccountId::named(&[service.as_str()]),
        period: month,
        until: month.ends(),
        taken: vec![taken],
        prices: BTreeMap::from([(service.clone(), prices.clone())]),
        words: BTreeMap::new(),
        usage: Vec::new(),
    };
    let lines = model::rate(&facts);
    let totals = model::totals(lines.iter().map(|rated| &rated.line.amount))?;
    Ok(totals.into_iter().next().unwrap_or(Money::zero(currency)))
}
