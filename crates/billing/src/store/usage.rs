//! Usage comes in: sources, events, and their sums.

use std::collections::BTreeSet;

use api::billing::UsageEvent;
use db::On;
use types::{AccountId, Period, Timestamp};

use super::Stored;
use crate::model::{Progress, UsageSum};

/// How many events one statement inserts: 11 values each, and an engine takes some 30,000.
const ROWS_PER_INSERT: usize = 200;

/// Events of a batch that are new, the first of which has this number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered<'a> {
    pub(crate) source: &'a str,
    pub(crate) epoch: u64,
    pub(crate) first: u64,
}

/// How far a source has come; locked until the transaction ends.
pub(crate) async fn source_to_change(
    tx: &mut db::Tx,
    source: &str,
    epoch: u64,
) -> Stored<Option<Progress>> {
    db::query(
        "select first_sequence, next_sequence from usage_source
         where source = ? and epoch = ? /*for update*/",
    )
    .bind(source)
    .bind(epoch)
    .optional(tx, |row| {
        Ok(Progress { first: row.get("first_sequence")?, next: row.get("next_sequence")? })
    })
    .await
}

/// Begins a source's epoch with the event number `first`; one that has begun stays as it is.
pub(crate) async fn insert_source(tx: &mut db::Tx, at: Numbered<'_>) -> Stored<()> {
    db::query(
        "insert into usage_source (source, epoch, first_sequence, next_sequence)
         values (?, ?, ?, ?) on conflict (source, epoch) do nothing",
    )
    .bind(at.source)
    .bind(at.epoch)
    .bind(at.first)
    .bind(at.first)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn set_progress(
    tx: &mut db::Tx,
    source: &str,
    epoch: u64,
    next: u64,
) -> Stored<()> {
    db::query("update usage_source set next_sequence = ? where source = ? and epoch = ?")
        .bind(next)
        .bind(source)
        .bind(epoch)
        .run(tx)
        .await
        .map(drop)
}

/// The number under which usage is now added to an account. Nobody else adds to it until the
/// transaction ends.
pub(crate) async fn next_revision(tx: &mut db::Tx, account: AccountId) -> Stored<u64> {
    db::query(
        "insert into usage_account (account, revision) values (?, 1)
         on conflict (account) do update set revision = usage_account.revision + 1
         returning revision",
    )
    .bind(account)
    .one(tx, |row| row.get("revision"))
    .await
}

/// Adds events, each with its number and the revision of its account.
pub(crate) async fn insert_events(
    tx: &mut db::Tx,
    at: Numbered<'_>,
    events: &[(u64, u64, &UsageEvent)],
) -> Stored<()> {
    for chunk in events.chunks(ROWS_PER_INSERT) {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let mut insert = db::query(&format!(
            "insert into usage_event (source, epoch, sequence, account, revision, instance, meter,
             used_at, quantity, event, note) values {rows}"
        ));
        for (sequence, revision, event) in chunk {
            insert = insert
                .bind(at.source)
                .bind(at.epoch)
                .bind(*sequence)
                .bind(event.account)
                .bind(*revision)
                .bind(event.instance)
                .bind(&event.meter)
                .bind(event.at)
                .bind(event.quantity)
                .bind(&event.event)
                .bind(&event.note);
        }
        insert.run(&mut *tx).await?;
    }
    Ok(())
}

/// Adds to the sum of an hour.
pub(crate) async fn add_to_total(
    tx: &mut db::Tx,
    account: AccountId,
    sum: &UsageSum,
) -> Stored<()> {
    db::query(
        "insert into usage_total (account, hour_starts, instance, meter, quantity, events)
         values (?, ?, ?, ?, ?, ?) on conflict (account, hour_starts, instance, meter)
         do update set quantity = usage_total.quantity + excluded.quantity,
         events = usage_total.events + excluded.events",
    )
    .bind(account)
    .bind(sum.hour)
    .bind(sum.instance)
    .bind(&sum.meter)
    .bind(sum.quantity)
    .bind(sum.events)
    .run(tx)
    .await
    .map(drop)
}

/// The sums of a period between `cuts`, and the revision of the account that they show. Both come
/// from one statement, so they fit each other whatever is added meanwhile.
pub(crate) async fn sums(
    on: impl On,
    account: AccountId,
    period: Period,
    cuts: &BTreeSet<Timestamp>,
) -> Stored<(Vec<UsageSum>, u64)> {
    let whens = " when t.hour_starts >= ? then ?".repeat(cuts.len());
    let part = if cuts.is_empty() { "0".to_owned() } else { format!("case{whens} else 0 end") };
    let mut select = db::query(&format!(
        "select revision, instance, meter, part, min(hour_starts) as hour_starts,
         cast(sum(quantity) as bigint) as quantity, cast(sum(events) as bigint) as events
         from (select a.revision, t.instance, t.meter, t.hour_starts, t.quantity, t.events,
         {part} as part
         from usage_account a left join usage_total t
         on t.account = a.account and t.hour_starts >= ? and t.hour_starts < ?
         where a.account = ?) cut group by revision, instance, meter, part"
    ));
    // The last cut before an hour decides, so the latest is asked for first.
    for cut in cuts.iter().rev() {
        select = select.bind(*cut).bind(*cut);
    }
    let rows: Vec<(u64, Option<UsageSum>)> = select
        .bind(period.starts())
        .bind(period.ends())
        .bind(account)
        .all(on, |row| Ok((row.get("revision")?, read_sum(row)?)))
        .await?;
    let revision = rows.first().map_or(0, |(revision, _)| *revision);
    Ok((rows.into_iter().filter_map(|(_, sum)| sum).collect(), revision))
}

fn read_sum(row: &db::Row) -> Stored<Option<UsageSum>> {
    let Some(instance) = row.get("instance")? else { return Ok(None) };
    let (meter, hour) = (row.get("meter")?, row.get("hour_starts")?);
    let (quantity, events) = (row.get("quantity")?, row.get("events")?);
    Ok(Some(UsageSum { instance, meter, hour, quantity, events }))
}
