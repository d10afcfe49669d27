//! What can go wrong here, and what is said about it.

use std::time::Duration;

use api::{Kind, Problem};
use types::Host;

/// Why identity refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{0}` is not an e-mail address: write it as `ada@example.com`")]
    Email(String),
    #[error("a user with the e-mail address `{0}` exists already; sign in, or use another one")]
    EmailTaken(String),
    #[error("a password must have 10 to 200 characters")]
    Password,
    #[error("the current password is wrong")]
    OldPassword,
    #[error("the link for a new password was used or has expired; ask for another one")]
    ResetToken,
    #[error("`operator.txt` has no line `password: …`: remove the file, and start again")]
    OperatorFile,
    #[error("this account has reached its limit of {0} users; ask the operator for more")]
    Quota(u64),
    #[error("a title must have 1 to 100 characters")]
    Title,
    #[error("the e-mail address or the password is wrong")]
    SignIn,
    #[error("the sign-in took too long or began in another browser; sign in again")]
    SignInCode,
    #[error("no instance has the host `{0}`; go back to the page that led you here")]
    NoHost(Host),
    #[error("too many wrong passwords; wait {} s", seconds(*.0))]
    TooOften(Duration),
    #[error("too many people are signing in at this moment; try again")]
    Busy,
    #[error("the join token is not known or has expired; ask the operator for a new one")]
    JoinToken,
    #[error("a public key must be 64 hexadecimal digits")]
    PublicKey,
    #[error("`{0}` is a component of the platform and gets no token here")]
    Reserved(String),
    #[error(
        "{0} instances are placed on this node: move them away with `mandate node drain`, or use \
         `--force`, which closes those whose data is there"
    )]
    NotEmpty(usize),
    #[error("at most 500 names can be looked up at once: split the request")]
    TooManyNames,
    #[error("there is no such {0}")]
    Missing(&'static str),
    #[error("the database failed")]
    Database(#[from] db::Error),
    /// A peer refused, or the chassis did.
    #[error(transparent)]
    Refused(#[from] Problem),
    #[error("identity does not work at the moment; the log says why")]
    Hashing,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Email(_) => Self::invalid("email", detail),
            Error::Password => Self::invalid("password", detail),
            Error::OldPassword => Self::invalid("password_wrong", detail),
            Error::ResetToken => Self::invalid("reset_token_refused", detail),
            Error::OperatorFile => {
                tracing::error!("{detail}");
                Self::internal()
            }
            Error::Quota(_) => Self::conflict("users_used_up", detail),
            Error::NotEmpty(_) => Self::conflict("node_not_empty", detail),
            Error::TooManyNames => Self::invalid("too_many_names", detail),
            Error::Title => Self::invalid("title", detail),
            Error::PublicKey => Self::invalid("public_key", detail),
            Error::Reserved(_) => Self::invalid("service_reserved", detail),
            Error::EmailTaken(_) => Self::conflict("email_taken", detail),
            Error::SignIn => Self::new(Kind::Unauthenticated, "sign_in_refused", detail),
            Error::SignInCode => Self::new(Kind::Unauthenticated, "sign_in_code_refused", detail),
            Error::NoHost(_) => Self::new(Kind::NotFound, "unknown_host", detail),
            Error::JoinToken => Self::new(Kind::Unauthenticated, "join_token_refused", detail),
            Error::TooOften(pause) => Self {
                retry_after: Some(seconds(pause)),
                ..Self::new(Kind::Exhausted, "too_many_tries", detail)
            },
            Error::Busy => {
                Self { retry_after: Some(1), ..Self::new(Kind::Exhausted, "busy", detail) }
            }
            Error::Missing(what) => Self::not_found(what),
            Error::Database(cause) => chassis::database_failed("identity", &cause),
            Error::Refused(problem) => problem,
            Error::Hashing => Self::internal(),
        }
    }
}

/// Whole seconds, at least one.
fn seconds(pause: Duration) -> u32 {
    u32::try_from(pause.as_millis().div_ceil(1_000).max(1)).unwrap_or(u32::MAX)
}

/// A file of ours could not be read or written.
pub(crate) fn file_failed(cause: &chassis::SealError) -> Error {
    tracing::error!(cause = cause as &dyn std::error::Error, "a file cannot be kept");
    Problem::internal().into()
}
