//! Waiting for something, with a line for each thing that happens.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use super::{Failure, Outcome, context::Context, output, status};

/// How long it is until the second look; from look to look it is longer.
const PAUSE: Duration = Duration::from_millis(150);
/// How long it is at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_mins(15);
/// For how long the platform may be away meanwhile, as when it is started again.
const ABSENCE: Duration = Duration::from_mins(1);

/// Tells what happens as it happens, with the seconds since the beginning.
pub(crate) struct Progress {
    started: Instant,
    json: bool,
    said: String,
}

impl Progress {
    /// Begins to count the time. Where the reply is printed as JSON, progress goes to standard
    /// error.
    pub(crate) fn begin(cx: &Context) -> Self {
        Self { started: Instant::now(), json: cx.json(), said: String::new() }
    }

    /// Says what happened, unless that was the last thing said.
    pub(crate) fn say(&mut self, what: &str) -> Outcome {
        if self.said == what {
            return Ok(());
        }
        what.clone_into(&mut self.said);
        let tenths = self.started.elapsed().as_millis() / 100;
        let line = format!("{:>4}.{} s  {what}", tenths / 10, tenths % 10);
        if self.json {
            // Progress that nobody reads is no reason to stop.
            let _ = writeln!(io::stderr(), "{}", output::clean(&line));
            return Ok(());
        }
        output::print(&line)
    }

    /// Looks again and again until `done` has what is waited for. That the platform is away for a
    /// while is no reason to give up.
    pub(crate) async fn until<T, R>(
        &mut self,
        look: impl AsyncFn() -> Result<R, Failure>,
        mut done: impl FnMut(&mut Self, R) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let mut heard = Instant::now();
        let mut pause = PAUSE;
        while self.started.elapsed() < PATIENCE {
            match look().await {
                Ok(seen) => {
                    heard = Instant::now();
                    if let Some(found) = done(self, seen)? {
                        return Ok(found);
                    }
                }
                Err(failure) if failure.is_unavailable() && heard.elapsed() < ABSENCE => {
                    self.say("the platform does not answer; waiting for it")?;
                }
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(PAUSE_MAX);
        }
        let sentence = format!("still not done after {} minutes", PATIENCE.as_secs() / 60);
        Err(Failure::new(status::UNAVAILABLE, sentence)
            .hint("it is still running; check again later"))
    }
}
