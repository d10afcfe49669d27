//! Cycles, and what instances have taken.

use db::On;
use types::{AccountId, Host, InstanceId, Name, Timestamp};

use super::Stored;
use crate::model::{Taken, Terms};

/// Begins an instance's cycle; one that has begun stays as it is.
pub(crate) async fn insert_cycle(
    tx: &mut db::Tx,
    instance: InstanceId,
    account: AccountId,
    service: &Name,
    host: &Host,
) -> Stored<()> {
    db::query(
        "insert into cycle (instance, account, service, host) values (?, ?, ?, ?)
         on conflict (instance) do nothing",
    )
    .bind(instance)
    .bind(account)
    .bind(service)
    .bind(host)
    .run(tx)
    .await
    .map(drop)
}

/// Whose cycle an instance's is, of which service, and what its lines are named after.
pub(crate) async fn cycle(
    tx: &mut db::Tx,
    instance: InstanceId,
) -> Stored<Option<(AccountId, Name, Host)>> {
    db::query("select account, service, host from cycle where instance = ?")
        .bind(instance)
        .optional(tx, |row| Ok((row.get("account")?, row.get("service")?, row.get("host")?)))
        .await
}

pub(crate) async fn insert_terms(
    tx: &mut db::Tx,
    instance: InstanceId,
    terms: &Terms,
) -> Stored<()> {
    db::query(
        "insert into subscription (instance, since, plan, size, modules) values (?, ?, ?, ?, ?)",
    )
    .bind(instance)
    .bind(terms.since)
    .bind(&terms.plan)
    .bind(&terms.size)
    .bind_json(&terms.modules)
    .run(tx)
    .await
    .map(drop)
}

fn read_terms(row: &db::Row) -> Stored<Terms> {
    Ok(Terms {
        since: row.get("since")?,
        plan: row.get("plan")?,
        size: row.get("size")?,
        modules: row.json("modules")?,
    })
}

/// All terms of an instance, ascending.
pub(crate) async fn terms(tx: &mut db::Tx, instance: InstanceId) -> Stored<Vec<Terms>> {
    db::query("select * from subscription where instance = ? order by since")
        .bind(instance)
        .all(tx, read_terms)
        .await
}

/// Takes terms out, and the cycle with its last ones.
pub(crate) async fn delete_terms(
    tx: &mut db::Tx,
    account: AccountId,
    instance: InstanceId,
    since: Timestamp,
) -> Stored<()> {
    db::query(
        "delete from subscription where instance = ? and since = ?
         and instance in (select instance from cycle where account = ?)",
    )
    .bind(instance)
    .bind(since)
    .bind(account)
    .run(&mut *tx)
    .await?;
    db::query(
        "delete from cycle where instance = ? and account = ?
         and not exists (select 1 from subscription s where s.instance = cycle.instance)",
    )
    .bind(instance)
    .bind(account)
    .run(tx)
    .await
    .map(drop)
}

/// Whether instances of a service have ever been taken.
pub(crate) async fn is_sold(tx: &mut db::Tx, service: &Name) -> Stored<bool> {
    let found = db::query("select instance from cycle where service = ? limit 1")
        .bind(service)
        .optional(tx, |row| row.get::<InstanceId>("instance"));
    Ok(found.await?.is_some())
}

/// What a service's instances have at a moment, each combination with how many have it; at most so
/// many combinations, those first that most have.
pub(crate) async fn had(
    on: impl On,
    service: &Name,
    at: Timestamp,
    limit: u32,
) -> Stored<Vec<(Terms, u64)>> {
    db::query(
        "select s.plan, s.size, s.modules, min(s.since) as since, count(*) as n
         from cycle c join subscription s on s.instance = c.instance
         where c.service = ? and s.since = (select max(n.since) from subscription n
         where n.instance = s.instance and n.since <= ?)
         group by s.plan, s.size, s.modules order by n desc, s.plan, s.size, s.modules limit ?",
    )
    .bind(service)
    .bind(at)
    .bind(limit)
    .all(on, |row| Ok((read_terms(row)?, row.get("n")?)))
    .await
}

/// What each instance of an account has taken, by instance.
pub(crate) async fn taken(on: impl On, account: AccountId) -> Stored<Vec<Taken>> {
    let select = db::query(&format!("{TAKEN} where c.account = ? order by c.instance, s.since"));
    Ok(grouped(select.bind(account).all(on, read_taken).await?))
}

/// What each of these instances has taken, by instance.
pub(crate) async fn taken_of(on: impl On, instances: &[InstanceId]) -> Stored<Vec<Taken>> {
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let marks = vec!["?"; instances.len()].join(", ");
    let mut select =
        db::query(&format!("{TAKEN} where c.instance in ({marks}) order by c.instance, s.since"));
    for instance in instances {
        select = select.bind(*instance);
    }
    Ok(grouped(select.all(on, read_taken).await?))
}

const TAKEN: &str =
    "select c.instance, c.service, c.host, s.since, s.plan, s.size, s.modules from cycle c
     join subscription s on s.instance = c.instance";

fn read_taken(row: &db::Row) -> Stored<(InstanceId, Name, Host, Terms)> {
    Ok((row.get("instance")?, row.get("service")?, row.get("host")?, read_terms(row)?))
}

fn grouped(rows: Vec<(InstanceId, Name, Host, Terms)>) -> Vec<Taken> {
    let mut taken: Vec<Taken> = Vec::new();
    for (instance, service, host, terms) in rows {
        match taken.last_mut().filter(|last| last.instance == instance) {
            Some(last) => last.terms.push(terms),
            None => taken.push(Taken { instance, service, host, terms: vec![terms] }),
        }
    }
    taken
}
