//! Packages that are being sent.

use db::On;
use types::{Digest, Timestamp};

use super::Result;

/// Writes down that a package is being sent, unless that is known. Answers whether it is known now:
/// not if as many as `most` are.
pub(crate) async fn begin_upload(
    tx: &mut db::Tx,
    digest: &Digest,
    (now, most): (Timestamp, u64),
) -> Result<bool> {
    db::query(
        "insert into upload (digest, begun)
         select ?, ? where (select count(*) from upload) < ?
         on conflict (digest) do nothing",
    )
    .bind(digest)
    .bind(now)
    .bind(most)
    .run(&mut *tx)
    .await?;
    let known = db::query("select 1 from upload where digest = ?").bind(digest);
    Ok(known.optional(tx, |_| Ok(())).await?.is_some())
}

pub(crate) async fn end_upload(tx: &mut db::Tx, digest: &Digest) -> Result<()> {
    db::query("delete from upload where digest = ?").bind(digest).run(tx).await.map(drop)
}

/// Those that were begun before a moment, at most 100.
pub(crate) async fn uploads_before(on: impl On, moment: Timestamp) -> Result<Vec<Digest>> {
    db::query("select digest from upload where begun < ? order by begun limit 100")
        .bind(moment)
        .all(on, |row| row.get("digest"))
        .await
}
