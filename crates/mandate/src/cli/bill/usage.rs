//! What was used, what of it is on no bill, and what never came.

use api::billing::{
    AcceptUsageGap, ListSetAside, ListUsage, ListUsageGaps, SetAsideUsage, UsageEvent, UsageGap,
};
use types::Page;

use super::{
    super::{
        names::Ids,
        output::{Limit, Table, Whose, moment},
    },
    Context, Outcome,
};

/// What was used.
pub(super) async fn list(
    cx: &Context,
    instance: Option<String>,
    whose: Whose,
    limit: Limit,
) -> Outcome {
    let (account, instance) = match instance {
        Some(text) => {
            let (account, instance) = cx.instance_id(whose.account, &text).await?;
            (account, Some(instance))
        }
        None => (cx.account(whose.account).await?, None),
    };
    let page = |after, limit| ListUsage { account, instance, after, limit };
    let events = cx.list(limit.limit, page).await?;
    let empty = "No usage yet; every request to an instance's host is counted.";
    let instances = events.items.iter().map(|event| event.instance).collect();
    let called = cx.names(Ids { instances, ..Ids::default() }).await;
    cx.show_list(&events, empty, |events| {
        let headings = ["AT", "METER", ">QUANTITY", "NOTE", "INSTANCE", "EVENT"];
        let row = |table: &mut Table, event: &UsageEvent| {
            let (at, host) = (moment(event.at), called.instance(event.instance));
            table.row([&at, &event.meter, &event.quantity, &event.note, &host, &event.event]);
        };
        Table::of(&headings, events, row)
    })
}

/// What cannot be billed as it came.
pub(super) async fn set_aside(cx: &Context, limit: Option<u32>) -> Outcome {
    let found = cx.list(limit, |after, limit| ListSetAside { after, limit }).await?;
    let accounts = found.items.iter().map(|aside| aside.usage.account).collect();
    let called = cx.names(Ids { accounts, ..Ids::default() }).await;
    cx.show_list(&found, "Nothing is set aside: all usage that came is on bills.", |found| {
        let headings = ["SET ASIDE", "SOURCE", ">NUMBER", "WHY", "ACCOUNT", "METER", "EVENT"];
        let row = |table: &mut Table, aside: &SetAsideUsage| {
            let (taken, usage) = (moment(aside.taken), &aside.usage);
            let account = called.account(usage.account);
            let (source, number, why) = (&aside.source, &aside.sequence, &aside.detail);
            table.row([&taken, source, number, why, &account, &usage.meter, &usage.event]);
        };
        Table::of(&headings, found, row)
    })
}

/// Where usage is missing.
pub(super) async fn gaps(cx: &Context, limit: Option<u32>) -> Outcome {
    let found = cx.list(limit, |after, limit| ListUsageGaps { after, limit }).await?;
    cx.show_list(&found, NO_GAPS, gap_table)
}

const NO_GAPS: &str = "No usage is missing, and no source waits.";

fn gap_table(gaps: &[UsageGap]) -> String {
    let headings = ["SOURCE", ">FROM NUMBER", ">UP TO", ">EVENTS", "FOUND", "STATE"];
    let row = |table: &mut Table, gap: &UsageGap| {
        let (last, events) = (gap.until.saturating_sub(1), gap.until.saturating_sub(gap.from));
        let state = match gap.accepted {
            Some(accepted) => format!("accepted {}", moment(accepted)),
            None => "the source waits".to_owned(),
        };
        let found = moment(gap.found);
        table.row([&gap.source, &gap.from, &last, &events, &found, &state]);
    };
    Table::of(&headings, gaps, row)
}

/// Gives up what is waited for, and shows what that was.
pub(super) async fn accept_gaps(cx: &Context, source: Option<String>) -> Outcome {
    let found = cx.list(None, |after, limit| ListUsageGaps { after, limit }).await?;
    let waiting = found.items.into_iter().filter(|gap| {
        gap.accepted.is_none() && source.as_ref().is_none_or(|source| *source == gap.source)
    });
    let mut accepted = Page { items: Vec::new(), next: None };
    for UsageGap { source, epoch, from, until, .. } in waiting {
        accepted.items.push(cx.ask(AcceptUsageGap { source, epoch, from, until }).await?);
    }
    cx.show_list(&accepted, "No source waits for usage that is missing.", gap_table)
}
