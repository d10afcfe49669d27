//! The first start: the operator's sign-in, and a join token for the machine itself.

use api::{Problem, identity::User};
use chassis::{Room, private_file, random_secret};
use types::{Secret, UserId};

use crate::{Config, Error, State, accounts, nodes, store};

const EMAIL: &str = "operator@localhost";

/// Makes what is missing. The files are written first, so a crash between the two is mended by
/// the next start.
pub(crate) async fn open(room: Room<State>, config: Config) -> Result<(), Error> {
    let written = |cause: chassis::SealError| {
        tracing::error!(%cause, "the first start cannot leave its files");
        Problem::internal()
    };
    let make = || format!("e-mail: {EMAIL}\npassword: {}", random_secret().reveal());
    let sign_in = private_file(&config.data.join("operator.txt"), make).map_err(written)?;
    if store::person(room.db(), EMAIL).await?.is_none() {
        let password = sign_in.lines().find_map(|line| line.strip_prefix("password: "));
        let password = Secret::new(password.ok_or_else(Problem::internal)?);
        let hash = room.state().passwords.hash(password).await?;
        let now = room.now();
        let operator =
            User { user: UserId::new(now), account: None, email: EMAIL.into(), created: now };
        let mut write = room.begin().await?;
        accounts::insert_person(write.tx(), &operator, &hash, Some(accounts::OPERATOR)).await?;
        write.commit().await?;
    }
    let token = private_file(&config.data.join("join-token"), || random_secret().reveal().into());
    let hash = nodes::hash(&Secret::new(token.map_err(written)?));
    let mut write = room.begin().await?;
    store::put_join_token(write.tx(), &hash, nodes::FOREVER).await?;
    Ok(write.commit().await?)
}
