//! Commands of an application that are run once for an instance.

use api::jobs::{GetInstanceJob, Job, JobState, RunCommand};
use clap::Args;

use super::{
    Failure, Outcome,
    context::Context,
    failure::failed,
    output::{self, word},
    progress::Progress,
    status,
    target::Which,
};

#[derive(Debug, Args)]
pub(super) struct Command {
    #[command(flatten)]
    which: Which,
    /// A program that the service's manifest names, and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<String>,
}

impl Command {
    /// Runs it, prints what it prints, and ends as it ends.
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let (account, instance) = cx.instance_id(self.which.account, &self.which.instance).await?;
        cx.is_not_failed((account, instance), &self.which.instance).await?;
        let queued = cx.ask(RunCommand { account, instance, command: self.command }).await?;
        let Some(job) = queued.jobs.first().copied() else {
            return Err(Failure::new(status::UNEXPECTED, "the platform named no job"));
        };
        let look = GetInstanceJob { account, instance, job };
        let mut printed = Printed::default();
        let done = |progress: &mut Progress, job: Job| {
            if let Some(what) = job.waits_for.as_ref().filter(|_| job.state.waits()) {
                progress.say(&format!("it waits for {what}"))?;
            }
            let new = printed.new_lines(&job.output, job.state.has_ended());
            if let Some(lines) = new.filter(|_| !cx.json()) {
                output::print(lines)?;
            }
            Ok(job.state.has_ended().then_some(job))
        };
        let mut progress = Progress::begin(cx);
        let ended = progress.until(|| cx.ask(look.clone()), done).await?;
        if ended.state != JobState::Succeeded {
            let what = format!("the command is {}", word(&ended.state));
            return Err(failed(&what, ended.problem));
        }
        if cx.json() {
            cx.show(&ended, |_| String::new())?;
        }
        match status_of(&ended) {
            0 => Ok(()),
            status => Err(Failure::silent(status)),
        }
    }
}

/// With which status it ended.
fn status_of(job: &Job) -> u8 {
    let status = job.result.as_ref().and_then(|result| result.get("status")?.as_i64());
    status.and_then(|status| u8::try_from(status).ok()).unwrap_or(status::UNEXPECTED)
}

/// What of a job's output has been printed, of which only the end is known each time.
#[derive(Default)]
struct Printed {
    seen: String,
    /// What of `seen` is still to be printed: a line that has not ended.
    rest: usize,
}

impl Printed {
    /// The lines that are new, without the end of the last one; also a line that has not ended if
    /// it is the last.
    fn new_lines<'t>(&mut self, output: &'t str, is_last: bool) -> Option<&'t str> {
        let begin = self.known(output).saturating_sub(self.rest);
        let begin = (begin..=output.len()).find(|place| output.is_char_boundary(*place))?;
        let new = &output[begin..];
        let end = if is_last { new.len() } else { new.rfind('\n').map_or(0, |place| place + 1) };
        (self.seen, self.rest) = (output.to_owned(), new.len() - end);
        let lines = &new[..end];
        (!lines.is_empty()).then(|| lines.strip_suffix('\n').unwrap_or(lines))
    }

    /// Where in an output that what was seen before ends; 0 if nothing of it is left.
    fn known(&self, output: &str) -> usize {
        if output.starts_with(&self.seen) {
            return self.seen.len();
        }
        let ends = self.seen.char_indices().map(|(place, _)| &self.seen[place..]);
        ends.filter(|end| output.starts_with(end)).map(str::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However often one looks, and however little of the end one sees, each line is printed
        /// once and in its order.
        #[test]
        fn each_line_is_printed_once(
            count in 1..40_usize,
            looks in prop::collection::vec(1..60_usize, 1..20),
            tail in 200..400_usize,
        ) {
            let lines: Vec<String> = (0..count).map(|n| format!("line é {n}\n")).collect();
            let whole = lines.concat();
            let (mut printed, mut all, mut place) = (Printed::default(), String::new(), 0);
            let steps = looks.iter().copied().chain(std::iter::repeat_n(50, whole.len() / 50 + 1));
            for step in steps {
                place = (place + step).min(whole.len());
                while !whole.is_char_boundary(place) {
                    place += 1;
                }
                let mut start = place.saturating_sub(tail);
                while !whole.is_char_boundary(start) {
                    start += 1;
                }
                let is_last = place == whole.len();
                if let Some(lines) = printed.new_lines(&whole[start..place], is_last) {
                    all.push_str(lines);
                    all.push('\n');
                }
            }
            prop_assert_eq!(all, whole);
        }
    }
}
