//! Jobs as others see them.

use api::jobs::{Job, JobState};
use db::On;
use types::{AccountId, Cursor, InstanceId, JobId, Name};

use super::{Result, entry::read_state};
use crate::model::State;

/// A job with what its lease or its success says of it. The state is the one that counts.
const SHOWN: &str = "select job.id, job.account, job.instance, job.service, job.class, job.name,
    job.version, job.priority, job.not_before, job.attempts_max, job.lost, job.payload, job.created,
    case when lease.job is not null then 'running' when success.job is not null then 'succeeded'
    else job.state end as state,
    coalesce(lease.attempts, success.attempts, job.attempts) as attempts,
    coalesce(lease.node, success.node, job.node) as node,
    coalesce(lease.release, success.release, job.release) as release,
    coalesce(lease.started, success.started, job.started) as started,
    coalesce(success.ended, job.ended) as ended,
    coalesce(lease.output, success.output, job.output) as output,
    case when lease.job is not null then lease.progress when success.job is not null
    then success.progress else job.progress end as progress,
    case when lease.job is null and success.job is null then job.problem end as problem,
    coalesce(success.result, job.result) as result,
    (select kind.stranded from lane join kind on kind.id = lane.kind
    where lane.id = job.lane) as stranded
    from job left join lease on lease.job = job.id left join success on success.job = job.id";

fn read(row: &db::Row) -> Result<Job> {
    let stranded: Option<bool> = row.get("stranded")?;
    let json = |name| row.get::<Option<String>>(name);
    Ok(Job {
        job: row.get("id")?,
        account: row.get("account")?,
        instance: row.get("instance")?,
        service: row.get("service")?,
        class: row.get("class")?,
        name: row.get("name")?,
        version: row.get("version")?,
        priority: row.get("priority")?,
        state: read_state(row)?.shown(stranded.unwrap_or(false)),
        not_before: row.get("not_before")?,
        attempts: row.get("attempts")?,
        attempts_max: row.get("attempts_max")?,
        lost: row.get("lost")?,
        progress: json("progress")?.map(|_| row.json("progress")).transpose()?,
        problem: row.get("problem")?,
        waits_for: None,
        payload: row.json("payload")?,
        result: json("result")?.map(|_| row.json("result")).transpose()?,
        output: row.get("output")?,
        created: row.get("created")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        node: row.get("node")?,
        release: row.get("release")?,
    })
}

pub(crate) async fn job(on: impl On, id: JobId) -> Result<Option<Job>> {
    db::query(&format!("{SHOWN} where job.id = ?")).bind(id).optional(on, read).await
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) of: Option<(AccountId, InstanceId)>,
    pub(crate) service: Option<Name>,
    pub(crate) state: Option<JobState>,
    pub(crate) name: Option<String>,
}

/// Newest first.
pub(crate) async fn jobs(on: impl On, filter: &Filter, cursor: &Cursor) -> Result<Vec<Job>> {
    let mut text = format!("select * from ({SHOWN} where job.id < ?");
    let before = cursor.after.as_deref().unwrap_or("job_~").to_owned();
    let mut words = vec![before];
    if let Some((account, instance)) = filter.of {
        text += " and job.account = ? and job.instance = ?";
        words.extend([account.to_string(), instance.to_string()]);
    }
    if let Some(service) = &filter.service {
        text += " and job.service = ?";
        words.push(service.to_string());
    }
    if let Some(name) = &filter.name {
        text += " and job.name = ?";
        words.push(name.clone());
    }
    if let Some(state) = filter.state {
        text += " and ";
        text += &is_in(kept(state));
    }
    text += ") as job";
    match filter.state {
        Some(JobState::Stranded) => text += " where stranded",
        Some(JobState::Ready) => text += " where not coalesce(stranded, false)",
        _ => {}
    }
    text += " order by id desc limit ?";
    let asked = words.iter().fold(db::query(&text), db::Query::bind);
    asked.bind(cursor.rows()).all(on, read).await
}

/// Said of the table that has those of the state, and few others.
fn is_in(state: State) -> String {
    match state {
        State::Running => "lease.job is not null".to_owned(),
        State::Succeeded => "success.job is not null".to_owned(),
        State::Ready => "exists (select 1 from ready where ready.lane = job.lane
            and ready.rank = -job.priority and ready.job = job.id)"
            .to_owned(),
        state => format!("job.state = '{}'", state.word()),
    }
}

/// As it is kept.
const fn kept(state: JobState) -> State {
    match state {
        JobState::Blocked => State::Blocked,
        JobState::Held => State::Held,
        JobState::Delayed => State::Delayed,
        JobState::Ready | JobState::Stranded => State::Ready,
        JobState::Running => State::Running,
        JobState::Succeeded => State::Succeeded,
        JobState::Failed => State::Failed,
        JobState::Cancelled => State::Cancelled,
        JobState::Dropped => State::Dropped,
        JobState::SetAside => State::SetAside,
    }
}

/// Whether the instance of a job is closed to it.
pub(crate) async fn is_closed(on: impl On, job: JobId) -> Result<bool> {
    db::query("select lane.closed from job join lane on lane.id = job.lane where job.id = ?")
        .bind(job)
        .optional(on, |row| row.get("closed"))
        .await
        .map(|closed| closed.unwrap_or(false))
}
