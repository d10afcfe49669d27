//! How a service stands: its releases on each node, and its rollout.

use api::releases::{
    self, ListMoves, ListNodes, Move, MoveState, OnNodes, ReleasePhase, ReleaseState, Rollout,
    RolloutState,
};
use types::{Digest, Name};

use super::{
    super::{
        Failure, Outcome,
        context::Context,
        names::{Ids, Names},
        output::{Table, counted, moment, word},
        progress::Progress,
    },
    all, last_rollout,
};

/// How far a release is, in words; a former one was published before the current one.
pub(super) fn state(release: &releases::Release, is_former: bool) -> String {
    let OnNodes { nodes, ready, failed, .. } = release.on_nodes;
    if release.collected {
        return "collected".to_owned();
    }
    let name = match release.phase {
        _ if release.current => "current".to_owned(),
        ReleasePhase::Staged if is_former && release.does_old_jobs => {
            return "former, does old jobs".to_owned();
        }
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
    /// The first instances that could not be moved.
    failed: Vec<Move>,
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
        let all = all(cx, service).await?;
        let newest = all.iter().position(|it| it.phase == ReleasePhase::Staged);
        let shown = all.into_iter().enumerate();
        let shown = shown.filter(|(place, release)| release.current || Some(*place) == newest);
        let releases: Vec<releases::Release> = shown.map(|(_, release)| release).collect();
        let rollout = last_rollout(cx, service).await?;
        let failed = match &rollout {
            Some(rollout) => failed(cx, rollout).await?,
            None => Vec::new(),
        };
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
        Ok(Self { releases, rollout, failed, nodes })
    }

    /// Whether something will change by itself.
    fn is_under_way(&self) -> bool {
        let makes = |it: &OnNode| {
            it.alive && !matches!(it.state, Some(ReleaseState::Ready | ReleaseState::Failed))
        };
        self.nodes.iter().any(makes)
            || self.rollout.as_ref().is_some_and(|rollout| {
                matches!(rollout.state, RolloutState::Announcing | RolloutState::Moving)
            })
    }

    fn text(&self, called: &Names) -> String {
        let mut parts: Vec<String> = self.releases.iter().map(|it| self.of(it)).collect();
        if let Some(rollout) = &self.rollout {
            parts.push(sentence(rollout, called));
        }
        if !self.failed.is_empty() {
            parts.push(Table::of(&["NOT MOVED", "WHY"], &self.failed, |table, one| {
                table.row([&called.instance(one.instance), &why(one)]);
            }));
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

/// So many that could not be moved are named; `release moves` names all.
const FAILED_MAX: u32 = 20;

async fn failed(cx: &Context, rollout: &Rollout) -> Result<Vec<Move>, Failure> {
    // What is not where it should be comes first.
    let (service, number) = (rollout.service.clone(), Some(rollout.number));
    let moves = ListMoves { service, number, after: None, limit: Some(FAILED_MAX) };
    let moves = cx.ask(moves).await?.items;
    Ok(moves.into_iter().filter(|one| one.state == MoveState::Failed).collect())
}

/// Each instance that could not be moved, with the reason, a line each.
pub(super) async fn not_moved(cx: &Context, rollout: &Rollout) -> Result<Option<String>, Failure> {
    let failed = failed(cx, rollout).await?;
    let instances = failed.iter().map(|one| one.instance).collect();
    let called = cx.names(Ids { instances, ..Ids::default() }).await;
    let lines =
        failed.iter().map(|one| format!("{}: {}\n", called.instance(one.instance), why(one)));
    Ok(Some(lines.collect::<String>()).filter(|lines| !lines.is_empty()))
}

fn why(one: &Move) -> &str {
    one.problem.as_deref().unwrap_or("nobody knows why")
}

/// A rollout in words.
pub(super) fn sentence(rollout: &Rollout, called: &Names) -> String {
    let by =
        rollout.by.as_ref().map_or_else(String::new, |by| format!(" by {}", called.principal(by)));
    let from =
        rollout.from.as_ref().map_or_else(String::new, |from| format!(" from {}", from.short()));
    let begun = moment(rollout.begun);
    let left = match rollout.counts.left() {
        1 => "1 instance is".to_owned(),
        count => format!("{count} instances are"),
    };
    let how = match rollout.state {
        RolloutState::Announcing => "the other components are told".to_owned(),
        RolloutState::Scheduled => {
            let at = rollout.plan.at.map(moment).unwrap_or_default();
            format!("it begins at {at}")
        }
        RolloutState::Moving => format!("{left} still to move"),
        RolloutState::Paused => {
            let why = rollout.problem.as_deref().unwrap_or("for no reason that is known");
            format!("paused, since {why}; {left} still to move")
        }
        RolloutState::Done if rollout.counts.left() > 0 => format!("done, and {left} not moved"),
        RolloutState::Done => "every instance is on it".to_owned(),
        RolloutState::Cancelled => format!("given up; {left} not moved"),
        RolloutState::RolledBack => "rolled back".to_owned(),
    };
    let how = match rollout.counts.excepted {
        0 => how,
        1 => format!("{how}; 1 instance stays where it is"),
        count => format!("{how}; {count} instances stay where they are"),
    };
    let (number, to) = (rollout.number, rollout.to.short());
    format!("Rollout {number}{from} to {to}, begun {begun}{by}: {how}.")
}

pub(super) async fn names_of(cx: &Context, rollouts: &[&Rollout]) -> Names {
    let mut ids = Ids::default();
    rollouts.iter().filter_map(|rollout| rollout.by.as_ref()).for_each(|by| ids.principal(by));
    cx.names(ids).await
}

async fn names_in(cx: &Context, standing: &Standing) -> Names {
    let instances = standing.failed.iter().map(|one| one.instance).collect();
    let mut ids = Ids { instances, ..Ids::default() };
    standing.rollout.iter().filter_map(|it| it.by.as_ref()).for_each(|by| ids.principal(by));
    cx.names(ids).await
}

pub(super) async fn show(cx: &Context, service: &Name, watch: bool) -> Outcome {
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
            let left = now.rollout.as_ref().map_or(0, |rollout| rollout.counts.left());
            let of = states.count();
            let left = counted(left);
            progress.say(&format!("{ready} of {of} ready, {left} still to move"))?;
            Ok(None)
        };
        standing = progress.until(look, done).await?;
    }
    let called = names_in(cx, &standing).await;
    cx.show(&standing, |standing| standing.text(&called))
}
