//! Kinds and lanes: what waits, counted.

use std::collections::{BTreeMap, BTreeSet};

use db::{List, On, Rows, row};
use types::{AccountId, Digest, InstanceId, Name};

use super::Result;
use crate::model::State;

/// Jobs with the same name and version, which the same releases accept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) service: Name,
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) version: u32,
}

impl Kind {
    /// Its number, which follows from what it is.
    pub(crate) fn id(&self) -> i64 {
        let Self { service, class, name, version } = self;
        number(&format!("{service}\n{class}\n{name}\n{version}"))
    }

    /// The number of an instance's lane of this kind.
    pub(crate) fn lane(&self, instance: InstanceId) -> i64 {
        number(&format!("{}\n{instance}", self.id()))
    }
}

/// Sixty bits of a digest: of a million lanes two have the same number once in a million
/// installations.
fn number(text: &str) -> i64 {
    i64::from_str_radix(&Digest::of(text.as_bytes()).hex()[..15], 16).unwrap_or(0)
}

pub(super) fn read_kind(row: &db::Row) -> Result<Kind> {
    Ok(Kind {
        service: row.get("service")?,
        class: row.get("class")?,
        name: row.get("name")?,
        version: row.get("version")?,
    })
}

pub(crate) async fn put_kinds(tx: &mut db::Tx, kinds: &BTreeMap<Kind, bool>) -> Result<()> {
    let mut rows = Rows::new(&["id", "service", "class", "name", "version", "stranded"]);
    for (kind, stranded) in kinds {
        let Kind { service, class, name, version } = kind;
        rows.push(row![kind.id(), service, class, name, *version, *stranded]);
    }
    db::query(
        "insert into kind (id, service, class, name, version, stranded)
         select id, service, class, name, version, stranded from {rows} as r where true
         order by id on conflict (id) do nothing",
    )
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// All kinds, and whether each is stranded.
pub(crate) async fn kinds(on: impl On) -> Result<Vec<(Kind, bool)>> {
    db::query("select * from kind order by id")
        .all(on, |row| Ok((read_kind(row)?, row.get("stranded")?)))
        .await
}

/// Answers how many of its jobs wait for a worker.
pub(crate) async fn set_stranded(tx: &mut db::Tx, kind: &Kind, stranded: bool) -> Result<u64> {
    db::query("update kind set stranded = ? where id = ?")
        .bind(stranded)
        .bind(kind.id())
        .run(&mut *tx)
        .await?;
    db::query("select cast(coalesce(sum(ready), 0) as bigint) as waiting from lane where kind = ? and ready > 0")
        .bind(kind.id())
        .one(tx, |row| row.get("waiting"))
        .await
}

const COUNTED: [State; 6] =
    [State::Blocked, State::Held, State::Delayed, State::Ready, State::Running, State::Failed];

/// How the counters of lanes change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moves(BTreeMap<i64, [i64; 6]>);

impl Moves {
    /// A job of `lane` has gone from one state to another.
    pub(crate) fn moved(&mut self, lane: i64, from: Option<State>, to: Option<State>) {
        let counters = self.0.entry(lane).or_default();
        for (counter, counted) in counters.iter_mut().zip(COUNTED) {
            *counter += i64::from(to == Some(counted)) - i64::from(from == Some(counted));
        }
    }

    fn rows(&self) -> Rows {
        let names = &["id", "blocked", "held", "delayed", "ready", "running", "failed"];
        let mut rows = Rows::new(names);
        for (lane, [blocked, held, delayed, ready, running, failed]) in &self.0 {
            rows.push(row![*lane, *blocked, *held, *delayed, *ready, *running, *failed]);
        }
        rows
    }
}

/// Locks lanes in the order of their numbers, so that no two transactions wait for each other.
async fn lock_lanes(tx: &mut db::Tx, lanes: List) -> Result<()> {
    db::query("select lane.id from lane where lane.id in {list} order by lane.id /*for update*/")
        .bind(lanes)
        .all(tx, |_| Ok(()))
        .await
        .map(drop)
}

pub(crate) async fn count(tx: &mut db::Tx, moves: Moves) -> Result<()> {
    if moves.0.is_empty() {
        return Ok(());
    }
    if moves.0.len() > 1 {
        lock_lanes(&mut *tx, List::of(moves.0.keys().copied())).await?;
    }
    add(tx, moves).await
}

/// Of lanes that are locked, or of one.
async fn add(tx: &mut db::Tx, moves: Moves) -> Result<()> {
    let lanes = List::of(moves.0.keys().copied());
    db::query(
        "update lane set blocked = lane.blocked + r.blocked, held = lane.held + r.held,
         delayed = lane.delayed + r.delayed, ready = lane.ready + r.ready,
         running = lane.running + r.running, failed = lane.failed + r.failed
         from {rows} as r where lane.id = r.id and lane.id in {list}",
    )
    .bind(moves.rows())
    .bind(lanes)
    .run(tx)
    .await
    .map(drop)
}

/// A lane as it must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewLane {
    pub(crate) kind: i64,
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) release: Option<Digest>,
    pub(crate) closed: bool,
    /// How many of its jobs may run at once.
    pub(crate) most: Option<u32>,
}

/// Makes the lanes that are not there.
pub(crate) async fn put_lanes(tx: &mut db::Tx, lanes: &BTreeMap<i64, NewLane>) -> Result<()> {
    let names = &["id", "kind", "account", "instance", "release", "closed", "most"];
    let mut rows = Rows::new(names);
    for (id, lane) in lanes {
        let most = lane.most.map_or(i64::MAX, i64::from);
        let (release, closed) = (word_of(lane.release.as_ref()), lane.closed);
        rows.push(row![*id, lane.kind, lane.account, lane.instance, release, closed, most]);
    }
    db::query(
        "insert into lane (id, kind, account, instance, release, closed, most, turn, blocked, held,
         delayed, ready, running, failed)
         select id, kind, account, instance, release, closed, most, 0, 0, 0, 0, 0, 0, 0
         from {rows} as r where true order by id on conflict (id) do nothing",
    )
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// As it is kept: empty if it is not known.
pub(super) fn word_of(release: Option<&Digest>) -> &str {
    release.map_or("", Digest::as_str)
}

/// A release as it is kept.
pub(super) fn read_release(row: &db::Row) -> Result<Option<Digest>> {
    let word: String = row.get("release")?;
    let read = |word: &str| word.parse().map_err(|_| db::Error::encode("release", word));
    (!word.is_empty()).then(|| read(&word)).transpose()
}

/// The jobs of a lane are to be done by this release, and by no other.
pub(crate) async fn bind_lane(tx: &mut db::Tx, lane: i64, release: &Digest) -> Result<()> {
    db::query("update lane set release = ? where id = ?")
        .bind(release)
        .bind(lane)
        .run(tx)
        .await
        .map(drop)
}

/// The releases by which lanes are to be done.
pub(crate) async fn releases_of_lanes(on: impl On) -> Result<Vec<(Name, Option<Digest>)>> {
    db::query(
        "select distinct kind.service, lane.release from lane join kind on kind.id = lane.kind",
    )
    .all(on, |row| Ok((row.get("service")?, read_release(row)?)))
    .await
}

/// A lane with work that may be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) id: i64,
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    /// The release that its instance is on.
    pub(crate) release: Option<Digest>,
    pub(crate) turn: i64,
    /// How many of its jobs may be begun.
    pub(crate) room: u32,
}

pub(crate) const WITH_WORK: &str = "select kind.* from kind
    where kind.service in {list} and exists (select 1 from lane where lane.kind = kind.id
        and lane.ready > 0 and lane.running < lane.most and not lane.closed)
    and not exists (select 1 from queue where queue.service = kind.service
        and queue.class = kind.class and queue.paused)
    order by kind.id";

/// The kinds of jobs of these services that have work for somebody.
pub(crate) async fn kinds_with_work(on: impl On, services: &BTreeSet<Name>) -> Result<Vec<Kind>> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    db::query(WITH_WORK).bind(List::of(services)).all(on, read_kind).await
}

pub(crate) const LANES: &str = "select id, account, instance, release, turn, ready, running, most
    from lane where kind = ? and ready > 0 and running < most and not closed
    and release in {list} order by turn, id limit ?";

fn read_lane(row: &db::Row) -> Result<Lane> {
    let free = row.get::<i64>("most")? - row.get::<i64>("running")?;
    let room = free.min(row.get("ready")?).clamp(0, i64::from(u32::MAX));
    Ok(Lane {
        id: row.get("id")?,
        account: row.get("account")?,
        instance: row.get("instance")?,
        release: read_release(row)?,
        turn: row.get("turn")?,
        room: u32::try_from(room).map_err(|_| db::Error::Range)?,
    })
}

/// The lanes of a kind that have work for these releases, the one that was served longest ago first.
pub(crate) async fn lanes(
    on: impl On,
    kind: i64,
    releases: &[Option<Digest>],
    limit: u32,
) -> Result<Vec<Lane>> {
    let releases = words_of(releases);
    db::query(LANES).bind(kind).bind(releases).bind(limit).all(on, read_lane).await
}

fn words_of(releases: &[Option<Digest>]) -> List {
    List::of(releases.iter().map(|release| word_of(release.as_ref())))
}

/// By the instances alone, so it does not read like the index of all lanes with work: how many
/// others have some is of no account.
pub(crate) const LANES_OF_THESE: &str = "select * from lane where instance in {list}
    and kind = ? and ready + 0 > 0 and running < most and not closed
    and release in {list} order by turn, id limit ?";

/// The same, of these instances.
pub(crate) async fn lanes_of_these(
    on: impl On,
    kind: i64,
    releases: &[Option<Digest>],
    instances: &[InstanceId],
    limit: u32,
) -> Result<Vec<Lane>> {
    let (instances, releases) = (List::of(instances.iter().copied()), words_of(releases));
    let asked = db::query(LANES_OF_THESE).bind(instances).bind(kind).bind(releases).bind(limit);
    asked.all(on, read_lane).await
}

/// Whose jobs are in a lane, and of which kind they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    pub(crate) account: AccountId,
    pub(crate) instance: InstanceId,
    pub(crate) kind: Kind,
}

/// Of each of these lanes.
pub(super) async fn whose(on: impl On, lanes: BTreeSet<i64>) -> Result<BTreeMap<i64, Whose>> {
    let asked = db::query(
        "select lane.id, lane.account, lane.instance, kind.service, kind.class, kind.name,
         kind.version from lane join kind on kind.id = lane.kind where lane.id in {list}",
    );
    let read = |row: &db::Row| {
        let (account, instance) = (row.get("account")?, row.get("instance")?);
        Ok((row.get("id")?, Whose { account, instance, kind: read_kind(row)? }))
    };
    Ok(asked.bind(List::of(lanes)).all(on, read).await?.into_iter().collect())
}

/// What runs of the services' jobs: of which kind, for which instance, how many.
pub(crate) async fn running(
    on: impl On,
    services: &BTreeSet<Name>,
) -> Result<Vec<(Kind, InstanceId, u32)>> {
    db::query(
        "select kind.*, lane.instance, lane.running from lane join kind on kind.id = lane.kind
         where lane.running > 0 and kind.service in {list}",
    )
    .bind(List::of(services))
    .all(on, |row| Ok((read_kind(row)?, row.get("instance")?, row.get("running")?)))
    .await
}

/// Locks the lanes of instances, in the same order.
pub(crate) async fn lock_lanes_of(
    tx: &mut db::Tx,
    instances: impl IntoIterator<Item = InstanceId>,
) -> Result<()> {
    db::query(LOCK_LANES_OF).bind(List::of(instances)).all(tx, |_| Ok(())).await.map(drop)
}

pub(crate) const LOCK_LANES_OF: &str =
    "select id from lane where instance in {list} order by id + 0 /*for update*/";

/// Counts what was handed out, and instances have had their turn; lanes whose work ran out keep an
/// earlier one.
pub(crate) async fn count_served(
    tx: &mut db::Tx,
    moves: Moves,
    turns: &[(InstanceId, i64)],
) -> Result<()> {
    let instances = turns.iter().map(|(instance, _)| *instance);
    lock_lanes_of(&mut *tx, instances.clone()).await?;
    add(&mut *tx, moves).await?;
    let mut rows = Rows::new(&["instance", "turn"]);
    for (instance, turn) in turns {
        rows.push(row![*instance, *turn]);
    }
    db::query(
        "update lane set turn = r.turn from {rows} as r where lane.instance = r.instance
         and lane.instance in {list} and lane.ready > 0",
    )
    .bind(rows)
    .bind(List::of(instances))
    .run(tx)
    .await
    .map(drop)
}

/// The latest turn there was.
pub(crate) async fn last_turn(on: impl On) -> Result<i64> {
    db::query("select coalesce(max(turn), 0) as turn from lane")
        .one(on, |row| row.get("turn"))
        .await
}

/// How many jobs of an instance run in lanes that are closed, those of set-ups aside; `None` if one
/// is open.
pub(crate) async fn running_when_closed(
    tx: &mut db::Tx,
    instance: InstanceId,
) -> Result<Option<u64>> {
    let lanes: Vec<(bool, u64)> = db::query(
        "select lane.closed, lane.running from lane join kind on kind.id = lane.kind
         where lane.instance = ? and kind.class <> 'setup'",
    )
    .bind(instance)
    .all(tx, |row| Ok((row.get("closed")?, row.get("running")?)))
    .await?;
    let is_closed = lanes.iter().all(|(closed, _)| *closed);
    Ok(is_closed.then(|| lanes.iter().map(|(_, running)| running).sum()))
}

/// Closes or opens the lanes of instances, to be done by the release that they are on; but for those
/// of their set-up. Whoever does so for several has locked them all before.
pub(crate) async fn set_lanes(
    tx: &mut db::Tx,
    instances: impl IntoIterator<Item = InstanceId>,
    release: &Digest,
    closed: bool,
) -> Result<()> {
    let instances = List::of(instances);
    if instances.is_empty() {
        return Ok(());
    }
    db::query(
        "update lane set closed = ?, release = ? where instance in {list}
         and not exists (select 1 from kind where kind.id = lane.kind and kind.class = 'setup')",
    )
    .bind(closed)
    .bind(release)
    .bind(instances)
    .run(tx)
    .await
    .map(drop)
}

/// How many jobs of a name may run at once for each of a service's instances.
pub(crate) async fn set_most(
    tx: &mut db::Tx,
    service: &Name,
    instances: impl IntoIterator<Item = InstanceId>,
    most: &BTreeMap<String, Option<u32>>,
) -> Result<()> {
    let mut rows = Rows::new(&["name", "most"]);
    for (name, most) in most {
        rows.push(row![name, most.map_or(i64::MAX, i64::from)]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    db::query(
        "update lane set most = wanted.most from
         (select kind.id as kind, r.most from kind join {rows} as r on r.name = kind.name
         where kind.service = ?) as wanted
         where lane.kind = wanted.kind and lane.instance in {list} and lane.most <> wanted.most",
    )
    .bind(rows)
    .bind(service)
    .bind(List::of(instances))
    .run(tx)
    .await
    .map(drop)
}

/// Lanes with held jobs whose gate is not one that holds any more.
pub(crate) async fn lanes_to_release(on: impl On, limit: u32) -> Result<Vec<i64>> {
    db::query(
        "select lane.id from lane join kind on kind.id = lane.kind
         left join queue on queue.service = kind.service and queue.class = kind.class
         left join instance on instance.id = lane.instance
         where lane.held > 0 and coalesce(queue.gate, 'open') <> 'hold'
         and coalesce(instance.gate, 'open') = 'open' order by lane.id limit ?",
    )
    .bind(limit)
    .all(on, |row| row.get("id"))
    .await
}

/// The lanes of an instance.
pub(crate) async fn lanes_of(on: impl On, instance: InstanceId) -> Result<Vec<i64>> {
    db::query("select id from lane where instance = ? order by id")
        .bind(instance)
        .all(on, |row| row.get("id"))
        .await
}

/// The lanes of a queue with jobs that have failed.
pub(crate) async fn lanes_with_failed(
    on: impl On,
    service: &Name,
    class: &str,
    name: Option<&str>,
) -> Result<Vec<i64>> {
    let named = if name.is_some() { "and kind.name = ?" } else { "" };
    let asked = db::query(&format!(
        "select lane.id from lane join kind on kind.id = lane.kind
         where lane.failed > 0 and kind.service = ? and kind.class = ? {named} order by lane.id"
    ))
    .bind(service)
    .bind(class);
    let asked = match name {
        Some(name) => asked.bind(name),
        None => asked,
    };
    asked.all(on, |row| row.get("id")).await
}
