//! A job as it is told of: what it is, and where it stands.

use types::{AccountId, Digest, InstanceId, JobId, Name, NodeId, Timestamp};

use super::Result;
use crate::model::State;

/// A job, without what it reads, prints and comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own")]
pub(crate) struct Entry {
    pub(crate) job: JobId,
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) service: Name,
    pub(crate) lane: i64,
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) priority: i32,
    pub(crate) state: State,
    pub(crate) blocked_by: u64,
    pub(crate) is_awaited: bool,
    /// Whether it has a key that is not given back yet.
    pub(crate) has_key: bool,
    pub(crate) not_before: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) attempts_max: u32,
    pub(crate) lost: u32,
    pub(crate) token: u64,
    pub(crate) node: Option<NodeId>,
    pub(crate) release: Option<Digest>,
    pub(crate) lease_expires: Option<Timestamp>,
    pub(crate) cancelled: bool,
    /// Whether what runs is to be stopped, to be done again later.
    pub(crate) stopped: bool,
    pub(crate) started: Option<Timestamp>,
}

/// The columns that [`read_entry`] reads.
pub(super) const ENTRY: &str =
    "job.id, job.account, job.instance, job.service, job.lane, job.class,
    job.name, job.version, job.priority, job.state, job.blocked_by, job.is_awaited,
    job.unique_until, job.not_before, job.attempts, job.attempts_max, job.lost, job.token, job.node,
    job.release, job.started";

pub(super) fn read_state(row: &db::Row) -> Result<State> {
    let word: String = row.get("state")?;
    State::of_word(&word).ok_or_else(|| db::Error::encode("state", &word))
}

/// As the job's own row says.
pub(super) fn read_entry(row: &db::Row) -> Result<Entry> {
    Ok(Entry {
        job: row.get("id")?,
        account: row.get("account")?,
        instance: row.get("instance")?,
        service: row.get("service")?,
        lane: row.get("lane")?,
        class: row.get("class")?,
        name: row.get("name")?,
        version: row.get("version")?,
        priority: row.get("priority")?,
        state: read_state(row)?,
        blocked_by: row.get("blocked_by")?,
        is_awaited: row.get("is_awaited")?,
        has_key: row.get::<Option<String>>("unique_until")?.is_some(),
        not_before: row.get("not_before")?,
        attempts: row.get("attempts")?,
        attempts_max: row.get("attempts_max")?,
        lost: row.get("lost")?,
        token: row.get("token")?,
        node: row.get("node")?,
        release: row.get("release")?,
        lease_expires: None,
        cancelled: false,
        stopped: false,
        started: row.get("started")?,
    })
}
