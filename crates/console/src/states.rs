//! States as people read them: a word, and whether it is good.

use api::{
    configurator::{Instance, InstanceState},
    jobs::{DrainState, Gate, JobState},
    provider::OrderPhase,
    releases::{Change, Passage, ReleasePhase, ReleaseState, ReplicaState, RolloutState},
};
use maud::{Markup, html};

/// How a state is shown: as good, on its way, bad, or of no matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Busy,
    Bad,
    Quiet,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "chip good",
            Self::Busy => "chip busy",
            Self::Bad => "chip bad",
            Self::Quiet => "chip",
        }
    }
}

/// A state, with a word for it.
pub(crate) trait Said {
    fn said(&self) -> (&'static str, Tone);
}

/// The word for a state.
pub(crate) fn word(state: &impl Said) -> &'static str {
    state.said().0
}

/// A state as a chip.
pub(crate) fn chip(state: &impl Said) -> Markup {
    let (word, tone) = state.said();
    html! { span class=(tone.class()) { (word) } }
}

impl Said for InstanceState {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Creating => ("being made", Tone::Busy),
            Self::AwaitingSetup => ("waits for set-up", Tone::Busy),
            Self::SettingUp => ("setting up", Tone::Busy),
            Self::Open => ("open", Tone::Good),
            Self::Failed => ("failed", Tone::Bad),
        }
    }
}

impl Said for Instance {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self { suspended: Some(_), .. } => ("suspended", Tone::Bad),
            Self { maintenance: Some(_), .. } => ("in maintenance", Tone::Busy),
            Self { state, .. } => state.said(),
        }
    }
}

impl Said for OrderPhase {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Placed => ("placed", Tone::Busy),
            Self::Agreed => ("agreed", Tone::Busy),
            Self::Undoing => ("taken back", Tone::Busy),
            Self::Complete => ("complete", Tone::Good),
            Self::Failed => ("failed", Tone::Bad),
        }
    }
}

impl Said for JobState {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Blocked => ("waits for another", Tone::Quiet),
            Self::Delayed => ("not due yet", Tone::Quiet),
            Self::Ready => ("waits", Tone::Quiet),
            Self::Held => ("held", Tone::Quiet),
            Self::Stranded => ("stranded", Tone::Bad),
            Self::Running => ("runs", Tone::Busy),
            Self::Cancelled => ("cancelled", Tone::Quiet),
            Self::Dropped => ("dropped", Tone::Quiet),
            Self::SetAside => ("set aside", Tone::Bad),
            Self::Succeeded => ("done", Tone::Good),
            Self::Failed => ("failed", Tone::Bad),
        }
    }
}

/// A state of jobs as addresses have it.
pub(crate) const fn key(state: JobState) -> &'static str {
    match state {
        JobState::Blocked => "blocked",
        JobState::Held => "held",
        JobState::Delayed => "delayed",
        JobState::Ready => "ready",
        JobState::Stranded => "stranded",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Dropped => "dropped",
        JobState::SetAside => "set_aside",
    }
}

impl Said for Gate {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Open => ("open", Tone::Good),
            Self::Hold => ("keeps new jobs", Tone::Busy),
            Self::Refuse => ("refuses new jobs", Tone::Bad),
        }
    }
}

impl Said for DrainState {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Draining => ("draining", Tone::Busy),
            Self::Empty => ("drained", Tone::Good),
            Self::Overdue => ("not drained in time", Tone::Bad),
        }
    }
}

impl Said for ReleasePhase {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Announcing => ("being announced", Tone::Busy),
            Self::Staged => ("staged", Tone::Good),
            Self::Failed => ("failed", Tone::Bad),
        }
    }
}

impl Said for RolloutState {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Announcing => ("being announced", Tone::Busy),
            Self::Scheduled => ("planned", Tone::Quiet),
            Self::Moving => ("under way", Tone::Busy),
            Self::Paused => ("paused", Tone::Bad),
            Self::Cancelled => ("given up", Tone::Quiet),
            Self::Done => ("done", Tone::Good),
            Self::RolledBack => ("rolled back", Tone::Bad),
        }
    }
}

impl Said for Change {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Added => ("comes", Tone::Good),
            Self::Dropped => ("goes", Tone::Bad),
            Self::Changed => ("changes", Tone::Busy),
        }
    }
}

impl Said for Passage {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Opens => ("opens", Tone::Busy),
            Self::Closes => ("closes", Tone::Busy),
            Self::Changes => ("changes", Tone::Busy),
        }
    }
}

impl Said for ReleaseState {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Fetching => ("being fetched", Tone::Busy),
            Self::Building => ("being built", Tone::Busy),
            Self::Ready => ("ready", Tone::Good),
            Self::Failed => ("failed", Tone::Bad),
        }
    }
}

impl Said for ReplicaState {
    fn said(&self) -> (&'static str, Tone) {
        match self {
            Self::Starting => ("starting", Tone::Busy),
            Self::Healthy => ("healthy", Tone::Good),
            Self::Unready => ("not ready", Tone::Busy),
            Self::Failing => ("failing", Tone::Bad),
            Self::CrashLoop => ("crash loop", Tone::Bad),
            Self::Stopping => ("stopping", Tone::Busy),
        }
    }
}
