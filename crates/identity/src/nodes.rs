//! Machines, and the services that they run.

use std::time::Duration;

use api::{
    http::token::Claims,
    identity::{
        CreateJoinToken, IssueServiceToken, IssuedToken, JoinNode, JoinToken, Joined, NodeKey,
    },
};
use chassis::{Call, Write, random_secret};
use types::{Digest, NodeId, Principal, Secret, Timestamp};

use crate::{Error, State, store};

const JOIN_TOKEN: Duration = Duration::from_hours(1);
/// When this machine's own join token expires.
pub(crate) const FOREVER: Timestamp = Timestamp::from_micros(i64::MAX);
/// A service's token is renewed by the agent well before.
const SERVICE_TOKEN: Duration = Duration::from_hours(1);

pub(crate) async fn create_join_token(
    cx: &mut Write<State>,
    _: CreateJoinToken,
) -> Result<JoinToken, Error> {
    let token = random_secret();
    let expires = cx.now().plus(JOIN_TOKEN);
    store::put_join_token(cx.tx(), &hash(&token), expires).await?;
    Ok(JoinToken { token, expires })
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
    let expires = store::join_token(cx.tx(), &token).await?;
    let expires = expires.filter(|expires| now < *expires).ok_or(Error::JoinToken)?;
    // An operator's token is for one machine; this machine's own, which never expires, stays.
    if expires < FOREVER {
        store::delete_join_token(cx.tx(), &token).await?;
    }
    let node = NodeKey { node: NodeId::new(now), name: op.name, public_key };
    store::insert_node(cx.tx(), &node, now).await?;
    cx.put(&node).await?;
    cx.wait_for_copies();
    Ok(Joined { node: node.node })
}

pub(crate) async fn issue_service_token(
    cx: Call<State>,
    op: IssueServiceToken,
) -> Result<IssuedToken, Error> {
    if api::is_reserved(op.service.as_str()) {
        return Err(Error::Reserved(op.service.to_string()));
    }
    let now = cx.now();
    let expires = now.plus(SERVICE_TOKEN);
    let seconds = |moment: Timestamp| moment.micros().div_euclid(1_000_000);
    let claims = Claims {
        sub: Principal::Service(op.service),
        aud: "configurator".to_owned(),
        iat: seconds(now),
        exp: seconds(expires),
        sid: None,
        account: None,
    };
    Ok(IssuedToken { token: Secret::new(cx.state().signer.sign(&claims)), expires })
}

/// What is kept of a join token. It is long and random, so it needs no slow hash.
pub(crate) fn hash(token: &Secret) -> String {
    Digest::of(token.reveal().as_bytes()).to_string()
}
