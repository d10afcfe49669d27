//! What can go wrong here, and what is said about it.

use api::{
    Kind, Problem,
    releases::{PACKAGE_BYTES_MAX, REACHED_MAX},
};
use types::{Digest, Name};

/// Why releases refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the digest of what was sent is {found} and not {named}: send the whole package again")]
    WrongDigest { named: Digest, found: Digest },
    #[error("there is no package {0}; store it first")]
    NoPackage(Digest),
    #[error("a package has at most {} MiB: pack less", PACKAGE_BYTES_MAX >> 20)]
    PackageSize,
    #[error("only {0} bytes of the package are there: send the part that begins with the next one")]
    PartOffset(u64),
    #[error("only {there} of {bytes} bytes of the package are there: send the rest first")]
    PartsMissing { there: u64, bytes: u64 },
    #[error("16 packages are being sent already: try again when one of them is there")]
    TooManyUploads,
    #[error("the package cannot be read: {0}")]
    Package(String),
    #[error(
        "`{0}` in the package differs from the one that was sent with it; publish both from \
             one folder"
    )]
    NotThePackages(&'static str),
    #[error("{0}")]
    Faults(String),
    #[error("the manifest is for `{found}` and not for `{named}`")]
    OtherService { named: Name, found: Name },
    #[error(
        "the signature or the public key is not valid: sign the service and the digest with Ed25519"
    )]
    Signature,
    #[error(
        "`{0}` does not trust the key {1}: sign with one that it trusts, or have an operator trust \
         this one with `mandate service trust {0} {1}`"
    )]
    OtherPublisher(Name, String),
    #[error(
        "the release is signed by a key that was taken back: publish it again, signed by a key that \
         is trusted"
    )]
    KeyTakenBack,
    #[error("{}", key_in_use(.current.as_ref(), *.instances))]
    KeyInUse { current: Option<Digest>, instances: usize },
    #[error(
        "a rollout to {}, which this key has signed, is under way: wait until it is done, or stop it \
         with `mandate release cancel {service}` or `mandate release rollback {service}`",
        .release.short()
    )]
    KeyOfRollout { service: Name, release: Digest },
    #[error("what is said of a release's source has at most 500 characters, in one line")]
    Source,
    #[error("this is not an Ed25519 public key of 64 hexadecimal digits")]
    Key,
    #[error("what is said of a key has at most 200 characters, in one line")]
    KeyComment,
    #[error("a service has at most 100 keys, with those that were taken back")]
    TooManyKeys,
    #[error("the service has no such key")]
    NoKey,
    #[error("the platform has just started and does not know yet what runs; try again in a moment")]
    Starting,
    #[error("the report is too long: at most 200 releases and 2,000 replicas")]
    Report,
    #[error(
        "`{0}` runs the same processes for all its instances, so only operators may read what they \
         print: `mandate logs --service {0}`"
    )]
    SharedLogs(Name),
    #[error("nothing of it runs at the moment: try again, or ask for another process")]
    NothingRuns,
    #[error("too many read logs at the moment; try again")]
    TooManyReaders,
    #[error("at most 1000 lines are read at once: ask for fewer")]
    Lines,
    #[error("`after` is not what an answer gave as `next`")]
    After,
    #[error("{0}")]
    Machine(String),
    #[error("a node is to be empty in 1 to 86,400 seconds")]
    Deadline,
    #[error("there is no such node, or nobody has heard of it yet")]
    NoNode,
    #[error("there is no such instance")]
    NoInstance,
    #[error("the report is unknown here: send it in full")]
    UnknownReport,
    #[error("there is no such service")]
    NoService,
    #[error("there is no such release of this service; `mandate release list` shows them")]
    NoRelease,
    #[error("the release is still being announced to the other components: try again in a moment")]
    Announcing,
    #[error("the release was refused, and cannot be promoted: {0}")]
    FailedRelease(String),
    #[error(
        "the package of this release was deleted, since nobody needed it any more: publish the same \
         files again, and it is there again"
    )]
    Collected,
    #[error("the release is the current one already")]
    IsCurrent,
    #[error("another release is current meanwhile, {}: look again before you replace it", .0.short())]
    OtherCurrent(Digest),
    #[error(
        "a rollout of {} is under way: wait until it is done, or roll it back by promoting the \
         release before it", .0.short()
    )]
    UnderWay(Digest),
    #[error(
        "instances are still on their way back from the rollout that was given up: try again in a \
         moment"
    )]
    TurningBack,
    #[error(
        "release {}, which this key has signed, is kept for jobs that no other can do; wait until they \
         are done, or take the key back nevertheless with `force`: then they wait in vain",
        .release.short()
    )]
    KeyOfJobs { release: Digest },
    #[error("at most 100 releases of a service are kept for jobs")]
    TooManyKept,
    #[error("at most {REACHED_MAX} replicas are named at once")]
    TooManyReached,
    #[error("no release of the service is current: the first one replaces nothing")]
    NoneIsCurrent,
    #[error("something would be lost: {}; agree to that, or keep it in the release", listed(.0))]
    LosesSomething(Vec<String>),
    #[error("there is no such rollout of this service")]
    NoRollout,
    #[error("the rollout has ended: nothing of it is left to steer")]
    RolloutEnded,
    #[error("the rollout has not begun yet; it can be given up")]
    NotBegun,
    #[error("{0}")]
    Plan(String),
    #[error(
        "not every node has the release ready: {}; wait, or name the nodes that need not have it",
        .0.join("; ")
    )]
    NotReady(Vec<String>),
    #[error("the database failed")]
    Database(#[from] db::Error),
    /// A peer refused, or the chassis did.
    #[error(transparent)]
    Refused(#[from] Problem),
    #[error(
        "packages cannot be stored in `{0}`: {1}; check that the bucket is there, and the variables \
         AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for another server than Amazon's, \
         AWS_ENDPOINT_URL"
    )]
    Bucket(String, String),
    #[error("the package store cannot be used")]
    Files(#[from] std::io::Error),
}

fn key_in_use(current: Option<&Digest>, instances: usize) -> String {
    let current = current.map(|it| format!("{} is the current release", it.short()));
    let number = match instances {
        0 => None,
        1 => Some("1 instance is on such a release".to_owned()),
        _ => Some(format!("{instances} instances are on such releases")),
    };
    let what: Vec<String> = [current, number].into_iter().flatten().collect();
    format!(
        "what this key has signed is in use: {}; promote a release that another key has signed and \
         wait until every instance is on it, or take the key back nevertheless with `force`",
        what.join(", and ")
    )
}

/// So many losses are named.
const LOSSES_MAX: usize = 20;

fn listed(losses: &[String]) -> String {
    let named = losses[..losses.len().min(LOSSES_MAX)].join("; ");
    match losses.len().saturating_sub(LOSSES_MAX) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::WrongDigest { .. } => Self::invalid("wrong_digest", detail),
            Error::NoPackage(_) => Self::not_found("package; store it first"),
            Error::PackageSize => Self::invalid("package_size", detail),
            Error::PartOffset(_) | Error::PartsMissing { .. } => {
                Self::conflict("package_parts_missing", detail)
            }
            Error::TooManyUploads => Self::new(Kind::Exhausted, "too_many_uploads", detail),
            Error::Package(_) => Self::invalid("package", detail),
            Error::NotThePackages(_) => Self::invalid("not_the_packages", detail),
            Error::Faults(_) => Self::invalid("faults", detail),
            Error::OtherService { .. } => Self::invalid("other_service", detail),
            Error::Signature => Self::invalid("signature", detail),
            Error::OtherPublisher(..) => Self::new(Kind::Denied, "other_publisher", detail),
            Error::KeyTakenBack => Self::new(Kind::Denied, "key_taken_back", detail),
            Error::KeyInUse { .. } | Error::KeyOfJobs { .. } => {
                Self::conflict("key_in_use", detail)
            }
            Error::KeyOfRollout { .. } => Self::conflict("key_of_rollout", detail),
            Error::Source => Self::invalid("source", detail),
            Error::Key => Self::invalid("public_key", detail),
            Error::KeyComment => Self::invalid("key_comment", detail),
            Error::TooManyKeys => Self::new(Kind::Exhausted, "too_many_keys", detail),
            Error::NoKey => Self::not_found("key of this service"),
            Error::Starting => Self::unavailable(detail, 1),
            Error::Report => Self::invalid("report", detail),
            Error::SharedLogs(_) => Self::new(Kind::Denied, "shared_processes", detail),
            Error::NothingRuns => Self::unavailable(detail, 2),
            Error::TooManyReaders => Self::new(Kind::Exhausted, "too_many_readers", detail),
            Error::Lines => Self::invalid("lines", detail),
            Error::After => Self::invalid("after", detail),
            Error::Machine(_) => Self::invalid("machine", detail),
            Error::Deadline => Self::invalid("deadline", detail),
            Error::NoNode => Self::not_found("node"),
            Error::NoInstance => Self::not_found("instance"),
            Error::UnknownReport => Self::new(Kind::Conflict, "unknown_report", detail),
            Error::NoService => Self::not_found("service"),
            Error::NoRelease => Self { detail, ..Self::not_found("release") },
            Error::Announcing => {
                let problem = Self::conflict("release_not_staged", detail);
                Self { retry_after: Some(1), ..problem }
            }
            Error::FailedRelease(_) => Self::conflict("release_refused", detail),
            Error::NoneIsCurrent => Self::conflict("no_current_release", detail),
            Error::LosesSomething(_) => Self::conflict("release_loses_something", detail),
            Error::NoRollout => Self::not_found("rollout"),
            Error::RolloutEnded => Self::conflict("rollout_ended", detail),
            Error::NotBegun => Self::conflict("rollout_not_begun", detail),
            Error::Plan(_) => Self::invalid("rollout_plan", detail),
            Error::Collected => Self::conflict("package_collected", detail),
            Error::IsCurrent => Self::conflict("release_is_current", detail),
            Error::OtherCurrent(_) => Self::conflict("other_release_current", detail),
            Error::UnderWay(_) => Self::conflict("rollout_under_way", detail),
            Error::TurningBack => {
                let problem = Self::conflict("rollout_turning_back", detail);
                Self { retry_after: Some(1), ..problem }
            }
            Error::TooManyKept => Self::invalid("releases", detail),
            Error::TooManyReached => Self::invalid("replicas", detail),
            Error::NotReady(_) => Self::conflict("nodes_not_ready", detail),
            Error::Database(cause) => chassis::database_failed("releases", &cause),
            Error::Refused(problem) => problem,
            Error::Bucket(..) => Self::unavailable(detail, 5),
            Error::Files(cause) => {
                tracing::error!(%cause, "the package store failed");
                Self::unavailable(detail, 5)
            }
        }
    }
}
