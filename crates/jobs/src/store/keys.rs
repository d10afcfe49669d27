//! Keys that keep jobs from being queued twice.

use std::collections::BTreeMap;

use db::{List, Rows, row};
use types::{InstanceId, JobId, Timestamp};

use super::Result;

/// A job that has a key, under its name and word.
pub(crate) type Keyed = BTreeMap<(String, String), (JobId, Option<Timestamp>)>;

/// Takes keys for jobs of an instance; answers, for each key, whose it is now.
pub(crate) async fn take_keys(
    tx: &mut db::Tx,
    instance: InstanceId,
    keyed: &Keyed,
    now: Timestamp,
) -> Result<BTreeMap<(String, String), JobId>> {
    let mut rows = Rows::new(&["name", "word", "job", "expires"]);
    for ((name, word), (job, expires)) in keyed {
        rows.push(row![name, word, *job, *expires]);
    }
    db::query(
        "insert into unique_key (instance, name, word, job, expires)
         select ?, name, word, job, expires from {rows} as r where true order by name, word
         on conflict (instance, name, word) do update set job = excluded.job,
         expires = excluded.expires where unique_key.expires <= ?",
    )
    .bind(instance)
    .bind(rows.clone())
    .bind(now)
    .run(&mut *tx)
    .await?;
    let mine = db::query(
        "select r.name, r.word, (select unique_key.job from unique_key where instance = ?
         and unique_key.name = r.name and unique_key.word = r.word) as job from {rows} as r",
    );
    let mine = mine.bind(instance).bind(rows);
    let mine =
        mine.all(tx, |row| Ok(((row.get("name")?, row.get("word")?), row.get("job")?))).await?;
    Ok(mine.into_iter().collect())
}

/// Gives back the keys of these jobs.
pub(crate) async fn give_keys_back(
    tx: &mut db::Tx,
    jobs: impl IntoIterator<Item = JobId>,
) -> Result<()> {
    let jobs = List::of(jobs);
    if jobs.is_empty() {
        return Ok(());
    }
    db::query("delete from unique_key where expires is null and job in {list}")
        .bind(jobs)
        .run(tx)
        .await
        .map(drop)
}

/// Forgets keys whose time is over; answers how many.
pub(crate) async fn prune_keys(tx: &mut db::Tx, now: Timestamp, limit: u32) -> Result<u64> {
    db::query(
        "delete from unique_key where (instance, name, word) in
         (select instance, name, word from unique_key where expires <= ? order by expires limit ?)",
    )
    .bind(now)
    .bind(limit)
    .run(tx)
    .await
}
