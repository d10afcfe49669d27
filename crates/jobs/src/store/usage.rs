//! What the jobs took, until billing has been told.

use api::billing::UsageEvent;
use db::{On, Rows, row};
use types::Timestamp;

use super::Result;

pub(crate) async fn append_usage(tx: &mut db::Tx, events: &[UsageEvent]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let last: u64 = db::query("update usage_head set sequence = sequence + ? returning sequence")
        .bind(events.len() as u64)
        .one(&mut *tx, |row| row.get("sequence"))
        .await?;
    let mut rows = Rows::new(&["sequence", "event"]);
    for (event, sequence) in events.iter().zip(last + 1 - events.len() as u64..) {
        let event = serde_json::to_string(event);
        let event = event.map_err(|cause| db::Error::encode("event", cause))?;
        rows.push(row![sequence, event]);
    }
    db::query("insert into usage (sequence, event) select sequence, event from {rows} as r")
        .bind(rows)
        .run(tx)
        .await
        .map(drop)
}

/// Names the life of the sequence after `now`, if it has no name yet.
pub(crate) async fn name_epoch(db: &db::Db, now: Timestamp) -> Result<()> {
    db::query("update usage_head set epoch = ? where epoch = 0").bind(now).run(db).await.map(drop)
}

pub(crate) async fn epoch(on: impl On) -> Result<u64> {
    db::query("select epoch from usage_head").one(on, |row| row.get("epoch")).await
}

/// Begins another life of the sequence; answers how many events are dropped that waited.
pub(crate) async fn begin_usage(tx: &mut db::Tx, now: Timestamp) -> Result<u64> {
    // A clock that was set back begins no life that there was before.
    db::query(
        "update usage_head set epoch = case when epoch < ? then ? else epoch + 1 end,
         sequence = 0",
    )
    .bind(now)
    .bind(now)
    .run(&mut *tx)
    .await?;
    db::query("delete from usage").run(tx).await
}

/// What is to be told: of which epoch, from which number on. Both come from one statement, so that
/// nothing is told under an epoch that has begun meanwhile.
pub(crate) async fn usage(on: impl On, limit: i64) -> Result<Option<(u64, u64, Vec<UsageEvent>)>> {
    let rows: Vec<(u64, u64, UsageEvent)> = db::query(
        "select epoch, usage.sequence as number, event from usage cross join usage_head
         order by usage.sequence limit ?",
    )
    .bind(limit)
    .all(on, |row| Ok((row.get("epoch")?, row.get("number")?, row.json("event")?)))
    .await?;
    let Some((epoch, first, _)) = rows.first() else { return Ok(None) };
    let (epoch, first) = (*epoch, *first);
    Ok(Some((epoch, first, rows.into_iter().map(|(_, _, event)| event).collect())))
}

/// What was told of an epoch is done with. Another one may have begun meanwhile, whose numbers say
/// nothing of that.
pub(crate) async fn delete_usage_before(on: impl On, epoch: u64, sequence: u64) -> Result<()> {
    db::query("delete from usage where sequence < ? and ? = (select epoch from usage_head)")
        .bind(sequence)
        .bind(epoch)
        .run(on)
        .await
        .map(drop)
}
