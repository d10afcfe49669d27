//! Bills: shown, explained, and made again.

use std::collections::BTreeMap;

use api::billing::{
    Bill, BillLine, ExplainLine, GetBill, JOB_MILLISECONDS, LineExplanation, LineUsage, UsageEvent,
    Verification, VerifyBill,
};
use chassis::{Call, Room};
use types::{AccountId, Amount, Money, Timestamp};

use crate::{
    Error, State,
    model::{self, Facts, Rated, Source},
    recompute::{self, Recomputation},
    store::{self, EventKey, UsageQuery},
};

/// How much of a line's usage is shown.
const USAGE_MAX: usize = 1_000;
/// How many events are read at a time.
const EVENTS_PER_READ: i64 = 5_000;

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
async fn gather(
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
            let (events, count) = newest(&cx, of).await?;
            (events.into_iter().map(line_usage).collect(), count)
        }
    };
    let rounding = match &line.problem {
        Some(problem) => problem.clone(),
        None => model::rounding(exact, line.amount)?,
    };
    Ok(LineExplanation { line, exact, rounding, parts, usage, usage_count })
}

async fn newest(cx: &Room<State>, of: UsageQuery<'_>) -> Result<(Vec<UsageEvent>, u64), Error> {
    let limit = i64::try_from(USAGE_MAX).unwrap_or(i64::MAX);
    Ok(store::newest_events(cx.db(), of, limit).await?)
}

fn line_usage(event: UsageEvent) -> LineUsage {
    let quantity = if event.meter == JOB_MILLISECONDS {
        model::in_job_seconds(event.quantity)
    } else {
        Amount::whole(event.quantity)
    };
    LineUsage { event: event.event, at: event.at, until: None, quantity, note: event.note }
}

pub(crate) async fn verify_bill(cx: Call<State>, op: VerifyBill) -> Result<Verification, Error> {
    let (facts, revision) = gather(&cx, op.account, op.month).await?;
    let billed = model::rate(&facts).into_iter().map(|rated| rated.line);
    let due = |line: &BillLine| line.problem.is_none().then_some(line.amount);
    let billed = billed.map(|line| (line.line.clone(), due(&line))).collect();
    let (recomputed, events) = recompute(&cx, &facts, revision).await?;
    let lines = recompute::compare(&billed, &recomputed);
    let totals = recompute::compare_totals(&lines)?;
    let agrees = lines.iter().all(|line| line.agrees)
        && totals.iter().all(|total| total.billed == total.recomputed);
    Ok(Verification { agrees, until: facts.until, events, lines, totals })
}

/// The lines as the events give them that were there when the sums were read.
async fn recompute(
    cx: &Room<State>,
    facts: &Facts,
    revision: u64,
) -> Result<(BTreeMap<String, Option<Money>>, u64), Error> {
    let mut recomputation = Recomputation::begin(facts);
    let mut key = EventKey::before(facts.period.starts());
    let span = (facts.period, revision);
    loop {
        let page = store::events_until(cx.db(), facts.account, span, &key, EVENTS_PER_READ).await?;
        for (_, used) in &page {
            recomputation.add(used);
        }
        match page.into_iter().last() {
            Some((last, _)) => key = last,
            None => break,
        }
    }
    let events = recomputation.events;
    Ok((recomputation.finish(), events))
}
