//! `Idempotency-Key`: a request that is sent again gets the answer it got.
//!
//! The answer is written in the transaction of the effect, so there is never one without the
//! other. A key belongs to the principal that sent it and to one request; it is kept for a day.

use std::time::Duration;

use api::{Kind, Operation, Problem};
use serde::{Serialize, de::DeserializeOwned};
use types::{Digest, Principal, Secret, Timestamp};

use crate::{Seal, failure::database_failed};

/// For how long an answer is kept.
const KEPT: Duration = Duration::from_hours(24);
const KEY_LENGTH_MAX: usize = 200;

/// A request's key, and what it may be used for.
///
/// A request may hold a password and an answer a token. So the fingerprint cannot be made without
/// the component's seal, and the answer is kept sealed.
#[derive(Clone)]
pub(crate) struct Repeat {
    seal: Seal,
    principal: Principal,
    key: String,
    fingerprint: String,
    component: &'static str,
}

impl Repeat {
    /// The key that `text` is, for this very request.
    pub(crate) fn of<O: Operation>(
        text: &str,
        principal: &Principal,
        operation: &O,
        seal: &Seal,
    ) -> Result<Self, Problem> {
        if text.is_empty() || text.len() > KEY_LENGTH_MAX {
            let detail = format!("an idempotency key must have 1 to {KEY_LENGTH_MAX} characters");
            return Err(Problem::invalid("idempotency_key", detail));
        }
        let body = serde_json::to_vec(operation).map_err(|_| Problem::internal())?;
        let mut content = O::PERMISSION.as_bytes().to_vec();
        content.extend_from_slice(&body);
        let fingerprint = seal.password(&format!("request {}", Digest::of(&content)));
        Ok(Self {
            seal: seal.clone(),
            principal: principal.clone(),
            key: text.to_owned(),
            fingerprint: fingerprint.reveal().to_owned(),
            component: O::COMPONENT,
        })
    }

    /// The answer that was given to this request before, with the revision that every copy must
    /// have applied before it is given again.
    pub(crate) async fn earlier<R: DeserializeOwned>(
        &self,
        db: &db::Db,
    ) -> Result<Option<(R, Option<u64>)>, Problem> {
        let found = db::query(
            "select fingerprint, reply, revision from repeated_request
             where principal = ? and idempotency_key = ?",
        )
        .bind(&self.principal)
        .bind(&self.key)
        .optional(db, |row| {
            let kept = (row.get::<String>("fingerprint")?, row.get::<String>("reply")?);
            Ok((kept, row.get::<Option<u64>>("revision")?))
        })
        .await
        .map_err(|cause| database_failed(self.component, &cause))?;
        match found {
            None => Ok(None),
            Some(((fingerprint, reply), revision)) if fingerprint == self.fingerprint => {
                let opened = self.seal.open(&reply, &self.context());
                let reply = opened.map_err(|_| Problem::internal())?;
                let reply =
                    serde_json::from_str(reply.reveal()).map_err(|_| Problem::internal())?;
                Ok(Some((reply, revision)))
            }
            Some(_) => Err(Problem::conflict(
                "idempotency_key_reused",
                format!(
                    "the idempotency key `{}` was used for another request; use a new one",
                    self.key
                ),
            )),
        }
    }

    /// What the answer is sealed for.
    fn context(&self) -> String {
        format!("reply to {} of {}", self.key, self.principal)
    }

    /// Keeps the answer, and forgets those that are too old.
    pub(crate) async fn keep<R: Serialize + Sync>(
        &self,
        tx: &mut db::Tx,
        reply: &R,
        awaited: Option<u64>,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let failed = |cause: db::Error| {
            if cause.is_unique() {
                let detail = "the same request is still being processed; try again";
                return Problem {
                    retry_after: Some(1),
                    ..Problem::new(Kind::Conflict, "in_progress", detail)
                };
            }
            database_failed(self.component, &cause)
        };
        let text = serde_json::to_string(reply).map_err(|_| Problem::internal())?;
        db::query("delete from repeated_request where created < ?")
            .bind(now.minus(KEPT))
            .run(&mut *tx)
            .await
            .map_err(failed)?;
        db::query(
            "insert into repeated_request
             (principal, idempotency_key, fingerprint, reply, revision, created)
             values (?, ?, ?, ?, ?, ?)",
        )
        .bind(&self.principal)
        .bind(&self.key)
        .bind(&self.fingerprint)
        .bind(self.seal.seal(&Secret::new(text), &self.context()))
        .bind(awaited)
        .bind(now)
        .run(tx)
        .await
        .map_err(failed)?;
        Ok(())
    }
}
