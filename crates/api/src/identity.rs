//! identity: knows people and machines and proves who is calling.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, Digest, Host, InstanceId, Name, NodeId, Principal, Secret, SessionId, Timestamp,
    UserId,
};

use crate::{Empty, feed};

operations! { "identity":
    /// Opens an account with its first user, who owns it.
    RegisterAccount POST "/v1/accounts" on platform by [public] -> Registered;
    /// Shows an account.
    GetAccount GET "/v1/accounts/{account}" on account by [customer, operator, access] -> Account;
    /// Lists all accounts.
    ListAccounts GET "/v1/accounts" on platform by [operator] lists Account;
    /// Adds a user to an account. The user may do nothing until something is granted.
    CreateUser POST "/v1/accounts/{account}/users" on account by [customer] -> User;
    /// Lists the users of an account.
    ListUsers GET "/v1/accounts/{account}/users" on account by [customer, operator] lists User;
    /// Finds the user of an account who signs in with an e-mail address.
    FindUser GET "/v1/accounts/{account}/users/{email}" on account by [customer, operator] -> User;
    /// Finds a user of any account, or of none, by their e-mail address.
    FindAnyUser GET "/v1/people/{email}" on platform by [operator] -> User;
    /// Shows a user.
    GetUser GET "/v1/users/{user}" on platform by [operator, access] -> User;
    /// Says what people, accounts and nodes are called: those of one's own account, and those that
    /// one may look at.
    GetNames POST "/v1/names" on platform by [anyone] -> Names;
    /// Proves who one is, and begins a session.
    SignIn POST "/v1/sessions" on platform by [public] -> SignedIn;
    /// Ends a session of one's own; when this returns its token is worth nothing anywhere.
    SignOut DELETE "/v1/sessions/{session}" on platform by [anyone] -> Empty;
    /// Makes a code with which one's browser signs in at an instance's host, once, within a minute.
    CreateSignInCode POST "/v1/sign-in-codes" on platform by [anyone] -> SignInCode;
    /// Takes such a code and begins a session that is good at that host only.
    RedeemSignInCode POST "/v1/sign-in-codes/redemption" on platform by [gateway] -> SignedIn;
    /// Ends a session that was begun at an instance's host.
    EndSession PUT "/v1/users/{user}/sessions/{session}/end" on platform by [gateway] -> Empty;
    /// Chooses a new password, and ends every session of one's own.
    ChangePassword PUT "/v1/me/password" on platform by [anyone] -> Empty;
    /// Has a link sent to an address, with which whoever reads it can choose a new password once.
    /// The answer does not say whether anybody has that address.
    RequestPasswordReset POST "/v1/password-resets" on platform by [public] -> Empty;
    /// Chooses a new password with what such a link carries, and ends every session of that user.
    ResetPassword POST "/v1/passwords" on platform by [public] -> Empty;
    /// Says who is calling.
    WhoAmI GET "/v1/me" on platform by [anyone] -> Me;
    /// Makes a token with which one machine may join as a node.
    CreateJoinToken POST "/v1/join-tokens" on platform by [operator] -> JoinToken;
    /// Makes a machine a node: from then on it signs its own tokens with its key.
    JoinNode POST "/v1/nodes" on platform by [public] -> Joined;
    /// Takes a node's key from it; when this returns, what it or its services sign is worth
    /// nothing anywhere.
    RemoveNode DELETE "/v1/nodes/{node}" on node by [operator] -> Empty;
    /// Gives a node a token for a published service that it runs.
    IssueServiceToken POST "/v1/nodes/{node}/services/{service}/tokens" on node by [agent] -> IssuedToken;
    /// Gives a node a token for the processes of an instance that it runs, with which they ask for
    /// jobs of that instance.
    IssueInstanceToken POST "/v1/nodes/{node}/instances/{instance}/tokens" on node by [agent] -> IssuedToken;
    /// Asks for the changes after a revision, and acknowledges it.
    FollowChanges PUT "/v1/followers/{follower}" on platform by [platform] -> feed::Changes;
    /// Reads everything that the feed carries.
    ReadSnapshot GET "/v1/snapshot" on platform by [platform] -> feed::Snapshot;
}

feed!(Changes, "identity");

/// Opens an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisterAccount {
    /// What the customer is called, 1 to 100 characters.
    pub title: String,
    /// The first user's e-mail address, by which they sign in.
    pub email: String,
    /// The first user's password, 10 to 200 characters.
    pub password: Secret,
}

/// What was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registered {
    /// The new account.
    pub account: AccountId,
    /// Its first user.
    pub user: UserId,
}

/// Shows an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetAccount {
    /// Which one.
    pub account: AccountId,
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Its id.
    pub account: AccountId,
    /// What it is called.
    pub title: String,
    /// When it registered.
    pub created: Timestamp,
}

/// Adds a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateUser {
    /// To which account.
    pub account: AccountId,
    /// The user's e-mail address, by which they sign in; one address is one user.
    pub email: String,
    /// The user's password, 10 to 200 characters.
    pub password: Secret,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Its id.
    pub user: UserId,
    /// The account they belong to; an operator belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// How they sign in.
    pub email: String,
    /// When they were added.
    pub created: Timestamp,
}

/// Asks what people, accounts and nodes are called; at most 500 of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetNames {
    /// Which people.
    pub users: BTreeSet<UserId>,
    /// Which accounts.
    pub accounts: BTreeSet<AccountId>,
    /// Which nodes.
    pub nodes: BTreeSet<NodeId>,
}

/// What they are called, as far as the caller may know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Names {
    /// How the people sign in.
    pub users: BTreeMap<UserId, String>,
    /// The accounts' titles.
    pub accounts: BTreeMap<AccountId, String>,
    /// The machines' names.
    pub nodes: BTreeMap<NodeId, Name>,
}

/// Finds a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindUser {
    /// The account they belong to.
    pub account: AccountId,
    /// How they sign in, in whatever case.
    pub email: String,
}

/// Finds a user, whosever they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindAnyUser {
    /// How they sign in, in whatever case.
    pub email: String,
}

/// Shows a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetUser {
    /// Which one.
    pub user: UserId,
}

/// Proves who one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignIn {
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// A session has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedIn {
    /// The token to send as `Authorization: Bearer`.
    pub token: Secret,
    /// The session it belongs to.
    pub session: SessionId,
    /// Who has signed in.
    pub user: User,
    /// From when on the token is worth nothing.
    pub expires: Timestamp,
}

/// Ends a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignOut {
    /// Which one.
    pub session: SessionId,
}

/// Makes a code to sign in at an instance's host with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateSignInCode {
    /// The host.
    pub host: Host,
    /// The digest of the secret that the gateway left in the browser.
    pub browser: Digest,
}

/// A code to sign in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignInCode {
    /// What the browser shows at the host.
    pub code: Secret,
    /// From when on it is worth nothing.
    pub expires: Timestamp,
}

/// Takes a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedeemSignInCode {
    /// What the browser shows.
    pub code: Secret,
    /// The host that it shows it at.
    pub host: Host,
    /// The digest of the secret that the browser has of that host.
    pub browser: Digest,
}

/// Ends a session that was begun with a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndSession {
    /// Whose it is.
    pub user: UserId,
    /// Which one.
    pub session: SessionId,
}

/// For whom the token of a session is made that was begun at `host`: nobody else takes it, so it is
/// worth nothing to an application that gets hold of it.
pub fn host_audience(host: &Host) -> String {
    format!("host:{host}")
}

/// Chooses a new password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangePassword {
    /// The password until now.
    pub password: Secret,
    /// The new one, 10 to 200 characters.
    pub new_password: Secret,
}

/// Has a link sent with which to choose a new password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestPasswordReset {
    /// The e-mail address by which the user signs in.
    pub email: String,
}

/// Chooses a new password with what the link carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResetPassword {
    /// What follows `token=` in the link; it is good once.
    pub token: Secret,
    /// The new password, 10 to 200 characters.
    pub new_password: Secret,
}

/// Says who is calling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// As whom the caller acts.
    pub principal: Principal,
    /// The person, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The session of the token that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
}

/// Makes a token to join with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateJoinToken {}

/// A token to join with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinToken {
    /// What the machine shows.
    pub token: Secret,
    /// From when on it is worth nothing.
    pub expires: Timestamp,
    /// Where other machines reach the platform; absent if only this machine does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Makes a machine a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinNode {
    /// What the operator gave it.
    pub join_token: Secret,
    /// What the machine is called.
    pub name: Name,
    /// Its Ed25519 public key, 64 hexadecimal digits. A key joins once: asking again gives the
    /// same node.
    pub public_key: String,
}

/// A machine has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Joined {
    /// As which node.
    pub node: NodeId,
}

/// Takes a node's key from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoveNode {
    /// Which node.
    pub node: NodeId,
    /// Also if instances are placed there: those whose data is there are closed then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Asks for a token for a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssueServiceToken {
    /// The node that runs it.
    pub node: NodeId,
    /// The service.
    pub service: Name,
    /// What it is for.
    #[serde(default)]
    pub purpose: Purpose,
}

/// What a service's token is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Finding out whose host it is.
    #[default]
    Tenancy,
    /// Asking for jobs.
    Jobs,
}

/// Asks for a token for an instance's processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssueInstanceToken {
    /// The node that runs them.
    pub node: NodeId,
    /// Whose instance it is.
    pub account: AccountId,
    /// Which instance.
    pub instance: InstanceId,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedToken {
    /// The token to send as `Authorization: Bearer`.
    pub token: Secret,
    /// From when on it is worth nothing.
    pub expires: Timestamp,
}

/// A session that was ended before its token expired; in the feed until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedSession {
    /// Which one.
    pub session: SessionId,
    /// When its token expires by itself.
    pub expires: Timestamp,
}

impl feed::Document for EndedSession {
    const COMPONENT: &'static str = "identity";
    const TOPIC: &'static str = "ended_session";
    fn key(&self) -> String {
        self.session.to_string()
    }
}

/// A node and the key it signs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeKey {
    /// Which node.
    pub node: NodeId,
    /// What the machine is called.
    pub name: Name,
    /// Its Ed25519 public key, 64 hexadecimal digits.
    pub public_key: String,
}

impl feed::Document for NodeKey {
    const COMPONENT: &'static str = "identity";
    const TOPIC: &'static str = "node";
    fn key(&self) -> String {
        self.node.to_string()
    }
}
