//! The tables.

use api::{
    billing::UsageEvent,
    jobs::{Counts, DEFAULT_CLASS, Gate, Job, JobState, PutJob, Queue},
};
use db::On;
use types::{AccountId, Cursor, Digest, InstanceId, JobId, Name, NodeId, Timestamp};

type Result<T> = std::result::Result<T, db::Error>;

/// A job as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) job: Job,
    pub(crate) command: Vec<String>,
    pub(crate) timeout_seconds: u32,
    pub(crate) token: u64,
    pub(crate) lease_expires: Timestamp,
    /// The job that it still waits for.
    pub(crate) after: Option<JobId>,
}

/// A release that has a job to hand out, and whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) service: Name,
    pub(crate) release: Digest,
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
    (select count(*) from job j where j.service = q.service and j.state <> '\"succeeded\"'
     and j.state = '\"queued\"') as queued,
    (select count(*) from job j where j.service = q.service and j.state <> '\"succeeded\"'
     and j.state = '\"running\"') as running,
    (select count(*) from job j where j.service = q.service and j.state <> '\"succeeded\"'
     and j.state = '\"failed\"') as failed
    from queue q";

fn read_queue(row: &db::Row) -> Result<Queue> {
    Ok(Queue {
        service: row.get("service")?,
        class: DEFAULT_CLASS.to_owned(),
        paused: row.get("paused")?,
        gate: Gate::Open,
        concurrency: None,
        drain: None,
        jobs: Counts {
            ready: row.get("queued")?,
            running: row.get("running")?,
            failed: row.get("failed")?,
            ..Counts::default()
        },
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
         lease_expires, problem, ended) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
         ?, ?, ?)",
    )
    .bind(job.job)
    .bind(job.account)
    .bind(job.instance)
    .bind(&job.service)
    .bind(&put.release)
    .bind(&job.name)
    .bind(1_u32)
    .bind_json(&put.command)
    .bind(put.after)
    .bind(put.timeout_seconds)
    .bind(put.attempts_max)
    .bind(state_word(job.state))
    .bind(job.attempts)
    .bind(&job.output)
    .bind(job.created)
    .bind(job.created)
    .bind(0_u64)
    .bind(job.created)
    .bind(job.problem.as_deref())
    .bind(job.ended)
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
        class: DEFAULT_CLASS.to_owned(),
        release: row.get("release")?,
        name: row.get("name")?,
        version: 1,
        priority: 0,
        state: read_state(row)?,
        not_before: row.get("not_before")?,
        attempts: row.get("attempts")?,
        attempts_max: row.get("attempts_max")?,
        lost: row.get("lost")?,
        progress: None,
        problem: row.get("problem")?,
        waits_for: None,
        payload: serde_json::Value::Null,
        result: None,
        output: row.get("output")?,
        created: row.get("created")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        node: row.get("node")?,
    })
}

/// What waits was called queued once.
fn read_state(row: &db::Row) -> Result<JobState> {
    let word: String = row.get("state")?;
    if word == "\"queued\"" { Ok(JobState::Ready) } else { row.json("state") }
}

fn state_word(state: JobState) -> String {
    match state {
        JobState::Running => "\"running\"",
        JobState::Succeeded => "\"succeeded\"",
        JobState::Failed => "\"failed\"",
        _ => "\"queued\"",
    }
    .to_owned()
}

fn read(row: &db::Row) -> Result<Stored> {
    Ok(Stored {
        job: read_job(row)?,
        command: row.json("command")?,
        timeout_seconds: row.get("timeout_seconds")?,
        token: row.get("token")?,
        lease_expires: row.get("lease_expires")?,
        after: row.get("after")?,
    })
}

pub(crate) async fn job(on: impl On, id: JobId) -> Result<Option<Stored>> {
    db::query("select * from job where id = ?").bind(id).optional(on, read).await
}

/// Locked until the transaction ends.
pub(crate) async fn job_to_change(tx: &mut db::Tx, id: JobId) -> Result<Option<Stored>> {
    db::query("select * from job where id = ? /*for update*/").bind(id).optional(tx, read).await
}

/// What can be handed out now: as the index says it.
const DUE: &str = "state = '\"queued\"' and after is null";

/// Which of the releases have a job that can be handed out now, the queue that was served longest
/// ago first. It looks at one waiting job of each, however many there are.
fn lanes_query(count: usize) -> String {
    let places = vec!["(?)"; count].join(", ");
    format!(
        "select queue.service, lane.release from
         (select known.column1 as release, (select job.service from job
         where {DUE} and job.release = known.column1 and job.not_before <= ?
         order by job.not_before, job.id limit 1) as service
         from (values {places}) as known) as lane
         join queue on queue.service = lane.service where queue.paused = ?
         order by queue.turn, queue.service, lane.release"
    )
}

pub(crate) async fn lanes(on: impl On, releases: &[Digest], now: Timestamp) -> Result<Vec<Lane>> {
    if releases.is_empty() {
        return Ok(Vec::new());
    }
    let asked = db::query(&lanes_query(releases.len())).bind(now);
    let asked = releases.iter().fold(asked, db::Query::bind);
    asked
        .bind(false)
        .all(on, |row| Ok(Lane { service: row.get("service")?, release: row.get("release")? }))
        .await
}

fn due_query() -> String {
    format!(
        "select * from job where {DUE} and release = ? and not_before <= ?
         order by not_before, id limit ? /*skip locked*/"
    )
}

/// Jobs of that release that can be handed out now, the one that has waited longest first. Locked;
/// what another worker is being given is passed over.
pub(crate) async fn due_jobs(
    tx: &mut db::Tx,
    release: &Digest,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Stored>> {
    let limit = limit as u64;
    db::query(&due_query()).bind(release).bind(now).bind(limit).all(tx, read).await
}

/// The queue has had its turn.
pub(crate) async fn set_served(tx: &mut db::Tx, service: &Name) -> Result<()> {
    db::query("update queue set turn = (select max(turn) + 1 from queue) where service = ?")
        .bind(service)
        .run(tx)
        .await
        .map(drop)
}

/// Keeps all that can change of a job.
pub(crate) async fn update_job(tx: &mut db::Tx, stored: &Stored) -> Result<()> {
    db::query(
        "update job set release = ?, command = ?, state = ?, attempts = ?, lost = ?, problem = ?,
         output = ?, not_before = ?, started = ?, ended = ?, node = ?, token = ?, lease_expires = ?
         where id = ?",
    )
    .bind(stored.job.release.as_ref())
    .bind_json(&stored.command)
    .bind(state_word(stored.job.state))
    .bind(stored.job.attempts)
    .bind(stored.job.lost)
    .bind(stored.job.problem.as_deref())
    .bind(&stored.job.output)
    .bind(stored.job.not_before)
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

/// A lease as it was seen: which job, and its token.
pub(crate) type Seen = (JobId, u64);

fn read_seen(row: &db::Row) -> Result<Seen> {
    Ok((row.get("id")?, row.get("token")?))
}

pub(crate) async fn leases_of(on: impl On, node: NodeId) -> Result<Vec<Seen>> {
    db::query("select id, token from job where state = '\"running\"' and node = ?")
        .bind(node)
        .all(on, read_seen)
        .await
}

/// The longest expired first.
pub(crate) async fn leases_expired(on: impl On, now: Timestamp, limit: u32) -> Result<Vec<Seen>> {
    db::query(
        "select id, token from job where state = '\"running\"' and lease_expires <= ?
         order by lease_expires limit ?",
    )
    .bind(now)
    .bind(limit)
    .all(on, read_seen)
    .await
}

/// When the next lease runs out.
pub(crate) async fn next_expiry(on: impl On) -> Result<Option<Timestamp>> {
    db::query(
        "select lease_expires from job where state = '\"running\"' order by lease_expires limit 1",
    )
    .optional(on, |row| row.get("lease_expires"))
    .await
}

/// What waited for a job that has succeeded waits for it no more.
pub(crate) async fn let_followers_go(tx: &mut db::Tx, job: JobId) -> Result<()> {
    db::query("update job set after = null where after = ?").bind(job).run(tx).await.map(drop)
}

/// What waited for a job that has failed has failed too; answers which those are.
pub(crate) async fn fail_followers(
    tx: &mut db::Tx,
    job: JobId,
    problem: &str,
    now: Timestamp,
) -> Result<Vec<JobId>> {
    db::query(
        "update job set state = ?, problem = ?, ended = ?, after = null where after = ?
         returning id",
    )
    .bind_json(&JobState::Failed)
    .bind(problem)
    .bind(now)
    .bind(job)
    .all(tx, |row| row.get("id"))
    .await
}

/// The end of a job is to be told.
pub(crate) async fn insert_untold(tx: &mut db::Tx, job: JobId) -> Result<()> {
    db::query("insert into untold (job) values (?)").bind(job).run(tx).await.map(drop)
}

pub(crate) async fn untold(on: impl On, limit: u32) -> Result<Vec<Stored>> {
    db::query("select job.* from untold join job on job.id = untold.job order by job.id limit ?")
        .bind(limit)
        .all(on, read)
        .await
}

pub(crate) async fn delete_untold(on: impl On, job: JobId) -> Result<()> {
    db::query("delete from untold where job = ?").bind(job).run(on).await.map(drop)
}

/// Forgets jobs that ended before that and were told; answers how many.
pub(crate) async fn prune(on: impl On, before: Timestamp, limit: u32) -> Result<u64> {
    db::query(
        "delete from job where id in (select id from job as old where old.ended is not null
         and old.ended < ? and not exists (select 1 from untold where untold.job = old.id)
         order by old.ended limit ?)",
    )
    .bind(before)
    .bind(limit)
    .run(on)
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
    let asked = match service {
        Some(service) => {
            db::query("select * from job where service = ? and id < ? order by id desc limit ?")
                .bind(service)
        }
        None => db::query("select * from job where id < ? order by id desc limit ?"),
    };
    asked.bind(before(cursor)).bind(cursor.rows()).all(on, read_job).await
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of each engine with this component's tables.
    async fn databases(name: &str) -> Vec<db::Db> {
        let name = format!("{name}_{}", std::process::id());
        let folder = std::env::temp_dir().join(format!("mandate-{name}"));
        let server = std::env::var("MANDATE_TEST_POSTGRES").expect(
            "set MANDATE_TEST_POSTGRES to a server for tests, such as \
             postgres://admin@127.0.0.1:5432/postgres, or run `./x test`",
        );
        let mut databases = Vec::new();
        for engine in [db::Engine::sqlite(folder), db::Engine::postgres(&server).unwrap()] {
            let password = types::Secret::new("a password");
            databases.push(engine.open(&name, &password, &[crate::MIGRATIONS]).await.unwrap());
        }
        databases
    }

    #[tokio::test]
    async fn what_is_claimed_is_found_by_its_index_however_much_has_ended() {
        for database in databases("jobs").await {
            let now = Timestamp::from_micros(1);
            let release = Digest::of(b"release");
            let lanes = db::query(&lanes_query(2)).bind(now).bind(&release).bind(&release);
            let due = db::query(&due_query()).bind(&release).bind(now).bind(1_u64);
            for (asked, sorts) in [(lanes.bind(false), true), (due, false)] {
                let plan = asked.plan(&database).await.unwrap();
                assert!(plan.contains("job_due"), "{plan}");
                assert!(!plan.contains("Seq Scan on job"), "{plan}");
                assert!(!plan.contains("SCAN job"), "{plan}");
                assert!(sorts || !plan.to_lowercase().contains("sort"), "{plan}");
                assert!(sorts || !plan.contains("TEMP B-TREE"), "{plan}");
            }
        }
    }
}
