//! What is told while it happens.

use std::{
    cell::Cell,
    fmt::Display,
    time::{Duration, Instant},
};

/// Tells each step when it is done, with the time that it took.
pub(crate) struct Story {
    begun: Instant,
    last: Cell<Instant>,
}

impl Story {
    /// Begins to count.
    pub(crate) fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, last: Cell::new(now) }
    }

    /// A step is done.
    pub(crate) fn done(&self, what: impl Display) {
        let now = Instant::now();
        let took = now.duration_since(self.last.replace(now));
        println!("{:>6.1} s  {what}", took.as_secs_f64());
    }

    /// How long it has taken altogether.
    pub(crate) fn total(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// A heading.
pub(crate) fn chapter(title: &str) {
    println!("\n{title}");
}

/// What a command printed, under the step that ran it.
pub(crate) fn quote(text: &str) {
    for line in text.lines() {
        println!("{}", format!("            {line}").trim_end());
    }
}
