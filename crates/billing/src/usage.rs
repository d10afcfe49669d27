//! Usage comes in, once.

use std::collections::BTreeMap;

use api::billing::{ListUsage, RecordUsage, Recorded, RefusedEvent, UsageEvent};
use chassis::{Call, Write};
use types::{AccountId, InstanceId, Page, Principal, Timestamp};

use crate::{
    Error, State,
    model::{self, Checked, UsageSum, hour_of},
    store::{self, EventKey, Numbered},
};

const SOURCE_LENGTH_MAX: usize = 100;

/// Takes a batch as a whole. What cannot be billed is set aside and holds up nothing that comes
/// after it; what is missing before the batch is noted, so that somebody can decide about it.
pub(crate) async fn record_usage(cx: Call<State>, op: RecordUsage) -> Result<Recorded, Error> {
    check_source(&cx.caller.principal, &op.source)?;
    let at = Numbered { source: &op.source, epoch: op.epoch, first: op.first_sequence };
    let events = model::checked_events(at.source, at.first, at.epoch, op.events)?;
    let mut write = cx.begin().await?;
    match record(&mut write, at, &events).await {
        Ok(next_sequence) => {
            let refused = (at.first..).zip(&events).filter_map(told).collect();
            Ok(write.finish(Recorded { next_sequence, refused }).await?)
        }
        Err(Error::Gap { expected }) => {
            drop(write);
            let mut write = cx.begin().await?;
            let now = write.now();
            store::note_gap(write.tx(), at, expected, now).await?;
            write.commit().await?;
            Err(Error::Gap { expected })
        }
        Err(other) => Err(other),
    }
}

/// What the sender hears of an event that was set aside.
fn told((sequence, checked): (u64, &Checked)) -> Option<RefusedEvent> {
    let refusal = checked.refusal.as_ref()?;
    Some(RefusedEvent { sequence, reason: refusal.detail.clone() })
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
async fn record(
    write: &mut Write<State>,
    at: Numbered<'_>,
    events: &[Checked],
) -> Result<u64, Error> {
    // An empty batch asks how far the source has come, and begins nothing.
    if !events.is_empty() {
        store::insert_source(write.tx(), at).await?;
    }
    let progress = store::source_to_change(write.tx(), at.source, at.epoch).await?;
    let Some(progress) = progress else { return Ok(at.first) };
    let known = model::known_part(progress, at.first, events.len())?;
    let before = store::known_events(write.tx(), at, known).await?;
    let mut fresh = Vec::new();
    for (sequence, checked) in (at.first..).zip(events) {
        match before.get(&sequence) {
            Some(before) if *before != checked.event => return Err(Error::OtherEvent(sequence)),
            Some(_) => {}
            // Also what was given up as missing, if it comes after all.
            None => fresh.push((sequence, checked)),
        }
    }
    if fresh.is_empty() {
        return Ok(progress.next);
    }
    let (refused, good): (Vec<_>, Vec<_>) =
        fresh.into_iter().partition(|(_, checked)| checked.refusal.is_some());
    add(write.tx(), at, &good).await?;
    set_aside(write, at, &refused).await?;
    let next = progress.next.max(at.first + events.len() as u64);
    store::set_progress(write.tx(), at.source, at.epoch, next).await?;
    Ok(next)
}

async fn set_aside(
    write: &mut Write<State>,
    at: Numbered<'_>,
    refused: &[(u64, &Checked)],
) -> Result<(), Error> {
    let first = refused.first().and_then(|(_, checked)| checked.refusal.as_ref());
    let Some(first) = first else { return Ok(()) };
    let (source, events) = (at.source, refused.len());
    tracing::error!(source, events, detail = first.detail, "usage was set aside and is on no bill");
    let now = write.now();
    Ok(store::insert_set_aside(write.tx(), at, now, refused).await?)
}

/// Adds events and their sums. Accounts and sums are taken in order, so that two who add at the
/// same time wait for each other and never in a circle.
async fn add(tx: &mut db::Tx, at: Numbered<'_>, fresh: &[(u64, &Checked)]) -> Result<(), Error> {
    let mut sums: BTreeMap<(AccountId, Timestamp, InstanceId, &str), (u64, u64)> = BTreeMap::new();
    for (_, Checked { event, .. }) in fresh {
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
    let numbered = fresh
        .iter()
        .map(|(sequence, Checked { event, .. })| (*sequence, revisions[&event.account], event));
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
    let cursor = op.cursor();
    let events = store::events(cx.db(), op.account, op.instance, &key, cursor.rows()).await;
    let page = Page::cut(events?, &cursor, |(key, _)| key.to_string());
    Ok(Page { items: page.items.into_iter().map(|(_, event)| event).collect(), next: page.next })
}
