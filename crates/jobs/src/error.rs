//! What can go wrong here, and what is said about it.

use api::{Kind, Problem};
use types::{JobId, Name};

/// Why jobs refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a request must contain 1 to 1,000 jobs, and this one contains {0}: split it")]
    Batch(usize),
    #[error("at most 1,000 instances can be told of at once: split the request")]
    TooManyInstances,
    #[error("job {place} of the request cannot be queued: {problem}")]
    NewJob { place: usize, problem: String },
    #[error(
        "job {place} of the request is version {version} of `{name}`, and the release of \
         `{service}` that the instance is on knows `{name}` up to version {newest}: move it to one \
         that accepts it first"
    )]
    Version { place: usize, name: String, version: u32, newest: u32, service: Name },
    #[error(
        "job {place} of the request is called `{name}`, and the release of `{service}` that the \
         instance is on has no such job; it has {known}"
    )]
    NoSuchJob { place: usize, name: String, service: Name, known: String },
    #[error("a command must have 1 to 100 words of at most 4,000 characters each")]
    Command,
    #[error(
        "the release of `{service}` that the instance is on allows no commands to be run: its \
         publisher can list them, as in `commands = [\"./manage.py\"]` under `[run]`"
    )]
    NoCommands { service: Name },
    #[error("`{program}` may not be run: the instance's release of `{service}` allows {known}")]
    NoSuchCommand { service: Name, program: String, known: String },
    #[error(
        "job {place} of the request depends on `{earlier}`, which is not a job of this \
             instance"
    )]
    NoneBefore { place: usize, earlier: JobId },
    #[error(
        "the gate of the queue `{class}` of `{service}` is closed, so it accepts no jobs at the \
         moment: send them again later"
    )]
    Gate { service: Name, class: String },
    #[error(
        "the instance moves to another release, and takes no new jobs until it is there: send them \
         again later"
    )]
    Moves,
    #[error("the instance has ended and runs no more jobs")]
    Ended,
    #[error(
        "a different job `{0}` already exists, perhaps of another instance; use each job id once"
    )]
    Different(JobId),
    #[error("the job that this one depends on does not exist: queue that one first")]
    NotPut,
    #[error("that release of `{service}` has no `{name}`")]
    NoSetupJob { service: Name, name: String },
    #[error("no release of `{0}` is known here yet; try again")]
    NoRelease(Name),
    #[error("the release's definition of `{name}` is not valid: {problem}")]
    Definition { name: String, problem: String },
    #[error("the job has {0} already, so it cannot be cancelled")]
    CannotCancel(&'static str),
    #[error("only a job that failed, was cancelled, was dropped or was set aside can be run again")]
    CannotReplay,
    #[error(
        "`{service}` has no queue `{class}`: a queue is created by the first release that names \
         its class"
    )]
    NoQueue { service: Name, class: String },
    #[error(
        "a queue cannot be drained while its gate is open: close it with `gate` \"refuse\" or \
         \"hold\""
    )]
    OpenDrain,
    #[error(
        "the queue of set-ups has no gate, since whoever ordered waits for them: pause it instead"
    )]
    SetupGate,
    #[error("the deadline of a drain must be 1 second to one day")]
    DrainSeconds,
    #[error(
        "what a set-up or a change of the database is made of is not cancelled or run again by \
         itself: send the set-up again, or `mandate release resume SERVICE`"
    )]
    SetupJob,
    #[error("jobs of the instance may still be begun: close it first")]
    NotClosed,
    #[error("new jobs of the instance are still queued: close its gate first")]
    NotGated,
    #[error("there is no such job")]
    Missing,
    #[error("there is no such instance")]
    NoInstance,
    #[error("the database failed")]
    Database(#[from] db::Error),
    /// A peer refused, or the chassis did.
    #[error(transparent)]
    Refused(#[from] Problem),
}

/// After how many seconds a closed gate is knocked at again.
const GATE_SECONDS: u32 = 30;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Batch(_) => Self::invalid("batch", detail),
            Error::TooManyInstances => Self::invalid("too_many_instances", detail),
            Error::NewJob { .. } => Self::invalid("job", detail),
            Error::Version { .. } => Self::invalid("version", detail),
            Error::NoSuchJob { .. } | Error::NoSetupJob { .. } => Self::invalid("name", detail),
            Error::Command | Error::NoCommands { .. } | Error::NoSuchCommand { .. } => {
                Self::invalid("command", detail)
            }
            Error::NoneBefore { .. } | Error::NotPut => Self::invalid("after", detail),
            Error::Gate { .. } | Error::Moves => Self {
                retry_after: Some(GATE_SECONDS),
                ..Self::new(Kind::Unavailable, "gate_closed", detail)
            },
            Error::Ended => Self::conflict("instance_ended", detail),
            Error::Different(_) => Self::conflict("job_exists", detail),
            Error::NoRelease(_) => Self::unavailable(detail, 1),
            Error::Definition { .. } => Self::invalid("definition", detail),
            Error::CannotCancel(_) => Self::conflict("job_ended", detail),
            Error::CannotReplay => Self::conflict("job_not_ended", detail),
            Error::NoQueue { .. } => Self::not_found("queue"),
            Error::OpenDrain | Error::DrainSeconds => Self::invalid("drain", detail),
            Error::SetupGate => Self::invalid("gate", detail),
            Error::SetupJob => Self::conflict("setup_job", detail),
            Error::NotClosed | Error::NotGated => Self::conflict("instance_open", detail),
            Error::Missing => Self::not_found("job"),
            Error::NoInstance => Self::not_found("instance"),
            Error::Database(cause) => chassis::database_failed("jobs", &cause),
            Error::Refused(problem) => problem,
        }
    }
}
