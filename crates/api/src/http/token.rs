//! Signed tokens: who is asking, of whom, until when.
//!
//! A compact JWS (RFC 7515) with `EdDSA` over Ed25519 (RFC 8037) and JWT claims (RFC 7519). There is
//! one algorithm and the header must be ours to the byte but for the key's name, so nothing that a
//! caller writes can choose how it is checked.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use types::{AccountId, NodeId, Period, Principal, SessionId, Timestamp};

/// No token is longer; a longer one is not read.
pub const TOKEN_BYTES_MAX: usize = 2_048;

/// How long a token is good for with which a component or a node asks.
pub const ASKING_LIFE: Duration = Duration::from_mins(5);

/// So much may the clock of who signs be ahead of the clock of who checks.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_mins(1);

/// The audience of people's tokens: every component.
pub const EVERYONE: &str = "mandate";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who is asking.
    pub sub: Principal,
    /// Of whom: a component's name, or [`EVERYONE`].
    pub aud: String,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// From when on it is worth nothing, in seconds since 1970.
    pub exp: i64,
    /// The session it belongs to, which can be ended before `exp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The account that a user belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// What a user is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The node that it was given to; once that is gone, the token is worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
}

impl Claims {
    /// That `sub` is asking `audience`, from `now` on for so long; nothing else is said.
    pub fn new(sub: Principal, audience: &str, now: Timestamp, life: Duration) -> Self {
        let seconds = |moment: Timestamp| moment.micros().div_euclid(1_000_000);
        Self {
            sub,
            aud: audience.to_owned(),
            iat: seconds(now),
            exp: seconds(now.plus(life)),
            sid: None,
            account: None,
            email: None,
            node: None,
        }
    }

    /// Whether the token may still be shown at `now`.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        now < self.valid_until()
    }

    /// From when on it is worth nothing.
    pub const fn valid_until(&self) -> Timestamp {
        Timestamp::from_micros(self.exp.saturating_mul(1_000_000))
    }

    /// Whether the token was made later than `now`, by more than clocks of machines may differ.
    /// Such a one could be good for ever.
    pub fn is_of_the_future(&self, now: Timestamp) -> bool {
        let latest = now.plus(CLOCKS_DIFFER_MAX).micros();
        self.iat.saturating_mul(1_000_000) > latest
    }
}

/// The tokens with which somebody asks, by their audiences; each is made anew at half of its life.
#[derive(Default)]
pub struct Asking(RwLock<HashMap<String, (Arc<str>, Period)>>);

impl Asking {
    /// The token for `audience`, which `make` makes for [`ASKING_LIFE`] from `now` on if there is
    /// none yet or no more.
    pub fn token(
        &self,
        audience: &str,
        now: Timestamp,
        make: impl FnOnce() -> Option<String>,
    ) -> Option<Arc<str>> {
        let known = self.0.read().expect("nobody panics while holding it");
        // A clock that was set back is not believed to have been right before.
        if let Some((token, _)) = known.get(audience).filter(|(_, fresh)| fresh.contains(now)) {
            return Some(Arc::clone(token));
        }
        drop(known);
        let token: Arc<str> = make()?.into();
        let fresh = Period::lasting(now, ASKING_LIFE / 2);
        let mut known = self.0.write().expect("nobody panics while holding it");
        known.insert(audience.to_owned(), (Arc::clone(&token), fresh));
        Some(token)
    }
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours.
    #[error("the token cannot be read")]
    Malformed,
    /// Signed by nobody we know.
    #[error("the token is signed with a key that is not known here")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Forged,
}

/// Signs `claims` with `key`, which is known by the name `kid`.
pub fn sign(kid: &str, key: &SigningKey, claims: &Claims) -> String {
    let header = Header { alg: "EdDSA", kid, typ: "JWT" };
    let mut token = URL_SAFE_NO_PAD.encode(json(&header));
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(json(claims), &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
    token
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a header and claims are plain text and numbers")
}

/// Checks a token's signature with the key that `find` knows by the name in its header. Neither
/// its time nor its audience is looked at: that is the guard's matter.
pub fn verify<'t>(
    token: &'t str,
    find: impl FnOnce(&str) -> Option<VerifyingKey>,
) -> Result<(String, Claims), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let mut parts = token.split('.');
    let mut part = || parts.next().ok_or(TokenError::Malformed);
    let (header_text, claims_text, signature): (&'t str, &'t str, &'t str) =
        (part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(TokenError::Malformed);
    }
    let header = read(header_text)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
    if header.alg != "EdDSA" || header.typ != "JWT" {
        return Err(TokenError::Malformed);
    }
    let key = find(header.kid).ok_or(TokenError::UnknownKey)?;
    let signature = Signature::from_slice(&read(signature)?).map_err(|_| TokenError::Malformed)?;
    let signed = &token[..header_text.len() + 1 + claims_text.len()];
    key.verify_strict(signed.as_bytes(), &signature).map_err(|_| TokenError::Forged)?;
    let claims = serde_json::from_slice(&read(claims_text)?).map_err(|_| TokenError::Malformed)?;
    Ok((header.kid.to_owned(), claims))
}

fn read(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims() -> Claims {
        let sub = Principal::Service("billing".parse().unwrap());
        Claims {
            sub,
            aud: "jobs".into(),
            iat: 1,
            exp: 2,
            sid: None,
            account: None,
            email: None,
            node: None,
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn what_is_signed_is_read_back() {
        let token = sign("billing", &key(), &claims());
        let (kid, read) = verify(&token, |_| Some(key().verifying_key())).unwrap();
        assert_eq!((kid.as_str(), read), ("billing", claims()));
    }

    #[test]
    fn no_other_algorithm_is_taken() {
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","kid":"billing","typ":"JWT"}"#);
        let token = sign("billing", &key(), &claims());
        let rest = token.split_once('.').unwrap().1;
        let forged = format!("{header}.{rest}");
        assert_eq!(verify(&forged, |_| Some(key().verifying_key())), Err(TokenError::Malformed));
    }

    proptest! {
        #[test]
        fn a_changed_token_is_refused(place in 0usize..300, bit in 0u8..7) {
            let mut token = sign("billing", &key(), &claims()).into_bytes();
            let place = place % token.len();
            token[place] ^= 1 << bit;
            if let Ok(token) = String::from_utf8(token) {
                prop_assert!(verify(&token, |_| Some(key().verifying_key())).is_err());
            }
        }

        #[test]
        fn no_text_panics(token in "\\PC{0,200}") {
            prop_assert!(verify(&token, |_| Some(key().verifying_key())).is_err());
        }
    }
}
