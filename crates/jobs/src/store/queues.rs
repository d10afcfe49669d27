//! Queues: whether they are paused, gated, drained or limited, and how much is in them.

use api::jobs::{Counts, Gate, QueuedKind};
use db::On;
use types::{Cursor, Name, Timestamp};

use super::Result;

/// A queue as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredQueue {
    pub(crate) service: Name,
    pub(crate) class: String,
    pub(crate) paused: bool,
    pub(crate) gate: Gate,
    /// Since when and until when it is emptied.
    pub(crate) drain: Option<(Timestamp, Timestamp)>,
    pub(crate) concurrency: Option<u32>,
}

pub(super) const fn word(gate: Gate) -> &'static str {
    match gate {
        Gate::Open => "open",
        Gate::Refuse => "refuse",
        Gate::Hold => "hold",
    }
}

pub(super) fn read_gate(row: &db::Row) -> Result<Gate> {
    let gate: String = row.get("gate")?;
    let mut gates = [Gate::Open, Gate::Refuse, Gate::Hold].into_iter();
    gates.find(|known| word(*known) == gate).ok_or_else(|| db::Error::encode("gate", &gate))
}

fn read(row: &db::Row) -> Result<StoredQueue> {
    let began: Option<Timestamp> = row.get("drain_began")?;
    Ok(StoredQueue {
        service: row.get("service")?,
        class: row.get("class")?,
        paused: row.get("paused")?,
        gate: read_gate(row)?,
        drain: began.zip(row.get("drain_deadline")?),
        concurrency: row.get("concurrency")?,
    })
}

/// Makes the queue of a class, if it is not there.
pub(crate) async fn put_queue(tx: &mut db::Tx, service: &Name, class: &str) -> Result<()> {
    db::query(
        "insert into queue (service, class, paused, gate) values (?, ?, ?, 'open')
         on conflict (service, class) do nothing",
    )
    .bind(service)
    .bind(class)
    .bind(false)
    .run(tx)
    .await
    .map(drop)
}

/// A service's queues. They do not change until the transaction ends.
pub(crate) async fn queues_of(tx: &mut db::Tx, service: &Name) -> Result<Vec<StoredQueue>> {
    db::query("select * from queue where service = ? /*for share*/")
        .bind(service)
        .all(tx, read)
        .await
}

/// The queues of which only so many jobs may run at once.
pub(crate) async fn limited_queues(on: impl On) -> Result<Vec<StoredQueue>> {
    db::query("select * from queue where concurrency is not null").all(on, read).await
}

pub(crate) async fn queue_shown(
    on: impl On,
    service: &Name,
    class: &str,
) -> Result<Option<StoredQueue>> {
    db::query("select * from queue where service = ? and class = ?")
        .bind(service)
        .bind(class)
        .optional(on, read)
        .await
}

/// Locked until the transaction ends.
pub(crate) async fn queue(on: impl On, service: &Name, class: &str) -> Result<Option<StoredQueue>> {
    db::query("select * from queue where service = ? and class = ? /*for update*/")
        .bind(service)
        .bind(class)
        .optional(on, read)
        .await
}

pub(crate) async fn update_queue(tx: &mut db::Tx, queue: &StoredQueue) -> Result<()> {
    db::query(
        "update queue set paused = ?, gate = ?, drain_began = ?, drain_deadline = ?,
         concurrency = ? where service = ? and class = ?",
    )
    .bind(queue.paused)
    .bind(word(queue.gate))
    .bind(queue.drain.map(|(began, _)| began))
    .bind(queue.drain.map(|(_, deadline)| deadline))
    .bind(queue.concurrency)
    .bind(&queue.service)
    .bind(&queue.class)
    .run(tx)
    .await
    .map(drop)
}

/// In the order of `service/class`.
pub(crate) async fn queues(on: impl On, cursor: &Cursor) -> Result<Vec<StoredQueue>> {
    db::query(
        "select * from queue where service || '/' || class > ?
         order by service || '/' || class limit ?",
    )
    .bind(cursor.key())
    .bind(cursor.rows())
    .all(on, read)
    .await
}

const COUNTS: &str = "cast(sum(lane.blocked) as bigint) as blocked,
    cast(sum(lane.held) as bigint) as held, cast(sum(lane.delayed) as bigint) as delayed,
    cast(sum(case when kind.stranded then 0 else lane.ready end) as bigint) as ready,
    cast(sum(case when kind.stranded then lane.ready else 0 end) as bigint) as stranded,
    cast(sum(lane.running) as bigint) as running, cast(sum(lane.failed) as bigint) as failed
    from lane join kind on kind.id = lane.kind";

fn read_counts(row: &db::Row) -> Result<Counts> {
    let count = |name| Ok::<u64, db::Error>(row.get::<Option<u64>>(name)?.unwrap_or(0));
    Ok(Counts {
        blocked: count("blocked")?,
        held: count("held")?,
        delayed: count("delayed")?,
        ready: count("ready")?,
        stranded: count("stranded")?,
        running: count("running")?,
        failed: count("failed")?,
    })
}

pub(crate) async fn counts(on: impl On, service: &Name, class: &str) -> Result<Counts> {
    db::query(&format!("select {COUNTS} where kind.service = ? and kind.class = ?"))
        .bind(service)
        .bind(class)
        .one(on, read_counts)
        .await
}

pub(crate) async fn counts_by_kind(
    on: impl On,
    service: &Name,
    class: &str,
) -> Result<Vec<QueuedKind>> {
    db::query(&format!(
        "select kind.name, kind.version, {COUNTS} where kind.service = ? and kind.class = ?
         group by kind.name, kind.version order by kind.name, kind.version"
    ))
    .bind(service)
    .bind(class)
    .all(on, |row| {
        Ok(QueuedKind {
            name: row.get("name")?,
            version: row.get("version")?,
            jobs: read_counts(row)?,
        })
    })
    .await
}
