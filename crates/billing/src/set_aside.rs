//! What is on no bill, and what an operator does about it.

use api::billing::{AcceptUsageGap, ListSetAside, ListUsageGaps, SetAsideUsage, UsageGap};
use chassis::{Call, Write};
use types::{Page, Timestamp};

use crate::{
    Error, State,
    store::{self, EventKey, Numbered},
};

fn key_of(after: Option<&String>) -> Result<EventKey, Error> {
    after.map_or_else(|| Ok(EventKey::before(Timestamp::from_micros(0))), |after| after.parse())
}

pub(crate) async fn list_set_aside(
    cx: Call<State>,
    op: ListSetAside,
) -> Result<Page<SetAsideUsage>, Error> {
    let key = key_of(op.after.as_ref())?;
    let cursor = op.cursor();
    let found = store::set_aside(cx.db(), &key, cursor.rows()).await?;
    let page = Page::cut(found, &cursor, |(key, _)| key.to_string());
    Ok(Page { items: page.items.into_iter().map(|(_, aside)| aside).collect(), next: page.next })
}

pub(crate) async fn list_usage_gaps(
    cx: Call<State>,
    op: ListUsageGaps,
) -> Result<Page<UsageGap>, Error> {
    let key = key_of(op.after.as_ref())?;
    let cursor = op.cursor();
    let found = store::gaps(cx.db(), &key, cursor.rows()).await?;
    let key = |gap: &UsageGap| {
        let source = gap.source.clone();
        EventKey { at: 0, source, epoch: gap.epoch, sequence: gap.from }.to_string()
    };
    Ok(Page::cut(found, &cursor, key))
}

/// The source's next event is then the one that it came with. Should the missing ones turn up after
/// all, each of them still counts once.
pub(crate) async fn accept_usage_gap(
    cx: &mut Write<State>,
    op: AcceptUsageGap,
) -> Result<UsageGap, Error> {
    let (now, at) = (cx.now(), Numbered { source: &op.source, epoch: op.epoch, first: op.from });
    let progress = store::source_to_change(cx.tx(), at.source, at.epoch).await?;
    let known = store::gap(cx.tx(), at).await?;
    let Some((progress, gap)) = progress.zip(known).filter(|(_, gap)| gap.until == op.until) else {
        return Err(Error::Missing("gap: list them again"));
    };
    if gap.accepted.is_some() {
        return Ok(gap);
    }
    if progress.next != gap.from {
        return Err(Error::Missing("gap any more: what was missing has come"));
    }
    store::accept_gap(cx.tx(), at, now).await?;
    store::set_progress(cx.tx(), at.source, at.epoch, gap.until).await?;
    let (source, events) = (&gap.source, gap.until - gap.from);
    tracing::warn!(source, events, from = gap.from, "missing usage was given up");
    Ok(UsageGap { accepted: Some(now), ..gap })
}
