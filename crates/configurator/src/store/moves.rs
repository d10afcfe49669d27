//! How instances move to other releases with their databases.

use api::jobs::JobState;
use db::{List, On};
use types::{Digest, InstanceId, JobId, Name, Timestamp};

use super::Result;
use crate::model::moves::{Needs, Snapshot, Step};

/// How far an instance is on its way, or how its last one ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Move {
    pub(crate) instance: InstanceId,
    pub(crate) from: Digest,
    pub(crate) to: Digest,
    /// The moment since which it was to move.
    pub(crate) since: Timestamp,
    pub(crate) needs: Needs,
    pub(crate) step: Step,
    /// When the step began.
    pub(crate) entered: Timestamp,
    /// The number of the copy of its database.
    pub(crate) copy: u32,
    /// The job of the step, if that is one.
    pub(crate) job: Option<JobId>,
    /// How that ended.
    pub(crate) job_state: Option<JobState>,
    /// Whether it was lost with its machine.
    pub(crate) job_lost: bool,
    /// How many were lost before.
    pub(crate) lost: u32,
    /// Why it goes back, or why a job failed.
    pub(crate) problem: Option<String>,
    pub(crate) began: Timestamp,
    /// Since when requests waited.
    pub(crate) held: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// Whether it is to turn back.
    pub(crate) turned: bool,
}

impl Move {
    /// The same, where the database that has this number is migrated itself.
    pub(crate) fn in_place(self, copy: u32) -> Self {
        Self { copy, needs: Needs { snapshot: Snapshot::None, ..self.needs }, ..self }
    }
}

fn read(row: &db::Row) -> Result<Move> {
    let job_state: Option<String> = row.get("job_state")?;
    Ok(Move {
        instance: row.get("instance")?,
        from: row.get("former")?,
        to: row.get("release")?,
        since: row.get("since")?,
        needs: row.json("needs")?,
        step: row.json("step")?,
        entered: row.get("entered")?,
        copy: row.get("copy")?,
        job: row.get("job")?,
        job_state: job_state.map(|_| row.json("job_state")).transpose()?,
        job_lost: row.get("job_lost")?,
        lost: row.get("lost")?,
        problem: row.get("problem")?,
        began: row.get("began")?,
        held: row.get("held")?,
        ended: row.get("ended")?,
        turned: row.get("turned")?,
    })
}

/// Keeps that it begins, instead of what was kept of it before.
pub(crate) async fn put_move(tx: &mut db::Tx, it: &Move) -> Result<()> {
    db::query("delete from move where instance = ?").bind(it.instance).run(&mut *tx).await?;
    let insert = db::query(
        "insert into move (instance, former, release, since, began, turned,
         needs, step, entered, copy, job, job_state, job_lost, lost, problem, held, ended,
         light, service) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
         (select service from instance where id = ?))",
    )
    .bind(it.instance)
    .bind(&it.from)
    .bind(&it.to)
    .bind(it.since)
    .bind(it.began)
    .bind(it.turned);
    bind_step(insert, it)?
        .bind(it.turned || it.needs.is_light(it.step))
        .bind(it.instance)
        .run(tx)
        .await
        .map(drop)
}

/// Gives what is different at each step.
fn bind_step(query: db::Query, it: &Move) -> Result<db::Query> {
    let job_state = it.job_state.map(|state| serde_json::to_string(&state)).transpose();
    let job_state = job_state.map_err(|cause| db::Error::encode("job_state", cause))?;
    Ok(query
        .bind_json(&it.needs)
        .bind_json(&it.step)
        .bind(it.entered)
        .bind(it.copy)
        .bind(it.job)
        .bind(job_state.as_deref())
        .bind(it.job_lost)
        .bind(it.lost)
        .bind(it.problem.as_deref())
        .bind(it.held)
        .bind(it.ended))
}

pub(crate) async fn last_move(on: impl On, instance: InstanceId) -> Result<Option<Move>> {
    db::query("select * from move where instance = ?").bind(instance).optional(on, read).await
}

/// How far an instance is on its way, and whether the release that it is to come to is still the current
/// one.
pub(crate) async fn look(on: impl On, instance: InstanceId) -> Result<Option<(Move, bool)>> {
    db::query(
        "select move.*, (select service.release from service
         where service.service = move.service) as wanted from move where instance = ?",
    )
    .bind(instance)
    .optional(on, |row| {
        let (it, wanted): (_, Option<Digest>) = (read(row)?, row.get("wanted")?);
        let is_wanted = wanted.as_ref() == Some(&it.to);
        Ok((it, is_wanted))
    })
    .await
}

const LONGEST_CLOSED: &str = "select max(last.took) as longest from (
    select ended - held as took from move where service = ? and step = ? and ended >= held
    order by ended desc limit ?) as last";

/// Of the last moves of a service's instances that kept requests waiting, so many at most: the
/// longest, in microseconds.
pub(crate) async fn longest_closed(on: impl On, service: &Name, limit: u32) -> Result<Option<u64>> {
    db::query(LONGEST_CLOSED)
        .bind(service)
        .bind_json(&Step::Moved)
        .bind(limit)
        .one(on, |row| row.get("longest"))
        .await
}

/// Those under way, the ones that began first: of those that do something to their databases, and of
/// those that only wait or turn back.
pub(crate) async fn moves_under_way(
    on: impl On,
    (with, without): (u32, u32),
) -> Result<Vec<InstanceId>> {
    let some = "select instance from move where ended is null and light = ?
        order by began, instance limit ?";
    db::query(&format!(
        "select instance from ({some}) as w union all select instance from ({some}) as o"
    ))
    .bind(false)
    .bind(with)
    .bind(true)
    .bind(without)
    .all(on, |row| row.get("instance"))
    .await
}

/// These of a service turn back, if they are still on their way.
pub(crate) async fn turn_back(
    tx: &mut db::Tx,
    service: &Name,
    instances: impl IntoIterator<Item = InstanceId>,
) -> Result<()> {
    db::query(
        "update move set turned = ?, light = ? where instance in {list} and ended is null
         and not turned and instance in (select id from instance where service = ?)",
    )
    .bind(true)
    .bind(true)
    .bind(List::of(instances))
    .bind(service)
    .run(tx)
    .await
    .map(drop)
}

/// Keeps how a job of a move ended, if it is the one of its step. On the way back its end says nothing,
/// and the reason for that stays. Answers whose it is.
pub(crate) async fn end_move_job(
    tx: &mut db::Tx,
    job: JobId,
    state: JobState,
    (problem, is_lost): (Option<&str>, bool),
) -> Result<Option<InstanceId>> {
    db::query(
        "update move set job_state = ?, problem = ?, job_lost = ?
         where job = ? and step in ('\"migrate\"', '\"check\"') returning instance",
    )
    .bind_json(&state)
    .bind(problem)
    .bind(is_lost)
    .bind(job)
    .optional(tx, |row| row.get("instance"))
    .await
}

/// Keeps that it is at another step. Whether it is to turn back stays as it is.
pub(crate) async fn put_step(tx: &mut db::Tx, it: &Move) -> Result<()> {
    let update = db::query(
        "update move set needs = ?, step = ?, entered = ?, copy = ?, job = ?, job_state = ?, job_lost = ?,
         lost = ?, problem = ?, held = ?, ended = ?, light = turned or ? where instance = ?",
    );
    let light = it.needs.is_light(it.step);
    bind_step(update, it)?.bind(light).bind(it.instance).run(tx).await.map(drop)
}

/// A database is not used any more, and goes at this moment.
pub(crate) async fn insert_former(
    tx: &mut db::Tx,
    instance: InstanceId,
    copy: u32,
    forget: Timestamp,
) -> Result<()> {
    db::query(
        "insert into former_database (instance, copy, forget) values (?, ?, ?)
         on conflict (instance, copy) do update set forget = excluded.forget",
    )
    .bind(instance)
    .bind(copy)
    .bind(forget)
    .run(tx)
    .await
    .map(drop)
}

/// The databases that were kept for long enough.
pub(crate) async fn former_databases(
    on: impl On,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(InstanceId, u32)>> {
    db::query(
        "select instance, copy from former_database where forget <= ? order by forget limit ?",
    )
    .bind(now)
    .bind(limit)
    .all(on, |row| Ok((row.get("instance")?, row.get("copy")?)))
    .await
}

/// When the next one goes.
pub(crate) async fn next_former(on: impl On) -> Result<Option<Timestamp>> {
    db::query("select forget from former_database order by forget limit 1")
        .optional(on, |row| row.get("forget"))
        .await
}

pub(crate) async fn forget_former_later(
    on: impl On,
    instance: InstanceId,
    copy: u32,
    forget: Timestamp,
) -> Result<()> {
    db::query("update former_database set forget = ? where instance = ? and copy = ?")
        .bind(forget)
        .bind(instance)
        .bind(copy)
        .run(on)
        .await
        .map(drop)
}

pub(crate) async fn delete_former(on: impl On, instance: InstanceId, copy: u32) -> Result<()> {
    db::query("delete from former_database where instance = ? and copy = ?")
        .bind(instance)
        .bind(copy)
        .run(on)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use api::{configurator::InstanceState, jobs::Workers};
    use db::testing::on_both;

    use super::*;
    use crate::{model::instance::tests::kept, store::insert_instance};

    #[tokio::test]
    async fn the_last_moves_of_a_service_are_found_without_those_of_others() {
        on_both("lastmoves", &[crate::MIGRATIONS], async |database| {
            let service: Name = "forum".parse().unwrap();
            let asked =
                db::query(LONGEST_CLOSED).bind(&service).bind_json(&Step::Moved).bind(20_u32);
            let plan = asked.plan(&database).await.unwrap();
            assert!(plan.contains("move_by_service"), "{plan}");
            assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
        })
        .await;
    }

    #[tokio::test]
    async fn how_a_job_ends_says_nothing_on_the_way_back() {
        on_both("waysback", &[crate::MIGRATIONS], async |database| {
            let stored = kept(InstanceState::Open);
            let service = "insert into service values ('forum', 'release', '{}')";
            db::query(service).run(&database).await.unwrap();
            let (job, now) = (JobId::named(&["job"]), Timestamp::from_micros(1));
            let needs = Needs {
                closes: true,
                stops: true,
                starts: true,
                migrates: true,
                checks: true,
                beside: false,
                workers: Workers::default(),
                snapshot: Snapshot::Made,
            };
            let mut it = Move {
                instance: stored.instance,
                from: Digest::of(b"from"),
                to: Digest::of(b"to"),
                since: now,
                needs,
                step: Step::Undo,
                entered: now,
                copy: 1,
                job: Some(job),
                job_state: None,
                job_lost: false,
                lost: 0,
                problem: Some("why".to_owned()),
                began: now,
                held: Some(now),
                ended: None,
                turned: false,
            };
            let mut tx = database.begin().await.unwrap();
            insert_instance(&mut tx, &stored).await.unwrap();
            put_move(&mut tx, &it).await.unwrap();
            end_move_job(&mut tx, job, JobState::Dropped, (Some("other"), true)).await.unwrap();
            assert_eq!(last_move(&mut tx, it.instance).await.unwrap(), Some(it.clone()));
            it.step = Step::Migrate;
            put_move(&mut tx, &it).await.unwrap();
            end_move_job(&mut tx, job, JobState::Failed, (Some("other"), true)).await.unwrap();
            (it.job_state, it.problem) = (Some(JobState::Failed), Some("other".to_owned()));
            it.job_lost = true;
            assert_eq!(last_move(&mut tx, it.instance).await.unwrap(), Some(it));
        })
        .await;
    }
}
