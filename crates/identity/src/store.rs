//! The tables.

mod codes;
mod names;

use api::identity::{Account, EndedSession, NodeKey, User};
use db::On;
use types::{AccountId, Cursor, NodeId, SessionId, Timestamp, UserId};

pub(crate) use codes::{
    Code, delete_expired_codes, owner_of_session, put_code, signed_in, take_code,
};

pub(crate) use names::{accounts_with, nodes_with, users_with};

type Stored<T> = Result<T, db::Error>;

pub(crate) async fn insert_account(tx: &mut db::Tx, account: &Account) -> Stored<()> {
    db::query("insert into account (id, title, created) values (?, ?, ?)")
        .bind(account.account)
        .bind(&account.title)
        .bind(account.created)
        .run(tx)
        .await
        .map(drop)
}

fn read_account(row: &db::Row) -> Stored<Account> {
    Ok(Account { account: row.get("id")?, title: row.get("title")?, created: row.get("created")? })
}

pub(crate) async fn account(on: impl On, id: AccountId) -> Stored<Option<Account>> {
    db::query("select * from account where id = ?").bind(id).optional(on, read_account).await
}

/// How many users the account has; they stay as many until the transaction ends. `None` if there is
/// no such account.
pub(crate) async fn count_users(tx: &mut db::Tx, account: AccountId) -> Stored<Option<u64>> {
    let found = db::query("select id from account where id = ? /*for update*/")
        .bind(account)
        .optional(&mut *tx, |row| row.get::<AccountId>("id"))
        .await?;
    if found.is_none() {
        return Ok(None);
    }
    db::query("select count(*) as n from person where account = ?")
        .bind(account)
        .one(tx, |row| row.get("n"))
        .await
        .map(Some)
}

pub(crate) async fn accounts(on: impl On, cursor: &Cursor) -> Stored<Vec<Account>> {
    db::query("select * from account where id > ? order by id limit ?")
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_account)
        .await
}

pub(crate) async fn insert_person(
    tx: &mut db::Tx,
    user: &User,
    hash: &str,
    role: Option<&str>,
) -> Stored<()> {
    db::query(
        "insert into person (id, account, email, password_hash, role, granted, created)
         values (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(user.user)
    .bind(user.account)
    .bind(&user.email)
    .bind(hash)
    .bind(role)
    .bind(role.is_none())
    .bind(user.created)
    .run(tx)
    .await
    .map(drop)
}

fn read_user(row: &db::Row) -> Stored<User> {
    Ok(User {
        user: row.get("id")?,
        account: row.get("account")?,
        email: row.get("email")?,
        created: row.get("created")?,
    })
}

pub(crate) async fn user(on: impl On, id: UserId) -> Stored<Option<User>> {
    db::query("select * from person where id = ?").bind(id).optional(on, read_user).await
}

pub(crate) async fn users(on: impl On, account: AccountId, cursor: &Cursor) -> Stored<Vec<User>> {
    db::query("select * from person where account = ? and id > ? order by id limit ?")
        .bind(account)
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_user)
        .await
}

/// Somebody who can sign in.
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) hash: String,
    /// The role that access has not been told of yet.
    pub(crate) ungranted: Option<String>,
}

pub(crate) async fn person(on: impl On, email: &str) -> Stored<Option<Person>> {
    db::query("select * from person where email = ?").bind(email).optional(on, read_person).await
}

pub(crate) async fn person_with_id(on: impl On, user: UserId) -> Stored<Option<Person>> {
    db::query("select * from person where id = ?").bind(user).optional(on, read_person).await
}

fn read_person(row: &db::Row) -> Stored<Person> {
    let (user, hash) = (read_user(row)?, row.get("password_hash")?);
    let (role, granted): (Option<String>, bool) = (row.get("role")?, row.get("granted")?);
    Ok(Person { user, hash, ungranted: role.filter(|_| !granted) })
}

/// Whether `hash` is still that of the user's password; it stays so until the transaction ends.
pub(crate) async fn hold_password(tx: &mut db::Tx, user: UserId, hash: &str) -> Stored<bool> {
    db::query("select id from person where id = ? and password_hash = ? /*for update*/")
        .bind(user)
        .bind(hash)
        .optional(tx, |row| row.get::<UserId>("id"))
        .await
        .map(|found| found.is_some())
}

/// Those whom access has not been told of, with the role that they are to have.
pub(crate) async fn people_to_grant(on: impl On) -> Stored<Vec<(User, String)>> {
    db::query("select * from person where granted = ? order by id limit 100")
        .bind(false)
        .all(on, |row| Ok((read_user(row)?, row.get("role")?)))
        .await
}

pub(crate) async fn set_granted(on: impl On, user: UserId) -> Stored<()> {
    db::query("update person set granted = ? where id = ?")
        .bind(true)
        .bind(user)
        .run(on)
        .await
        .map(drop)
}

/// Keeps a session, and which one it was begun by, if it is one at an instance's host.
pub(crate) async fn insert_session(
    on: impl On,
    id: SessionId,
    begun_by: Option<SessionId>,
    user: UserId,
    expires: Timestamp,
) -> Stored<()> {
    db::query("insert into session (id, begun_by, person, expires) values (?, ?, ?, ?)")
        .bind(id)
        .bind(begun_by)
        .bind(user)
        .bind(expires)
        .run(on)
        .await
        .map(drop)
}

/// Ends a session of that user and those that it has begun; answers them all.
pub(crate) async fn delete_session(
    tx: &mut db::Tx,
    id: SessionId,
    user: UserId,
) -> Stored<Vec<EndedSession>> {
    db::query(
        "delete from session where (id = ? or begun_by = ?) and person = ? returning id, expires",
    )
    .bind(id)
    .bind(id)
    .bind(user)
    .all(tx, read_ended)
    .await
}

fn read_ended(row: &db::Row) -> Stored<EndedSession> {
    Ok(EndedSession { session: row.get("id")?, expires: row.get("expires")? })
}

/// Ends all sessions of that user; answers those that had not expired.
pub(crate) async fn delete_sessions_of(tx: &mut db::Tx, user: UserId) -> Stored<Vec<EndedSession>> {
    db::query("delete from session where person = ? returning id, expires")
        .bind(user)
        .all(tx, read_ended)
        .await
}

pub(crate) async fn set_password(tx: &mut db::Tx, user: UserId, hash: &str) -> Stored<()> {
    db::query("update person set password_hash = ? where id = ?")
        .bind(hash)
        .bind(user)
        .run(tx)
        .await
        .map(drop)
}

/// What one may choose a new password with, from when to when.
pub(crate) struct Reset {
    pub(crate) user: UserId,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
}

pub(crate) async fn insert_reset(tx: &mut db::Tx, hash: &str, reset: &Reset) -> Stored<()> {
    db::query("insert into password_reset (hash, person, created, expires) values (?, ?, ?, ?)")
        .bind(hash)
        .bind(reset.user)
        .bind(reset.created)
        .bind(reset.expires)
        .run(tx)
        .await
        .map(drop)
}

/// Whose it is, if it is good at `now`.
pub(crate) async fn reset(on: impl On, hash: &str, now: Timestamp) -> Stored<Option<UserId>> {
    db::query("select person from password_reset where hash = ? and expires > ?")
        .bind(hash)
        .bind(now)
        .optional(on, |row| row.get("person"))
        .await
}

/// Takes it away; answers whether it was there, which it is for one alone.
pub(crate) async fn use_reset(tx: &mut db::Tx, hash: &str) -> Stored<bool> {
    db::query("delete from password_reset where hash = ?")
        .bind(hash)
        .run(tx)
        .await
        .map(|deleted| deleted == 1)
}

pub(crate) async fn delete_resets_of(tx: &mut db::Tx, user: UserId) -> Stored<()> {
    db::query("delete from password_reset where person = ?").bind(user).run(tx).await.map(drop)
}

pub(crate) async fn resets_since(tx: &mut db::Tx, user: UserId, moment: Timestamp) -> Stored<u64> {
    db::query("select count(*) as n from password_reset where person = ? and created > ?")
        .bind(user)
        .bind(moment)
        .one(tx, |row| row.get("n"))
        .await
}

pub(crate) async fn delete_expired_resets(on: impl On, now: Timestamp) -> Stored<()> {
    db::query("delete from password_reset where expires <= ?").bind(now).run(on).await.map(drop)
}

pub(crate) async fn delete_expired_sessions(on: impl On, now: Timestamp) -> Stored<()> {
    db::query("delete from session where expires <= ?").bind(now).run(on).await.map(drop)
}

pub(crate) async fn insert_ended(tx: &mut db::Tx, ended: &EndedSession) -> Stored<()> {
    db::query("insert into ended_session (id, expires) values (?, ?)")
        .bind(ended.session)
        .bind(ended.expires)
        .run(tx)
        .await
        .map(drop)
}

pub(crate) async fn ended_before(on: impl On, now: Timestamp) -> Stored<Vec<SessionId>> {
    db::query("select id from ended_session where expires <= ? order by id limit 100")
        .bind(now)
        .all(on, |row| row.get("id"))
        .await
}

pub(crate) async fn delete_ended(tx: &mut db::Tx, id: SessionId) -> Stored<()> {
    db::query("delete from ended_session where id = ?").bind(id).run(tx).await.map(drop)
}

pub(crate) async fn put_join_token(on: impl On, hash: &str, expires: Timestamp) -> Stored<()> {
    db::query("insert into join_token (hash, expires) values (?, ?) on conflict (hash) do nothing")
        .bind(hash)
        .bind(expires)
        .run(on)
        .await
        .map(drop)
}

pub(crate) async fn join_token(on: impl On, hash: &str) -> Stored<Option<Timestamp>> {
    db::query("select expires from join_token where hash = ?")
        .bind(hash)
        .optional(on, |row| row.get("expires"))
        .await
}

/// Takes the token away; answers whether it was there and good, which it is for one alone.
pub(crate) async fn use_join_token(tx: &mut db::Tx, hash: &str, now: Timestamp) -> Stored<bool> {
    db::query("delete from join_token where hash = ? and expires > ?")
        .bind(hash)
        .bind(now)
        .run(tx)
        .await
        .map(|deleted| deleted == 1)
}

pub(crate) async fn delete_expired_join_tokens(on: impl On, now: Timestamp) -> Stored<()> {
    db::query("delete from join_token where expires <= ?").bind(now).run(on).await.map(drop)
}

/// Answers whether there was one.
pub(crate) async fn delete_node(tx: &mut db::Tx, node: NodeId) -> Stored<bool> {
    db::query("delete from node where id = ?").bind(node).run(tx).await.map(|deleted| deleted == 1)
}

pub(crate) async fn node_with_key(tx: &mut db::Tx, public_key: &str) -> Stored<Option<NodeId>> {
    db::query("select id from node where public_key = ?")
        .bind(public_key)
        .optional(tx, |row| row.get("id"))
        .await
}

pub(crate) async fn insert_node(tx: &mut db::Tx, node: &NodeKey, now: Timestamp) -> Stored<()> {
    db::query("insert into node (id, name, public_key, created) values (?, ?, ?, ?)")
        .bind(node.node)
        .bind(&node.name)
        .bind(&node.public_key)
        .bind(now)
        .run(tx)
        .await
        .map(drop)
}
