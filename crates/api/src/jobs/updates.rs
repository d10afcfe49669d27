//! What becomes of an instance's jobs when it moves to another release.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Digest, InstanceId, Timestamp};

/// How the jobs of instances are dealt with that move to another release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Workers {
    /// Which of the four.
    pub strategy: Strategy,
    /// With `drain`: new jobs are refused, to be sent again later; otherwise they are kept until the
    /// instance has moved.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refuses: bool,
    /// For how many seconds is waited for jobs, at most a day: with `drain` for all of them, and then the
    /// instance stays where it is; otherwise for those that run, and then they are stopped, to be done
    /// again. As [`Workers::patience`] says if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<u32>,
}

/// One of four ways to deal with jobs at an update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Nothing is waited for: each job is done by the release of its instance or, where that does not
    /// accept its version, by the newest that does, which is kept for as long as there is such a job.
    #[default]
    Versioned,
    /// No more jobs are begun, and those that run are waited for. Then the instance moves, and all go
    /// on.
    Restart,
    /// The same, and the jobs that wait are set aside if the release does not have them any more, or has
    /// another version of them.
    Purge,
    /// New jobs are kept or refused until all that there are have been done.
    Drain,
}

impl Workers {
    /// So many seconds there may be at most.
    pub const WITHIN_SECONDS_MAX: u32 = 86_400;

    /// For how many seconds is waited for jobs.
    pub fn patience(&self) -> u32 {
        let usual = if self.strategy == Strategy::Drain { 600 } else { 30 };
        self.within_seconds.unwrap_or(usual)
    }

    /// What is wrong with it, as a sentence.
    pub fn fault(&self) -> Option<String> {
        if self.refuses && self.strategy != Strategy::Drain {
            Some("jobs are refused only where they are drained".to_owned())
        } else if self.within_seconds.is_some() && self.strategy == Strategy::Versioned {
            Some("jobs that are versioned are not waited for".to_owned())
        } else if !(1..=Self::WITHIN_SECONDS_MAX).contains(&self.patience()) {
            Some("jobs are waited for 1 second to a day".to_owned())
        } else {
            None
        }
    }
}

/// Asks how many jobs of an instance must be done before it is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountJobsLeft {
    /// Which instance.
    pub instance: InstanceId,
    /// What is not due by then is not waited for.
    pub until: Timestamp,
}

/// How many jobs are left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobsLeft {
    /// So many run, wait for a worker or are due soon; what waits for others of them is not counted.
    pub left: u64,
}

/// Sets aside what waits of an instance and changes with a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetJobsAside {
    /// Which instance; none of its jobs runs.
    pub instance: InstanceId,
    /// The release that it moves to.
    pub release: Digest,
    /// Which ones.
    pub which: Aside,
}

/// Which jobs are set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aside {
    /// Those that the release does not have, does not accept, or has in another version.
    Changed,
    /// Those that the release does not accept, and no one before it can do any more.
    NotAccepted,
}

/// Jobs were set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobsAside {
    /// Whether there may be more: ask again.
    pub more: bool,
}

/// For how long jobs that were set aside can be put back, in days.
pub const ASIDE_DAYS: u32 = 7;
