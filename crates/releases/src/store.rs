//! The tables.

mod kept;
mod keys;
mod nodes;
mod packages;
mod records;
mod rollouts;
mod uploads;

use std::collections::BTreeSet;

use api::{
    manifest::{Manifest, Tenancy},
    prices::PriceBook,
    releases::{OnNodes, Release, ReleasePhase},
};
use db::On;
use types::{Cursor, Digest, Name};

pub(crate) use kept::*;
pub(crate) use keys::*;
pub(crate) use nodes::*;
pub(crate) use packages::*;
pub(crate) use records::*;
pub(crate) use rollouts::*;
pub(crate) use uploads::*;

type Result<T> = std::result::Result<T, db::Error>;

/// A release as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) release: Release,
    pub(crate) manifest: Manifest,
    pub(crate) prices: PriceBook,
    /// When its turn is among the service's releases: each time that one is published counts.
    pub(crate) turn: u64,
}

impl Stored {
    /// Whether its processes serve all instances, or one each.
    pub(crate) const fn tenancy(&self) -> Tenancy {
        self.manifest.service.tenancy
    }
}

/// The turn of whoever is published now.
pub(crate) async fn next_turn(tx: &mut db::Tx, service: &Name) -> Result<u64> {
    db::query("select coalesce(max(turn), 0) + 1 as turn from release where service = ?")
        .bind(service)
        .one(tx, |row| row.get("turn"))
        .await
}

/// Puts a release, or takes a known one up again at its new turn, as it was signed now.
pub(crate) async fn put_release(tx: &mut db::Tx, stored: &Stored) -> Result<()> {
    let release = &stored.release;
    db::query(
        "insert into release (service, digest, phase, manifest, prices, public_key, signature,
         source, problem, created, published_by, turn) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         on conflict (service, digest) do update set problem = null, turn = excluded.turn,
         phase = excluded.phase, public_key = excluded.public_key, signature = excluded.signature,
         source = excluded.source, created = excluded.created,
         published_by = excluded.published_by",
    )
    .bind(&release.service)
    .bind(&release.digest)
    .bind_json(&release.phase)
    .bind_json(&stored.manifest)
    .bind_json(&stored.prices)
    .bind(&release.public_key)
    .bind(&release.signature)
    .bind(release.source.as_deref())
    .bind(release.problem.as_deref())
    .bind(release.created)
    .bind(release.published_by.as_ref())
    .bind(stored.turn)
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
        source: row.get("source")?,
        created: row.get("created")?,
        published_by: row.get("published_by")?,
        problem: row.get("problem")?,
        current: false,
        does_old_jobs: false,
        collected: false,
        on_nodes: OnNodes::default(),
    })
}

fn read(row: &db::Row) -> Result<Stored> {
    let (manifest, prices) = (row.json("manifest")?, row.json("prices")?);
    Ok(Stored { release: read_release(row)?, manifest, prices, turn: row.get("turn")? })
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

/// The one that was published last first; the cursor is the turn of the last one.
pub(crate) async fn releases(on: impl On, service: &Name, cursor: &Cursor) -> Result<Vec<Stored>> {
    let before: i64 =
        cursor.after.as_deref().and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    db::query("select * from release where service = ? and turn < ? order by turn desc limit ?")
        .bind(service)
        .bind(before)
        .bind(cursor.rows())
        .all(on, read)
        .await
}

/// At most 100 about which everybody is to be asked, in the order of their turns.
pub(crate) async fn unsettled(on: impl On) -> Result<Vec<Stored>> {
    db::query("select * from release where phase = ? order by turn, service limit 100")
        .bind_json(&ReleasePhase::Announcing)
        .all(on, read)
        .await
}

/// Whether a release of that service was ever published.
pub(crate) async fn is_known(on: impl On, service: &Name) -> Result<bool> {
    let known = db::query("select 1 from release where service = ? limit 1").bind(service);
    Ok(known.optional(on, |_| Ok(())).await?.is_some())
}

/// What is current and settled, with the number of the rollout by which it is.
pub(crate) async fn current_releases(on: impl On) -> Result<Vec<(Stored, u64)>> {
    db::query(
        "select release.*, service.rollout from service join release
         on release.service = service.service and release.digest = service.digest
         where release.phase = ? order by release.service",
    )
    .bind_json(&ReleasePhase::Staged)
    .all(on, |row| Ok((read(row)?, row.get("rollout")?)))
    .await
}

/// Of each service the release that was published last, if it is staged and later than the current
/// one: what nodes make ready. What was signed by a key that was taken back is not.
pub(crate) async fn staged(on: impl On) -> Result<Vec<(Name, Digest)>> {
    db::query(
        "with trusted as (select release.service, release.digest, release.turn
            from release join publisher_key as k
            on k.service = release.service and k.public_key = release.public_key
            where release.phase = ? and k.taken_back is null)
         select service, digest from trusted as last where turn = (
            select max(turn) from trusted where service = last.service)
         and not exists (select 1 from service join release as now
            on now.service = service.service and now.digest = service.digest
            where service.service = last.service and now.turn >= last.turn)
         order by service",
    )
    .bind_json(&ReleasePhase::Staged)
    .all(on, |row| Ok((row.get("service")?, row.get("digest")?)))
    .await
}

/// Answers whether it is still the release's turn.
pub(crate) async fn settle(
    tx: &mut db::Tx,
    stored: &Stored,
    phase: ReleasePhase,
    problem: Option<&str>,
) -> Result<bool> {
    db::query(
        "update release set phase = ?, problem = ? where service = ? and digest = ? and turn = ?",
    )
    .bind_json(&phase)
    .bind(problem)
    .bind(&stored.release.service)
    .bind(&stored.release.digest)
    .bind(stored.turn)
    .run(tx)
    .await
    .map(|changed| changed == 1)
}

/// From that rollout on.
pub(crate) async fn set_current(
    tx: &mut db::Tx,
    service: &Name,
    digest: &Digest,
    rollout: u64,
) -> Result<()> {
    db::query(
        "insert into service (service, digest, rollout) values (?, ?, ?)
         on conflict (service) do update set digest = excluded.digest, rollout = excluded.rollout",
    )
    .bind(service)
    .bind(digest)
    .bind(rollout)
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

/// The current release of a service, and the number of the rollout by which it is.
pub(crate) async fn current_of(on: impl On, service: &Name) -> Result<Option<(Digest, u64)>> {
    db::query("select digest, rollout from service where service = ?")
        .bind(service)
        .optional(on, |row| Ok((row.get("digest")?, row.get("rollout")?)))
        .await
}

/// Whoever changes what is current of a service locks it until the transaction ends.
pub(crate) async fn lock_service(tx: &mut db::Tx, service: &Name) -> Result<()> {
    db::query("select public_key from publisher where service = ? /*for update*/")
        .bind(service)
        .all(tx, |_| Ok(()))
        .await
        .map(drop)
}

/// The release of each service that runs, by name.
pub(crate) async fn current(on: impl On) -> Result<Vec<(Name, Digest)>> {
    db::query("select service, digest from service order by service")
        .all(on, |row| Ok((row.get("service")?, row.get("digest")?)))
        .await
}

/// The releases that the feed tells of, by their names there.
pub(crate) async fn releases_told(on: impl On) -> Result<BTreeSet<String>> {
    let names = db::query("select name from told_release").all(on, |row| row.get("name"));
    Ok(names.await?.into_iter().collect())
}

pub(crate) async fn put_release_told(tx: &mut db::Tx, name: &str) -> Result<()> {
    db::query("insert into told_release (name) values (?) on conflict (name) do nothing")
        .bind(name)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn delete_release_told(tx: &mut db::Tx, name: &str) -> Result<()> {
    db::query("delete from told_release where name = ?").bind(name).run(tx).await.map(drop)
}

#[cfg(test)]
mod tests {
    use db::testing::on_both;
    use types::{Principal, Timestamp};

    use super::*;

    const MANIFEST: &str = "[service]\nname = \"forum\"\ntitle = \"Forum\"\n\
        [run]\ncommand = [\"./serve\"]\n\
        [sizes.small]\ntitle = \"Small\"\ncpu = 0.5\nmemory = \"256MiB\"\n";
    const PRICES: &str = "service = \"forum\"\ncurrency = \"USD\"\n\
        effective = 2026-01-01T00:00:00Z\n\
        [plans.basic]\nmonthly = \"9.00\"\nsizes.small = { per_hour = \"0.01\" }\n";

    /// A release that was published for the `turn`th time of its service.
    fn published(turn: u64) -> Stored {
        let release = Release {
            digest: Digest::of(b"package"),
            service: "forum".parse().unwrap(),
            phase: ReleasePhase::Announcing,
            public_key: String::new(),
            signature: String::new(),
            source: None,
            created: Timestamp::from_micros(1),
            published_by: None,
            problem: None,
            current: false,
            does_old_jobs: false,
            collected: false,
            on_nodes: OnNodes::default(),
        };
        let manifest = Manifest::parse("mandate.toml", MANIFEST);
        let prices = PriceBook::parse("prices.toml", PRICES);
        Stored { release, manifest: manifest.unwrap(), prices: prices.unwrap(), turn }
    }

    #[tokio::test]
    async fn what_came_of_an_earlier_turn_is_not_what_comes_of_a_later_one() {
        on_both("turns", &[crate::MIGRATIONS], async |database| {
            let mut tx = database.begin().await.unwrap();
            let (first, mut again) = (published(1), published(2));
            // By somebody else, and later.
            again.release.published_by = Some(Principal::Service("forum".parse().unwrap()));
            again.release.created = Timestamp::from_micros(2);
            put_release(&mut tx, &first).await.unwrap();
            put_release(&mut tx, &again).await.unwrap();
            assert!(!settle(&mut tx, &first, ReleasePhase::Failed, Some("no")).await.unwrap());
            let stored = &again.release;
            let seen = release(&mut tx, &stored.service, &stored.digest).await.unwrap().unwrap();
            assert_eq!(&seen.release, stored);
            assert!(settle(&mut tx, &again, ReleasePhase::Staged, None).await.unwrap());
            tx.commit().await.unwrap();
        })
        .await;
    }
}
