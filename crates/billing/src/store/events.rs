//! Usage events, read.

use std::{collections::BTreeMap, fmt, str::FromStr};

use api::billing::UsageEvent;
use db::On;
use types::{AccountId, InstanceId, Period, Timestamp};

use super::{Numbered, Stored};
use crate::{Error, recompute::Used};

/// Where an event stands in an account's usage, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventKey {
    pub(crate) at: i64,
    pub(crate) source: String,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

impl EventKey {
    /// Before every event from `moment` on.
    pub(crate) fn before(moment: Timestamp) -> Self {
        Self { at: moment.micros(), source: String::new(), epoch: 0, sequence: 0 }
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.at, self.epoch, self.sequence, self.source)
    }
}

impl FromStr for EventKey {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Cursor(text.chars().take(80).collect());
        let mut parts = text.splitn(4, '.');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (at, epoch, sequence) = (number(), number(), number());
        let unsigned =
            |number: Option<i64>| u64::try_from(number.ok_or_else(wrong)?).map_err(|_| wrong());
        let (at, epoch, sequence) = (at.ok_or_else(wrong)?, unsigned(epoch)?, unsigned(sequence)?);
        let source = parts.next().filter(|source| !source.contains('\0')).ok_or_else(wrong)?;
        Ok(Self { at, source: source.to_owned(), epoch, sequence })
    }
}

pub(super) fn read_event(row: &db::Row) -> Stored<UsageEvent> {
    Ok(UsageEvent {
        event: row.get("event")?,
        at: row.get("used_at")?,
        account: row.get("account")?,
        instance: row.get("instance")?,
        meter: row.get("meter")?,
        quantity: row.get("quantity")?,
        note: row.get("note")?,
    })
}

fn read_key(row: &db::Row) -> Stored<EventKey> {
    Ok(EventKey {
        at: row.get("used_at")?,
        source: row.get("source")?,
        epoch: row.get("epoch")?,
        sequence: row.get("sequence")?,
    })
}

/// The events of a source that have come, of the `count` from number `at.first` on; also those that
/// were set aside.
pub(crate) async fn known_events(
    tx: &mut db::Tx,
    at: Numbered<'_>,
    count: usize,
) -> Stored<BTreeMap<u64, UsageEvent>> {
    let mut known = BTreeMap::new();
    for table in ["usage_event", "usage_set_aside"] {
        let select = format!(
            "select * from {table} where source = ? and epoch = ? and sequence >= ?
             and sequence < ?"
        );
        let found = db::query(&select)
            .bind(at.source)
            .bind(at.epoch)
            .bind(at.first)
            .bind(at.first + count as u64)
            .all(&mut *tx, |row| Ok((row.get("sequence")?, read_event(row)?)));
        known.extend(found.await?);
    }
    Ok(known)
}

/// Events of an account after `key`, oldest first, with where each stands.
pub(crate) async fn events(
    on: impl On,
    account: AccountId,
    instance: Option<InstanceId>,
    key: &EventKey,
    limit: i64,
) -> Stored<Vec<(EventKey, UsageEvent)>> {
    let select = match instance {
        Some(instance) => db::query(OF_INSTANCE).bind(account).bind(instance),
        None => db::query(OF_ACCOUNT).bind(account),
    };
    let select = select.bind(key.at).bind(&key.source).bind(key.epoch).bind(key.sequence);
    select.bind(limit).all(on, |row| Ok((read_key(row)?, read_event(row)?))).await
}

const OF_ACCOUNT: &str = "select * from usage_event where account = ?
     and (used_at, source, epoch, sequence) > (?, ?, ?, ?)
     order by used_at, source, epoch, sequence limit ?";
const OF_INSTANCE: &str = "select * from usage_event where account = ? and instance = ?
     and (used_at, source, epoch, sequence) > (?, ?, ?, ?)
     order by used_at, source, epoch, sequence limit ?";

/// Which events make up a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageQuery<'a> {
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) meter: &'a str,
    pub(crate) period: Period,
}

/// The newest events of a line, at most `limit`.
pub(crate) async fn newest_events(
    on: impl On,
    of: UsageQuery<'_>,
    limit: i64,
) -> Stored<Vec<UsageEvent>> {
    db::query(NEWEST)
        .bind(of.account)
        .bind(of.instance)
        .bind(of.meter)
        .bind(of.period.starts())
        .bind(of.period.ends())
        .bind(limit)
        .all(on, read_event)
        .await
}

const NEWEST: &str = "select * from usage_event where account = ? and instance = ? and meter = ?
     and used_at >= ? and used_at < ?
     order by used_at desc, source desc, epoch desc, sequence desc limit ?";

/// Events of an account in a period after `key`, oldest first, that were added up to `revision`.
pub(crate) async fn events_until(
    on: impl On,
    account: AccountId,
    (period, revision): (Period, u64),
    key: &EventKey,
    limit: i64,
) -> Stored<Vec<(EventKey, Used)>> {
    db::query(UNTIL)
        .bind(account)
        .bind(period.ends())
        .bind(revision)
        .bind(key.at)
        .bind(&key.source)
        .bind(key.epoch)
        .bind(key.sequence)
        .bind(limit)
        .all(on, |row| {
            let used = Used {
                at: row.get("used_at")?,
                instance: row.get("instance")?,
                meter: row.get("meter")?,
                quantity: row.get("quantity")?,
            };
            Ok((read_key(row)?, used))
        })
        .await
}

const UNTIL: &str = "select source, epoch, sequence, used_at, instance, meter, quantity
     from usage_event where account = ? and used_at < ? and revision <= ?
     and (used_at, source, epoch, sequence) > (?, ?, ?, ?)
     order by used_at, source, epoch, sequence limit ?";

#[cfg(test)]
mod tests;
