//! What can go wrong here, and what is said about it.

use api::{Kind, Problem};
use db::EngineKind;
use types::{Host, Name, Timestamp};

/// Why the configurator refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no service `{0}`; publish it first")]
    NoService(Name),
    #[error(
        "this installation uses {here}, and `{service}` supports only {engines}; add the engine \
         to `database.engines` in the manifest"
    )]
    Engine { service: Name, here: EngineKind, engines: String },
    #[error("`{service}` has no size `{size}`")]
    Size { service: Name, size: String },
    #[error("{0}")]
    Modules(String),
    #[error("the host `{0}` is taken already; choose another one")]
    HostTaken(Host),
    #[error("the account, service and host of an instance cannot change")]
    Fixed,
    #[error("the set-up key is wrong: open the page from the link that was shown with the order")]
    SetupKey,
    #[error("the instance's database is still being created; try again in a moment")]
    Creating,
    #[error(
        "the set-up field `{0}` is new and has no default, and there are instances that were set up \
         without it: give it a default"
    )]
    NewField(String),
    #[error(
        "`database.schema` is {next}, and the current release's is {now}: a number that was used \
         means a shape that instances may have already. Write {now} if `migrate` has nothing to \
         do, or a higher one"
    )]
    SchemaFalls { now: u32, next: u32 },
    #[error("`{service}` has no secret `{secret}`; it has {known}")]
    NoSecret { service: Name, secret: String, known: String },
    #[error("say why in `reason`: visitors will read it")]
    Reason,
    #[error("at most 500 hosts can be looked up at once: split the request")]
    TooManyNames,
    #[error("at most 500 instances can be moved at once: split the request")]
    TooManyMoves,
    #[error("the instance's database has another shape than this release needs")]
    OtherShape,
    #[error("an instance can stay on its release for 90 days at most, until {0}")]
    Freeze(Timestamp),
    #[error("there is no such {0}")]
    Missing(&'static str),
    #[error("the database failed")]
    Database(#[from] db::Error),
    /// A peer refused, or the chassis did.
    #[error(transparent)]
    Refused(#[from] Problem),
    #[error("the configurator does not work at the moment; the log says why")]
    Sealed(#[from] chassis::SealError),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoService(_) => Self::invalid("unknown_service", detail),
            Error::Engine { .. } => Self::invalid("engine_not_supported", detail),
            Error::Size { .. } => Self::invalid("unknown_size", detail),
            Error::Modules(_) => Self::invalid("modules", detail),
            Error::HostTaken(_) => Self::conflict("host_already_taken", detail),
            Error::Fixed => Self::conflict("instance_fixed", detail),
            Error::SetupKey => Self::new(Kind::Denied, "setup_key", detail),
            Error::Creating => Self { retry_after: Some(1), ..Self::conflict("creating", detail) },
            Error::NewField(_) => Self::conflict("setup_field", detail),
            Error::SchemaFalls { .. } => Self::conflict("schema_falls", detail),
            Error::Reason => Self::invalid("reason", detail),
            Error::NoSecret { .. } => Self::new(Kind::NotFound, "unknown_secret", detail),
            Error::TooManyNames => Self::invalid("too_many_names", detail),
            Error::TooManyMoves => Self::invalid("too_many_moves", detail),
            Error::OtherShape => Self::conflict("other_shape", detail),
            Error::Freeze(_) => Self::invalid("freeze", detail),
            Error::Missing(what) => Self::not_found(what),
            Error::Database(cause) => chassis::database_failed("configurator", &cause),
            Error::Refused(problem) => problem,
            Error::Sealed(cause) => {
                tracing::error!(%cause, "a secret does not open");
                Self::internal()
            }
        }
    }
}
