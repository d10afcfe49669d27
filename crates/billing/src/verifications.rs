//! Bills made again, in the background.
//!
//! What a verification is of is settled when it is asked for: the lines as they are billed, the facts
//! that the recomputation may look at, and the revision up to which usage counts. From then on it
//! is a row that is taken further step by step, each of which reads a bounded number of events; so
//! it can be as long as it likes, a restart only repeats a step, and nobody waits for another's.

use std::collections::BTreeMap;

use api::billing::{
    BillLine, BillVerification, GetVerification, Verification, VerificationState, VerifyBill,
};
use chassis::{Call, Next, Room};
use types::{Money, Timestamp};

use crate::{
    Error, State,
    bills::gather,
    model::{self, Facts},
    recompute::{self, Memory, Recomputation},
    store::{self, Ending, EventKey, Step, UnderWay},
};

/// How many events a step reads.
const EVENTS_PER_STEP: i64 = 5_000;
/// Up to how many events that were set aside are counted.
const SET_ASIDE_MAX: i64 = 10_000;

pub(crate) async fn verify_bill(
    cx: Call<State>,
    op: VerifyBill,
) -> Result<BillVerification, Error> {
    let (facts, revision) = gather(&cx, op.account, op.month).await?;
    let begun = begin(facts, revision, cx.now())?;
    let mut write = cx.begin().await?;
    let known = store::verification(write.tx(), op.account, begun.shown.month).await?;
    if let Some(known) = known.filter(|known| known.state == VerificationState::Running) {
        return Ok(write.finish(known).await?);
    }
    store::begin_verification(write.tx(), &begun).await?;
    Ok(write.finish(begun.shown).await?)
}

pub(crate) async fn get_verification(
    cx: Call<State>,
    op: GetVerification,
) -> Result<BillVerification, Error> {
    let month = op.month.unwrap_or(cx.now());
    if !model::is_billable(month) {
        return Err(Error::Month(month));
    }
    let known = store::verification(cx.db(), op.account, month.month().starts()).await?;
    known.ok_or(Error::Missing("verification of this bill: ask for one"))
}

fn begin(facts: Facts, revision: u64, now: Timestamp) -> Result<UnderWay, Error> {
    let due = |line: &BillLine| line.problem.is_none().then_some(line.amount);
    let lines = model::rate(&facts).into_iter().map(|rated| rated.line);
    let billed: BTreeMap<String, Option<Money>> =
        lines.map(|line| (line.line.clone(), due(&line))).collect();
    let memory = Recomputation::begin(&facts).memory();
    Ok(UnderWay {
        shown: BillVerification {
            account: facts.account,
            month: facts.period.starts(),
            state: VerificationState::Running,
            asked: now,
            ended: None,
            until: facts.until,
            events: 0,
            events_total: facts.usage.iter().map(|sum| sum.events).sum(),
            result: None,
            problem: None,
        },
        revision,
        turn: now.micros(),
        facts: encoded(&facts)?,
        billed: encoded(&billed)?,
        place: EventKey::before(facts.period.starts()).to_string(),
        progress: encoded(&memory)?,
    })
}

fn encoded(document: &impl serde::Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(document);
    text.map_err(|cause| Error::Database(db::Error::encode("verification", cause)))
}

/// Takes the verification that has waited longest one step further.
pub(crate) async fn step(room: Room<State>) -> Result<Next, Error> {
    let Some(under_way) = store::next_verification(room.db()).await? else {
        return Ok(Next::Idle);
    };
    let Some(begun) = Begun::read(&under_way) else {
        // Another version of the program wrote it down in another way.
        let problem = Some("the platform was updated meanwhile: ask for it again");
        let events = under_way.shown.events;
        end(&room, &under_way, Ending { at: room.now(), events, result: None, problem }).await?;
        return Ok(Next::Now);
    };
    advance(&room, &under_way, begun).await?;
    Ok(Next::Now)
}

/// What a step goes on from.
struct Begun {
    facts: Facts,
    billed: BTreeMap<String, Option<Money>>,
    memory: Memory,
    place: EventKey,
}

impl Begun {
    fn read(under_way: &UnderWay) -> Option<Self> {
        Some(Self {
            facts: serde_json::from_str(&under_way.facts).ok()?,
            billed: serde_json::from_str(&under_way.billed).ok()?,
            memory: serde_json::from_str(&under_way.progress).ok()?,
            place: under_way.place.parse().ok()?,
        })
    }
}

async fn advance(room: &Room<State>, under_way: &UnderWay, begun: Begun) -> Result<(), Error> {
    let Begun { facts, billed, memory, place } = begun;
    let span = (facts.period, under_way.revision);
    let page = store::events_until(room.db(), facts.account, span, &place, EVENTS_PER_STEP).await?;
    let mut recomputation = Recomputation::resume(&facts, memory);
    for (_, used) in &page {
        recomputation.add(used);
    }
    let events = recomputation.events();
    if let Some((place, _)) = page.last() {
        let progress = encoded(&recomputation.memory())?;
        let step = Step { events, place, progress: &progress };
        let mut write = room.begin().await?;
        store::keep_step(write.tx(), under_way, room.now(), step).await?;
        return Ok(write.commit().await?);
    }
    let aside = store::set_aside_count(room.db(), facts.account, SET_ASIDE_MAX).await?;
    let found = compared(&facts, &billed, &recomputation.finish());
    let found = found.map(|found| Verification { events, set_aside: aside, ..found });
    let problem = found.as_ref().err().map(ToString::to_string);
    let (result, problem) = (found.as_ref().ok(), problem.as_deref());
    end(room, under_way, Ending { at: room.now(), events, result, problem }).await
}

async fn end(room: &Room<State>, under_way: &UnderWay, ending: Ending<'_>) -> Result<(), Error> {
    let mut write = room.begin().await?;
    store::end_verification(write.tx(), under_way, ending).await?;
    Ok(write.commit().await?)
}

fn compared(
    facts: &Facts,
    billed: &BTreeMap<String, Option<Money>>,
    recomputed: &BTreeMap<String, Option<Money>>,
) -> Result<Verification, Error> {
    let lines = recompute::compare(billed, recomputed);
    let totals = recompute::compare_totals(&lines)?;
    let agrees = lines.iter().all(|line| line.agrees)
        && totals.iter().all(|total| total.billed == total.recomputed);
    let until = facts.until;
    Ok(Verification { agrees, until, events: 0, set_aside: 0, lines, totals })
}
