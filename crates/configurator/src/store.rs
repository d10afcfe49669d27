//! The tables.

use std::collections::BTreeSet;

use api::{
    configurator::{InstanceState, PutService},
    jobs::JobState,
};
use db::On;
use types::{AccountId, Cursor, Host, InstanceId, JobId, Name, Timestamp};

type Result<T> = std::result::Result<T, db::Error>;

/// An instance as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) instance: InstanceId,
    pub(crate) account: AccountId,
    pub(crate) service: Name,
    pub(crate) host: Host,
    pub(crate) modules: BTreeSet<String>,
    pub(crate) size: String,
    pub(crate) state: InstanceState,
    pub(crate) suspended: Option<String>,
    pub(crate) maintenance: Option<String>,
    pub(crate) problem: Option<String>,
    /// Sealed.
    pub(crate) setup_key: String,
    /// Sealed: what was filled in.
    pub(crate) settings: Option<String>,
    /// How many set-ups were begun.
    pub(crate) attempt: u64,
    pub(crate) created: Timestamp,
}

/// A job of the set-up, and how far it was when last seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SetupJob {
    pub(crate) job: JobId,
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) state: JobState,
    pub(crate) output: String,
}

pub(crate) async fn put_service(tx: &mut db::Tx, service: &PutService) -> Result<()> {
    db::query(
        "insert into service (service, release, manifest) values (?, ?, ?)
         on conflict (service) do update set release = excluded.release, manifest = excluded.manifest",
    )
    .bind(&service.service)
    .bind(&service.release)
    .bind_json(&service.manifest)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn service(on: impl On, name: &Name) -> Result<Option<PutService>> {
    db::query("select * from service where service = ?")
        .bind(name)
        .optional(on, |row| {
            Ok(PutService {
                service: row.get("service")?,
                release: row.get("release")?,
                manifest: row.json("manifest")?,
            })
        })
        .await
}

/// Answers whether there was neither the instance nor another one at its host.
pub(crate) async fn insert_instance(tx: &mut db::Tx, stored: &Stored) -> Result<bool> {
    db::query(
        "insert into instance (id, account, service, host, modules, size, state, suspended,
         maintenance, problem, setup_key, settings, attempt, created)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
    )
    .bind(stored.instance)
    .bind(stored.account)
    .bind(&stored.service)
    .bind(&stored.host)
    .bind_json(&stored.modules)
    .bind(&stored.size)
    .bind_json(&stored.state)
    .bind(stored.suspended.as_deref())
    .bind(stored.maintenance.as_deref())
    .bind(stored.problem.as_deref())
    .bind(&stored.setup_key)
    .bind(stored.settings.as_deref())
    .bind(stored.attempt)
    .bind(stored.created)
    .run(tx)
    .await
    .map(|inserted| inserted == 1)
}

/// Keeps all that can change of an instance.
pub(crate) async fn update_instance(tx: &mut db::Tx, stored: &Stored) -> Result<()> {
    db::query(
        "update instance set modules = ?, size = ?, state = ?, suspended = ?, maintenance = ?,
         problem = ?, settings = ?, attempt = ? where id = ?",
    )
    .bind_json(&stored.modules)
    .bind(&stored.size)
    .bind_json(&stored.state)
    .bind(stored.suspended.as_deref())
    .bind(stored.maintenance.as_deref())
    .bind(stored.problem.as_deref())
    .bind(stored.settings.as_deref())
    .bind(stored.attempt)
    .bind(stored.instance)
    .run(tx)
    .await
    .map(drop)
}

fn read(row: &db::Row) -> Result<Stored> {
    Ok(Stored {
        instance: row.get("id")?,
        account: row.get("account")?,
        service: row.get("service")?,
        host: row.get("host")?,
        modules: row.json("modules")?,
        size: row.get("size")?,
        state: row.json("state")?,
        suspended: row.get("suspended")?,
        maintenance: row.get("maintenance")?,
        problem: row.get("problem")?,
        setup_key: row.get("setup_key")?,
        settings: row.get("settings")?,
        attempt: row.get("attempt")?,
        created: row.get("created")?,
    })
}

/// Locked, inside a transaction, until that ends: what is read is what is changed.
pub(crate) async fn instance(on: impl On, id: InstanceId) -> Result<Option<Stored>> {
    db::query("select * from instance where id = ? /*for update*/")
        .bind(id)
        .optional(on, read)
        .await
}

pub(crate) async fn instance_at(on: impl On, host: &Host) -> Result<Option<Stored>> {
    db::query("select * from instance where host = ?").bind(host).optional(on, read).await
}

pub(crate) async fn instances(
    on: impl On,
    account: AccountId,
    cursor: &Cursor,
) -> Result<Vec<Stored>> {
    db::query("select * from instance where account = ? and id > ? order by id limit ?")
        .bind(account)
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read)
        .await
}

/// At most 100, the oldest first.
pub(crate) async fn instances_in(on: impl On, state: InstanceState) -> Result<Vec<Stored>> {
    db::query("select * from instance where state = ? order by id limit 100")
        .bind_json(&state)
        .all(on, read)
        .await
}

pub(crate) async fn replace_setup_jobs(
    tx: &mut db::Tx,
    instance: InstanceId,
    jobs: &[SetupJob],
) -> Result<()> {
    db::query("delete from setup_job where instance = ?").bind(instance).run(&mut *tx).await?;
    for (position, job) in jobs.iter().enumerate() {
        db::query(
            "insert into setup_job (instance, position, job, name, command, state, output)
             values (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(instance)
        .bind(position as u64)
        .bind(job.job)
        .bind(&job.name)
        .bind_json(&job.command)
        .bind_json(&job.state)
        .bind(&job.output)
        .run(&mut *tx)
        .await?;
    }
    Ok(())
}

/// In the order in which they run.
pub(crate) async fn setup_jobs(on: impl On, instance: InstanceId) -> Result<Vec<SetupJob>> {
    db::query("select * from setup_job where instance = ? order by position")
        .bind(instance)
        .all(on, |row| {
            Ok(SetupJob {
                job: row.get("job")?,
                name: row.get("name")?,
                command: row.json("command")?,
                state: row.json("state")?,
                output: row.get("output")?,
            })
        })
        .await
}

pub(crate) async fn update_setup_job(
    on: impl On,
    instance: InstanceId,
    position: usize,
    job: &SetupJob,
) -> Result<()> {
    db::query("update setup_job set state = ?, output = ? where instance = ? and position = ?")
        .bind_json(&job.state)
        .bind(&job.output)
        .bind(instance)
        .bind(position as u64)
        .run(on)
        .await
        .map(drop)
}
