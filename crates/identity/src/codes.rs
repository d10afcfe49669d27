//! Signing in at an instance's host without typing a password there.
//!
//! Whoever is signed in at the console gets a code and is led to the host with it; the gateway there
//! redeems it. A code is good once, for a minute, at one host, in the browser in which the way began,
//! and what it begins is a session that nobody but the gateway takes, at that host only. So neither
//! a code nor a session that an application gets hold of is worth anything elsewhere. The host must be
//! an instance's: a link to the console must not lead anybody to a site of somebody else's.

use std::time::Duration;

use api::{
    Empty, Kind,
    configurator::FindInstance,
    http::token::Claims,
    identity::{
        CreateSignInCode, EndSession, RedeemSignInCode, SignInCode, SignedIn, host_audience,
    },
};
use chassis::{Call, Next, Room, Write, random_secret};
use types::{Digest, Principal, Secret, SessionId, Timestamp};

use crate::{
    Error, State,
    sessions::end_with_others,
    store::{self, Code},
};

/// How long the way from the console to the host may take.
const CODE: Duration = Duration::from_mins(1);

pub(crate) async fn create_sign_in_code(
    cx: Call<State>,
    op: CreateSignInCode,
) -> Result<SignInCode, Error> {
    let found = cx.peers().call(FindInstance { name: op.host.to_string() }).await;
    if found.as_ref().is_err_and(|problem| problem.kind == Kind::NotFound) {
        return Err(Error::NoHost(op.host));
    }
    found?;
    let mut write = cx.begin().await?;
    let made = make_code(&mut write, &op).await;
    cx.settle(write, made).await
}

async fn make_code(cx: &mut Write<State>, op: &CreateSignInCode) -> Result<SignInCode, Error> {
    let (Principal::User(user), Some(session)) = (&cx.caller.principal, cx.caller.session) else {
        return Err(Error::Missing("session"));
    };
    let (user, now) = (*user, cx.now());
    let owner = store::owner_of_session(cx.tx(), session, now).await?;
    if owner != Some(user) {
        return Err(Error::Missing("session"));
    }
    let (code, expires) = (random_secret(), now.plus(CODE));
    let digest = digest(&code);
    let kept = Code { digest: &digest, host: op.host.as_str(), browser: op.browser.as_str() };
    store::put_code(cx.tx(), session, &kept, expires).await?;
    Ok(SignInCode { code, expires })
}

pub(crate) async fn redeem_sign_in_code(
    cx: &mut Write<State>,
    op: RedeemSignInCode,
) -> Result<SignedIn, Error> {
    let (now, digest) = (cx.now(), digest(&op.code));
    let code = Code { digest: &digest, host: op.host.as_str(), browser: op.browser.as_str() };
    let from = store::take_code(cx.tx(), &code, now).await?;
    let from = from.ok_or(Error::SignInCode)?;
    let signed_in = store::signed_in(cx.tx(), from, now).await?;
    // It ends with the one that it comes from: passing codes on makes no session longer.
    let (user, expires) = signed_in.ok_or(Error::SignInCode)?;
    let session = SessionId::new(now);
    store::insert_session(cx.tx(), session, Some(from), user.user, expires).await?;
    let seconds = |moment: Timestamp| moment.micros().div_euclid(1_000_000);
    let claims = Claims {
        sub: Principal::User(user.user),
        aud: host_audience(&op.host),
        iat: seconds(now),
        exp: seconds(expires),
        sid: Some(session),
        account: user.account,
        email: Some(user.email.clone()),
        node: None,
    };
    let token = Secret::new(cx.state().signer.sign(&claims));
    Ok(SignedIn { token, session, user, expires })
}

pub(crate) async fn end_session(cx: &mut Write<State>, op: EndSession) -> Result<Empty, Error> {
    end_with_others(cx, op.session, op.user).await
}

/// A code that has expired is worth nothing.
pub(crate) async fn forget_codes(room: Room<State>) -> Result<Next, Error> {
    store::delete_expired_codes(room.db(), room.now()).await?;
    Ok(Next::Idle)
}

fn digest(code: &Secret) -> String {
    Digest::of(code.reveal().as_bytes()).to_string()
}
