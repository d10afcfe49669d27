//! Where an instance stands, and waiting until what is open answers.

use std::time::{Duration, Instant};

use api::{
    configurator::{HOLD_SECONDS, Instance, InstanceState, LastMove},
    releases::{GetReadiness, GetUpdate, Readiness, Update, UpdateState},
};
use types::{AccountId, Clock as _, InstanceId, SystemClock};

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

/// The version that an instance comes to. Who may not know, or cannot be told now, is told the rest.
pub(super) async fn update(
    cx: &Context,
    account: AccountId,
    instance: InstanceId,
) -> Option<Update> {
    cx.ask(GetUpdate { account, instance }).await.ok()?.update
}

/// What the version that an instance comes to is for its customer; nothing if it has it.
pub(super) fn coming(update: &Update, instance: &Instance) -> Option<String> {
    let (to, at) = (update.to.short(), moment(update.at));
    let said = match update.state {
        UpdateState::Planned => format!("Version {to} comes at {at}."),
        UpdateState::Waiting => format!("Version {to} comes soon; others move before."),
        UpdateState::Paused => format!(
            "Version {to} was stopped on its way, and comes when the operator lets it. Nothing has \
             changed here."
        ),
        UpdateState::Moving => format!("Version {to} comes now."),
        UpdateState::Failed => {
            return Some(format!(
                "Version {to} could not be taken at {at}. The instance is served as before."
            ));
        }
        UpdateState::Excepted => {
            return Some(format!(
                "It stays on its version: the operator has left it out where others come to {to}."
            ));
        }
        UpdateState::Done => return None,
    };
    let is_planned = update.state == UpdateState::Planned;
    let frozen = instance.frozen_until.filter(|until| *until > SystemClock.now());
    let frozen = frozen.filter(|until| !is_planned || *until > update.at);
    let stays =
        frozen.map(|until| format!(" It stays until {}, and moves after that.", moment(until)));
    Some(format!("{said} {}{}", visitors(update), stays.unwrap_or_default()))
}

fn visitors(update: &Update) -> String {
    if !update.closes {
        return "Visitors notice nothing.".to_owned();
    }
    let longest = update.longest_millis.map(|it| Duration::from_millis(it).as_secs_f64());
    let longest = longest.map_or_else(
        || "How long that takes is not known yet.".to_owned(),
        |seconds| format!("With the last ones it took {seconds:.1} s at most."),
    );
    format!(
        "Requests wait while its database is brought along; after {HOLD_SECONDS} s visitors are told \
         that it is closed for a moment. {longest}"
    )
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
