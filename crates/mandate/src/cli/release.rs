//! The releases of a service: which is current, how far each is, and going from one to another.

mod plan;
mod preview;
mod standing;
mod way;

use api::releases::{
    self, ListMoves, ListReleases, ListRollouts, ReleasePhase, Rollout, Steer, SteerRollout,
};
use clap::{Args, Subcommand};
use types::{Clock as _, Digest, Name, SystemClock};

use super::{
    Failure, Outcome,
    context::Context,
    names::Ids,
    output::{Limit, Table, moment, word},
    progress::Progress,
    status,
};
use standing::{names_of, sentence, show, state};

pub(super) use plan::Plan;
pub(super) use way::{announced, promoted, ready, staged};

/// The releases of a service: list them, promote one, go back
#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(subcommand)]
    verb: ReleaseVerb,
}

#[derive(Debug, Subcommand)]
enum ReleaseVerb {
    /// List the releases of a service, what was published last first
    List {
        /// Of which service
        service: Name,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show how far the current release and the one that is staged are on each node, and how far a
    /// rollout is
    Status {
        /// Of which service
        service: Name,
        /// Go on until nothing is under way
        #[arg(long)]
        watch: bool,
    },
    /// Make a release the current one: instances move to it, each as soon as what serves it there is
    /// healthy
    ///
    /// `--check` shows what changes for whom, and promotes nothing. If a database, a module or a
    /// permission would be lost, it ends with 9, and the promotion needs `--accept-loss`.
    #[command(
        after_help = "Examples:\n  mandate release promote forum --check\n  mandate release promote forum"
    )]
    Promote {
        /// Of which service
        service: Name,
        /// Which release, by the beginning of its digest; the one that was staged last if absent
        release: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Go back to the release before the current one
    ///
    /// Also while instances still move: those that have moved go back, and the others stay.
    Rollback {
        /// Of which service
        service: Name,
        #[command(flatten)]
        how: How,
    },
    /// Pause a rollout: no more instances begin to move
    Pause {
        /// Of which service
        service: Name,
    },
    /// Let a rollout go on; what could not be moved is tried again
    Resume {
        /// Of which service
        service: Name,
    },
    /// Give a rollout up: instances stay where they are
    Cancel {
        /// Of which service
        service: Name,
    },
    /// List how far each instance of the last rollout is, those first that are not where they should
    /// be
    Moves {
        /// Of which service
        service: Name,
        /// Of which rollout
        #[arg(long, value_name = "NUMBER")]
        rollout: Option<u64>,
        #[command(flatten)]
        limit: Limit,
    },
    /// List the rollouts of a service, the last one first: who promoted what, and when; or show one
    /// with what was agreed to, and who paused it, let it go on or gave it up
    History {
        /// Of which service
        service: Name,
        /// The number of one rollout
        rollout: Option<u64>,
        #[command(flatten)]
        limit: Limit,
    },
}

#[derive(Debug, Args)]
struct How {
    #[command(flatten)]
    plan: Plan,
    /// A node that need not have it ready, by its name or id; may be given more than once
    #[arg(long, value_name = "NODE")]
    without: Vec<String>,
    /// Do not wait until every instance is on it
    #[arg(long)]
    no_wait: bool,
    /// Show what changes for whom, and promote nothing
    #[arg(long)]
    check: bool,
}

impl Release {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            ReleaseVerb::List { service, limit } => list(cx, &service, limit).await,
            ReleaseVerb::Status { service, watch } => show(cx, &service, watch).await,
            ReleaseVerb::Promote { service, release, how } => {
                let release = match release {
                    Some(text) => named(cx, &service, &text).await?,
                    None => last_staged(cx, &service).await?,
                };
                promote(cx, &release, how).await
            }
            ReleaseVerb::Rollback { service, how } => {
                let release = before(cx, &service).await?;
                promote(cx, &release, how).await
            }
            ReleaseVerb::Pause { service } => steer(cx, service, Steer::Pause).await,
            ReleaseVerb::Resume { service } => steer(cx, service, Steer::Resume).await,
            ReleaseVerb::Cancel { service } => steer(cx, service, Steer::Cancel).await,
            ReleaseVerb::Moves { service, rollout, limit } => {
                moves(cx, service, rollout, limit).await
            }
            ReleaseVerb::History { service, rollout: Some(number), .. } => {
                preview::record(cx, service, number).await
            }
            ReleaseVerb::History { service, limit, .. } => history(cx, &service, limit).await,
        }
    }
}

async fn all(cx: &Context, service: &Name) -> Result<Vec<releases::Release>, Failure> {
    // What was published last comes first.
    let page = |after, limit| ListReleases { service: service.clone(), after, limit };
    Ok(cx.list(Some(100), page).await?.items)
}

async fn listed(
    cx: &Context,
    service: &Name,
    digest: &Digest,
) -> Result<Option<releases::Release>, Failure> {
    Ok(all(cx, service).await?.into_iter().find(|release| release.digest == *digest))
}

async fn last_rollout(cx: &Context, service: &Name) -> Result<Option<Rollout>, Failure> {
    let page = |after, limit| ListRollouts { service: service.clone(), after, limit };
    Ok(cx.list(Some(1), page).await?.items.into_iter().next())
}

/// The release of which the digest begins so.
async fn named(cx: &Context, service: &Name, text: &str) -> Result<releases::Release, Failure> {
    let begins = |release: &releases::Release| {
        release.digest.as_str().starts_with(text) || release.digest.hex().starts_with(text)
    };
    let mut found: Vec<_> = all(cx, service).await?.into_iter().filter(begins).collect();
    let hint = format!("`mandate release list {service}` shows them");
    match (found.pop(), found.len()) {
        (Some(release), 0) => Ok(release),
        (Some(_), _) => {
            let sentence = format!("more than one release of `{service}` begins with `{text}`");
            Err(Failure::new(status::UNFIT, sentence).hint("write more of its digest"))
        }
        (None, _) => {
            let sentence = format!("no release of `{service}` begins with `{text}`");
            Err(Failure::new(status::NOT_FOUND, sentence).hint(hint))
        }
    }
}

async fn last_staged(cx: &Context, service: &Name) -> Result<releases::Release, Failure> {
    let all = all(cx, service).await?;
    let newer = all.into_iter().take_while(|release| !release.current);
    let mut staged = newer.filter(|release| release.phase == ReleasePhase::Staged);
    staged.next().ok_or_else(|| {
        let sentence =
            format!("no release of `{service}` is staged that is newer than the current");
        Failure::new(status::NOT_FOUND, sentence).hint(
            "`mandate service publish DIR` stages one; an older one is promoted by its digest",
        )
    })
}

/// The release before the current one, or before the one to which instances move.
async fn before(cx: &Context, service: &Name) -> Result<releases::Release, Failure> {
    let from = last_rollout(cx, service).await?.and_then(|rollout| rollout.from);
    let former = match from {
        Some(from) => listed(cx, service, &from).await?,
        None => None,
    };
    former.ok_or_else(|| {
        let sentence = format!("no release of `{service}` was current before");
        Failure::new(status::NOT_FOUND, sentence)
            .hint(format!("`mandate release list {service}` shows what can be promoted"))
    })
}

async fn promote(cx: &Context, release: &releases::Release, how: How) -> Outcome {
    if how.check {
        return preview::check(cx, release).await;
    }
    let mut progress = Progress::begin(cx);
    let How { plan, without, no_wait, .. } = how;
    let at = plan.at;
    let mut release = promoted(cx, &mut progress, release, (plan, &without)).await?;
    let is_later = at.is_some_and(|at| at > SystemClock.now());
    if !no_wait && !is_later {
        release = ready(cx, &mut progress, &release).await?;
    }
    let service = release.service.clone();
    cx.show(&release, |release| {
        let short = release.digest.short();
        if let Some(at) = at.filter(|_| is_later) {
            let at = moment(at);
            return format!("Release {short} of {service} will be the current one from {at} on.");
        }
        if no_wait {
            return format!(
                "Release {short} of {service} is the current one; instances move to it. \
                 `mandate release status {service}` shows how far they are."
            );
        }
        format!("Release {short} of {service} is the current one, and every instance is on it.")
    })
}

async fn steer(cx: &Context, service: Name, steer: Steer) -> Outcome {
    let rollout = last_rollout(cx, &service).await?;
    let rollout = rollout.ok_or_else(|| {
        let sentence = format!("there is no rollout of `{service}`");
        Failure::new(status::NOT_FOUND, sentence)
    })?;
    let rollout = cx.ask(SteerRollout { service, number: rollout.number, steer }).await?;
    let called = names_of(cx, &[&rollout]).await;
    cx.show(&rollout, |rollout| sentence(rollout, &called))
}

async fn moves(cx: &Context, service: Name, number: Option<u64>, limit: Limit) -> Outcome {
    let page = |after, limit| ListMoves { service: service.clone(), number, after, limit };
    let moves = cx.list(limit.limit, page).await?;
    let instances = moves.items.iter().map(|one| one.instance).collect();
    let called = cx.names(Ids { instances, ..Ids::default() }).await;
    let empty = "No instance had to move.";
    cx.show_list(&moves, empty, |moves| {
        let headings = ["INSTANCE", ">WAVE", "STATE", "SINCE", "PROBLEM"];
        Table::of(&headings, moves, |table, one| {
            let (instance, state) = (called.instance(one.instance), word(&one.state));
            let wave = if one.wave == 0 { String::new() } else { one.wave.to_string() };
            let problem = one.problem.as_deref().unwrap_or_default();
            table.row([&instance, &wave, &state, &moment(one.since), &problem]);
        })
    })
}

async fn list(cx: &Context, service: &Name, limit: Limit) -> Outcome {
    let page = |after, limit| ListReleases { service: service.clone(), after, limit };
    let releases = cx.list(limit.limit, page).await?;
    let mut ids = Ids::default();
    releases
        .items
        .iter()
        .filter_map(|it| it.published_by.as_ref())
        .for_each(|by| ids.principal(by));
    let called = cx.names(ids).await;
    let empty = "No release yet; `mandate service publish DIR` makes one.";
    cx.show_list(&releases, empty, |releases| {
        let headings = ["RELEASE", "STATE", "PUBLISHED", "BY", "SIGNED BY", "SOURCE", "PROBLEM"];
        let current = releases.iter().position(|release| release.current);
        let each = releases.iter().zip(0..);
        Table::of(&headings, each, |table, (release, place)| {
            let is_former = current.is_some_and(|current| place > current);
            let state = state(release, is_former);
            let published = moment(release.created);
            let by = release.published_by.as_ref().map(|by| called.principal(by));
            let by = by.unwrap_or_default();
            let signer: String = release.public_key.chars().take(16).collect();
            let source = release.source.as_deref().unwrap_or_default();
            let problem = release.problem.as_ref().or(release.on_nodes.problem.as_ref());
            let problem = problem.and_then(|text| text.lines().next()).unwrap_or_default();
            let gone = "its package was deleted: publish it again before it is promoted";
            let problem = if release.collected { gone } else { problem };
            let short = release.digest.short();
            table.row([&short, &state, &published, &by, &signer, &source, &problem]);
        })
    })
}

async fn history(cx: &Context, service: &Name, limit: Limit) -> Outcome {
    let page = |after, limit| ListRollouts { service: service.clone(), after, limit };
    let rollouts = cx.list(limit.limit, page).await?;
    let called = names_of(cx, &rollouts.items.iter().collect::<Vec<_>>()).await;
    let empty = "No rollout yet: nothing of it was ever current.";
    cx.show_list(&rollouts, empty, |rollouts| {
        let headings = [">ROLLOUT", "FROM", "TO", "STATE", "BEGUN", "ENDED", "BY"];
        Table::of(&headings, rollouts, |table, rollout| {
            let from = rollout.from.as_ref().map(Digest::short).unwrap_or_default();
            let (to, state) = (rollout.to.short(), word(&rollout.state));
            let (begun, ended) = (moment(rollout.begun), rollout.ended.map(moment));
            let by = rollout.by.as_ref().map(|by| called.principal(by)).unwrap_or_default();
            let (number, ended) = (rollout.number, ended.unwrap_or_default());
            table.row([&number, &from, &to, &state, &begun, &ended, &by]);
        })
    })
}
