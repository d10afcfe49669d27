//! Which packages there are, since when, and which are needed.

use std::collections::HashSet;

use db::{List, On};
use types::{Digest, Timestamp};

use super::Result;

pub(crate) async fn put_package(tx: &mut db::Tx, digest: &Digest, stored: Timestamp) -> Result<()> {
    db::query(
        "insert into package (digest, stored) values (?, ?)
         on conflict (digest) do update set stored = excluded.stored",
    )
    .bind(digest)
    .bind(stored)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn delete_package(tx: &mut db::Tx, digest: &Digest) -> Result<()> {
    db::query("delete from package where digest = ?").bind(digest).run(tx).await.map(drop)
}

/// Those that were stored before a moment.
pub(crate) async fn packages_before(on: impl On, moment: Timestamp) -> Result<Vec<Digest>> {
    db::query("select digest from package where stored <= ? order by stored")
        .bind(moment)
        .all(on, |row| row.get("digest"))
        .await
}

/// Those of these that are there.
pub(crate) async fn packages_of<'d>(
    on: impl On,
    digests: impl IntoIterator<Item = &'d Digest>,
) -> Result<HashSet<Digest>> {
    let there = db::query("select digest from package where digest in {list}")
        .bind(List::of(digests))
        .all(on, |row| row.get("digest"));
    Ok(there.await?.into_iter().collect())
}

/// The releases whose packages are kept, whether or not instances are on them: the current one of
/// each service, those that were published last and not refused, and those of the last rollouts and
/// of those under way, with the ones before.
pub(crate) async fn needed(on: &db::Db, (last, rollouts): (u32, u32)) -> Result<HashSet<Digest>> {
    let current = db::query("select digest from service");
    let published = db::query(
        "select digest from (select digest, row_number() over
            (partition by service order by turn desc) as place
            from release where phase <> '\"failed\"') as ranked
         where place <= ?",
    );
    let rolled_out = db::query(
        "select release, former from (select release, former, ended, row_number() over
            (partition by service order by number desc) as place from rollout) as ranked
         where place <= ? or ended is null",
    );
    let mut kept: HashSet<Digest> =
        current.all(on, |row| row.get("digest")).await?.into_iter().collect();
    kept.extend(published.bind(last).all(on, |row| row.get::<Digest>("digest")).await?);
    let rolled_out = rolled_out.bind(rollouts).all(on, |row| {
        let former: Option<Digest> = row.get("former")?;
        Ok([Some(row.get::<Digest>("release")?), former])
    });
    kept.extend(rolled_out.await?.into_iter().flatten().flatten());
    Ok(kept)
}
