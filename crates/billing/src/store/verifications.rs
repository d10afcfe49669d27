//! Verifications: what was asked for, how far it has come, and what was found.

use api::billing::{BillVerification, Verification, VerificationState};
use db::On;
use types::{AccountId, Timestamp};

use super::{EventKey, Stored};

/// A verification that is under way. Its documents are read by whoever wrote them.
#[derive(Debug, Clone)]
pub(crate) struct UnderWay {
    pub(crate) shown: BillVerification,
    /// The account's usage counts up to this revision.
    pub(crate) revision: u64,
    /// Changes with every step.
    pub(crate) turn: i64,
    pub(crate) facts: String,
    pub(crate) billed: String,
    /// Up to which event it has come.
    pub(crate) place: String,
    pub(crate) progress: String,
}

/// What a step changes.
pub(crate) struct Step<'a> {
    pub(crate) events: u64,
    pub(crate) place: &'a EventKey,
    pub(crate) progress: &'a str,
}

/// How it ended.
pub(crate) struct Ending<'a> {
    pub(crate) at: Timestamp,
    pub(crate) events: u64,
    pub(crate) result: Option<&'a Verification>,
    pub(crate) problem: Option<&'a str>,
}

fn read_shown(row: &db::Row) -> Stored<BillVerification> {
    let result: Option<String> = row.get("result")?;
    let result = result.map(|text| serde_json::from_str(&text)).transpose();
    let (ended, problem): (Option<Timestamp>, Option<String>) =
        (row.get("ended_at")?, row.get("problem")?);
    let state = match (ended, &problem) {
        (None, _) => VerificationState::Running,
        (Some(_), None) => VerificationState::Done,
        (Some(_), Some(_)) => VerificationState::Failed,
    };
    Ok(BillVerification {
        account: row.get("account")?,
        month: row.get("month")?,
        state,
        asked: row.get("asked_at")?,
        ended,
        until: row.get("counts_until")?,
        events: row.get("events")?,
        events_total: row.get("events_total")?,
        result: result.map_err(|cause| db::Error::encode("result", cause))?,
        problem,
    })
}

pub(crate) async fn verification(
    on: impl On,
    account: AccountId,
    month: Timestamp,
) -> Stored<Option<BillVerification>> {
    db::query("select * from verification where account = ? and month = ? /*for update*/")
        .bind(account)
        .bind(month)
        .optional(on, read_shown)
        .await
}

/// Begins one, in the place of the one before.
pub(crate) async fn begin_verification(tx: &mut db::Tx, begun: &UnderWay) -> Stored<()> {
    let shown = &begun.shown;
    db::query("delete from verification where account = ? and month = ?")
        .bind(shown.account)
        .bind(shown.month)
        .run(&mut *tx)
        .await?;
    db::query(
        "insert into verification (account, month, asked_at, counts_until, revision, events,
         events_total, turn, facts, billed, place, progress)
         values (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)",
    )
    .bind(shown.account)
    .bind(shown.month)
    .bind(shown.asked)
    .bind(shown.until)
    .bind(begun.revision)
    .bind(shown.events_total)
    .bind(begun.turn)
    .bind(&begun.facts)
    .bind(&begun.billed)
    .bind(&begun.place)
    .bind(&begun.progress)
    .run(tx)
    .await
    .map(drop)
}

/// The one that has waited longest for a step.
pub(crate) async fn next_verification(on: impl On) -> Stored<Option<UnderWay>> {
    db::query("select * from verification where ended_at is null order by turn limit 1")
        .optional(on, |row| {
            Ok(UnderWay {
                shown: read_shown(row)?,
                revision: row.get("revision")?,
                turn: row.get("turn")?,
                facts: row.get("facts")?,
                billed: row.get("billed")?,
                place: row.get("place")?,
                progress: row.get("progress")?,
            })
        })
        .await
}

/// Keeps a step, unless somebody else has taken it.
pub(crate) async fn keep_step(
    tx: &mut db::Tx,
    of: &UnderWay,
    now: Timestamp,
    step: Step<'_>,
) -> Stored<()> {
    db::query(
        "update verification set turn = ?, events = ?, place = ?, progress = ?
         where account = ? and month = ? and turn = ? and ended_at is null",
    )
    .bind(now.micros().max(of.turn + 1))
    .bind(step.events)
    .bind(step.place.to_string())
    .bind(step.progress)
    .bind(of.shown.account)
    .bind(of.shown.month)
    .bind(of.turn)
    .run(tx)
    .await
    .map(drop)
}

/// Ends it, and lets go of what only its steps needed.
pub(crate) async fn end_verification(
    tx: &mut db::Tx,
    of: &UnderWay,
    ending: Ending<'_>,
) -> Stored<()> {
    let result = ending.result.map(serde_json::to_string).transpose();
    let result = result.map_err(|cause| db::Error::encode("result", cause))?;
    db::query(
        "update verification set ended_at = ?, events = ?, result = ?, problem = ?,
         facts = '', billed = '', place = '', progress = ''
         where account = ? and month = ? and turn = ? and ended_at is null",
    )
    .bind(ending.at)
    .bind(ending.events)
    .bind(result)
    .bind(ending.problem)
    .bind(of.shown.account)
    .bind(of.shown.month)
    .bind(of.turn)
    .run(tx)
    .await
    .map(drop)
}
