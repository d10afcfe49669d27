//! Cycles, and what instances have taken.

use db::On;
use types::{AccountId, InstanceId, Name};

use super::Stored;
use crate::model::{Taken, Terms};

/// Begins an instance's cycle; one that has begun stays as it is.
pub(crate) async fn insert_cycle(
    tx: &mut db::Tx,
    instance: InstanceId,
    account: AccountId,
    service: &Name,
) -> Stored<()> {
    db::query(
        "insert into cycle (instance, account, service) values (?, ?, ?)
         on conflict (instance) do nothing",
    )
    .bind(instance)
    .bind(account)
    .bind(service)
    .run(tx)
    .await
    .map(drop)
}

/// Whose cycle an instance's is, and of which service.
pub(crate) async fn cycle(
    tx: &mut db::Tx,
    instance: InstanceId,
) -> Stored<Option<(AccountId, Name)>> {
    db::query("select account, service from cycle where instance = ?")
        .bind(instance)
        .optional(tx, |row| Ok((row.get("account")?, row.get("service")?)))
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

/// What each instance of an account has taken, by instance.
pub(crate) async fn taken(on: impl On, account: AccountId) -> Stored<Vec<Taken>> {
    let rows: Vec<(InstanceId, Name, Terms)> = db::query(
        "select c.instance, c.service, s.since, s.plan, s.size, s.modules from cycle c
         join subscription s on s.instance = c.instance where c.account = ?
         order by c.instance, s.since",
    )
    .bind(account)
    .all(on, |row| Ok((row.get("instance")?, row.get("service")?, read_terms(row)?)))
    .await?;
    let mut taken: Vec<Taken> = Vec::new();
    for (instance, service, terms) in rows {
        match taken.last_mut().filter(|last| last.instance == instance) {
            Some(last) => last.terms.push(terms),
            None => taken.push(Taken { instance, service, terms: vec![terms] }),
        }
    }
    Ok(taken)
}
