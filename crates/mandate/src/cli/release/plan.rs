//! In which order and how fast instances move, as it is typed.

use std::collections::BTreeSet;

use api::{
    jobs::{self, Strategy},
    releases::{RolloutPlan, Wave},
};
use clap::{Args, ValueEnum};
use types::{InstanceId, Timestamp};

use super::super::{Failure, context::Context, node};

/// In which order and how fast instances move.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(in crate::cli) struct Plan {
    /// One instance after the other, which is how it is if nothing is said
    #[arg(long, conflicts_with_all = ["all_at_once", "at_once"])]
    one_by_one: bool,
    /// All instances of a wave at once
    #[arg(long)]
    all_at_once: bool,
    /// So many instances at once
    #[arg(long, value_name = "N", conflicts_with = "all_at_once")]
    at_once: Option<u32>,
    /// How many move together, one wave after the other, such as `1,10%,rest`
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    waves: Vec<Wave>,
    /// An instance that moves first, by its host; may be given more than once
    #[arg(long, value_name = "HOST")]
    canary: Vec<String>,
    /// Pause when this wave is done, counted from 1
    #[arg(long, value_name = "WAVE")]
    pause_after: Option<u32>,
    /// An instance that stays where it is, by its host; may be given more than once
    #[arg(long, value_name = "HOST")]
    except: Vec<String>,
    /// Begin at this moment, such as `2026-12-01T02:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<Timestamp>,
    /// Pause after so many failures in later waves; in the first wave one is enough
    #[arg(long, value_name = "N")]
    stop_after: Option<u32>,
    /// In which time an instance must be healthy on it, such as `2m`
    #[arg(long, value_name = "TIME", value_parser = node::seconds)]
    within: Option<u32>,
    /// What becomes of jobs when their instance moves; `versioned` if nothing is said
    #[arg(long, value_name = "STRATEGY")]
    workers: Option<Workers>,
    /// For how long jobs are waited for, such as `10m`; 30 s, or 10 minutes with `drain`
    #[arg(long, value_name = "TIME", value_parser = node::seconds, requires = "workers")]
    workers_within: Option<u32>,
    /// With `--workers drain`: refuse new jobs instead of keeping them until the instance has moved
    #[arg(long, requires = "workers")]
    refuse_jobs: bool,
    /// Migrate a database that is too large to be copied as it is: if that fails, nothing leads back,
    /// and its instance is closed for maintenance
    #[arg(long)]
    without_snapshot: bool,
    /// Promote it though something is lost, as `mandate release promote --check` says
    #[arg(long)]
    pub(super) accept_loss: bool,
}

/// What becomes of jobs when their instance moves to another release.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Workers {
    /// Those of an old version are done by an old release, which is kept until none is left
    #[default]
    Versioned,
    /// None is begun, and those that run are waited for; then they go on on the new release
    Restart,
    /// The same, and those that wait and have changed are set aside for 7 days
    Purge,
    /// New ones are kept until all others are done and the instance has moved
    Drain,
}

impl From<Workers> for Strategy {
    fn from(workers: Workers) -> Self {
        match workers {
            Workers::Versioned => Self::Versioned,
            Workers::Restart => Self::Restart,
            Workers::Purge => Self::Purge,
            Workers::Drain => Self::Drain,
        }
    }
}

impl Plan {
    pub(super) async fn of(self, cx: &Context) -> Result<RolloutPlan, Failure> {
        let plan = RolloutPlan::default();
        let at_once = match (self.all_at_once, self.at_once) {
            (true, _) => None,
            (false, Some(count)) => Some(count),
            // A wave is what moves together.
            (false, None) if !self.waves.is_empty() && !self.one_by_one => None,
            (false, None) => plan.at_once,
        };
        Ok(RolloutPlan {
            canary: instances(cx, &self.canary).await?,
            waves: self.waves,
            at_once,
            pause_after: self.pause_after,
            except: instances(cx, &self.except).await?,
            at: self.at,
            stop_after: self.stop_after.unwrap_or(plan.stop_after),
            within_seconds: self.within.unwrap_or(plan.within_seconds),
            workers: jobs::Workers {
                strategy: self.workers.unwrap_or_default().into(),
                refuses: self.refuse_jobs,
                within_seconds: self.workers_within,
            },
            without_snapshot: self.without_snapshot,
        })
    }
}

async fn instances(cx: &Context, hosts: &[String]) -> Result<BTreeSet<InstanceId>, Failure> {
    let mut found = BTreeSet::new();
    for host in hosts {
        found.insert(cx.instance(None, host).await?.instance);
    }
    Ok(found)
}
