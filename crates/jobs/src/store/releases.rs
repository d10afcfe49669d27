//! What releases say of their jobs, and whose instances there are.

use std::collections::{BTreeMap, BTreeSet};

use api::jobs::{Gate, InstanceState, JobDefinition, SETUP_CLASS, WaitingKind};
use db::{List, On, Rows, row};
use types::{AccountId, Digest, InstanceId, Name};

use super::{
    Result,
    lanes::{Kind, read_release},
    queues::{read_gate, word},
};

/// What a release says of its jobs, by name.
pub(crate) type Definitions = BTreeMap<String, JobDefinition>;

/// The shape of databases that a release needs, and the lowest one whose code can read what it leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) schema: u32,
    pub(crate) readable_from: u32,
}

/// A release as it was promoted.
#[derive(Debug)]
pub(crate) struct Promoted {
    pub(crate) service: Name,
    /// What it says of its jobs.
    pub(crate) jobs: Definitions,
    /// What it does to databases.
    pub(crate) shape: Shape,
}

impl Promoted {
    /// What it says of jobs of a kind, if it does them.
    pub(crate) fn accepting(&self, kind: &Kind) -> Option<&JobDefinition> {
        let definition = self.jobs.get(&kind.name).filter(|_| self.service == kind.service)?;
        definition.accepts(kind.version).then_some(definition)
    }

    /// Whether its code can be run for whoever is on another release: it reads their databases.
    pub(crate) const fn can_stand_in(&self, other: Shape) -> bool {
        self.shape.schema >= other.readable_from
    }

    /// Whether it does jobs of a kind for whoever is on another release.
    pub(crate) fn does_for(&self, other: &Self, kind: &Kind) -> bool {
        self.can_stand_in(other.shape) && self.accepting(kind).is_some()
    }
}

/// A release that was promoted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) digest: Digest,
    pub(crate) service: Name,
    pub(crate) is_current: bool,
}

pub(crate) async fn put_release(
    tx: &mut db::Tx,
    (service, release): (&Name, &Digest),
    (definitions, shape): (&Definitions, Shape),
    turn: u64,
) -> Result<()> {
    // Where a release leads back from is no reason to forget what it came after.
    db::query(
        "insert into release (digest, service, definitions, turn, schema_number, readable_from)
         values (?, ?, ?, ?, ?, ?)
         on conflict (digest) do update set turn = excluded.turn",
    )
    .bind(release)
    .bind(service)
    .bind_json(definitions)
    .bind(turn)
    .bind(shape.schema)
    .bind(shape.readable_from)
    .run(tx)
    .await
    .map(drop)
}

/// The lowest shape whose code can read what the release before left, which has a lower one.
pub(crate) async fn readable_before(
    tx: &mut db::Tx,
    service: &Name,
    schema: u32,
    turn: u64,
) -> Result<u32> {
    db::query(
        "select readable_from from release where service = ? and schema_number < ? and turn < ?
         order by turn desc limit 1",
    )
    .bind(service)
    .bind(schema)
    .bind(turn)
    .optional(tx, |row| row.get("readable_from"))
    .await
    .map(Option::unwrap_or_default)
}

fn read(row: &db::Row) -> Result<Release> {
    let (turn, newest): (u64, u64) = (row.get("turn")?, row.get("newest")?);
    let is_current = turn == newest;
    Ok(Release { digest: row.get("digest")?, service: row.get("service")?, is_current })
}

/// Those of these releases that were promoted once, a service's newest first.
pub(crate) async fn releases(
    on: impl On,
    digests: impl IntoIterator<Item = &Digest>,
) -> Result<Vec<Release>> {
    let digests = List::of(digests);
    if digests.is_empty() {
        return Ok(Vec::new());
    }
    db::query(
        "select release.digest, release.service, release.turn,
         (select max(other.turn) from release as other where other.service = release.service)
         as newest from release where release.digest in {list}
         order by release.service, release.turn desc",
    )
    .bind(digests)
    .all(on, read)
    .await
}

/// The release whose jobs can be queued.
pub(crate) async fn current_release(on: impl On, service: &Name) -> Result<Option<Digest>> {
    db::query("select digest from release where service = ? order by turn desc limit 1")
        .bind(service)
        .optional(on, |row| row.get("digest"))
        .await
}

/// A service's releases that were promoted once, the newest first.
pub(crate) async fn releases_of(on: impl On, service: &Name, limit: u32) -> Result<Vec<Digest>> {
    db::query("select digest from release where service = ? order by turn desc limit ?")
        .bind(service)
        .bind(limit)
        .all(on, |row| row.get("digest"))
        .await
}

/// Whether new jobs of an instance are not queued now.
pub(crate) async fn is_gated(on: impl On, instance: InstanceId) -> Result<bool> {
    db::query("select gate from instance where id = ?")
        .bind(instance)
        .optional(on, read_gate)
        .await
        .map(|gate| gate.is_some_and(|gate| gate != Gate::Open))
}

/// Every service's current release.
pub(crate) async fn current_releases(on: impl On) -> Result<Vec<Digest>> {
    db::query(
        "select digest from release where turn =
         (select max(other.turn) from release as other where other.service = release.service)",
    )
    .all(on, |row| row.get("digest"))
    .await
}

/// What a release says of its jobs, which never changes.
pub(crate) async fn definitions(on: impl On, release: &Digest) -> Result<Option<Promoted>> {
    let read = |row: &db::Row| {
        let (schema, readable_from) = (row.get("schema_number")?, row.get("readable_from")?);
        let shape = Shape { schema, readable_from };
        Ok(Promoted { service: row.get("service")?, jobs: row.json("definitions")?, shape })
    };
    db::query("select * from release where digest = ?").bind(release).optional(on, read).await
}

/// How many jobs of a service wait for whatever it is, those of set-ups aside; the kinds first of
/// which most wait.
pub(crate) async fn waiting(on: impl On, service: &Name, limit: u32) -> Result<Vec<WaitingKind>> {
    db::query(
        "select kind.name, kind.version, count(distinct lane.instance) as instances,
         cast(sum(lane.ready + lane.blocked + lane.held + lane.delayed) as bigint) as jobs
         from kind join lane on lane.kind + 0 = kind.id where kind.service = ? and kind.class <> ?
         and (lane.ready > 0 or lane.running > 0 or lane.delayed > 0 or lane.blocked > 0
         or lane.held > 0) group by kind.name, kind.version
         having sum(lane.ready + lane.blocked + lane.held + lane.delayed) > 0
         order by jobs desc, kind.name, kind.version limit ?",
    )
    .bind(service)
    .bind(SETUP_CLASS)
    .bind(limit)
    .all(on, |row| {
        let (name, version) = (row.get("name")?, row.get("version")?);
        let (jobs, instances) = (row.get("jobs")?, row.get("instances")?);
        Ok(WaitingKind { name, version, jobs, instances })
    })
    .await
}

/// An instance as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) account: AccountId,
    pub(crate) service: Name,
    /// The release that it is on, if that was told.
    pub(crate) release: Option<Digest>,
    pub(crate) state: String,
    /// What becomes of its new jobs.
    pub(crate) gate: Gate,
}

/// Whether nothing more is done for an instance.
pub(crate) fn has_ended(state: &str) -> bool {
    matches!(state, "ending" | "ended")
}

/// There must be one at least.
pub(crate) async fn put_instances(
    tx: &mut db::Tx,
    instances: &BTreeMap<InstanceId, api::jobs::Instance>,
) -> Result<()> {
    let mut rows = Rows::new(&["id", "account", "service", "release", "state", "gate"]);
    for (id, it) in instances {
        let state = match it.state {
            InstanceState::Open => "open",
            InstanceState::Closed => "closed",
            InstanceState::Ended => "ending",
        };
        rows.push(row![*id, it.account, &it.service, &it.release, state, word(it.gate)]);
    }
    db::query(
        "insert into instance (id, account, service, release, state, gate)
         select r.id, r.account, r.service, r.release, r.state, r.gate from {rows} as r where true
         on conflict (id) do update set release = excluded.release, state = excluded.state,
         gate = excluded.gate",
    )
    .bind(rows)
    .run(tx)
    .await
    .map(drop)
}

/// Those of some for which nothing more is done. They do not change until the transaction ends.
pub(crate) async fn instances_ended(
    tx: &mut db::Tx,
    ids: impl IntoIterator<Item = InstanceId>,
) -> Result<BTreeSet<InstanceId>> {
    let known: Vec<(InstanceId, String)> =
        db::query("select id, state from instance where id in {list} order by id /*for update*/")
            .bind(List::of(ids))
            .all(tx, |row| Ok((row.get("id")?, row.get("state")?)))
            .await?;
    let ended = known.into_iter().filter(|(_, state)| has_ended(state));
    Ok(ended.map(|(id, _)| id).collect())
}

/// It does not change until the transaction ends.
pub(crate) async fn instance(tx: &mut db::Tx, id: InstanceId) -> Result<Option<Instance>> {
    db::query("select * from instance where id = ? /*for share*/")
        .bind(id)
        .optional(tx, |row| {
            Ok(Instance {
                account: row.get("account")?,
                service: row.get("service")?,
                release: read_release(row)?,
                state: row.get("state")?,
                gate: read_gate(row)?,
            })
        })
        .await
}

/// Whose an instance of that service is.
pub(crate) async fn account_of(
    on: impl On,
    service: &Name,
    instance: InstanceId,
) -> Result<Option<AccountId>> {
    db::query("select account from instance where id = ? and service = ?")
        .bind(instance)
        .bind(service)
        .optional(on, |row| row.get("account"))
        .await
}

pub(crate) async fn instances_ending(on: impl On, limit: u32) -> Result<Vec<InstanceId>> {
    db::query("select id from instance where state = 'ending' order by id limit ?")
        .bind(limit)
        .all(on, |row| row.get("id"))
        .await
}

pub(crate) async fn set_ended(tx: &mut db::Tx, instance: InstanceId) -> Result<()> {
    db::query("update instance set state = 'ended' where id = ? and state = 'ending'")
        .bind(instance)
        .run(tx)
        .await
        .map(drop)
}
