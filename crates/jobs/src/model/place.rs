//! Where a job stands.

use api::jobs::JobState;
use types::Timestamp;

/// How far a job is, as it is kept. That a kind of job is stranded is said of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum State {
    Blocked,
    Held,
    Delayed,
    Ready,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Dropped,
    SetAside,
}

impl State {
    pub(crate) const ALL: [Self; 10] = [
        Self::Blocked,
        Self::Held,
        Self::Delayed,
        Self::Ready,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Dropped,
        Self::SetAside,
    ];
    /// Those of a job that no worker has and one may yet have.
    pub(crate) const WAITING: [Self; 4] = [Self::Blocked, Self::Held, Self::Delayed, Self::Ready];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Held => "held",
            Self::Delayed => "delayed",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Dropped => "dropped",
            Self::SetAside => "set_aside",
        }
    }

    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// As others see it.
    pub(crate) const fn shown(self, stranded: bool) -> JobState {
        match self {
            Self::Blocked => JobState::Blocked,
            Self::Held => JobState::Held,
            Self::Delayed => JobState::Delayed,
            Self::Ready if stranded => JobState::Stranded,
            Self::Ready => JobState::Ready,
            Self::Running => JobState::Running,
            Self::Succeeded => JobState::Succeeded,
            Self::Failed => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
            Self::Dropped => JobState::Dropped,
            Self::SetAside => JobState::SetAside,
        }
    }

    pub(crate) const fn has_ended(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Dropped | Self::SetAside
        )
    }

    pub(crate) const fn waits(self) -> bool {
        matches!(self, Self::Blocked | Self::Held | Self::Delayed | Self::Ready)
    }
}

/// Where a job that waits belongs: whoever closed the gate is asked first, then the jobs before it,
/// then the clock.
pub(crate) fn place(held: bool, blocked_by: u64, not_before: Timestamp, now: Timestamp) -> State {
    if held {
        State::Held
    } else if blocked_by > 0 {
        State::Blocked
    } else if not_before > now {
        State::Delayed
    } else {
        State::Ready
    }
}
