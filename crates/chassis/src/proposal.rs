//! What a release would make of a component, kept until the release is promoted.
//!
//! A release is asked of everybody before it changes anything: each component checks its part and
//! keeps it here, or refuses it. Once everybody has agreed the release is promoted everywhere, and
//! nobody can refuse any more. Each promotion has a turn, and a service's turns count up: one that
//! comes twice, or after a later one, changes nothing.

use api::Problem;
use serde::{Serialize, de::DeserializeOwned};
use types::{Digest, Name};

use crate::{Write, failure::database_failed};

/// The table, for the components that releases are asked of.
pub const PROPOSALS: db::Migration =
    db::Migration { name: "chassis_proposals", sql: include_str!("../migrations/proposals.sql") };

impl<S> Write<S> {
    /// Keeps what `release` would make of this component.
    pub async fn propose<P: Serialize>(
        &mut self,
        service: &Name,
        release: &Digest,
        proposal: &P,
    ) -> Result<(), db::Error> {
        db::query(
            "insert into proposal (service, release, body, turn) values (?, ?, ?, 0)
             on conflict (service, release) do update set body = excluded.body",
        )
        .bind(service)
        .bind(release)
        .bind_json(proposal)
        .run(self.tx())
        .await
        .map(drop)
    }

    /// What `release` proposed, to be made so; nothing if a later promotion has been made already.
    pub async fn promote<P: DeserializeOwned>(
        &mut self,
        service: &Name,
        release: &Digest,
        turn: u64,
    ) -> Result<Option<P>, Problem> {
        let component = self.component();
        let promoted = self.take_turn(service, release, turn).await;
        match promoted.map_err(|cause| database_failed(component, &cause))? {
            Turn::Here(proposal) => Ok(Some(proposal)),
            Turn::Over => Ok(None),
            Turn::Unknown => Err(Problem::not_found("proposal of this release; put it first")),
        }
    }

    async fn take_turn<P: DeserializeOwned>(
        &mut self,
        service: &Name,
        release: &Digest,
        turn: u64,
    ) -> Result<Turn<P>, db::Error> {
        let turns: Vec<u64> =
            db::query("select turn from proposal where service = ? /*for update*/")
                .bind(service)
                .all(self.tx(), |row| row.get("turn"))
                .await?;
        if turns.into_iter().any(|promoted| promoted > turn) {
            return Ok(Turn::Over);
        }
        let body = db::query("select body from proposal where service = ? and release = ?")
            .bind(service)
            .bind(release)
            .optional(self.tx(), |row| row.json("body"))
            .await?;
        db::query("update proposal set turn = ? where service = ? and release = ?")
            .bind(turn)
            .bind(service)
            .bind(release)
            .run(self.tx())
            .await?;
        Ok(body.map_or(Turn::Unknown, Turn::Here))
    }

    /// Whether `release` was ever promoted.
    pub async fn was_promoted(
        &mut self,
        service: &Name,
        release: &Digest,
    ) -> Result<bool, db::Error> {
        let turn = db::query("select turn from proposal where service = ? and release = ?")
            .bind(service)
            .bind(release)
            .optional(self.tx(), |row| row.get::<u64>("turn"))
            .await?;
        Ok(turn.is_some_and(|turn| turn > 0))
    }

    /// Forgets what `release` proposed, unless it was promoted once: somebody else has refused it.
    pub async fn withdraw(&mut self, service: &Name, release: &Digest) -> Result<(), db::Error> {
        db::query("delete from proposal where service = ? and release = ? and turn = 0")
            .bind(service)
            .bind(release)
            .run(self.tx())
            .await
            .map(drop)
    }
}

/// What `release` proposed, if it was ever promoted.
pub async fn promoted<P: DeserializeOwned>(
    on: impl db::On,
    service: &Name,
    release: &Digest,
) -> Result<Option<P>, db::Error> {
    db::query("select body from proposal where service = ? and release = ? and turn > 0")
        .bind(service)
        .bind(release)
        .optional(on, |row| row.json("body"))
        .await
}

/// What `release` proposed, if it was never promoted.
pub async fn proposed<P: DeserializeOwned>(
    on: impl db::On,
    service: &Name,
    release: &Digest,
) -> Result<Option<P>, db::Error> {
    db::query("select body from proposal where service = ? and release = ? and turn = 0")
        .bind(service)
        .bind(release)
        .optional(on, |row| row.json("body"))
        .await
}

/// The release of a service that was promoted last.
pub async fn promoted_last(on: impl db::On, service: &Name) -> Result<Option<Digest>, db::Error> {
    db::query(
        "select release from proposal where service = ? and turn > 0 order by turn desc limit 1",
    )
    .bind(service)
    .optional(on, |row| row.get("release"))
    .await
}

/// What the service's releases propose that were never promoted.
pub async fn proposals<P: DeserializeOwned>(
    tx: &mut db::Tx,
    service: &Name,
) -> Result<Vec<P>, db::Error> {
    db::query("select body from proposal where service = ? and turn = 0 order by release")
        .bind(service)
        .all(tx, |row| row.json("body"))
        .await
}

/// Whether it is a promotion's turn.
enum Turn<P> {
    Here(P),
    /// A later one was made.
    Over,
    /// There is nothing to promote.
    Unknown,
}
