//! Knows people and machines and proves who is calling.
//!
//! People sign in with a password (Argon2id) and get a token for a session; machines join with a
//! token from an operator and from then on sign with a key of their own. Tokens are checked
//! wherever they are shown, without asking here; a session that ends early is told by the feed.
//! A password is asked for at the console only: at instances' hosts one signs in with a code that
//! is worth nothing elsewhere (`codes`).
//! What anybody may *do* is access's matter: identity only asks it to grant the first user of an
//! account what an owner has, and the operator what operators have.

mod accounts;
mod bootstrap;
mod codes;
mod error;
mod limits;
mod mail;
mod names;
mod nodes;
mod passwords;
mod resets;
mod sessions;
mod store;

use std::{path::PathBuf, sync::Arc};

use api::identity::{
    ChangePassword, Changes, CreateJoinToken, CreateSignInCode, CreateUser, EndSession,
    FindAnyUser, FindUser, GetAccount, GetNames, GetUser, IssueInstanceToken, IssueServiceToken,
    JoinNode, ListAccounts, ListUsers, RedeemSignInCode, RegisterAccount, RemoveNode,
    RequestPasswordReset, ResetPassword, SignIn, SignOut, WhoAmI,
};
use chassis::{Component, Placements, Signer};

pub(crate) use error::Error;
use limits::Limits;
pub use mail::{Mail, MailError};
use passwords::Passwords;
use tokio::sync::Semaphore;

/// What identity needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the first start leaves the operator's sign-in and the local join token.
    pub data: PathBuf,
    /// How letters are sent.
    pub mail: Mail,
    /// How many users an account may have.
    pub users_max: u64,
    /// How much memory it takes to compute, and to guess, a new password's hash, in KiB.
    pub hash_memory_kib: u32,
    /// Where the console is, for links in letters: `http://console.localhost:8080`.
    pub console_url: String,
    /// Where other machines reach the platform; none if only this machine does.
    pub join_url: Option<String>,
}

impl Config {
    /// OWASP's floor, 19 MiB: about 30 ms of a core for each sign-in.
    pub const HASH_MEMORY_KIB: u32 = 19 * 1024;
}

/// So many letters are on their way at once.
const LETTERS_MAX: usize = 16;

pub(crate) struct State {
    config: Config,
    /// Room for letters on their way.
    sending: Arc<Semaphore>,
    signer: Signer,
    passwords: Passwords,
    limits: Limits,
    /// What runs on which node.
    placements: Placements,
}

/// The component; `signer` is its own key, which speaks for people.
pub fn component(config: Config, signer: Signer) -> Component<impl Send + Sync + 'static> {
    const MIGRATIONS: &[db::Migration] = &[
        db::Migration {
            name: "identity_0001",
            sql: include_str!("../migrations/0001_identity.sql"),
        },
        db::Migration {
            name: "identity_0002",
            sql: include_str!("../migrations/0002_secrets.sql"),
        },
        db::Migration {
            name: "identity_0010",
            sql: include_str!("../migrations/0010_sign_in_code.sql"),
        },
        db::Migration {
            name: "identity_0011",
            sql: include_str!("../migrations/0011_session_from.sql"),
        },
    ];
    let sending = Arc::new(Semaphore::new(LETTERS_MAX));
    let (passwords, limits) = (Passwords::new(config.hash_memory_kib), Limits::default());
    let placements = Placements::default();
    let state = State { config, sending, signer, passwords, limits, placements };
    Component::new("identity", MIGRATIONS, state)
        .opens(bootstrap::open)
        .acts::<RegisterAccount>(accounts::register_account)
        .reads::<GetAccount>(accounts::get_account)
        .reads::<ListAccounts>(accounts::list_accounts)
        .acts::<CreateUser>(accounts::create_user)
        .reads::<FindUser>(accounts::find_user)
        .reads::<FindAnyUser>(accounts::find_any_user)
        .reads::<GetUser>(accounts::get_user)
        .reads::<ListUsers>(accounts::list_users)
        .reads::<GetNames>(names::get_names)
        .acts::<SignIn>(sessions::sign_in)
        .acts::<SignOut>(sessions::sign_out)
        .acts::<CreateSignInCode>(codes::create_sign_in_code)
        .writes::<RedeemSignInCode>(codes::redeem_sign_in_code)
        .writes::<EndSession>(codes::end_session)
        .acts::<ChangePassword>(resets::change_password)
        .acts::<RequestPasswordReset>(resets::request_reset)
        .acts::<ResetPassword>(resets::reset_password)
        .reads::<WhoAmI>(sessions::who_am_i)
        .writes::<CreateJoinToken>(nodes::create_join_token)
        .writes::<JoinNode>(nodes::join_node)
        .acts::<RemoveNode>(nodes::remove_node)
        .acts::<IssueServiceToken>(nodes::issue_service_token)
        .acts::<IssueInstanceToken>(nodes::issue_instance_token)
        .feeds::<Changes>()
        .follows::<api::releases::Changes>(|room, update| room.state().placements.apply(&update))
        .keeps("grants of owners and operators", accounts::grant_roles)
        .sweeps("codes to sign in with", codes::forget_codes)
        .keeps("the local join token", nodes::renew_local_token)
        .sweeps("links for new passwords", resets::forget_resets)
        .sweeps("ended sessions", sessions::forget_ended)
}
