//! Who asks? Decided from the token or cookie alone, by the guard's copies.
//!
//! An `Authorization` header is ours if it is a bearer token in three parts whose header says that
//! one of the platform's keys signed it: then it must be good, and it is never sent on. Any other
//! belongs to the application and is sent on untouched.

use std::sync::LazyLock;

use api::{Kind, Problem, http::token::TOKEN_BYTES_MAX, identity::host_audience};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::Caller;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use types::{Host, NodeId};

use super::visit::Visit;
use crate::{
    request::{cookies::Ours, headers::is_same_origin},
    state::State,
};

/// For whom tokens may be made that are shown here.
const AUDIENCE: &str = "gateway";

/// Whoever asks.
pub(crate) struct Asker {
    pub(crate) caller: Caller,
    /// What proved it: a token, and for whom it is.
    proof: Option<(String, String)>,
    /// Whether it showed a session that does not count, since another origin's page sent the
    /// request.
    pub(crate) is_foreign: bool,
}

impl Asker {
    const VISITOR: Self = Self { caller: Caller::VISITOR, proof: None, is_foreign: false };

    /// Whether what it showed is still good.
    pub(super) fn check_again(&self, state: &State) -> Result<(), Problem> {
        let Some((token, audience)) = &self.proof else { return Ok(()) };
        state.guard.authenticate(Some(token), audience)?;
        if state.guard.is_fresh() { Ok(()) } else { Err(unknown()) }
    }
}

/// Who asks. A platform's token is taken out of the request's headers.
pub(crate) fn authenticate(
    state: &State,
    visit: &mut Visit,
    host: &Host,
) -> Result<Asker, Problem> {
    if let Some(token) = take_token(&mut visit.head.headers)? {
        let caller = state.guard.authenticate(Some(&token), AUDIENCE)?;
        if !state.guard.is_fresh() {
            return Err(unknown());
        }
        return Ok(Asker { caller, proof: Some((token, AUDIENCE.to_owned())), is_foreign: false });
    }
    let known = by_cookie(state, visit, host).filter(|_| state.guard.is_fresh());
    let Some(asker) = known else { return Ok(Asker::VISITOR) };
    if !visit.is_safe() && is_same_origin(&visit.head.headers, visit.is_https) != Some(true) {
        // Whether the application takes it from strangers is not ours to judge.
        return Ok(Asker { is_foreign: true, ..Asker::VISITOR });
    }
    Ok(asker)
}

/// Whose session the browser has at `host`; of several that are good, the one that was begun last.
pub(crate) fn by_cookie(state: &State, visit: &Visit, host: &Host) -> Option<Asker> {
    let audience = host_audience(host);
    let tokens = Ours::Session.values(&visit.head.headers, visit.is_https);
    let callers = tokens
        .filter_map(|token| Some((token, state.guard.authenticate(Some(token), &audience).ok()?)));
    let (token, caller) = callers.max_by_key(|(_, caller)| caller.session)?;
    Some(Asker { caller, proof: Some((token.to_owned(), audience)), is_foreign: false })
}

fn unknown() -> Problem {
    let detail = "this gateway cannot be sure at the moment that the session is still valid; try \
                  again";
    Problem::unavailable(detail, 1)
}

/// A browser adds its cookie to what any page makes it send.
pub(crate) fn foreign() -> Problem {
    let detail = "the request does not come from a page of this instance: send it from one, or \
                  use a token instead of the cookie";
    Problem::new(Kind::Denied, "foreign_origin", detail).with_status(StatusCode::FORBIDDEN)
}

fn take_token(headers: &mut HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let first = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(first), None) => first,
        (Some(_), Some(_)) => {
            let detail = "send one `Authorization` header, not several";
            return Err(Problem::invalid("authorization_twice", detail));
        }
    };
    let token = first.to_str().ok().and_then(bearer).filter(|token| is_ours(token));
    let token = token.map(str::to_owned);
    if token.is_some() {
        headers.remove(header::AUTHORIZATION);
    }
    Ok(token)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// How the tokens of people begin: nothing of these has to be read to know whose they are.
static IDENTITYS: LazyLock<String> =
    LazyLock::new(|| URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"identity","typ":"JWT"}"#));

#[derive(Deserialize)]
struct TokenHead<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

fn is_ours(token: &str) -> bool {
    if token.len() > TOKEN_BYTES_MAX || token.split('.').count() != 3 {
        return false;
    }
    let head = token.split('.').next();
    if head == Some(IDENTITYS.as_str()) {
        return true;
    }
    let head = head.and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
    let Some(head) = head else { return false };
    let Ok(head) = serde_json::from_slice::<TokenHead<'_>>(&head) else { return false };
    let known = api::PRINCIPALS.contains(&head.kid) || head.kid.parse::<NodeId>().is_ok();
    head.alg == "EdDSA" && head.typ == "JWT" && known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(head: &str) -> String {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(head))
    }

    fn taken(values: &[&str]) -> Result<(Option<String>, usize), String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        let token = take_token(&mut headers).map_err(|problem| problem.code)?;
        Ok((token, headers.len()))
    }

    #[test]
    fn a_token_of_ours_is_taken_out() {
        let ours = token(r#"{"alg":"EdDSA","kid":"identity","typ":"JWT"}"#);
        for scheme in ["Bearer ", "bearer ", "BEARER   ", "Bearer\t"] {
            let expected = Ok((Some(ours.clone()), 0));
            assert_eq!(taken(&[&format!("{scheme}{ours}")]), expected, "{scheme:?}");
        }
        let reordered = token(r#"{"typ":"JWT","kid":"identity","alg":"EdDSA"}"#);
        assert_eq!(taken(&[&format!("Bearer {reordered}")]), Ok((Some(reordered), 0)));
    }

    #[test]
    fn everything_else_belongs_to_the_application() {
        let foreign = [
            "Basic YTpi".to_owned(),
            "Bearer opaque".to_owned(),
            format!("Bearer {}", token(r#"{"alg":"RS256","kid":"identity","typ":"JWT"}"#)),
            format!("Bearer {}", token(r#"{"alg":"EdDSA","kid":"my-app","typ":"JWT"}"#)),
            format!("Bearer {}", token(r#"{"alg":"EdDSA","typ":"JWT"}"#)),
            "Bearer".to_owned(),
        ];
        for value in foreign {
            assert_eq!(taken(&[&value]), Ok((None, 1)), "{value}");
        }
    }

    #[test]
    fn two_are_refused() {
        assert_eq!(taken(&["Basic YTpi", "Bearer x"]), Err("authorization_twice".to_owned()));
    }
}
