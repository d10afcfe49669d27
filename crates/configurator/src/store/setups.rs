//! The jobs of set-ups.

use api::jobs::JobState;
use db::On;
use types::{InstanceId, JobId, Timestamp};

use super::Result;

/// A job of the set-up, and whether it has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SetupJob {
    pub(crate) job: JobId,
    pub(crate) name: String,
    pub(crate) state: JobState,
    pub(crate) output: String,
}

/// A job of a set-up that is to be queued.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) instance: InstanceId,
    pub(crate) position: usize,
    pub(crate) job: SetupJob,
    /// How often `jobs` could not take it.
    pub(crate) tries: u32,
}

pub(crate) async fn replace_setup_jobs(
    tx: &mut db::Tx,
    instance: InstanceId,
    jobs: &[SetupJob],
) -> Result<()> {
    db::query("delete from setup_job where instance = ?").bind(instance).run(&mut *tx).await?;
    for (position, job) in jobs.iter().enumerate() {
        db::query(
            "insert into setup_job (instance, position, job, name, state, output)
             values (?, ?, ?, ?, ?, ?)",
        )
        .bind(instance)
        .bind(position as u64)
        .bind(job.job)
        .bind(&job.name)
        .bind_json(&job.state)
        .bind(&job.output)
        .run(&mut *tx)
        .await?;
    }
    Ok(())
}

fn read_job(row: &db::Row) -> Result<SetupJob> {
    Ok(SetupJob {
        job: row.get("job")?,
        name: row.get("name")?,
        state: row.json("state")?,
        output: row.get("output")?,
    })
}

/// In the order in which they run.
pub(crate) async fn setup_jobs(on: impl On, instance: InstanceId) -> Result<Vec<SetupJob>> {
    db::query("select * from setup_job where instance = ? order by position")
        .bind(instance)
        .all(on, read_job)
        .await
}

const TO_QUEUE: &str = "select * from setup_job
    where not told and state = '\"ready\"' and due <= ?
    order by due, instance, position limit ?";

/// Jobs that were not told and are due by `now`, those of an instance in the order in which they run.
pub(crate) async fn jobs_to_queue(on: impl On, now: Timestamp, limit: u32) -> Result<Vec<Waiting>> {
    db::query(TO_QUEUE)
        .bind(now)
        .bind(limit)
        .all(on, |row| {
            let position = row.get::<u64>("position")?;
            Ok(Waiting {
                instance: row.get("instance")?,
                position: usize::try_from(position).map_err(|_| db::Error::Range)?,
                job: read_job(row)?,
                tries: row.get("tries")?,
            })
        })
        .await
}

/// When the next one is due.
pub(crate) async fn next_to_queue(on: impl On) -> Result<Option<Timestamp>> {
    let next = "select due from setup_job where not told and state = '\"ready\"'
        order by due, instance, position limit 1";
    db::query(next).optional(on, |row| row.get("due")).await
}

/// All that an instance's set-up has not told: one after another.
pub(crate) async fn try_to_queue_later(
    on: impl On,
    instance: InstanceId,
    due: Timestamp,
) -> Result<()> {
    db::query("update setup_job set due = ?, tries = tries + 1 where instance = ? and not told")
        .bind(due)
        .bind(instance)
        .run(on)
        .await
        .map(drop)
}

pub(crate) async fn set_queued(on: impl On, job: JobId) -> Result<()> {
    db::query("update setup_job set told = ? where job = ?")
        .bind(true)
        .bind(job)
        .run(on)
        .await
        .map(drop)
}

/// Whose job it is, if a set-up still knows of it.
pub(crate) async fn instance_of_job(on: impl On, job: JobId) -> Result<Option<InstanceId>> {
    db::query("select instance from setup_job where job = ?")
        .bind(job)
        .optional(on, |row| row.get("instance"))
        .await
}

/// Keeps how a job ended; answers what it is called.
pub(crate) async fn end_setup_job(
    tx: &mut db::Tx,
    job: JobId,
    state: JobState,
    output: &str,
) -> Result<Option<String>> {
    db::query("update setup_job set state = ?, output = ? where job = ? returning name")
        .bind_json(&state)
        .bind(output)
        .bind(job)
        .optional(tx, |row| row.get("name"))
        .await
}

#[cfg(test)]
mod tests {
    use db::testing::on_both;

    use super::*;

    #[tokio::test]
    async fn set_ups_that_wait_are_found_by_their_index_and_only_if_there_is_something_to_tell() {
        on_both("setups", &[crate::MIGRATIONS], async |database| {
            let plan = db::query(TO_QUEUE)
                .bind(Timestamp::from_micros(0))
                .bind(1_u32)
                .plan(&database)
                .await
                .unwrap();
            assert!(plan.contains("setup_job_untold"), "{plan}");
            assert!(!plan.contains("Seq Scan on setup_job"), "{plan}");
            // A scan of the index that holds nothing else is what is wanted.
            let other = plan.replace("SCAN setup_job USING INDEX setup_job_untold", "");
            assert!(!other.contains("SCAN setup_job") && !other.contains("TEMP B-TREE"), "{plan}");
        })
        .await;
    }
}
