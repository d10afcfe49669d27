//! What can go wrong here, and what is said about it.

use api::Problem;
use types::{JobId, Name};

/// Why jobs refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a job needs a command of 1 to 100 words, each at most 4,000 characters long")]
    Command,
    #[error("a job must be tried 1 to 100 times and may run for 1 second to 1 day")]
    Limits,
    #[error(
        "job `{0}` was put before and was something else, or for another instance; a job's id is used once"
    )]
    Different(JobId),
    #[error("the job that is to come before is not there: put it first")]
    NoneBefore,
    #[error("this is not done yet")]
    NotYet,
    #[error("there is no queue `{0}`: it comes with the service's first job")]
    NoQueue(Name),
    #[error("there is no such job")]
    Missing,
    #[error("the database failed")]
    Database(#[from] db::Error),
    /// A peer refused, or the chassis did.
    #[error(transparent)]
    Refused(#[from] Problem),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Command => Self::invalid("command", detail),
            Error::Limits => Self::invalid("limits", detail),
            Error::Different(_) => Self::conflict("job_exists", detail),
            Error::NoneBefore => Self::invalid("after", detail),
            Error::NotYet => Self::unavailable(detail, 60),
            Error::NoQueue(_) => Self::not_found("queue"),
            Error::Missing => Self::not_found("job"),
            Error::Database(cause) => chassis::database_failed("jobs", &cause),
            Error::Refused(problem) => problem,
        }
    }
}
