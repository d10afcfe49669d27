//! Who the node is: its key, its id, and the tokens that it signs for itself.

use std::sync::Arc;

use api::{
    Client, Credentials, Kind, Problem,
    http::token::{ASKING_LIFE, Asking, Claims, sign},
    identity::JoinNode,
};
use ed25519_dalek::SigningKey;
use types::{Clock, NodeId, Principal, Timestamp};

use crate::{
    Config, Error,
    folder::{Folder, read_text, write_lasting},
    pause::Pace,
};

/// Signs as this node.
pub(crate) struct Signer {
    node: NodeId,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    tokens: Asking,
}

impl Signer {
    /// Which node it is.
    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    fn sign(&self, audience: &str, now: Timestamp) -> String {
        let claims = Claims::new(Principal::Node(self.node), audience, now, ASKING_LIFE);
        sign(&self.node.to_string(), &self.key, &claims)
    }
}

impl Credentials for Signer {
    fn bearer(&self, audience: &str) -> Option<Arc<str>> {
        let now = self.clock.now();
        self.tokens.token(audience, now, || Some(self.sign(audience, now)))
    }
}

/// Makes this machine a node, once: the key is kept before it is shown to anybody, and a key that
/// joins again is the same node. A platform that does not answer is asked again.
pub(crate) async fn join(config: &Config, folder: &Folder, pace: Pace) -> Result<Signer, Error> {
    let key = private_key(folder)?;
    let node = match known_node(folder)? {
        Some(node) => node,
        None => ask(config, folder, &key, pace).await?,
    };
    Ok(Signer { node, key, clock: Arc::clone(&config.clock), tokens: Asking::default() })
}

async fn ask(
    config: &Config,
    folder: &Folder,
    key: &SigningKey,
    pace: Pace,
) -> Result<NodeId, Error> {
    let nobody: Option<Arc<str>> = None;
    let client = Client::new(Arc::clone(&config.transport), Arc::new(nobody));
    let mut pauses = pace.asking_pauses();
    loop {
        let operation = JoinNode {
            join_token: config.join_token.clone(),
            name: config.name.clone(),
            public_key: const_hex::encode(key.verifying_key().as_bytes()),
        };
        match client.call(operation).await {
            Ok(joined) => {
                let path = folder.node();
                write_lasting(&path, &joined.node.to_string()).map_err(Error::folder(&path))?;
                tracing::info!(node = %joined.node, "joined");
                return Ok(joined.node);
            }
            Err(problem) if problem.is_transient() => {
                tracing::warn!(%problem, "the platform cannot be joined now");
                tokio::time::sleep(pauses.take()).await;
            }
            Err(problem) => return Err(Error::Refused(problem)),
        }
    }
}

/// Whether the same question of a node may be answered well later. A platform that has just been
/// started may not know the node's key yet, so being unknown does not last for ever either.
pub(crate) fn may_pass(problem: &Problem) -> bool {
    problem.is_transient() || problem.kind == Kind::Unauthenticated
}

fn known_node(folder: &Folder) -> Result<Option<NodeId>, Error> {
    let path = folder.node();
    let text = read_text(&path).map_err(Error::folder(&path))?;
    text.map(|text| text.trim().parse().map_err(|_| Error::Unreadable(path))).transpose()
}

fn private_key(folder: &Folder) -> Result<SigningKey, Error> {
    let path = folder.key();
    if let Some(text) = read_text(&path).map_err(Error::folder(&path))? {
        let seed = const_hex::decode_to_array(text.trim());
        let seed = seed.map_err(|_| Error::Unreadable(path))?;
        return Ok(SigningKey::from_bytes(&seed));
    }
    let seed: [u8; 32] = rand::random();
    write_lasting(&path, &const_hex::encode(seed)).map_err(Error::folder(&path))?;
    Ok(SigningKey::from_bytes(&seed))
}

#[cfg(test)]
mod tests {
    use types::ManualClock;

    use super::*;

    #[test]
    fn a_clock_that_leaps_leaves_no_token_that_nobody_takes() {
        let noon: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        let (node, clock) = (NodeId::named(&["a"]), Arc::new(ManualClock::at(noon)));
        let key = SigningKey::from_bytes(&[7; 32]);
        let signer = Signer { node, key, clock: clock.clone(), tokens: Asking::default() };
        let token = || signer.bearer("jobs").unwrap();
        let first = token();
        clock.advance(ASKING_LIFE / 4);
        assert_eq!(token(), first, "it is good for longer");
        for leap in ["2026-12-03T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T12:00:00Z"] {
            let now: Timestamp = leap.parse().unwrap();
            clock.set(now);
            let token = token();
            let find = |_: &str| Some(signer.key.verifying_key());
            let (_, claims) = api::http::token::verify(&token, find).unwrap();
            assert!(claims.is_valid_at(now) && !claims.is_of_the_future(now), "{leap}");
        }
    }
}
