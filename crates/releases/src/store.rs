//! The tables.

use std::collections::BTreeSet;

use api::{
    manifest::Manifest,
    prices::PriceBook,
    releases::{DesiredRelease, DesiredReplica, Node, Release, ReleasePhase},
};
use db::On;
use types::{Cursor, Digest, Name, NodeId, ReplicaId};

type Result<T> = std::result::Result<T, db::Error>;

/// A release as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) release: Release,
    pub(crate) manifest: Manifest,
    pub(crate) prices: PriceBook,
}

/// Binds the service to the key, or answers whether it is bound to it already.
pub(crate) async fn bind_publisher(
    tx: &mut db::Tx,
    service: &Name,
    public_key: &str,
) -> Result<bool> {
    db::query("insert into publisher (service, public_key) values (?, ?) on conflict (service) do nothing")
        .bind(service)
        .bind(public_key)
        .run(&mut *tx)
        .await?;
    let bound: String = db::query("select public_key from publisher where service = ?")
        .bind(service)
        .one(tx, |row| row.get("public_key"))
        .await?;
    Ok(bound == public_key)
}

pub(crate) async fn put_release(tx: &mut db::Tx, stored: &Stored) -> Result<()> {
    let release = &stored.release;
    db::query(
        "insert into release (service, digest, phase, manifest, prices, public_key, signature,
         problem, created) values (?, ?, ?, ?, ?, ?, ?, ?, ?)
         on conflict (service, digest) do update set phase = excluded.phase, problem = null",
    )
    .bind(&release.service)
    .bind(&release.digest)
    .bind_json(&release.phase)
    .bind_json(&stored.manifest)
    .bind_json(&stored.prices)
    .bind(&release.public_key)
    .bind(&release.signature)
    .bind(release.problem.as_deref())
    .bind(release.created)
    .run(tx)
    .await
    .map(drop)
}

fn read_release(row: &db::Row) -> Result<Release> {
    Ok(Release {
        digest: row.get("digest")?,
        service: row.get("service")?,
        phase: row.json("phase")?,
        public_key: row.get("public_key")?,
        signature: row.get("signature")?,
        created: row.get("created")?,
        problem: row.get("problem")?,
    })
}

fn read(row: &db::Row) -> Result<Stored> {
    let (manifest, prices) = (row.json("manifest")?, row.json("prices")?);
    Ok(Stored { release: read_release(row)?, manifest, prices })
}

pub(crate) async fn release(
    on: impl On,
    service: &Name,
    digest: &Digest,
) -> Result<Option<Stored>> {
    db::query("select * from release where service = ? and digest = ?")
        .bind(service)
        .bind(digest)
        .optional(on, read)
        .await
}

/// Newest first; the cursor is the moment of the last one in microseconds.
pub(crate) async fn releases(on: impl On, service: &Name, cursor: &Cursor) -> Result<Vec<Release>> {
    let before: i64 =
        cursor.after.as_deref().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    db::query(
        "select * from release where service = ? and created < ? order by created desc limit ?",
    )
    .bind(service)
    .bind(before)
    .bind(cursor.rows())
    .all(on, read_release)
    .await
}

pub(crate) async fn releases_in(on: impl On, phase: ReleasePhase) -> Result<Vec<Stored>> {
    db::query("select * from release where phase = ? order by created limit 100")
        .bind_json(&phase)
        .all(on, read)
        .await
}

pub(crate) async fn set_phase(
    tx: &mut db::Tx,
    service: &Name,
    digest: &Digest,
    phase: ReleasePhase,
    problem: Option<&str>,
) -> Result<()> {
    db::query("update release set phase = ?, problem = ? where service = ? and digest = ?")
        .bind_json(&phase)
        .bind(problem)
        .bind(service)
        .bind(digest)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn set_current(tx: &mut db::Tx, service: &Name, digest: &Digest) -> Result<()> {
    db::query(
        "insert into service (service, digest) values (?, ?)
         on conflict (service) do update set digest = excluded.digest",
    )
    .bind(service)
    .bind(digest)
    .run(tx)
    .await
    .map(drop)
}

/// The release of each service that runs.
pub(crate) async fn services(on: impl On, cursor: &Cursor) -> Result<Vec<Stored>> {
    db::query(
        "select r.* from service s join release r on r.service = s.service and r.digest = s.digest
         where s.service > ? order by s.service limit ?",
    )
    .bind(cursor.key())
    .bind(cursor.rows())
    .all(on, read)
    .await
}

/// The releases that run, and those that replicas still need.
pub(crate) async fn wanted_releases(
    on: &db::Db,
    services: &[Stored],
    replicas: &[DesiredReplica],
) -> Result<Vec<DesiredRelease>> {
    let current = services.iter().map(|stored| (&stored.release.service, &stored.release.digest));
    let used = replicas.iter().map(|replica| (&replica.service, &replica.digest));
    let wanted: BTreeSet<_> = current.chain(used).collect();
    let mut releases = Vec::with_capacity(wanted.len());
    for (service, digest) in wanted {
        let Some(stored) = release(on, service, digest).await? else { continue };
        releases.push(DesiredRelease {
            digest: stored.release.digest,
            service: stored.release.service,
            manifest: stored.manifest,
            public_key: stored.release.public_key,
            signature: stored.release.signature,
        });
    }
    Ok(releases)
}

pub(crate) async fn put_node(tx: &mut db::Tx, node: &Node) -> Result<()> {
    db::query(
        "insert into node (id, name, seen, releases, replicas) values (?, ?, ?, ?, ?)
         on conflict (id) do update set name = excluded.name, seen = excluded.seen,
         releases = excluded.releases, replicas = excluded.replicas",
    )
    .bind(node.node)
    .bind(&node.name)
    .bind(node.seen)
    .bind_json(&node.releases)
    .bind_json(&node.replicas)
    .run(tx)
    .await
    .map(drop)
}

fn read_node(row: &db::Row) -> Result<Node> {
    Ok(Node {
        node: row.get("id")?,
        name: row.get("name")?,
        seen: row.get("seen")?,
        alive: false,
        releases: row.json("releases")?,
        replicas: row.json("replicas")?,
    })
}

pub(crate) async fn node(on: impl On, id: NodeId) -> Result<Option<Node>> {
    db::query("select * from node where id = ?").bind(id).optional(on, read_node).await
}

pub(crate) async fn nodes(on: impl On, cursor: &Cursor) -> Result<Vec<Node>> {
    db::query("select * from node where id > ? order by id limit ?")
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_node)
        .await
}

/// The replicas of a node that the gateways were told of, with their addresses.
pub(crate) async fn replicas(tx: &mut db::Tx, node: NodeId) -> Result<Vec<(ReplicaId, String)>> {
    db::query("select id, address from replica where node = ? order by id")
        .bind(node)
        .all(tx, |row| Ok((row.get("id")?, row.get("address")?)))
        .await
}

/// Answers whether it is that node's; another node's stays as it is.
pub(crate) async fn put_replica(
    tx: &mut db::Tx,
    id: ReplicaId,
    node: NodeId,
    address: &str,
) -> Result<bool> {
    db::query(
        "insert into replica (id, node, address) values (?, ?, ?)
         on conflict (id) do update set address = excluded.address
         where replica.node = excluded.node",
    )
    .bind(id)
    .bind(node)
    .bind(address)
    .run(tx)
    .await
    .map(|changed| changed == 1)
}

pub(crate) async fn delete_replica(tx: &mut db::Tx, id: ReplicaId) -> Result<()> {
    db::query("delete from replica where id = ?").bind(id).run(tx).await.map(drop)
}
