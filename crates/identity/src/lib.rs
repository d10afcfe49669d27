//! Knows people and machines and proves who is calling.
//!
//! People sign in with a password (Argon2id) and get a token for a session; machines join with a
//! token from an operator and from then on sign with a key of their own. Tokens are checked
//! wherever they are shown, without asking here; a session that ends early is told by the feed.
//! What anybody may *do* is access's matter: identity only asks it to grant the first user of an
//! account what an owner has, and the operator what operators have.

mod accounts;
mod bootstrap;
mod error;
mod nodes;
mod passwords;
mod sessions;
mod store;

use std::path::PathBuf;

use api::identity::{
    Changes, CreateJoinToken, CreateUser, GetAccount, GetUser, IssueServiceToken, JoinNode,
    ListAccounts, ListUsers, RegisterAccount, SignIn, SignOut, WhoAmI,
};
use chassis::{Component, Signer};

pub(crate) use error::Error;
use passwords::Passwords;

/// What identity needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the first start leaves the operator's sign-in and the local join token.
    pub data: PathBuf,
}

pub(crate) struct State {
    signer: Signer,
    passwords: Passwords,
}

/// The component; `signer` is its own key, which speaks for people.
pub fn component(config: Config, signer: Signer) -> Component<impl Send + Sync + 'static> {
    const MIGRATIONS: &[db::Migration] = &[db::Migration {
        name: "identity_0001",
        sql: include_str!("../migrations/0001_identity.sql"),
    }];
    let state = State { signer, passwords: Passwords::new() };
    Component::new("identity", MIGRATIONS, state)
        .opens(move |room| bootstrap::open(room, config))
        .acts::<RegisterAccount>(accounts::register_account)
        .reads::<GetAccount>(accounts::get_account)
        .reads::<ListAccounts>(accounts::list_accounts)
        .acts::<CreateUser>(accounts::create_user)
        .reads::<GetUser>(accounts::get_user)
        .reads::<ListUsers>(accounts::list_users)
        .acts::<SignIn>(sessions::sign_in)
        .acts::<SignOut>(sessions::sign_out)
        .reads::<WhoAmI>(sessions::who_am_i)
        .writes::<CreateJoinToken>(nodes::create_join_token)
        .writes::<JoinNode>(nodes::join_node)
        .acts::<IssueServiceToken>(nodes::issue_service_token)
        .feeds::<Changes>()
        .keeps("grants of owners and operators", accounts::grant_roles)
        .keeps("ended sessions", sessions::forget_ended)
}
