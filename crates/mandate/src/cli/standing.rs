//! Where an instance stands, and waiting until what is open answers.

use std::time::{Duration, Instant};

use api::{
    configurator::{Instance, InstanceState, LastMove},
    releases::{GetReadiness, Readiness},
};
use types::{AccountId, InstanceId};

use super::{
    Failure, Outcome,
    context::Context,
    output::{moment, names, record, word},
    progress::Progress,
    status,
};

/// An application that has not answered after that long needs somebody to look at it.
const PATIENCE: Duration = Duration::from_mins(2);

/// An instance for people.
pub(super) fn shown(instance: &Instance) -> String {
    let text = record(&[
        ("instance", Some(instance.instance.to_string())),
        ("service", Some(instance.service.to_string())),
        ("url", Some(instance.url.clone())),
        ("size", Some(instance.size.clone())),
        ("modules", Some(names(&instance.modules))),
        ("state", Some(word(&instance.state))),
        ("suspended", instance.suspended.clone()),
        ("maintenance", instance.maintenance.clone()),
        ("problem", instance.problem.clone()),
        ("release", Some(instance.release.short().to_owned())),
        ("stays until", instance.frozen_until.map(moment)),
        ("last move", instance.last_move.as_ref().map(moved)),
        ("since", Some(moment(instance.created))),
    ]);
    // The address must stay whole to be opened, so it does not stand in a table's cell.
    match &instance.setup_url {
        Some(url) => format!(
            "{text}\n\nSet it up at:\n  {url}\nor with `mandate instance setup {}`.",
            instance.host
        ),
        None => text,
    }
}

/// How an instance came to a release with its database, in words.
fn moved(last: &LastMove) -> String {
    let LastMove { from, to, began, ended, held_millis, closed_millis, problem } = last;
    let how = match (ended, problem) {
        (None, _) => "it is under way".to_owned(),
        (_, Some(why)) => format!("it stayed where it was: {why}"),
        (Some(_), None) => "done".to_owned(),
    };
    let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64();
    let closed = match *closed_millis {
        0 => String::new(),
        millis => format!(", and then it was closed for {:.1} s", seconds(millis)),
    };
    let held = match *held_millis {
        0 => "nobody was kept out".to_owned(),
        millis => format!("its requests waited for {:.1} s{closed}", seconds(millis)),
    };
    format!("{} to {}, {}; {how}; {held}", from.short(), to.short(), moment(*began))
}

/// What an instance that is open waits for before it answers, where people read it.
pub(super) async fn not_yet(
    cx: &Context,
    account: AccountId,
    instance: InstanceId,
) -> Option<String> {
    if cx.json() {
        return None;
    }
    // Who may not know, or cannot be told now, is told the rest.
    cx.ask(GetReadiness { account, instance }).await.ok()?.waits_for
}

/// Waits until an instance that is open answers, and says so.
pub(super) async fn answers(
    cx: &Context,
    progress: &mut Progress,
    account: AccountId,
    instance: InstanceId,
) -> Outcome {
    let since = Instant::now();
    let look = || cx.ask(GetReadiness { account, instance });
    let done = |progress: &mut Progress, readiness: Readiness| {
        if readiness.ready {
            return Ok(Some(()));
        }
        let what = readiness.waits_for.unwrap_or_else(|| "its process".to_owned());
        if since.elapsed() > PATIENCE {
            let sentence = format!(
                "the instance is set up, and nothing answers there yet: it waits for {what}"
            );
            return Err(Failure::new(status::UNAVAILABLE, sentence)
                .hint("it goes on; the same command with `--wait` looks again"));
        }
        progress.say(&format!("it waits for {what}"))?;
        Ok(None)
    };
    match progress.until(look, done).await {
        // Who may set it up and not look at it has been told all that they may know.
        Err(failure) if !failure.is_refused() => return Err(failure),
        _ => {}
    }
    progress.say(state_sentence(InstanceState::Open))
}

/// Where an instance stands, in a sentence.
pub(super) const fn state_sentence(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Creating => "its database is being made",
        InstanceState::AwaitingSetup => "the instance waits for its set-up",
        InstanceState::SettingUp => "the instance is being set up",
        InstanceState::Open => "the instance is open",
        InstanceState::Failed => "the instance failed",
    }
}
