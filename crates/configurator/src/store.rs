//! The tables.

mod moves;
mod setups;

use std::collections::BTreeSet;

use api::{
    configurator::{InstanceState, PutService},
    jobs,
};
use db::{List, On, Rows, row};
use serde::{Deserialize, Serialize};
use types::{AccountId, Cursor, Digest, Host, InstanceId, Name, Timestamp};

pub(crate) use moves::*;
pub(crate) use setups::*;

use crate::model::moves::{Needs, Step};

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
    /// The release that it is on.
    pub(crate) release: Digest,
    pub(crate) state: InstanceState,
    pub(crate) suspended: Option<String>,
    pub(crate) maintenance: Option<String>,
    pub(crate) problem: Option<String>,
    /// Sealed.
    pub(crate) setup_key: String,
    /// The set-up key's digest.
    pub(crate) setup_digest: Option<Digest>,
    /// Sealed: what was filled in; there as soon as the set-up has begun.
    pub(crate) settings: Option<String>,
    /// How many set-ups were begun.
    pub(crate) attempt: u64,
    pub(crate) has_database: bool,
    /// How often its secrets were rotated.
    pub(crate) rotations: u64,
    /// The number of the shape of its database, and the lowest one whose code reads it; 0 without.
    pub(crate) schema: (u32, u32),
    /// The number of the database that it has, and the highest there was.
    pub(crate) copy: (u32, u32),
    /// Until when it stays on its release.
    pub(crate) frozen_until: Option<Timestamp>,
    /// Where it is on its way to another release.
    pub(crate) moving: Option<OnItsWay>,
    pub(crate) created: Timestamp,
}

impl Stored {
    /// What `jobs` is told of it: whose it is, by which release its jobs are done, and whether they may run.
    pub(crate) fn told(&self) -> jobs::Instance {
        let closed = self.suspended.is_some() || self.maintenance.is_some();
        let moves = self.moving.as_ref().is_some_and(|it| it.needs.holds_jobs(it.step));
        let is_open = self.state == InstanceState::Open && !closed && !moves;
        jobs::Instance {
            account: self.account,
            service: self.service.clone(),
            release: self.release.clone(),
            state: if is_open { jobs::InstanceState::Open } else { jobs::InstanceState::Closed },
            gate: self.moving.as_ref().map(|it| it.needs.gate(it.step)).unwrap_or_default(),
        }
    }
}

/// What must be known of an instance that is on its way to another release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnItsWay {
    pub(crate) to: Digest,
    pub(crate) needs: Needs,
    pub(crate) step: Step,
    /// The number of the copy of its database that the release has; its own if none is made.
    pub(crate) copy: u32,
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
        "insert into instance (id, account, service, host, modules, size, release, state, suspended,
         maintenance, problem, setup_key, setup_digest, settings, attempt, has_database, created)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
    )
    .bind(stored.instance)
    .bind(stored.account)
    .bind(&stored.service)
    .bind(&stored.host)
    .bind_json(&stored.modules)
    .bind(&stored.size)
    .bind(&stored.release)
    .bind_json(&stored.state)
    .bind(stored.suspended.as_deref())
    .bind(stored.maintenance.as_deref())
    .bind(stored.problem.as_deref())
    .bind(&stored.setup_key)
    .bind(stored.setup_digest.as_ref())
    .bind(stored.settings.as_deref())
    .bind(stored.attempt)
    .bind(stored.has_database)
    .bind(stored.created)
    .run(tx)
    .await
    .map(|inserted| inserted == 1)
}

/// Keeps all that can change of an instance.
pub(crate) async fn update_instance(tx: &mut db::Tx, stored: &Stored) -> Result<()> {
    let moving = stored.moving.as_ref().map(serde_json::to_string).transpose();
    let moving = moving.map_err(|cause| db::Error::encode("moving", cause))?;
    let told = serde_json::to_string(&stored.told());
    let told = told.map_err(|cause| db::Error::encode("told_as", cause))?;
    db::query(
        "update instance set modules = ?, size = ?, release = ?, state = ?, suspended = ?,
         maintenance = ?, problem = ?, settings = ?, attempt = ?, has_database = ?, rotations = ?,
         schema_number = ?, readable_from = ?, copy = ?, copies = ?,
         frozen_until = ?, moving = ?,
         changes = changes + case when told_as = ? then 0 else 1 end, told_as = ?
         where id = ?",
    )
    .bind_json(&stored.modules)
    .bind(&stored.size)
    .bind(&stored.release)
    .bind_json(&stored.state)
    .bind(stored.suspended.as_deref())
    .bind(stored.maintenance.as_deref())
    .bind(stored.problem.as_deref())
    .bind(stored.settings.as_deref())
    .bind(stored.attempt)
    .bind(stored.has_database)
    .bind(stored.rotations)
    .bind(stored.schema.0)
    .bind(stored.schema.1)
    .bind(stored.copy.0)
    .bind(stored.copy.1)
    .bind(stored.frozen_until)
    .bind(moving.as_deref())
    .bind(&told)
    .bind(&told)
    .bind(stored.instance)
    .run(tx)
    .await
    .map(drop)
}

fn read(row: &db::Row) -> Result<Stored> {
    let moving: Option<String> = row.get("moving")?;
    Ok(Stored {
        instance: row.get("id")?,
        account: row.get("account")?,
        service: row.get("service")?,
        host: row.get("host")?,
        modules: row.json("modules")?,
        size: row.get("size")?,
        release: row.get("release")?,
        state: row.json("state")?,
        suspended: row.get("suspended")?,
        maintenance: row.get("maintenance")?,
        problem: row.get("problem")?,
        setup_key: row.get("setup_key")?,
        setup_digest: row.get("setup_digest")?,
        settings: row.get("settings")?,
        attempt: row.get("attempt")?,
        has_database: row.get("has_database")?,
        rotations: row.get("rotations")?,
        schema: (row.get("schema_number")?, row.get("readable_from")?),
        copy: (row.get("copy")?, row.get("copies")?),
        frozen_until: row.get("frozen_until")?,
        moving: moving.map(|_| row.json("moving")).transpose()?,
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

/// The same for many, in the order of their ids, so that no two who lock some wait for each other.
pub(crate) async fn instances_among(
    tx: &mut db::Tx,
    ids: impl IntoIterator<Item = InstanceId>,
) -> Result<Vec<Stored>> {
    db::query("select * from instance where id in {list} order by id /*for update*/")
        .bind(List::of(ids))
        .all(tx, read)
        .await
}

/// At most so many that are being set up by a release that is not the current one any more.
pub(crate) async fn set_ups_behind(on: impl On, limit: u32) -> Result<Vec<InstanceId>> {
    db::query(
        "select instance.id from instance join service on service.service = instance.service
         where instance.state = '\"setting_up\"' and instance.release <> service.release
         order by instance.id limit ?",
    )
    .bind(limit)
    .all(on, |row| row.get("id"))
    .await
}

/// At most so many instances of which it is not written down which release they are on, with the
/// current one of their service, which it is.
pub(crate) async fn instances_on_none(
    on: impl On,
    limit: u32,
) -> Result<Vec<(InstanceId, Digest)>> {
    db::query(
        "select instance.id, service.release from instance
         join service on service.service = instance.service
         where instance.release is null order by instance.id limit ?",
    )
    .bind(limit)
    .all(on, |row| Ok((row.get("id")?, row.get("release")?)))
    .await
}

/// Which release instances are on.
pub(crate) async fn set_release(
    tx: &mut db::Tx,
    instances: impl IntoIterator<Item = InstanceId>,
    release: &Digest,
) -> Result<()> {
    db::query(
        "update instance set release = ?, changes = changes + 1, told_as = null where id in {list}",
    )
    .bind(release)
    .bind(List::of(instances))
    .run(tx)
    .await
    .map(drop)
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

pub(crate) async fn all_instances(on: impl On, cursor: &Cursor) -> Result<Vec<Stored>> {
    db::query("select * from instance where id > ? order by id limit ?")
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read)
        .await
}

/// Many of them at once, by their ids.
pub(crate) async fn instances_with(on: &db::Db, ids: &BTreeSet<InstanceId>) -> Result<Vec<Stored>> {
    db::query("select * from instance where id in {list}")
        .bind(List::of(ids.iter().copied()))
        .all(on, read)
        .await
}

/// Instances that are due to be made, and how often that was tried in vain.
pub(crate) async fn instances_to_create(
    on: impl On,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(Stored, u32)>> {
    db::query(
        "select * from instance where state = '\"creating\"' and due <= ? order by due limit ?",
    )
    .bind(now)
    .bind(limit)
    .all(on, |row| Ok((read(row)?, row.get("tries")?)))
    .await
}

pub(crate) async fn next_to_create(on: impl On) -> Result<Option<Timestamp>> {
    db::query("select due from instance where state = '\"creating\"' order by due limit 1")
        .optional(on, |row| row.get("due"))
        .await
}

pub(crate) async fn try_to_create_later(
    on: impl On,
    instance: InstanceId,
    due: Timestamp,
) -> Result<()> {
    db::query("update instance set due = ?, tries = tries + 1 where id = ?")
        .bind(due)
        .bind(instance)
        .run(on)
        .await
        .map(drop)
}

/// Whatever `jobs` was told is told again: instances, and the jobs of set-ups that have not ended.
pub(crate) async fn forget_told(tx: &mut db::Tx) -> Result<()> {
    db::query("update instance set told = 0").run(&mut *tx).await?;
    db::query("update setup_job set told = ? where state = '\"ready\"'")
        .bind(false)
        .run(tx)
        .await
        .map(drop)
}

/// Instances of which `jobs` does not know how they are, each with how often what it is told of them has
/// changed.
pub(crate) async fn instances_to_tell(on: impl On, limit: u32) -> Result<Vec<(Stored, u64)>> {
    db::query("select * from instance where told < changes order by id limit ?")
        .bind(limit)
        .all(on, |row| Ok((read(row)?, row.get("changes")?)))
        .await
}

/// Whether `jobs` knows how an instance is.
pub(crate) async fn is_told(on: impl On, instance: InstanceId) -> Result<bool> {
    db::query("select told >= changes as told from instance where id = ?")
        .bind(instance)
        .optional(on, |row| row.get("told"))
        .await
        .map(Option::unwrap_or_default)
}

/// `jobs` knows how instances were after so many changes of each.
pub(crate) async fn set_told(
    on: impl On,
    told: impl IntoIterator<Item = (InstanceId, u64)>,
) -> Result<()> {
    let mut rows = Rows::new(&["id", "changes"]);
    for (instance, changes) in told {
        rows.push(row![instance, changes]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "update instance set told = r.changes from {rows} as r
         where instance.id = r.id and instance.told < r.changes",
    )
    .bind(rows)
    .run(on)
    .await
    .map(drop)
}

pub(crate) async fn set_has_database(on: impl On, instance: InstanceId) -> Result<()> {
    db::query("update instance set has_database = ? where id = ?")
        .bind(true)
        .bind(instance)
        .run(on)
        .await
        .map(drop)
}

/// The secrets of an instance, sealed.
pub(crate) async fn secrets(on: impl On, instance: InstanceId) -> Result<Vec<(String, String)>> {
    db::query("select name, value from instance_secret where instance = ? order by name")
        .bind(instance)
        .all(on, |row| Ok((row.get("name")?, row.get("value")?)))
        .await
}

/// Keeps a secret, unless there is one of that name.
pub(crate) async fn insert_secret(
    on: impl On,
    instance: InstanceId,
    (name, value): (&str, &str),
) -> Result<()> {
    db::query(
        "insert into instance_secret (instance, name, value) values (?, ?, ?)
         on conflict do nothing",
    )
    .bind(instance)
    .bind(name)
    .bind(value)
    .run(on)
    .await
    .map(drop)
}

/// Keeps a secret instead of the one of that name.
pub(crate) async fn put_secret(
    tx: &mut db::Tx,
    instance: InstanceId,
    (name, value): (&str, &str),
) -> Result<()> {
    db::query(
        "insert into instance_secret (instance, name, value) values (?, ?, ?)
         on conflict (instance, name) do update set value = excluded.value",
    )
    .bind(instance)
    .bind(name)
    .bind(value)
    .run(tx)
    .await
    .map(drop)
}

/// Whether a service has instances that are set up, or are being set up.
pub(crate) async fn has_set_up(on: impl On, service: &Name) -> Result<bool> {
    db::query("select id from instance where service = ? and settings is not null limit 1")
        .bind(service)
        .optional(on, |_| Ok(()))
        .await
        .map(|found| found.is_some())
}

#[cfg(test)]
mod tests {
    use db::testing::on_both;

    use super::*;
    use crate::model::instance::tests::kept;

    #[tokio::test]
    async fn only_what_is_told_to_jobs_is_told_again() {
        on_both("tells", &[crate::MIGRATIONS], async |database| {
            let service = "insert into service values ('forum', 'release', '{}')";
            db::query(service).run(&database).await.unwrap();
            let stored = kept(InstanceState::Open);
            let instance = stored.instance;
            let mut tx = database.begin().await.unwrap();
            insert_instance(&mut tx, &stored).await.unwrap();
            tx.commit().await.unwrap();
            let change = async |stored: Stored| {
                let mut tx = database.begin().await.unwrap();
                update_instance(&mut tx, &stored).await.unwrap();
                tx.commit().await.unwrap();
            };
            let is_told = async || is_told(&database, instance).await.unwrap();
            let tell = async || {
                let untold = instances_to_tell(&database, 10).await.unwrap();
                let told = untold.iter().map(|(it, changes)| (it.instance, *changes));
                set_told(&database, told).await.unwrap();
                assert!(is_told().await);
            };
            change(stored.clone()).await;
            tell().await;
            change(Stored { copy: (1, 1), ..stored.clone() }).await;
            assert!(is_told().await, "a copy of its database is nothing to jobs");
            change(Stored { suspended: Some("unpaid".to_owned()), ..stored.clone() }).await;
            assert!(!is_told().await);
            tell().await;
            let mut tx = database.begin().await.unwrap();
            set_release(&mut tx, [instance], &Digest::of(b"next")).await.unwrap();
            tx.commit().await.unwrap();
            assert!(!is_told().await);
            tell().await;
            change(stored.clone()).await;
            assert!(!is_told().await, "it is as it was told once, and not as it was told last");
        })
        .await;
    }
}
