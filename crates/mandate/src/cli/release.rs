//! The releases of a service: which is current, how far each is, and going from one to another.

use std::collections::BTreeSet;

use api::releases::{
    self, ListNodes, ListReleases, ListRollouts, OnNodes, PromoteRelease, ReleasePhase,
    ReleaseState, Rollout, RolloutState,
};
use clap::{Args, Subcommand};
use types::{Digest, Name, NodeId};

use super::{
    Failure, Outcome,
    context::Context,
    failure::failed,
    names::{Ids, Names},
    output::{Limit, Table, moment, word},
    progress::Progress,
    status,
};

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
    #[command(after_help = "Example:\n  mandate release promote forum")]
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
    /// List the rollouts of a service, the last one first: who promoted what, and when
    History {
        /// Of which service
        service: Name,
        #[command(flatten)]
        limit: Limit,
    },
}

#[derive(Debug, Args)]
struct How {
    /// A node that need not have it ready, by its name or id; may be given more than once
    #[arg(long, value_name = "NODE")]
    without: Vec<String>,
    /// Do not wait until every instance is on it
    #[arg(long)]
    no_wait: bool,
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
            ReleaseVerb::History { service, limit } => history(cx, &service, limit).await,
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
    let mut progress = Progress::begin(cx);
    let without = how.without;
    let mut release = promoted(cx, &mut progress, release, Some(&without)).await?;
    if !how.no_wait {
        release = ready(cx, &mut progress, &release).await?;
    }
    let service = release.service.clone();
    cx.show(&release, |release| {
        let short = release.digest.short();
        if how.no_wait {
            return format!(
                "Release {short} of {service} is the current one; instances move to it. \
                 `mandate release status {service}` shows how far they are."
            );
        }
        format!("Release {short} of {service} is the current one, and every instance is on it.")
    })
}

/// Promotes a release, in place of the one that is current now.
pub(super) async fn promoted(
    cx: &Context,
    progress: &mut Progress,
    release: &releases::Release,
    without: Option<&[String]>,
) -> Result<releases::Release, Failure> {
    let (service, digest) = (release.service.clone(), release.digest.clone());
    let current = all(cx, &service).await?.into_iter().find(|release| release.current);
    let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
    for node in without.unwrap_or_default() {
        nodes.insert(cx.node(node).await?.node);
    }
    let replaces = current.map(|current| current.digest);
    let promote = PromoteRelease {
        service: service.clone(),
        release: digest.clone(),
        replaces,
        without: nodes,
    };
    progress.say(&format!("promoting {}", digest.short()))?;
    let rollout = cx.ask(promote).await?;
    let look = async || last_rollout(cx, &service).await;
    let told = |_: &mut Progress, now: Option<Rollout>| {
        let same = now.filter(|now| now.number == rollout.number);
        let same = same.ok_or_else(|| failed("another release was promoted meanwhile", None))?;
        Ok((same.state != RolloutState::Announcing).then_some(()))
    };
    progress.until(look, told).await?;
    progress.say("it is the current one; instances move to it")?;
    let now = listed(cx, &service, &digest).await?;
    now.ok_or_else(|| failed("the release is not listed any more", None))
}

/// Waits until everybody has agreed to a release, and is told if it is the first.
pub(super) async fn staged(
    cx: &Context,
    progress: &mut Progress,
    service: &Name,
    digest: &Digest,
) -> Result<releases::Release, Failure> {
    let look = async || {
        let release = listed(cx, service, digest).await?;
        Ok((release, last_rollout(cx, service).await?))
    };
    let done = |progress: &mut Progress, (release, rollout): (Option<_>, Option<Rollout>)| {
        let Some(release) = release else { return Ok(None) };
        announced(progress, &release)?;
        let is_coming =
            rollout.is_some_and(|it| it.to == *digest && it.state == RolloutState::Announcing);
        match release.phase {
            ReleasePhase::Announcing => Ok(None),
            ReleasePhase::Staged => Ok((!is_coming).then_some(release)),
            ReleasePhase::Failed => Err(failed("the release failed", release.problem)),
        }
    };
    progress.until(look, done).await
}

/// Waits until every node has a release ready; if it is the current one, also until its replicas are
/// healthy and every instance is on it.
pub(super) async fn ready(
    cx: &Context,
    progress: &mut Progress,
    release: &releases::Release,
) -> Result<releases::Release, Failure> {
    let (service, was_current) = (&release.service, release.current);
    let look = async || {
        let release = listed(cx, service, &release.digest).await?;
        Ok((release, last_rollout(cx, service).await?))
    };
    let done = |progress: &mut Progress, (release, rollout): (Option<_>, Option<Rollout>)| {
        let release: Option<releases::Release> = release;
        let Some(release) = release else { return Ok(None) };
        let OnNodes { nodes, ready, replicas, healthy, problem, .. } = &release.on_nodes;
        if let Some(problem) = problem {
            return Err(failed("the release is published and does not run", None)
                .output("what the node says", problem));
        }
        if was_current && !release.current {
            return Err(failed("another release was promoted meanwhile", None));
        }
        if *nodes == 0 {
            return Err(failed("the release is published, and there is no node to run it", None));
        }
        let left = rollout.filter(|it| !it.state.has_ended()).map_or(0, |it| it.left);
        let is_done = !release.current || (healthy >= replicas && left == 0);
        if ready == nodes && is_done {
            return Ok(Some(release));
        }
        let mut said = format!("ready on {ready} of {nodes} nodes");
        if release.current {
            said = format!("{said}, {healthy} of {replicas} replicas healthy");
        }
        if release.current && left > 0 {
            said = format!("{said}, {left} instances still to move");
        }
        progress.say(&said)?;
        Ok(None)
    };
    progress.until(look, done).await
}

pub(super) fn announced(progress: &mut Progress, release: &releases::Release) -> Outcome {
    progress.say(match release.phase {
        ReleasePhase::Announcing => "announcing it to the other components",
        ReleasePhase::Staged => "published: every component has accepted it",
        ReleasePhase::Failed => "somebody refused it, and nothing has changed",
    })
}

async fn list(cx: &Context, service: &Name, limit: Limit) -> Outcome {
    let page = |after, limit| ListReleases { service: service.clone(), after, limit };
    let releases = cx.list(limit.limit, page).await?;
    let empty = "No release yet; `mandate service publish DIR` makes one.";
    cx.show_list(&releases, empty, |releases| {
        let headings = ["RELEASE", "STATE", "PUBLISHED", "SIGNED BY", "PROBLEM"];
        let current = releases.iter().position(|release| release.current);
        let each = releases.iter().zip(0..);
        Table::of(&headings, each, |table, (release, place)| {
            let is_former = current.is_some_and(|current| place > current);
            let state = state(release, is_former);
            let published = moment(release.created);
            let signer: String = release.public_key.chars().take(16).collect();
            let problem = release.problem.as_ref().or(release.on_nodes.problem.as_ref());
            let problem = problem.and_then(|text| text.lines().next()).unwrap_or_default();
            table.row([&release.digest.short(), &state, &published, &signer, &problem]);
        })
    })
}

/// How far a release is, in words; a former one was published before the current one.
fn state(release: &releases::Release, is_former: bool) -> String {
    let OnNodes { nodes, ready, failed, .. } = release.on_nodes;
    let name = match release.phase {
        _ if release.current => "current".to_owned(),
        ReleasePhase::Staged if is_former => return "former".to_owned(),
        phase => word(&phase),
    };
    if release.phase != ReleasePhase::Staged && !release.current {
        name
    } else if nodes > 0 && failed == nodes {
        format!("{name}, failed on every node")
    } else {
        format!("{name}, ready on {ready} of {nodes} nodes")
    }
}

/// What `release status` says.
#[derive(Debug, serde::Serialize)]
struct Standing {
    /// The current one, and the one that was staged last.
    releases: Vec<releases::Release>,
    rollout: Option<Rollout>,
    nodes: Vec<OnNode>,
}

/// A release on a node.
#[derive(Debug, serde::Serialize)]
struct OnNode {
    node: Name,
    alive: bool,
    release: Digest,
    /// How far; nothing if it has not begun.
    state: Option<ReleaseState>,
    healthy: usize,
    replicas: usize,
    log: String,
}

impl Standing {
    async fn look(cx: &Context, service: &Name) -> Result<Self, Failure> {
        let mut releases = all(cx, service).await?;
        let newest = releases.iter().position(|it| it.phase == ReleasePhase::Staged);
        let mut place = 0;
        releases.retain(|release| {
            place += 1;
            release.current || newest == Some(place - 1)
        });
        let rollout = last_rollout(cx, service).await?;
        let nodes = cx.list(None, |after, limit| ListNodes { after, limit }).await?.items;
        let on = |node: &releases::Node, release: &releases::Release| {
            let said = node.releases.iter().find(|said| said.digest == release.digest);
            let its = node.replicas.iter().filter(|it| it.digest == release.digest);
            let healthy = its.clone().filter(|it| it.state == releases::ReplicaState::Healthy);
            OnNode {
                node: node.name.clone(),
                alive: node.alive,
                release: release.digest.clone(),
                state: said.map(|said| said.state),
                healthy: healthy.count(),
                replicas: its.count(),
                log: said.map(|said| said.log.clone()).unwrap_or_default(),
            }
        };
        let on_each = |release| nodes.iter().map(move |node| on(node, release));
        let nodes = releases.iter().flat_map(on_each).collect();
        Ok(Self { releases, rollout, nodes })
    }

    /// Whether something will change by itself.
    fn is_under_way(&self) -> bool {
        let makes = |it: &OnNode| {
            it.alive && !matches!(it.state, Some(ReleaseState::Ready | ReleaseState::Failed))
        };
        self.nodes.iter().any(makes)
            || self.rollout.as_ref().is_some_and(|rollout| !rollout.state.has_ended())
    }

    fn text(&self, called: &Names) -> String {
        let mut parts: Vec<String> = self.releases.iter().map(|it| self.of(it)).collect();
        if let Some(rollout) = &self.rollout {
            parts.push(sentence(rollout, called));
        }
        parts.join("\n\n")
    }

    fn of(&self, release: &releases::Release) -> String {
        let head = format!("{}  {}", release.digest.short(), state(release, false));
        let its: Vec<&OnNode> =
            self.nodes.iter().filter(|it| it.release == release.digest).collect();
        if its.is_empty() {
            return head;
        }
        let table =
            Table::of(&["  NODE", "STATE", ">HEALTHY REPLICAS", "LOG"], &its, |table, it| {
                let name = format!("  {}", it.node);
                let state = match (&it.state, it.alive) {
                    (_, false) => "AWAY".to_owned(),
                    (None, true) => "not begun".to_owned(),
                    (Some(state), true) => word(state),
                };
                let healthy = format!("{} of {}", it.healthy, it.replicas);
                let failed = it.state == Some(ReleaseState::Failed);
                let last = it.log.trim().lines().last().filter(|_| failed).unwrap_or_default();
                table.row([&name, &state, &healthy, &last]);
            });
        format!("{head}\n{table}")
    }
}

/// A rollout in words.
fn sentence(rollout: &Rollout, called: &Names) -> String {
    let by =
        rollout.by.as_ref().map_or_else(String::new, |by| format!(" by {}", called.principal(by)));
    let from =
        rollout.from.as_ref().map_or_else(String::new, |from| format!(" from {}", from.short()));
    let begun = moment(rollout.begun);
    let how = match rollout.state {
        RolloutState::Announcing => "the other components are told".to_owned(),
        RolloutState::Moving if rollout.left == 1 => "1 instance is still to move".to_owned(),
        RolloutState::Moving => format!("{} instances are still to move", rollout.left),
        RolloutState::Done => "every instance is on it".to_owned(),
        RolloutState::RolledBack => "rolled back".to_owned(),
    };
    let (number, to) = (rollout.number, rollout.to.short());
    format!("Rollout {number}{from} to {to}, begun {begun}{by}: {how}.")
}

async fn names_of(cx: &Context, rollouts: &[&Rollout]) -> Names {
    let mut ids = Ids::default();
    rollouts.iter().filter_map(|rollout| rollout.by.as_ref()).for_each(|by| ids.principal(by));
    cx.names(ids).await
}

async fn show(cx: &Context, service: &Name, watch: bool) -> Outcome {
    let mut standing = Standing::look(cx, service).await?;
    if watch {
        let mut progress = Progress::begin(cx);
        let look = async || Standing::look(cx, service).await;
        let done = |progress: &mut Progress, now: Standing| {
            if !now.is_under_way() {
                return Ok(Some(now));
            }
            let states = now.nodes.iter().filter(|it| it.alive);
            let ready = states.clone().filter(|it| it.state == Some(ReleaseState::Ready)).count();
            let left = now.rollout.as_ref().map_or(0, |rollout| rollout.left);
            let of = states.count();
            progress.say(&format!("{ready} of {of} ready, {left} instances still to move"))?;
            Ok(None)
        };
        standing = progress.until(look, done).await?;
    }
    let called = names_of(cx, &standing.rollout.iter().collect::<Vec<_>>()).await;
    cx.show(&standing, |standing| standing.text(&called))
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
