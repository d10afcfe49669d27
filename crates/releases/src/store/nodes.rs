//! Nodes, what is placed on them, and what the gateways know of their replicas.

use std::collections::{BTreeSet, HashMap};

use api::releases::{NodeServices, ReplicaAddress};
use db::{List, On};
use types::{InstanceId, NodeId, ReplicaId, Timestamp};

use super::Result;
use crate::{
    placing::{Placed, Places},
    said::{Draining, Report, Told, Written},
};

/// A node, what it is, and when it was heard of.
pub(crate) async fn put_node(
    tx: &mut db::Tx,
    node: NodeId,
    report: &Report,
    seen: Timestamp,
) -> Result<()> {
    db::query(
        "insert into node (id, name, seen, machine) values (?, ?, ?, ?)
         on conflict (id) do update set name = excluded.name, seen = excluded.seen,
         machine = excluded.machine",
    )
    .bind(node)
    .bind(&report.name)
    .bind(seen)
    .bind_json(&report.machine)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn nodes(on: impl On) -> Result<Vec<Written>> {
    db::query("select * from node order by id")
        .all(on, |row| {
            let since: Option<Timestamp> = row.get("drain_since")?;
            let until: Option<Timestamp> = row.get("drain_until")?;
            Ok(Written {
                node: row.get("id")?,
                name: row.get("name")?,
                seen: row.get("seen")?,
                machine: row.json("machine")?,
                draining: since.zip(until),
            })
        })
        .await
}

/// What the feed tells of nodes.
pub(crate) async fn nodes_told(on: impl On) -> Result<HashMap<NodeId, NodeServices>> {
    let query = db::query("select id, told from node where told is not null");
    let rows: Vec<(NodeId, NodeServices)> =
        query.all(on, |row| Ok((row.get("id")?, row.json("told")?))).await?;
    Ok(rows.into_iter().collect())
}

pub(crate) async fn set_node_told(tx: &mut db::Tx, told: &NodeServices) -> Result<()> {
    db::query("update node set told = ? where id = ?")
        .bind_json(told)
        .bind(told.node)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn set_draining(
    tx: &mut db::Tx,
    node: NodeId,
    draining: Option<Draining>,
) -> Result<()> {
    let (since, until) = draining.unzip();
    db::query("update node set drain_since = ?, drain_until = ? where id = ?")
        .bind(since)
        .bind(until)
        .bind(node)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn delete_node(tx: &mut db::Tx, node: NodeId) -> Result<()> {
    db::query("delete from node where id = ?").bind(node).run(tx).await.map(drop)
}

/// Where all instances are.
pub(crate) async fn placements(on: impl On) -> Result<Places> {
    let rows: Vec<(InstanceId, Placed)> = db::query("select * from placement")
        .all(on, |row| {
            let placed = Placed { node: row.get("node")?, former: row.get("former")? };
            Ok((row.get("instance")?, placed))
        })
        .await?;
    Ok(rows.into_iter().collect())
}

pub(crate) async fn put_placement(
    tx: &mut db::Tx,
    instance: InstanceId,
    placed: Placed,
) -> Result<()> {
    db::query(
        "insert into placement (instance, node, former) values (?, ?, ?)
         on conflict (instance) do update set node = excluded.node, former = excluded.former",
    )
    .bind(instance)
    .bind(placed.node)
    .bind(placed.former)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn delete_placement(tx: &mut db::Tx, instance: InstanceId) -> Result<()> {
    db::query("delete from placement where instance = ?").bind(instance).run(tx).await.map(drop)
}

/// The replicas of a node that the gateways were told of.
pub(crate) async fn replicas(on: impl On, node: NodeId) -> Result<Told> {
    let query = db::query("select id, document from replica where node = ?").bind(node);
    Ok(query.all(on, address).await?.into_iter().collect())
}

/// On which node each replica was when the gateways were told of it.
pub(crate) async fn nodes_of_replicas(on: impl On) -> Result<HashMap<ReplicaId, NodeId>> {
    let query = db::query("select id, node from replica");
    let rows: Vec<_> = query.all(on, |row| Ok((row.get("id")?, row.get("node")?))).await?;
    Ok(rows.into_iter().collect())
}

/// Whether the gateways were told of any of them.
pub(crate) async fn any_told(on: &db::Db, replicas: &[ReplicaId]) -> Result<bool> {
    for replicas in replicas.chunks(100) {
        let places = vec!["?"; replicas.len()].join(", ");
        let text = format!("select id from replica where id in ({places}) limit 1");
        let query = replicas.iter().fold(db::query(&text), |query, id| query.bind(*id));
        if query.optional(on, |_| Ok(())).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the gateways were told of those of these replicas that they were told of.
pub(crate) async fn addresses(on: impl On, replicas: &BTreeSet<ReplicaId>) -> Result<Told> {
    let replicas = List::of(replicas.iter().copied());
    if replicas.is_empty() {
        return Ok(Told::new());
    }
    let query = db::query("select id, document from replica where id in {list}").bind(replicas);
    Ok(query.all(on, address).await?.into_iter().collect())
}

fn address(row: &db::Row) -> Result<(ReplicaId, Option<ReplicaAddress>)> {
    let document: Option<String> = row.get("document")?;
    // What cannot be read is told anew.
    Ok((row.get("id")?, document.and_then(|text| serde_json::from_str(&text).ok())))
}

pub(crate) async fn put_replica(tx: &mut db::Tx, told: &ReplicaAddress) -> Result<()> {
    db::query(
        "insert into replica (id, node, document) values (?, ?, ?)
         on conflict (id) do update set document = excluded.document",
    )
    .bind(told.replica)
    .bind(told.node)
    .bind_json(told)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn delete_replica(tx: &mut db::Tx, id: ReplicaId) -> Result<()> {
    db::query("delete from replica where id = ?").bind(id).run(tx).await.map(drop)
}
