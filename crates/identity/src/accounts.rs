//! Accounts and their users.

use api::{
    Problem,
    access::PutGrant,
    identity::{
        Account, CreateUser, FindAnyUser, FindUser, GetAccount, GetUser, ListAccounts, ListUsers,
        RegisterAccount, Registered, User,
    },
};
use chassis::{Call, Next, Room};
use types::{AccountId, GrantId, Grantable, Page, Principal, Resource, UserId};

use crate::{Error, State, passwords::For, store};

/// What access is to grant a person.
pub(crate) const OWNER: &str = "owner";
pub(crate) const OPERATOR: &str = "operator";

pub(crate) async fn register_account(
    cx: Call<State>,
    op: RegisterAccount,
) -> Result<Registered, Error> {
    let title = op.title.trim().to_owned();
    if title.is_empty() || title.chars().count() > 100 {
        return Err(Error::Title);
    }
    let email = checked_email(&op.email)?;
    let hash = cx.state().passwords.hash(op.password, For::Stranger(cx.from)).await?;
    let now = cx.now();
    let account = Account { account: AccountId::new(now), title, created: now };
    let user = User { user: UserId::new(now), account: Some(account.account), email, created: now };
    let mut write = cx.begin().await?;
    store::insert_account(write.tx(), &account).await?;
    insert_person(write.tx(), &user, &hash, Some(OWNER)).await?;
    let registered = write.finish(Registered { account: account.account, user: user.user }).await?;
    // The reconciler would do it too; done here, the new owner can go on at once.
    grant_role_now(cx.room(), &user, OWNER).await;
    Ok(registered)
}

/// Tells access of one person without waiting for the reconciler, which tries again if it fails.
pub(crate) async fn grant_role_now(room: &Room<State>, user: &User, role: &str) {
    if let Err(problem) = grant_role(room, user, role).await {
        tracing::warn!(%problem, "a grant will be tried again");
    }
}

pub(crate) async fn create_user(cx: Call<State>, op: CreateUser) -> Result<User, Error> {
    let email = checked_email(&op.email)?;
    let hash = cx.state().passwords.hash(op.password, For::Known).await?;
    let now = cx.now();
    let user = User { user: UserId::new(now), account: Some(op.account), email, created: now };
    let mut write = cx.begin().await?;
    let users =
        store::count_users(write.tx(), op.account).await?.ok_or(Error::Missing("account"))?;
    let most = cx.state().config.users_max;
    if users >= most {
        return Err(Error::Quota(most));
    }
    insert_person(write.tx(), &user, &hash, None).await?;
    Ok(write.finish(user).await?)
}

pub(crate) async fn insert_person(
    tx: &mut db::Tx,
    user: &User,
    hash: &str,
    role: Option<&str>,
) -> Result<(), Error> {
    store::insert_person(tx, user, hash, role).await.map_err(|cause| {
        if cause.is_unique() { Error::EmailTaken(user.email.clone()) } else { cause.into() }
    })
}

pub(crate) async fn get_account(cx: Call<State>, op: GetAccount) -> Result<Account, Error> {
    let account = store::account(cx.db(), op.account).await?;
    account.ok_or(Error::Missing("account"))
}

pub(crate) async fn list_accounts(
    cx: Call<State>,
    op: ListAccounts,
) -> Result<Page<Account>, Error> {
    let cursor = op.cursor();
    let accounts = store::accounts(cx.db(), &cursor).await?;
    Ok(Page::cut(accounts, &cursor, |account| account.account.to_string()))
}

pub(crate) async fn get_user(cx: Call<State>, op: GetUser) -> Result<User, Error> {
    store::user(cx.db(), op.user).await?.ok_or(Error::Missing("user"))
}

pub(crate) async fn find_user(cx: Call<State>, op: FindUser) -> Result<User, Error> {
    let user = by_email(&cx, &op.email).await?.filter(|user| user.account == Some(op.account));
    user.ok_or(Error::Missing("user"))
}

pub(crate) async fn find_any_user(cx: Call<State>, op: FindAnyUser) -> Result<User, Error> {
    by_email(&cx, &op.email).await?.ok_or(Error::Missing("user"))
}

async fn by_email(cx: &Room<State>, email: &str) -> Result<Option<User>, Error> {
    let found = store::person(cx.db(), &email.trim().to_lowercase()).await?;
    Ok(found.map(|person| person.user))
}

pub(crate) async fn list_users(cx: Call<State>, op: ListUsers) -> Result<Page<User>, Error> {
    let cursor = op.cursor();
    let users = store::users(cx.db(), op.account, &cursor).await?;
    Ok(Page::cut(users, &cursor, |user| user.user.to_string()))
}

/// Tells access what owners and operators are to be granted, until it has been told. One whose
/// grant fails holds nobody else up.
pub(crate) async fn grant_roles(room: Room<State>) -> Result<Next, Error> {
    let mut outcome = Ok(Next::Idle);
    for (user, role) in store::people_to_grant(room.db()).await? {
        if let Err(cause) = grant_role(&room, &user, &role).await {
            outcome = Err(cause);
        }
    }
    outcome
}

async fn grant_role(room: &Room<State>, user: &User, role: &str) -> Result<(), Error> {
    let on = match (role, user.account) {
        (OWNER, Some(account)) => Resource::Account(account),
        _ => Resource::Platform,
    };
    let given: Grantable = role.parse().map_err(|_| Problem::internal())?;
    let grant = GrantId::named(&[role, &user.user.to_string()]);
    let principal = Principal::User(user.user);
    room.peers().call(PutGrant { grant, principal, given, on }).await?;
    Ok(store::set_granted(room.db(), user.user).await?)
}

/// The address in the form in which it is kept: trimmed and in lower case.
pub(crate) fn checked_email(text: &str) -> Result<String, Error> {
    let email = text.trim().to_lowercase();
    if api::is_email(&email) {
        Ok(email)
    } else {
        Err(Error::Email(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_one_form() {
        assert_eq!(checked_email(" Ada@Example.COM ").unwrap(), "ada@example.com");
        for wrong in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a da@example.com",
            "a@b@c",
            "Ada <ada@example.com>",
        ] {
            assert!(checked_email(wrong).is_err(), "{wrong}");
        }
    }
}
