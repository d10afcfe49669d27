//! What was agreed to with rollouts, and what people did to them.

use api::releases::{ACTS_MAX, Act, Preview};
use db::On;
use types::Name;

use super::Result;

/// A rollout: its service, and its number.
type Which<'w> = (&'w Name, u64);

/// What was agreed to with a rollout.
#[derive(Debug, Default)]
pub(crate) struct Agreed {
    /// What the promotion was said to change.
    pub(crate) preview: Option<Preview>,
    /// Whether it was agreed that something is lost.
    pub(crate) accepts_loss: bool,
    /// Whether it leads back to the release before.
    pub(crate) is_way_back: bool,
}

pub(crate) async fn put_agreed(
    tx: &mut db::Tx,
    (service, number): Which<'_>,
    agreed: &Agreed,
) -> Result<()> {
    let preview = agreed.preview.as_ref().map(serde_json::to_string).transpose();
    let preview = preview.map_err(|cause| db::Error::encode("preview", cause))?;
    db::query(
        "insert into agreed (service, rollout, preview, accepts_loss, is_way_back)
         values (?, ?, ?, ?, ?)
         on conflict (service, rollout) do nothing",
    )
    .bind(service)
    .bind(number)
    .bind(preview.as_deref())
    .bind(agreed.accepts_loss)
    .bind(agreed.is_way_back)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn agreed(on: impl On, (service, number): Which<'_>) -> Result<Agreed> {
    let agreed = db::query("select * from agreed where service = ? and rollout = ?")
        .bind(service)
        .bind(number)
        .optional(on, |row| {
            let preview: Option<String> = row.get("preview")?;
            Ok(Agreed {
                preview: preview.map(|_| row.json("preview")).transpose()?,
                accepts_loss: row.get("accepts_loss")?,
                is_way_back: row.get("is_way_back")?,
            })
        })
        .await?;
    Ok(agreed.unwrap_or_default())
}

/// Of more than [`ACTS_MAX`] the last are kept.
pub(crate) async fn insert_act(
    tx: &mut db::Tx,
    (service, number): Which<'_>,
    act: &Act,
) -> Result<()> {
    let place: u64 = db::query(
        "select coalesce(max(place), 0) + 1 as place from act where service = ? and rollout = ?",
    )
    .bind(service)
    .bind(number)
    .one(&mut *tx, |row| row.get("place"))
    .await?;
    db::query(
        "insert into act (service, rollout, place, at, principal, did) values (?, ?, ?, ?, ?, ?)",
    )
    .bind(service)
    .bind(number)
    .bind(place)
    .bind(act.at)
    .bind(&act.by)
    .bind_json(&act.did)
    .run(&mut *tx)
    .await?;
    db::query("delete from act where service = ? and rollout = ? and place <= ?")
        .bind(service)
        .bind(number)
        .bind(place.saturating_sub(u64::from(ACTS_MAX)))
        .run(tx)
        .await
        .map(drop)
}

/// The first first.
pub(crate) async fn acts(on: impl On, (service, number): Which<'_>) -> Result<Vec<Act>> {
    db::query("select * from act where service = ? and rollout = ? order by place limit ?")
        .bind(service)
        .bind(number)
        .bind(ACTS_MAX)
        .all(on, |row| {
            Ok(Act { at: row.get("at")?, by: row.get("principal")?, did: row.json("did")? })
        })
        .await
}
