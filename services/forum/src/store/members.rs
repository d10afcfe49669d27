//! Members, their sessions, and what they have done.

use tenancy::Timestamp;

use super::{Db, Result, Row, Statement, sql};

/// Someone who may write in the forum.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    /// Hashed; who has none was invited and has not come yet.
    pub(crate) password: Option<String>,
    pub(crate) joined_at: Timestamp,
}

fn member(row: &Row) -> Result<Member> {
    Ok(Member {
        id: row.text(0)?,
        name: row.text(1)?,
        email: row.text(2)?,
        password: row.maybe_text(3)?,
        joined_at: row.moment(4)?,
    })
}

/// Names that differ only in case are one name.
fn key(name: &str) -> String {
    name.to_lowercase()
}

/// Adds `member`, unless the name is taken. `invitation` is the hash of a token that lets its
/// holder choose the password.
pub(crate) fn insert(member: &Member, invitation: Option<String>) -> Statement {
    sql("INSERT INTO member (id, name, name_key, email, password, invitation, joined_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name_key) DO NOTHING")
    .bind(member.id.as_str())
    .bind(member.name.as_str())
    .bind(key(&member.name))
    .bind(member.email.as_str())
    .bind(member.password.clone())
    .bind(invitation)
    .bind(member.joined_at)
}

pub(crate) async fn by_name(db: &Db, name: &str) -> Result<Option<Member>> {
    sql("SELECT id, name, email, password, joined_at FROM member WHERE name_key = $1")
        .bind(key(name))
        .first(db, member)
        .await
}

pub(crate) async fn by_session(db: &Db, token: &str, now: Timestamp) -> Result<Option<Member>> {
    sql("SELECT member.id, name, email, password, joined_at FROM session \
         JOIN member ON member.id = session.member WHERE token = $1 AND ends_at > $2")
    .bind(token)
    .bind(now)
    .first(db, member)
    .await
}

pub(crate) async fn by_invitation(db: &Db, token: &str) -> Result<Option<Member>> {
    sql("SELECT id, name, email, password, joined_at FROM member WHERE invitation = $1")
        .bind(token)
        .first(db, member)
        .await
}

/// Renews the invitation of a member who has not come yet.
pub(crate) async fn invite_again(db: &Db, member: &str, invitation: String) -> Result<u64> {
    sql("UPDATE member SET invitation = $2 WHERE id = $1 AND password IS NULL")
        .bind(member)
        .bind(invitation)
        .run(db)
        .await
}

/// Takes up an invitation, which ends it.
pub(crate) async fn accept(db: &Db, invitation: &str, password: String) -> Result<u64> {
    sql("UPDATE member SET password = $2, invitation = NULL WHERE invitation = $1")
        .bind(invitation)
        .bind(password)
        .run(db)
        .await
}

/// Removes a member with sessions and votes; what they wrote stays.
pub(crate) async fn remove(db: &Db, member: &str) -> Result<()> {
    db.together(vec![
        sql("DELETE FROM session WHERE member = $1").bind(member),
        sql("DELETE FROM vote WHERE member = $1").bind(member),
        sql("DELETE FROM member WHERE id = $1").bind(member),
    ])
    .await
}

/// Begins a session, and forgets those that have ended.
pub(crate) async fn begin_session(
    db: &Db,
    token: String,
    member: &str,
    now: Timestamp,
    ends_at: Timestamp,
) -> Result<()> {
    db.together(vec![
        sql("DELETE FROM session WHERE ends_at <= $1").bind(now),
        sql("INSERT INTO session (token, member, ends_at) VALUES ($1, $2, $3)")
            .bind(token)
            .bind(member)
            .bind(ends_at),
    ])
    .await
}

pub(crate) async fn end_session(db: &Db, token: &str) -> Result<u64> {
    sql("DELETE FROM session WHERE token = $1").bind(token).run(db).await
}

/// A member and what they have done so far.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) joined_at: Timestamp,
    pub(crate) posts: i64,
    pub(crate) topics: i64,
    pub(crate) votes: i64,
}

fn record(row: &Row) -> Result<Record> {
    Ok(Record {
        name: row.text(0)?,
        joined_at: row.moment(1)?,
        posts: row.number(2)?,
        topics: row.number(3)?,
        votes: row.number(4)?,
    })
}

/// Members by name, at most `limit` of them after the name `after`.
pub(crate) async fn records(db: &Db, after: &str, limit: i64) -> Result<Vec<Record>> {
    sql("SELECT name, joined_at, \
         (SELECT COUNT(*) FROM post WHERE post.author = member.id), \
         (SELECT COUNT(*) FROM topic WHERE topic.author = member.id), \
         (SELECT COUNT(*) FROM vote WHERE vote.member = member.id) \
         FROM member WHERE name_key > $1 ORDER BY name_key LIMIT $2")
    .bind(key(after))
    .bind(limit)
    .all(db, record)
    .await
}
