//! The tables.

use api::{
    billing::UsageEvent,
    jobs::{Job, JobState, PutJob, Queue},
};
use db::On;
use types::{AccountId, Cursor, Digest, InstanceId, JobId, Name, Timestamp};

type Result<T> = std::result::Result<T, db::Error>;

/// A job as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) job: Job,
    pub(crate) command: Vec<String>,
    pub(crate) timeout_seconds: u32,
    pub(crate) attempts_max: u32,
    pub(crate) not_before: Timestamp,
    pub(crate) token: u64,
    pub(crate) lease_expires: Timestamp,
}

pub(crate) async fn put_queue(tx: &mut db::Tx, service: &Name) -> Result<()> {
    db::query("insert into queue (service, paused) values (?, ?) on conflict (service) do nothing")
        .bind(service)
        .bind(false)
        .run(tx)
        .await
        .map(drop)
}

/// Answers whether there is such a queue.
pub(crate) async fn set_paused(tx: &mut db::Tx, service: &Name, paused: bool) -> Result<bool> {
    db::query("update queue set paused = ? where service = ?")
        .bind(paused)
        .bind(service)
        .run(tx)
        .await
        .map(|changed| changed == 1)
}

const QUEUES: &str = "select q.service, q.paused,
    (select count(*) from job j where j.service = q.service and j.state = '\"queued\"') as queued,
    (select count(*) from job j where j.service = q.service and j.state = '\"running\"') as running,
    (select count(*) from job j where j.service = q.service and j.state = '\"failed\"') as failed
    from queue q";

fn read_queue(row: &db::Row) -> Result<Queue> {
    Ok(Queue {
        service: row.get("service")?,
        paused: row.get("paused")?,
        queued: row.get("queued")?,
        running: row.get("running")?,
        failed: row.get("failed")?,
    })
}

pub(crate) async fn queue(on: impl On, service: &Name) -> Result<Option<Queue>> {
    db::query(&format!("{QUEUES} where q.service = ?")).bind(service).optional(on, read_queue).await
}

pub(crate) async fn queues(on: impl On, cursor: &Cursor) -> Result<Vec<Queue>> {
    db::query(&format!("{QUEUES} where q.service > ? order by q.service limit ?"))
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_queue)
        .await
}

pub(crate) async fn insert_job(tx: &mut db::Tx, job: &Job, put: &PutJob) -> Result<()> {
    db::query(
        "insert into job (id, account, instance, service, release, name, version, command, after,
         timeout_seconds, attempts_max, state, attempts, output, not_before, created, token,
         lease_expires) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(job.job)
    .bind(job.account)
    .bind(job.instance)
    .bind(&job.service)
    .bind(&job.release)
    .bind(&job.name)
    .bind(put.version)
    .bind_json(&put.command)
    .bind(put.after)
    .bind(put.timeout_seconds)
    .bind(put.attempts_max)
    .bind_json(&job.state)
    .bind(job.attempts)
    .bind(&job.output)
    .bind(job.created)
    .bind(job.created)
    .bind(0_u64)
    .bind(job.created)
    .run(tx)
    .await
    .map(drop)
}

fn read_job(row: &db::Row) -> Result<Job> {
    Ok(Job {
        job: row.get("id")?,
        account: row.get("account")?,
        instance: row.get("instance")?,
        service: row.get("service")?,
        release: row.get("release")?,
        name: row.get("name")?,
        state: row.json("state")?,
        attempts: row.get("attempts")?,
        output: row.get("output")?,
        created: row.get("created")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        node: row.get("node")?,
    })
}

fn read(row: &db::Row) -> Result<Stored> {
    Ok(Stored {
        job: read_job(row)?,
        command: row.json("command")?,
        timeout_seconds: row.get("timeout_seconds")?,
        attempts_max: row.get("attempts_max")?,
        not_before: row.get("not_before")?,
        token: row.get("token")?,
        lease_expires: row.get("lease_expires")?,
    })
}

pub(crate) async fn job(on: impl On, id: JobId) -> Result<Option<Stored>> {
    db::query("select * from job where id = ?").bind(id).optional(on, read).await
}

/// Locked until the transaction ends.
pub(crate) async fn job_to_change(tx: &mut db::Tx, id: JobId) -> Result<Option<Stored>> {
    db::query("select * from job where id = ? /*for update*/").bind(id).optional(tx, read).await
}

/// Jobs of that release that may be handed out now: their queue is not paused, the job before
/// them is done. Locked; what another worker is being given is passed over.
pub(crate) async fn due_jobs(
    tx: &mut db::Tx,
    release: &Digest,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Stored>> {
    db::query(
        "select * from job where state = ? and release = ? and not_before <= ?
         and service not in (select service from queue where paused = ?)
         and (after is null or after in (select id from job where state = ?))
         order by id limit ? /*skip locked*/",
    )
    .bind_json(&JobState::Queued)
    .bind(release)
    .bind(now)
    .bind(true)
    .bind_json(&JobState::Succeeded)
    .bind(limit)
    .all(tx, read)
    .await
}

/// Keeps all that can change of a job.
pub(crate) async fn update_job(tx: &mut db::Tx, stored: &Stored) -> Result<()> {
    db::query(
        "update job set state = ?, attempts = ?, output = ?, not_before = ?, started = ?, ended = ?,
         node = ?, token = ?, lease_expires = ? where id = ?",
    )
    .bind_json(&stored.job.state)
    .bind(stored.job.attempts)
    .bind(&stored.job.output)
    .bind(stored.not_before)
    .bind(stored.job.started)
    .bind(stored.job.ended)
    .bind(stored.job.node)
    .bind(stored.token)
    .bind(stored.lease_expires)
    .bind(stored.job.job)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn jobs_running(on: impl On) -> Result<Vec<Stored>> {
    db::query("select * from job where state = ? order by lease_expires limit 500")
        .bind_json(&JobState::Running)
        .all(on, read)
        .await
}

/// Newest first.
pub(crate) async fn jobs_of(
    on: impl On,
    account: AccountId,
    instance: InstanceId,
    cursor: &Cursor,
) -> Result<Vec<Job>> {
    db::query(
        "select * from job where instance = ? and account = ? and id < ? order by id desc limit ?",
    )
    .bind(instance)
    .bind(account)
    .bind(before(cursor))
    .bind(cursor.rows())
    .all(on, read_job)
    .await
}

/// Newest first.
pub(crate) async fn jobs(on: impl On, service: Option<&Name>, cursor: &Cursor) -> Result<Vec<Job>> {
    let service = service.map_or("", Name::as_str);
    db::query("select * from job where (? = '' or service = ?) and id < ? order by id desc limit ?")
        .bind(service)
        .bind(service)
        .bind(before(cursor))
        .bind(cursor.rows())
        .all(on, read_job)
        .await
}

/// Above every id, for the first page.
fn before(cursor: &Cursor) -> &str {
    cursor.after.as_deref().unwrap_or("job_~")
}

pub(crate) async fn append_usage(tx: &mut db::Tx, event: &UsageEvent) -> Result<()> {
    let sequence: u64 =
        db::query("update usage_head set sequence = sequence + 1 returning sequence")
            .one(&mut *tx, |row| row.get("sequence"))
            .await?;
    db::query("insert into usage (sequence, event) values (?, ?)")
        .bind(sequence)
        .bind_json(event)
        .run(tx)
        .await
        .map(drop)
}

/// Which life of the sequence it is: one that begins when it is first asked is named after `now`.
pub(crate) async fn usage_epoch(db: &db::Db, now: Timestamp) -> Result<u64> {
    db::query("update usage_head set epoch = ? where epoch = 0").bind(now).run(db).await?;
    db::query("select epoch from usage_head").one(db, |row| row.get("epoch")).await
}

pub(crate) async fn usage(on: impl On, limit: i64) -> Result<Vec<(u64, UsageEvent)>> {
    db::query("select sequence, event from usage order by sequence limit ?")
        .bind(limit)
        .all(on, |row| Ok((row.get("sequence")?, row.json("event")?)))
        .await
}

pub(crate) async fn delete_usage_before(on: impl On, sequence: u64) -> Result<()> {
    db::query("delete from usage where sequence < ?").bind(sequence).run(on).await.map(drop)
}
