//! What is on no bill: usage that was set aside, and usage that never came.

use api::billing::{SetAsideUsage, UsageGap};
use db::On;
use types::{AccountId, Timestamp};

use super::{EventKey, Numbered, Stored, events};
use crate::model::Checked;

/// How many rows one statement inserts: 13 values each, and an engine takes some 30,000.
const ROWS_PER_INSERT: usize = 200;

/// Sets events aside, each with its number.
pub(crate) async fn insert_set_aside(
    tx: &mut db::Tx,
    at: Numbered<'_>,
    now: Timestamp,
    refused: &[(u64, &Checked)],
) -> Stored<()> {
    for chunk in refused.chunks(ROWS_PER_INSERT) {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let mut insert = db::query(&format!(
            "insert into usage_set_aside (source, epoch, sequence, taken_at, code, detail, account,
             instance, meter, used_at, quantity, event, note) values {rows}"
        ));
        for (sequence, Checked { event, refusal }) in chunk {
            let (code, detail) = refusal
                .as_ref()
                .map_or(("", ""), |refusal| (refusal.code, refusal.detail.as_str()));
            insert = insert
                .bind(at.source)
                .bind(at.epoch)
                .bind(*sequence)
                .bind(now)
                .bind(code)
                .bind(detail)
                .bind(event.account)
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

/// What was set aside after `key`, oldest first, with where each stands.
pub(crate) async fn set_aside(
    on: impl On,
    key: &EventKey,
    limit: i64,
) -> Stored<Vec<(EventKey, SetAsideUsage)>> {
    db::query(
        "select * from usage_set_aside where (taken_at, source, epoch, sequence) > (?, ?, ?, ?)
         order by taken_at, source, epoch, sequence limit ?",
    )
    .bind(key.at)
    .bind(&key.source)
    .bind(key.epoch)
    .bind(key.sequence)
    .bind(limit)
    .all(on, |row| {
        let aside = SetAsideUsage {
            source: row.get("source")?,
            epoch: row.get("epoch")?,
            sequence: row.get("sequence")?,
            taken: row.get("taken_at")?,
            code: row.get("code")?,
            detail: row.get("detail")?,
            usage: events::read_event(row)?,
        };
        let (at, source) = (aside.taken.micros(), aside.source.clone());
        Ok((EventKey { at, source, epoch: aside.epoch, sequence: aside.sequence }, aside))
    })
    .await
}

/// How many events of an account are set aside, counted up to `limit`.
pub(crate) async fn set_aside_count(on: impl On, account: AccountId, limit: i64) -> Stored<u64> {
    db::query(
        "select count(*) as events from
         (select sequence from usage_set_aside where account = ? limit ?) few",
    )
    .bind(account)
    .bind(limit)
    .one(on, |row| row.get("events"))
    .await
}

/// Notes that a source has come with event `until` where `from` is expected.
pub(crate) async fn note_gap(
    tx: &mut db::Tx,
    at: Numbered<'_>,
    from: u64,
    now: Timestamp,
) -> Stored<()> {
    db::query(
        "insert into usage_gap (source, epoch, from_sequence, until_sequence, found_at)
         values (?, ?, ?, ?, ?) on conflict (source, epoch, from_sequence)
         do update set until_sequence = excluded.until_sequence
         where usage_gap.accepted_at is null",
    )
    .bind(at.source)
    .bind(at.epoch)
    .bind(from)
    .bind(at.first)
    .bind(now)
    .run(tx)
    .await
    .map(drop)
}

fn read_gap(row: &db::Row) -> Stored<UsageGap> {
    Ok(UsageGap {
        source: row.get("source")?,
        epoch: row.get("epoch")?,
        from: row.get("from_sequence")?,
        until: row.get("until_sequence")?,
        found: row.get("found_at")?,
        accepted: row.get("accepted_at")?,
    })
}

/// The gaps after `key` that were accepted or that their source waits at.
pub(crate) async fn gaps(on: impl On, key: &EventKey, limit: i64) -> Stored<Vec<UsageGap>> {
    db::query(
        "select g.* from usage_gap g
         join usage_source s on s.source = g.source and s.epoch = g.epoch
         where (g.accepted_at is not null or g.from_sequence = s.next_sequence)
         and (g.source, g.epoch, g.from_sequence) > (?, ?, ?)
         order by g.source, g.epoch, g.from_sequence limit ?",
    )
    .bind(&key.source)
    .bind(key.epoch)
    .bind(key.sequence)
    .bind(limit)
    .all(on, read_gap)
    .await
}

/// The gap of a source that begins with the event `at.first`.
pub(crate) async fn gap(tx: &mut db::Tx, at: Numbered<'_>) -> Stored<Option<UsageGap>> {
    db::query("select * from usage_gap where source = ? and epoch = ? and from_sequence = ?")
        .bind(at.source)
        .bind(at.epoch)
        .bind(at.first)
        .optional(tx, read_gap)
        .await
}

pub(crate) async fn accept_gap(tx: &mut db::Tx, at: Numbered<'_>, now: Timestamp) -> Stored<()> {
    db::query(
        "update usage_gap set accepted_at = ?
         where source = ? and epoch = ? and from_sequence = ?",
    )
    .bind(now)
    .bind(at.source)
    .bind(at.epoch)
    .bind(at.first)
    .run(tx)
    .await
    .map(drop)
}
