//! Usage comes in, once.

use std::collections::BTreeMap;

use api::billing::{ListUsage, RecordUsage, Recorded, UsageEvent};
use chassis::{Call, Write};
use types::{AccountId, Cursor, InstanceId, Page, Principal, Timestamp};

use crate::{
    Error, State,
    model::{self, UsageSum, hour_of},
    store::{self, EventKey, Numbered},
};

const SOURCE_LENGTH_MAX: usize = 100;

pub(crate) async fn record_usage(
    cx: &mut Write<State>,
    op: RecordUsage,
) -> Result<Recorded, Error> {
    check_source(&cx.caller.principal, &op.source)?;
    let events = model::checked_events(op.first_sequence, op.epoch, op.events)?;
    let at = Numbered { source: &op.source, epoch: op.epoch, first: op.first_sequence };
    let next_sequence = record(cx.tx(), at, &events).await?;
    Ok(Recorded { next_sequence })
}

/// Nobody counts in another's name, so nobody can use up another's numbers.
fn check_source(caller: &Principal, source: &str) -> Result<(), Error> {
    let Principal::Service(name) = caller else {
        return Err(Error::Source(caller.to_string()));
    };
    let own = source.strip_prefix(name.as_str());
    let named = own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if named && source.len() <= SOURCE_LENGTH_MAX && !source.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Error::Source(name.to_string()))
    }
}

/// Adds what is new of a batch; answers with the number of the source's next event.
async fn record(tx: &mut db::Tx, at: Numbered<'_>, events: &[UsageEvent]) -> Result<u64, Error> {
    // An empty batch asks how far the source has come, and begins nothing.
    if !events.is_empty() {
        store::insert_source(tx, at).await?;
    }
    let progress = store::source_to_change(tx, at.source, at.epoch).await?;
    let Some(progress) = progress else { return Ok(at.first) };
    let known = model::known_part(progress, at.first, events.len())?;
    let (again, fresh) = events.split_at(known);
    let before = store::events_between(tx, at, again.len()).await?;
    let differing = before.iter().zip(again).position(|(before, again)| before != again);
    if let Some(place) = differing {
        return Err(Error::OtherEvent(at.first + place as u64));
    }
    if fresh.is_empty() {
        return Ok(progress.next);
    }
    add(tx, Numbered { first: progress.next, ..at }, fresh).await?;
    let next = progress.next + fresh.len() as u64;
    store::set_progress(tx, at.source, at.epoch, next).await?;
    Ok(next)
}

/// Adds events and their sums. Accounts and sums are taken in order, so that two who add at the
/// same time wait for each other and never in a circle.
async fn add(tx: &mut db::Tx, at: Numbered<'_>, fresh: &[UsageEvent]) -> Result<(), Error> {
    let mut sums: BTreeMap<(AccountId, Timestamp, InstanceId, &str), (u64, u64)> = BTreeMap::new();
    for event in fresh {
        let key = (event.account, hour_of(event.at), event.instance, event.meter.as_str());
        let (quantity, events) = sums.entry(key).or_default();
        (*quantity, *events) = (*quantity + event.quantity, *events + 1);
    }
    let mut revisions: BTreeMap<AccountId, u64> = BTreeMap::new();
    for (account, ..) in sums.keys() {
        if !revisions.contains_key(account) {
            revisions.insert(*account, store::next_revision(tx, *account).await?);
        }
    }
    let numbered = fresh.iter().map(|event| (revisions[&event.account], event));
    store::insert_events(tx, at, &numbered.collect::<Vec<_>>()).await?;
    for ((account, hour, instance, meter), (quantity, events)) in sums {
        let sum = UsageSum { instance, meter: meter.to_owned(), hour, quantity, events };
        store::add_to_total(tx, account, &sum).await?;
    }
    Ok(())
}

pub(crate) async fn list_usage(cx: Call<State>, op: ListUsage) -> Result<Page<UsageEvent>, Error> {
    let key = match &op.after {
        Some(after) => after.parse()?,
        None => EventKey::before(Timestamp::from_micros(0)),
    };
    let cursor = Cursor { after: op.after, limit: op.limit };
    let events = store::events(cx.db(), op.account, op.instance, &key, cursor.rows()).await;
    let page = Page::cut(events?, &cursor, |(key, _)| key.to_string());
    Ok(Page { items: page.items.into_iter().map(|(_, event)| event).collect(), next: page.next })
}
