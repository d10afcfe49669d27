//! The first start: the operator's sign-in, and a join token for the machine itself.

use std::path::PathBuf;

use api::identity::User;
use chassis::{Room, private_file, random_secret};
use types::{Secret, UserId};

use crate::{Error, State, accounts, error::file_failed, nodes, passwords::For, store};

const EMAIL: &str = "operator@localhost";

/// Makes what is missing. The files are written first, so a crash between the two is mended by
/// the next start.
pub(crate) async fn open(room: Room<State>) -> Result<(), Error> {
    // A file that was taken away is not made again: nobody knows the password any more.
    if store::person(room.db(), EMAIL).await?.is_none() {
        make_operator(&room).await?;
    }
    nodes::renew_local_token(room).await.map(drop)
}

async fn make_operator(room: &Room<State>) -> Result<(), Error> {
    let make = || format!("e-mail: {EMAIL}\npassword: {}", random_secret().reveal());
    let sign_in = private_file(&file(room), make).map_err(|cause| file_failed(&cause))?;
    let password = sign_in.lines().find_map(|line| line.strip_prefix("password: "));
    let password = Secret::new(password.ok_or(Error::OperatorFile)?);
    let hash = room.state().passwords.hash(password, For::Known).await?;
    let now = room.now();
    let operator =
        User { user: UserId::new(now), account: None, email: EMAIL.into(), created: now };
    let mut write = room.begin().await?;
    accounts::insert_person(write.tx(), &operator, &hash, Some(accounts::OPERATOR)).await?;
    Ok(write.commit().await?)
}

fn file(room: &Room<State>) -> PathBuf {
    room.state().config.data.join("operator.txt")
}

/// Takes the operator's file away once it tells another password than theirs.
pub(crate) fn forget_file(room: &Room<State>, user: &User) {
    if user.email != EMAIL {
        return;
    }
    if let Err(cause) = std::fs::remove_file(file(room)) {
        tracing::warn!(%cause, "the operator's file cannot be removed; its password is an old one");
    }
}
