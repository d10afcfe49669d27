//! Codes to sign in with, and the sessions that they come from.

use db::On;
use types::{SessionId, Timestamp, UserId};

use super::{Stored, User, read_user};

/// A code as it is kept.
pub(crate) struct Code<'a> {
    pub(crate) digest: &'a str,
    pub(crate) host: &'a str,
    pub(crate) browser: &'a str,
}

/// Keeps the session's code; the one before is worth nothing any more.
pub(crate) async fn put_code(
    tx: &mut db::Tx,
    session: SessionId,
    code: &Code<'_>,
    expires: Timestamp,
) -> Stored<()> {
    db::query(
        "insert into sign_in_code (session, digest, host, browser, expires) values (?, ?, ?, ?, ?)
         on conflict (session) do update set digest = excluded.digest, host = excluded.host,
         browser = excluded.browser, expires = excluded.expires",
    )
    .bind(session)
    .bind(code.digest)
    .bind(code.host)
    .bind(code.browser)
    .bind(expires)
    .run(tx)
    .await
    .map(drop)
}

/// Takes a code that is good at `now`, so that nobody takes it again; answers whose session it came
/// from.
pub(crate) async fn take_code(
    tx: &mut db::Tx,
    code: &Code<'_>,
    now: Timestamp,
) -> Stored<Option<SessionId>> {
    db::query(
        "delete from sign_in_code where digest = ? and host = ? and browser = ? and expires > ?
         returning session",
    )
    .bind(code.digest)
    .bind(code.host)
    .bind(code.browser)
    .bind(now)
    .optional(tx, |row| row.get("session"))
    .await
}

pub(crate) async fn delete_expired_codes(on: impl On, now: Timestamp) -> Stored<()> {
    db::query("delete from sign_in_code where expires <= ?").bind(now).run(on).await.map(drop)
}

/// Who is signed in by a session that goes on at `now`, and until when.
pub(crate) async fn signed_in(
    tx: &mut db::Tx,
    session: SessionId,
    now: Timestamp,
) -> Stored<Option<(User, Timestamp)>> {
    db::query(
        "select person.*, session.expires from session
         join person on person.id = session.person
         where session.id = ? and session.expires > ?",
    )
    .bind(session)
    .bind(now)
    .optional(tx, |row| Ok((read_user(row)?, row.get("expires")?)))
    .await
}

/// Whose session it is, if it goes on at `now`.
pub(crate) async fn owner_of_session(
    tx: &mut db::Tx,
    session: SessionId,
    now: Timestamp,
) -> Stored<Option<UserId>> {
    let signed_in = signed_in(tx, session, now).await?;
    Ok(signed_in.map(|(user, _)| user.user))
}
