//! Machines, and the services that they run.

use std::time::Duration;

use api::{
    Empty,
    http::token::Claims,
    identity::{
        CreateJoinToken, IssueInstanceToken, IssueServiceToken, IssuedToken, JoinNode, JoinToken,
        Joined, NodeKey, Purpose, RemoveNode,
    },
};
use chassis::{Call, Next, Room, Write, random_secret, replace_private_file};
use types::{Digest, NodeId, Principal, Secret, Timestamp};

use crate::{Error, State, error::file_failed, store};

const JOIN_TOKEN: Duration = Duration::from_hours(1);
/// Where this machine finds a token of its own.
const LOCAL_TOKEN: &str = "join-token";
/// A service's token is renewed by the agent well before.
const SERVICE_TOKEN: Duration = Duration::from_hours(1);
/// An instance's token is renewed every hour, and outlives a night without the platform.
const INSTANCE_TOKEN: Duration = Duration::from_hours(24);

pub(crate) async fn create_join_token(
    cx: &mut Write<State>,
    _: CreateJoinToken,
) -> Result<JoinToken, Error> {
    let token = random_secret();
    let expires = cx.now().plus(JOIN_TOKEN);
    store::put_join_token(cx.tx(), &hash(&token), expires).await?;
    let url = cx.state().config.join_url.clone();
    Ok(JoinToken { token, expires, url })
}

pub(crate) async fn join_node(cx: &mut Write<State>, op: JoinNode) -> Result<Joined, Error> {
    let hexadecimal =
        op.public_key.len() == 64 && op.public_key.bytes().all(|b| b.is_ascii_hexdigit());
    if !hexadecimal {
        return Err(Error::PublicKey);
    }
    let public_key = op.public_key.to_lowercase();
    let known = store::node_with_key(cx.tx(), &public_key).await?;
    if let Some(node) = known {
        return Ok(Joined { node });
    }
    let (now, token) = (cx.now(), hash(&op.join_token));
    if !store::use_join_token(cx.tx(), &token, now).await? {
        return Err(Error::JoinToken);
    }
    let node = NodeKey { node: NodeId::new(now), name: op.name, public_key };
    store::insert_node(cx.tx(), &node, now).await?;
    cx.put(&node).await?;
    cx.wait_for_copies();
    Ok(Joined { node: node.node })
}

/// The instances that are placed there are looked for first: where they are, they can only be found
/// as long as it is a node.
pub(crate) async fn remove_node(cx: Call<State>, op: RemoveNode) -> Result<Empty, Error> {
    if !op.force {
        let left = cx.state().placements.on(op.node)?.len();
        if left > 0 {
            return Err(Error::NotEmpty(left));
        }
    }
    let mut write = cx.begin().await?;
    let removed = forget_node(&mut write, op.node).await;
    cx.settle(write, removed).await
}

async fn forget_node(cx: &mut Write<State>, node: NodeId) -> Result<Empty, Error> {
    if !store::delete_node(cx.tx(), node).await? {
        return Err(Error::Missing("node"));
    }
    cx.remove::<NodeKey>(&node.to_string()).await?;
    cx.wait_for_copies();
    Ok(Empty {})
}

/// Keeps a token for one more machine of this installation in a file. Like every other it is good
/// for an hour and for one machine, so it is renewed when it was used or is half through.
pub(crate) async fn renew_local_token(room: Room<State>) -> Result<Next, Error> {
    let now = room.now();
    store::delete_expired_join_tokens(room.db(), now).await?;
    let path = room.state().config.data.join(LOCAL_TOKEN);
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let expires = store::join_token(room.db(), &hash(&Secret::new(kept.trim()))).await?;
    if expires.is_some_and(|expires| now.plus(JOIN_TOKEN / 2) < expires) {
        return Ok(Next::Idle);
    }
    let token = random_secret();
    store::put_join_token(room.db(), &hash(&token), now.plus(JOIN_TOKEN)).await?;
    replace_private_file(&path, token.reveal()).map_err(|cause| file_failed(&cause))?;
    Ok(Next::Idle)
}

pub(crate) async fn issue_service_token(
    cx: Call<State>,
    op: IssueServiceToken,
) -> Result<IssuedToken, Error> {
    if api::is_reserved(op.service.as_str()) {
        return Err(Error::Reserved(op.service.to_string()));
    }
    cx.state().placements.check_service(op.node, &op.service)?;
    let audience = match op.purpose {
        Purpose::Tenancy => "configurator",
        Purpose::Jobs => "jobs",
    };
    Ok(issue(&cx, op.node, Principal::Service(op.service), audience, SERVICE_TOKEN))
}

pub(crate) async fn issue_instance_token(
    cx: Call<State>,
    op: IssueInstanceToken,
) -> Result<IssuedToken, Error> {
    cx.state().placements.check_of(op.node, op.account, op.instance)?;
    let processes = Principal::Instance(op.account, op.instance);
    Ok(issue(&cx, op.node, processes, "jobs", INSTANCE_TOKEN))
}

/// A token that is worth nothing when the node is removed.
fn issue(
    cx: &Call<State>,
    node: NodeId,
    sub: Principal,
    audience: &str,
    life: Duration,
) -> IssuedToken {
    let now = cx.now();
    let expires = now.plus(life);
    let seconds = |moment: Timestamp| moment.micros().div_euclid(1_000_000);
    let claims = Claims {
        sub,
        aud: audience.to_owned(),
        iat: seconds(now),
        exp: seconds(expires),
        sid: None,
        account: None,
        email: None,
        node: Some(node),
    };
    IssuedToken { token: Secret::new(cx.state().signer.sign(&claims)), expires }
}

/// What is kept of a join token. It is long and random, so it needs no slow hash.
pub(crate) fn hash(token: &Secret) -> String {
    Digest::of(token.reveal().as_bytes()).to_string()
}
