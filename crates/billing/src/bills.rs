//! Bills: shown and explained.

use api::billing::{
    Bill, ExplainLine, GetBill, JOB_MILLISECONDS, LineExplanation, LineUsage, UsageEvent,
};
use chassis::{Call, Room};
use types::{AccountId, Amount, Timestamp};

use crate::{
    Error, State,
    model::{self, Facts, Rated, Source},
    store::{self, UsageQuery},
};

/// How much of a line's usage is shown.
const USAGE_MAX: usize = 1_000;

pub(crate) async fn get_bill(cx: Call<State>, op: GetBill) -> Result<Bill, Error> {
    let (facts, _) = gather(&cx, op.account, op.month).await?;
    let lines = model::rate(&facts);
    let totals = model::totals(lines.iter().map(|rated| &rated.line.amount));
    Ok(Bill {
        account: op.account,
        period: facts.period,
        until: facts.until,
        draft: facts.until < facts.period.ends(),
        lines: lines.into_iter().map(|rated| rated.line).collect(),
        totals: totals?,
    })
}

/// The facts of a month, and the revision of the account's usage that is in them.
pub(crate) async fn gather(
    cx: &Room<State>,
    account: AccountId,
    month: Option<Timestamp>,
) -> Result<(Facts, u64), Error> {
    let (now, db) = (cx.now(), cx.db());
    let moment = month.unwrap_or(now);
    if !model::is_billable(moment) {
        return Err(Error::Month(moment));
    }
    let period = moment.month();
    if now < period.starts() {
        return Err(Error::NotBegun(period.starts()));
    }
    let until = now.clamp(period.starts(), period.ends());
    let taken = store::taken(db, account).await?;
    let prices = store::books_of(db, account).await?;
    let words = store::words_of(db, account).await?;
    let facts = Facts { account, period, until, taken, prices, words, usage: Vec::new() };
    let (usage, revision) = store::sums(db, account, period, &facts.cuts()).await?;
    Ok((Facts { usage, ..facts }, revision))
}

pub(crate) async fn explain_line(
    cx: Call<State>,
    op: ExplainLine,
) -> Result<LineExplanation, Error> {
    let (facts, _) = gather(&cx, op.account, op.month).await?;
    let lines = model::rate(&facts);
    let rated = lines.into_iter().find(|rated| rated.line.line == op.line);
    let Rated { line, exact, parts, source } = rated.ok_or(Error::Missing("line on this bill"))?;
    let (usage, usage_count) = match source {
        Source::Spans(mut spans) => {
            let count = spans.len() as u64;
            spans.truncate(USAGE_MAX);
            (spans, count)
        }
        Source::Events { meter } => {
            let (account, instance, period) = (op.account, line.instance, facts.period);
            let of = UsageQuery { account, instance, meter: &meter, period };
            let limit = i64::try_from(USAGE_MAX).unwrap_or(i64::MAX);
            let events = store::newest_events(cx.db(), of, limit).await?;
            let sums = facts.usage.iter();
            let sums = sums.filter(|sum| sum.instance == instance && sum.meter == meter);
            (events.into_iter().map(line_usage).collect(), sums.map(|sum| sum.events).sum())
        }
    };
    let rounding = match &line.problem {
        Some(problem) => problem.clone(),
        None => model::rounding(exact, line.amount),
    };
    Ok(LineExplanation { line, exact, rounding, parts, usage, usage_count })
}

fn line_usage(event: UsageEvent) -> LineUsage {
    let quantity = if event.meter == JOB_MILLISECONDS {
        model::in_job_seconds(event.quantity)
    } else {
        Amount::whole(event.quantity)
    };
    LineUsage { event: event.event, at: event.at, until: None, quantity, note: event.note }
}
