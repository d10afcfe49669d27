//! Signing in and out.

use std::time::Duration;

use api::{
    Empty,
    http::token::{Claims, EVERYONE},
    identity::{EndedSession, Me, SignIn, SignOut, SignedIn, WhoAmI},
};
use chassis::{Call, Next, Room, Write};
use types::{Principal, Secret, SessionId, UserId};

use crate::{
    Error, State,
    accounts::{checked_email, grant_role_now},
    passwords::For,
    store::{self, Person},
};

/// For how long a session is good.
const SESSION: Duration = Duration::from_hours(12);

pub(crate) async fn sign_in(cx: Call<State>, op: SignIn) -> Result<SignedIn, Error> {
    let email = checked_email(&op.email).map_err(|_| Error::SignIn)?;
    let person = proven(&cx, &email, op.password).await?.ok_or(Error::SignIn)?;
    if let Some(role) = &person.ungranted {
        // The reconciler is at it; done here, whoever has signed in can go on at once.
        grant_role_now(cx.room(), &person.user, role).await;
    }
    let user = person.user;
    let now = cx.now();
    let (session, expires) = (SessionId::new(now), now.plus(SESSION));
    let mut write = cx.begin().await?;
    // Whoever chooses a new password ends the sessions that there are: none may begin meanwhile.
    if !store::hold_password(write.tx(), user.user, &person.hash).await? {
        return Err(Error::SignIn);
    }
    store::insert_session(write.tx(), session, None, user.user, expires).await?;
    let claims = Claims {
        sid: Some(session),
        account: user.account,
        email: Some(user.email.clone()),
        ..Claims::new(Principal::User(user.user), EVERYONE, now, SESSION)
    };
    let token = Secret::new(cx.state().signer.sign(&claims));
    Ok(write.finish(SignedIn { token, session, user, expires }).await?)
}

/// Whoever has that address, if the password is theirs and has not been guessed at too often.
pub(crate) async fn proven(
    cx: &Call<State>,
    email: &str,
    password: Secret,
) -> Result<Option<Person>, Error> {
    let State { limits, passwords, .. } = cx.state();
    let made = limits.begin(cx.from, email, cx.now()).map_err(Error::TooOften)?;
    let whose = if made.is_known { For::Known } else { For::Stranger(cx.from) };
    let found = store::person(cx.db(), email).await?;
    let hash = found.as_ref().map(|person| person.hash.clone());
    match passwords.is_right(password, hash, whose).await {
        Ok(true) => {
            limits.take_back(&made, true, cx.now());
            Ok(found)
        }
        Ok(false) => Ok(None),
        Err(cause) => {
            // Nothing was learnt by it.
            limits.take_back(&made, false, cx.now());
            Err(cause)
        }
    }
}

pub(crate) async fn sign_out(cx: Call<State>, op: SignOut) -> Result<Empty, Error> {
    let mut write = cx.begin().await?;
    let ended = end_session(&mut write, &op).await;
    cx.settle(write, ended).await
}

async fn end_session(cx: &mut Write<State>, op: &SignOut) -> Result<Empty, Error> {
    let Principal::User(user) = cx.caller.principal else {
        return Err(Error::Missing("session"));
    };
    end_with_others(cx, op.session, user).await
}

/// Ends a session of that user, and with it those at instances' hosts that it has begun.
pub(crate) async fn end_with_others(
    cx: &mut Write<State>,
    session: SessionId,
    user: UserId,
) -> Result<Empty, Error> {
    let ended = store::delete_session(cx.tx(), session, user).await?;
    if ended.is_empty() {
        return Err(Error::Missing("session"));
    }
    for ended in &ended {
        end(cx, ended).await?;
    }
    Ok(Empty {})
}

pub(crate) async fn who_am_i(cx: Call<State>, _: WhoAmI) -> Result<Me, Error> {
    let user = match cx.caller.principal {
        Principal::User(user) => store::user(cx.db(), user).await?,
        _ => None,
    };
    Ok(Me { principal: cx.caller.principal.clone(), user, session: cx.caller.session })
}

/// A session that has expired needs not be told of any longer.
pub(crate) async fn forget_ended(room: Room<State>) -> Result<Next, Error> {
    let now = room.now();
    store::delete_expired_sessions(room.db(), now).await?;
    for session in store::ended_before(room.db(), now).await? {
        let mut write = room.begin().await?;
        store::delete_ended(write.tx(), session).await?;
        write.remove::<EndedSession>(&session.to_string()).await?;
        write.commit().await?;
    }
    Ok(Next::Idle)
}

/// Tells everybody that a session, whose row is gone, has ended.
pub(crate) async fn end(cx: &mut Write<State>, ended: &EndedSession) -> Result<(), Error> {
    store::insert_ended(cx.tx(), ended).await?;
    cx.put(ended).await?;
    cx.wait_for_copies();
    Ok(())
}
