//! How long things may take, and how long to wait before trying again.

use std::time::Duration;

use api::releases::TICKET_LIFE;

/// How long things may take on a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between a replica's being taken from the report and its being told to end.
    pub(crate) drain: Duration,
    /// Between asking a process to end and ending it.
    pub(crate) grace: Duration,
    /// How long a replica may take until it first answers.
    pub(crate) start: Duration,
    /// How long a replica without a health check must have run to be taken for healthy.
    pub(crate) last: Duration,
    /// How long what is run before a process's start may take.
    pub(crate) pre_start: Duration,
    /// Between two looks at a replica.
    pub(crate) look: Duration,
    /// How long an answer to a health check may take.
    pub(crate) answer: Duration,
    /// Between two reports of what a job prints and how far it is.
    pub(crate) tell: Duration,
    /// How long a port is nobody's after its replica, at least as long as a gateway may not know.
    pub(crate) rest: Duration,
    /// How long the platform must not know this node before it is taken for removed.
    pub(crate) removed: Duration,
    /// How long a build hook may take.
    pub(crate) build: Duration,
    /// How long another node may take to give a part of a package.
    pub(crate) part: Duration,
    /// How long other nodes are asked for one package, before the platform is.
    pub(crate) sharing: Duration,
    /// The first pause before something is tried again; doubled each time.
    pub(crate) again: Duration,
    /// The longest such pause.
    pub(crate) again_at_most: Duration,
    /// The longest pause before the platform is asked again.
    pub(crate) ask_again_at_most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            drain: seconds(1),
            grace: seconds(10),
            start: seconds(60),
            last: seconds(5),
            pre_start: seconds(5 * 60),
            look: seconds(2),
            answer: seconds(2),
            tell: seconds(1),
            // A node that is not heard of is gone after 15 s, and a gateway's copy 10 s later.
            rest: seconds(60),
            removed: seconds(60),
            build: seconds(15 * 60),
            part: seconds(10),
            sharing: TICKET_LIFE,
            again: seconds(1),
            again_at_most: seconds(60),
            ask_again_at_most: seconds(5),
        }
    }
}

impl Pace {
    /// The pauses between attempts at something on this node.
    pub(crate) fn pauses(&self) -> Pauses {
        Pauses { first: self.again, next: self.again, most: self.again_at_most, taken: 0 }
    }

    /// The pauses between attempts at what costs much and has seldom another outcome.
    pub(crate) fn long_pauses(&self) -> Pauses {
        Pauses { most: self.again_at_most * 15, ..self.pauses() }
    }

    /// The pauses between attempts to reach the platform.
    pub(crate) fn asking_pauses(&self) -> Pauses {
        let first = self.again / 4;
        Pauses { first, next: first, most: self.ask_again_at_most, taken: 0 }
    }
}

/// Pauses that double.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    first: Duration,
    next: Duration,
    most: Duration,
    /// How many were made in a row.
    taken: u32,
}

/// As many pauses in a row are a habit.
const LOOP_MIN: u32 = 3;

impl Pauses {
    /// The pause to make now.
    pub(crate) fn take(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.most);
        self.taken = self.taken.saturating_add(1);
        pause
    }

    /// Whether it went wrong again and again.
    pub(crate) fn are_long(&self) -> bool {
        self.taken >= LOOP_MIN
    }

    /// It went well: the next pause is a short one.
    pub(crate) fn reset(&mut self) {
        (self.next, self.taken) = (self.first, 0);
    }
}
