//! Releases that nodes keep because only they can do some jobs.

use std::collections::BTreeSet;

use db::{List, On};
use types::{Digest, Name};

use super::Result;

/// These of a service are kept, as far as they were published, and no others; answers whether that is
/// another state than before.
pub(crate) async fn keep_releases(
    tx: &mut db::Tx,
    service: &Name,
    releases: &BTreeSet<Digest>,
) -> Result<bool> {
    let gone = db::query("delete from kept_release where service = ? and not (digest in {list})")
        .bind(service)
        .bind(List::of(releases))
        .run(&mut *tx)
        .await?;
    let come = db::query(
        "insert into kept_release (service, digest)
         select service, digest from release where service = ? and digest in {list}
         on conflict (service, digest) do nothing",
    );
    let come = come.bind(service).bind(List::of(releases)).run(tx).await?;
    Ok(gone + come > 0)
}

/// Those that are kept, of all services: none whose key was taken back.
pub(crate) async fn kept(on: impl On) -> Result<BTreeSet<(Name, Digest)>> {
    let all = db::query(
        "select kept.service, kept.digest from kept_release as kept join release
         on release.service = kept.service and release.digest = kept.digest
         where not exists (select 1 from publisher_key where publisher_key.service = kept.service
            and publisher_key.public_key = release.public_key
            and publisher_key.taken_back is not null)",
    )
    .all(on, |row| Ok((row.get("service")?, row.get("digest")?)));
    Ok(all.await?.into_iter().collect())
}
