//! Choosing another password: with the one until now, or with a link that was sent.
//!
//! Either ends every session of the person, so that who has learnt the old password is out.

use std::time::Duration;

use api::{
    Empty, Problem,
    identity::{ChangePassword, RequestPasswordReset, ResetPassword, User},
};
use chassis::{Call, Next, Room, Write, random_secret};
use types::{Principal, Secret, UserId};

use crate::{
    Error, State,
    accounts::checked_email,
    bootstrap,
    mail::Letter,
    nodes::hash,
    passwords::For,
    sessions::{end, proven},
    store::{self, Reset},
};

/// For how long a link is good.
const RESET: Duration = Duration::from_mins(30);
/// So many links somebody is sent within that time; who asks on has to wait.
const RESETS_MAX: u64 = 3;

pub(crate) async fn change_password(cx: Call<State>, op: ChangePassword) -> Result<Empty, Error> {
    let Principal::User(user) = cx.caller.principal else {
        return Err(Error::Missing("user"));
    };
    let person = store::person_with_id(cx.db(), user).await?.ok_or(Error::Missing("user"))?;
    // Who has taken somebody's session may guess no more than who signs in.
    let person = proven(&cx, &person.user.email, op.password).await?.ok_or(Error::OldPassword)?;
    let hash = cx.state().passwords.hash(op.new_password, For::Known).await?;
    let mut write = cx.begin().await?;
    set_password(&mut write, user, &hash).await?;
    let done = write.finish(Empty {}).await?;
    bootstrap::forget_file(cx.room(), &person.user);
    Ok(done)
}

async fn set_password(cx: &mut Write<State>, user: UserId, hash: &str) -> Result<(), Error> {
    // First, since this row is locked by whoever begins a session with the old password.
    store::set_password(cx.tx(), user, hash).await?;
    store::delete_resets_of(cx.tx(), user).await?;
    let now = cx.now();
    let sessions = store::delete_sessions_of(cx.tx(), user).await?;
    for ended in sessions.into_iter().filter(|session| now < session.expires) {
        end(cx, &ended).await?;
    }
    Ok(())
}

/// Whoever asks is answered alike and as fast, whether there is such a person or not.
pub(crate) async fn request_reset(
    cx: Call<State>,
    op: RequestPasswordReset,
) -> Result<Empty, Error> {
    let email = checked_email(&op.email)?;
    let sending = std::sync::Arc::clone(&cx.state().sending);
    let place = sending.try_acquire_owned().map_err(|_| Error::Busy)?;
    let room = cx.room().clone();
    tokio::spawn(async move {
        let _place = place;
        if let Err(cause) = send_link(&room, &email).await {
            tracing::error!(%cause, "a link for a new password was not sent");
        }
    });
    Ok(Empty {})
}

async fn send_link(room: &Room<State>, email: &str) -> Result<(), Error> {
    let Some(person) = store::person(room.db(), email).await? else { return Ok(()) };
    let (user, now) = (person.user.user, room.now());
    let token = random_secret();
    let mut write = room.begin().await?;
    // Locked, so that of many who ask at once each counts those before.
    if !store::hold_password(write.tx(), user, &person.hash).await? {
        return Ok(());
    }
    let sent = store::resets_since(write.tx(), user, now.minus(RESET)).await?;
    if sent >= RESETS_MAX {
        tracing::warn!(%user, "asked for too many links for a new password");
        return Ok(());
    }
    let reset = Reset { user, created: now, expires: now.plus(RESET) };
    store::insert_reset(write.tx(), &hash(&token), &reset).await?;
    write.commit().await?;
    let letter = letter(room, &person.user, &token);
    room.state().config.mail.send(letter).await?;
    Ok(())
}

fn letter<'a>(room: &Room<State>, user: &'a User, token: &Secret) -> Letter<'a> {
    let console = &room.state().config.console_url;
    let text = format!(
        "Somebody, hopefully you, asked for a new password for {}.\n\n\
         Choose one here within {} minutes. The link works once:\n\n\
         {console}/reset-password?token={}\n\n\
         If it was not you, ignore this mail: your password stays the same.\n",
        user.email,
        RESET.as_secs() / 60,
        token.reveal(),
    );
    Letter { to: &user.email, subject: "A new password", text, at: room.now() }
}

pub(crate) async fn reset_password(cx: Call<State>, op: ResetPassword) -> Result<Empty, Error> {
    let token = hash(&op.token);
    // Before the hashing, so that guesses cost us nothing.
    let user = store::reset(cx.db(), &token, cx.now()).await?.ok_or(Error::ResetToken)?;
    let person = store::person_with_id(cx.db(), user).await?.ok_or(Error::ResetToken)?;
    let hash = cx.state().passwords.hash(op.new_password, For::Known).await?;
    let mut write = cx.begin().await?;
    if !store::use_reset(write.tx(), &token).await? {
        return Err(Error::ResetToken);
    }
    set_password(&mut write, user, &hash).await?;
    let done = write.finish(Empty {}).await?;
    bootstrap::forget_file(cx.room(), &person.user);
    Ok(done)
}

pub(crate) async fn forget_resets(room: Room<State>) -> Result<Next, Error> {
    store::delete_expired_resets(room.db(), room.now()).await?;
    if let Err(cause) = room.state().config.mail.forget(room.now()) {
        tracing::warn!(%cause, "letters that are old stay in the folder for mail");
    }
    Ok(Next::Idle)
}

impl From<crate::mail::MailError> for Error {
    fn from(cause: crate::mail::MailError) -> Self {
        tracing::error!(cause = &cause as &dyn std::error::Error, "a letter was not sent");
        Self::Refused(Problem::internal())
    }
}
