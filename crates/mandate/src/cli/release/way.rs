//! The way of a release, and waiting until it is somewhere on it.

use std::collections::BTreeSet;

use api::releases::{self, OnNodes, PromoteRelease, ReleasePhase, Rollout, RolloutState};
use types::{Digest, Name, NodeId};

use super::{
    super::{
        Failure, Outcome, context::Context, failure::failed, output::counted, progress::Progress,
    },
    all, last_rollout, listed,
    plan::Plan,
    standing::not_moved,
};

/// Promotes a release, in place of the one that is current now.
pub(in crate::cli) async fn promoted(
    cx: &Context,
    progress: &mut Progress,
    release: &releases::Release,
    (plan, without): (Plan, &[String]),
) -> Result<releases::Release, Failure> {
    let (service, digest) = (release.service.clone(), release.digest.clone());
    let current = all(cx, &service).await?.into_iter().find(|release| release.current);
    let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
    for node in without {
        nodes.insert(cx.node(node).await?.node);
    }
    let replaces = current.map(|current| current.digest);
    let promote = PromoteRelease {
        service: service.clone(),
        release: digest.clone(),
        replaces,
        without: nodes,
        accept_loss: plan.accept_loss,
        plan: plan.of(cx).await?,
    };
    progress.say(&format!("promoting {}", digest.short()))?;
    let rollout = cx.ask(promote).await.map_err(|problem| refused(problem, release))?;
    let look = async || last_rollout(cx, &service).await;
    let told = |_: &mut Progress, now: Option<Rollout>| {
        let same = now.filter(|now| now.number == rollout.number);
        let same = same.ok_or_else(|| failed("another release was promoted meanwhile", None))?;
        Ok((same.state != RolloutState::Announcing).then_some(()))
    };
    if rollout.state != RolloutState::Scheduled {
        progress.until(look, told).await?;
        progress.say("it is the current one; instances move to it")?;
    }
    let now = listed(cx, &service, &digest).await?;
    now.ok_or_else(|| failed("the release is not listed any more", None))
}

/// Why it was not promoted, with what to do.
fn refused(failure: Failure, release: &releases::Release) -> Failure {
    if !failure.is("release_loses_something") {
        return failure;
    }
    let (service, digest) = (&release.service, release.digest.short());
    failure.hint(format!(
        "`mandate release promote {service} {digest} --check` shows whom it concerns; \
         `--accept-loss` agrees to it"
    ))
}

/// Waits until everybody has agreed to a release, and is told if it is the first.
pub(in crate::cli) async fn staged(
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
pub(in crate::cli) async fn ready(
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
        let is_moving = rollout.as_ref().is_some_and(|it| !it.state.has_ended());
        // What does not run on a node stops a rollout by its own rules.
        if let Some(problem) = problem.as_ref().filter(|_| !is_moving) {
            return Err(failed("the release is published and does not run", None)
                .output("what the node says", problem));
        }
        if was_current && !release.current {
            return Err(failed("another release was promoted meanwhile", None));
        }
        if *nodes == 0 {
            return Err(failed("the release is published, and there is no node to run it", None));
        }
        let rollout = rollout.filter(|it| release.current && it.to == release.digest);
        let stopped = rollout.as_ref().and_then(|it| Some((it.clone(), stopped(it)?)));
        if let Some(stopped) = stopped {
            return Ok(Some(Err(stopped)));
        }
        let under_way = rollout.filter(|it| !it.state.has_ended());
        let left = under_way.as_ref().map_or(0, |it| it.counts.left());
        let is_done = !release.current || (healthy >= replicas && under_way.is_none());
        if ready == nodes && is_done {
            return Ok(Some(Ok(release)));
        }
        let mut said = format!("ready on {ready} of {nodes} nodes");
        if release.current {
            said = format!("{said}, {healthy} of {replicas} replicas healthy");
        }
        if release.current && left > 0 {
            said = format!("{said}, {} still to move", counted(left));
        }
        progress.say(&said)?;
        Ok(None)
    };
    let (rollout, why) = match progress.until(look, done).await? {
        Ok(release) => return Ok(release),
        Err(stopped) => stopped,
    };
    Err(match not_moved(cx, &rollout).await? {
        Some(each) => why.output("what could not be moved", &each),
        None => why,
    })
}

/// Why nothing more happens though instances are left to move.
fn stopped(rollout: &Rollout) -> Option<Failure> {
    let service = &rollout.service;
    match rollout.state {
        RolloutState::Paused => {
            let why = rollout.problem.clone();
            let hint = format!(
                "`mandate release moves {service}` names what could not be moved; then `release resume`, \
                 `release rollback` or `release cancel`"
            );
            Some(failed("the rollout has paused", why).hint(hint))
        }
        RolloutState::Cancelled => Some(failed("the rollout was given up", None)),
        RolloutState::RolledBack => Some(failed("the rollout was rolled back", None)),
        RolloutState::Done if rollout.counts.failed > 0 => {
            let sentence = format!("{} could not be moved", counted(rollout.counts.failed));
            Some(
                failed(&sentence, None)
                    .hint(format!("`mandate release moves {service}` names them")),
            )
        }
        _ => None,
    }
}

pub(in crate::cli) fn announced(progress: &mut Progress, release: &releases::Release) -> Outcome {
    progress.say(match release.phase {
        ReleasePhase::Announcing => "announcing it to the other components",
        ReleasePhase::Staged => "published: every component has accepted it",
        ReleasePhase::Failed => "somebody refused it, and nothing has changed",
    })
}
