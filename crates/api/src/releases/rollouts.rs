//! Rollouts: how a service gets from one release to another.

use std::{collections::BTreeSet, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Digest, InstanceId, Name, NodeId, Principal, Timestamp};

use crate::jobs::Workers;

/// Makes a release the current one: a rollout begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromoteRelease {
    /// Of which service.
    pub service: Name,
    /// Which release: one that is staged, or that was current before.
    pub release: Digest,
    /// The one that it replaces. If another one is current, nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
    /// The nodes that need not be ready.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without: BTreeSet<NodeId>,
    /// In which order and how fast instances move.
    #[serde(default)]
    pub plan: RolloutPlan,
    /// Whether it is agreed that something is lost, as the release's preview says. Otherwise nothing
    /// is done if something would be, unless it is the way back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_loss: bool,
}

impl PromoteRelease {
    /// Whatever is current, with every node, one instance after the other.
    pub fn new(service: Name, release: Digest) -> Self {
        let plan = RolloutPlan::default();
        let without = BTreeSet::new();
        Self { service, release, replaces: None, without, plan, accept_loss: false }
    }
}

/// How many instances move together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Wave {
    /// So many, `10`.
    Count(u32),
    /// So many in a hundred of all, rounded up, `10%`.
    Percent(u32),
    /// All that are left, `rest`.
    Rest,
}

impl FromStr for Wave {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let wave = match text.strip_suffix('%') {
            Some(text) => number(text).filter(|percent| *percent <= 100).map(Self::Percent),
            None if text == "rest" => Some(Self::Rest),
            None => number(text).map(Self::Count),
        };
        wave.ok_or_else(|| format!("`{text}` is no wave: write `10`, `10%` or `rest`"))
    }
}

impl TryFrom<String> for Wave {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Rest => f.write_str("rest"),
        }
    }
}

impl From<Wave> for String {
    fn from(wave: Wave) -> Self {
        wave.to_string()
    }
}

/// In which order and how fast instances move, and what stops them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RolloutPlan {
    /// These move first, in a wave of their own.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub canary: BTreeSet<InstanceId>,
    /// The waves after that, at most 100; what none has is in a last one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// How many of a wave are under way at once; all if absent.
    pub at_once: Option<u32>,
    /// It pauses when this wave is done, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_after: Option<u32>,
    /// These stay where they are.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<InstanceId>,
    /// It begins at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// After so many failures in later waves it pauses; in the first wave one is enough.
    pub stop_after: u32,
    /// In which time what serves an instance must be healthy.
    pub within_seconds: u32,
    /// What becomes of the jobs of instances that move.
    pub workers: Workers,
    /// Whether a database that is too large to be copied is migrated itself: if that fails, nothing leads
    /// back, and the instance is closed for maintenance.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_snapshot: bool,
}

impl Default for RolloutPlan {
    /// One after the other, until one fails.
    fn default() -> Self {
        Self {
            canary: BTreeSet::new(),
            waves: Vec::new(),
            at_once: Some(1),
            pause_after: None,
            except: BTreeSet::new(),
            at: None,
            stop_after: 1,
            within_seconds: 120,
            workers: Workers::default(),
            without_snapshot: false,
        }
    }
}

impl RolloutPlan {
    /// What is wrong with it, as a sentence.
    pub fn fault(&self) -> Option<String> {
        let rest = self.waves.iter().position(|wave| *wave == Wave::Rest);
        if self.waves.len() > 100 {
            Some("a rollout has at most 100 waves".to_owned())
        } else if rest.is_some_and(|place| place + 1 < self.waves.len()) {
            Some("a wave after `rest` would have no instance".to_owned())
        } else if self.at_once == Some(0) || self.stop_after == 0 || self.pause_after == Some(0) {
            Some("`at_once`, `stop_after` and `pause_after` are at least 1".to_owned())
        } else if !(1..=3_600).contains(&self.within_seconds) {
            Some("an instance may take 1 to 3,600 seconds".to_owned())
        } else if self.canary.intersection(&self.except).next().is_some() {
            Some("an instance cannot both move first and stay".to_owned())
        } else {
            self.workers.fault()
        }
    }
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// It begins at the moment that its plan names.
    Scheduled,
    /// Everybody is told that the release is the current one.
    Announcing,
    /// Instances move to it, each as soon as what serves it there is healthy.
    Moving,
    /// No more instances begin to move, until somebody lets them.
    Paused,
    /// No instance is left to move.
    Done,
    /// It was given up; instances stay where they are.
    Cancelled,
    /// The release before it was promoted again meanwhile.
    RolledBack,
}

impl RolloutState {
    /// Whether nothing more happens.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::RolledBack)
    }
}

/// The way of a service from one release to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollout {
    /// Of which service.
    pub service: Name,
    /// Its number: the rollouts of a service count up.
    pub number: u64,
    /// The release that was current before; none at the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Digest>,
    /// The release that is current from then on.
    pub to: Digest,
    /// In which order and how fast instances move.
    #[serde(default)]
    pub plan: RolloutPlan,
    /// How far it is.
    pub state: RolloutState,
    /// Why it has paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Who promoted the release; nobody if it was the service's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// When.
    pub begun: Timestamp,
    /// When it had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How many instances are where on their way.
    #[serde(default)]
    pub counts: MoveCounts,
}

/// How many instances are where on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveCounts {
    /// Those that have not begun.
    pub waiting: u32,
    /// Those of which the new release is being started.
    pub starting: u32,
    /// Those that are on it.
    pub moved: u32,
    /// Those that could not be moved, and are on the release before.
    pub failed: u32,
    /// Those that stay by the plan.
    pub excepted: u32,
}

impl MoveCounts {
    /// Those that are not where they should be.
    pub fn left(&self) -> u32 {
        self.waiting + self.starting + self.failed
    }
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveState {
    /// It has not begun.
    Waiting,
    /// The new release is being started beside what serves it.
    Starting,
    /// It is on the new release.
    Moved,
    /// It could not be moved, and is served as before.
    Failed,
    /// It stays by the plan.
    Excepted,
}

/// An instance's part of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// Which instance.
    pub instance: InstanceId,
    /// In which wave, counted from 1.
    pub wave: u32,
    /// How far it is.
    pub state: MoveState,
    /// Since when.
    pub since: Timestamp,
    /// Why it could not be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is to become of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Steer {
    /// No more instances begin to move; those that have begun go on.
    Pause,
    /// It goes on; what has failed is tried again.
    Resume,
    /// It is given up.
    Cancel,
}

/// Pauses a rollout, lets it go on, or gives it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SteerRollout {
    /// Of which service.
    pub service: Name,
    /// Which one.
    pub number: u64,
    /// What is to become of it.
    pub steer: Steer,
}
