//! The agent's loop: tell, hear, plan, act.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use api::{
    Kind, Problem,
    identity::{IssueServiceToken, Purpose},
    releases::{
        Desired, Heartbeat, Isolation, LogWish, ReleaseReport, ReplicaReport, ReplicaState, Sharing,
    },
};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use types::ReplicaId;

use crate::{
    Node,
    hold::{are_counted, last_bytes},
    host::{Host, Observed, ObservedReplica},
    join::may_pass,
    logs,
    plan::plan,
    releases::Open,
    stopped,
};

/// How long the platform may wait for something to say.
const WAIT_MILLIS: u32 = 5_000;
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// At least this long is waited between two reports.
const BREATH: Duration = Duration::from_millis(20);
/// How long the platform may take to hear that a node goes.
const FAREWELL: Duration = Duration::from_secs(1);
/// The logs in one report are together at most as long, since a request's body is limited.
const LOG_BYTES_MAX: usize = 256 << 10;
/// More than this is not meant for one node.
const RELEASES_MAX: usize = 200;
const REPLICAS_MAX: usize = 2_000;

/// Keeps the node as the platform wants it until `stopping`; then stops everything, if it is to end
/// with the agent. What was wanted last is kept while the platform cannot be reached.
pub(crate) async fn keep(node: &Node, mut host: impl Host, mut stopping: watch::Receiver<bool>) {
    let mut talk = Talk::new(node);
    let mut reading = JoinSet::new();
    loop {
        let observed = observe_and_act(&mut host, talk.desired.as_ref());
        let is_news = talk.told != Some(observed.revision);
        if talk.pausing() {
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => break,
                () = tokio::time::sleep_until(talk.not_before) => {}
                () = host.changed() => {}
            }
            continue;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            () = talk.tell(&observed, is_news) => {}
            // News is told to the end, and what happened meanwhile next: no report is cut short
            // and overtaken by an older one.
            () = host.changed(), if !is_news => {}
        }
        while reading.try_join_next().is_some() {}
        for wish in talk.wishes.drain(..) {
            let (client, printed) = (node.client.clone(), host.printed());
            reading.spawn(logs::answer(client, node.id, wish, printed));
        }
    }
    if node.ends_all {
        // First nobody sends requests here any more, then what runs is stopped.
        talk.farewell().await;
        host.stop().await;
    } else {
        host.leave().await;
    }
}

/// Brings the node a step nearer, and gives what it is then.
fn observe_and_act(host: &mut impl Host, desired: Option<&Desired>) -> Observed {
    let observed = host.observe();
    let Some(desired) = desired else { return observed };
    let steps = plan(desired, &observed);
    if steps.is_empty() {
        return observed;
    }
    for step in steps {
        tracing::debug!(?step, "acting");
        host.act(step);
    }
    host.observe()
}

/// What the platform was told, and what it said.
struct Talk<'n> {
    node: &'n Node,
    isolation: Isolation,
    desired: Option<Desired>,
    told: Option<u64>,
    not_before: Instant,
    /// Since when the platform says that it does not know this node.
    unknown: Option<Instant>,
    /// What somebody wants to read of what is printed here.
    wishes: Vec<LogWish>,
    pauses: crate::pause::Pauses,
}

impl<'n> Talk<'n> {
    fn new(node: &'n Node) -> Self {
        let pauses = node.pace.asking_pauses();
        let not_before = Instant::now();
        let one_user = node.users.missing().map(str::to_owned);
        let isolation = Isolation { one_user, cgroups: are_counted() };
        Self {
            node,
            isolation,
            desired: None,
            told: None,
            not_before,
            unknown: None,
            wishes: Vec::new(),
            pauses,
        }
    }

    /// Whether the platform is not asked just now.
    fn pausing(&self) -> bool {
        Instant::now() < self.not_before
    }

    /// Tells how the node is. With nothing new to tell only that is said, and the answer may take its
    /// time.
    async fn tell(&mut self, observed: &Observed, is_news: bool) {
        let wait_millis = if is_news { 0 } else { WAIT_MILLIS };
        let heartbeat = match self.desired.as_ref().and_then(|desired| desired.report) {
            Some(report) if !is_news => self.as_before(report, wait_millis),
            _ => self.heartbeat(observed, wait_millis),
        };
        let asking = self.node.client.call(heartbeat);
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let late = |_| Err(Problem::unavailable("the platform takes too long", 1));
        match answer.unwrap_or_else(late).and_then(within_limits) {
            Ok(desired) => {
                self.pauses.reset();
                self.is_known();
                self.not_before = Instant::now() + BREATH;
                self.told = Some(observed.revision);
                self.hear(desired, is_news);
            }
            // The platform was started anew: it is told all.
            Err(problem) if problem.code == "unknown_report" && !is_news => {
                self.not_before = Instant::now() + BREATH;
                self.told = None;
            }
            Err(problem) => {
                self.notice(&problem).await;
                if self.node.removed.load(Ordering::Acquire) {
                    self.not_before = Instant::now() + self.node.pace.removed;
                    return;
                }
                self.not_before = Instant::now() + self.pauses.take();
                let level = if may_pass(&problem) { "later" } else { "perhaps never" };
                tracing::warn!(%problem, answered = level, "the platform does not hear this node");
            }
        }
    }

    /// Whoever had nothing to say is not told again what has not changed.
    fn hear(&mut self, mut desired: Desired, is_news: bool) {
        if let (Some(sharing), Some(key)) = (&self.node.sharing, &desired.ticket_key) {
            sharing.trust(key);
        }
        self.wishes.append(&mut desired.logs);
        match &mut self.desired {
            Some(known) if !is_news && known.version == desired.version => {
                known.report = desired.report;
            }
            known => *known = Some(desired),
        }
    }

    /// The platform knows this node, or may.
    fn is_known(&mut self) {
        self.unknown = None;
        if self.node.removed.swap(false, Ordering::AcqRel) {
            self.node.changes.tell();
        }
    }

    /// A node that was removed is to run nothing. A component that has just been started may not have
    /// heard of it yet: who knows is identity, which is asked when that has lasted.
    async fn notice(&mut self, problem: &Problem) {
        if !is_unknown(problem) {
            self.is_known();
            return;
        }
        if self.node.removed.load(Ordering::Acquire) {
            return;
        }
        let since = *self.unknown.get_or_insert_with(Instant::now);
        if since.elapsed() < self.node.pace.removed {
            return;
        }
        let Ok(service) = "removed".parse() else { return };
        let purpose = Purpose::Tenancy;
        let asking =
            self.node.client.call(IssueServiceToken { node: self.node.id, service, purpose });
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let is_removed = matches!(&answer, Ok(Err(problem)) if is_unknown(problem));
        if is_removed {
            tracing::warn!(
                "this node was removed: what runs here is ended. To let the machine join again, stop \
                 its agent, remove `node.key` and `node.id` from its folder, and start it with a new \
                 token"
            );
            self.node.removed.store(true, Ordering::Release);
            let engine = self.desired.take().map(|desired| desired.engine).unwrap_or_default();
            let (releases, replicas) = (Vec::new(), Vec::new());
            self.desired = Some(Desired {
                version: 0,
                engine,
                releases,
                replicas,
                report: None,
                logs: Vec::new(),
                ticket_key: None,
            });
        }
    }

    /// Says that nothing runs here any more, so that nobody sends requests to what is stopped now.
    async fn farewell(&self) {
        let observed = Observed::default();
        let telling = self.node.client.call(self.heartbeat(&observed, 0));
        let _ = tokio::time::timeout(FAREWELL, telling).await;
    }

    fn as_before(&self, report: u64, wait_millis: u32) -> Heartbeat {
        let as_before = Some(report);
        let (machine, sharing) = (None, None);
        Heartbeat {
            as_before,
            machine,
            sharing,
            ..self.heartbeat(&Observed::default(), wait_millis)
        }
    }

    fn heartbeat(&self, observed: &Observed, wait_millis: u32) -> Heartbeat {
        let (releases, replicas) = reports(observed);
        Heartbeat {
            node: self.node.id,
            name: self.node.name.clone(),
            releases,
            replicas,
            known: self.desired.as_ref().map_or(0, |desired| desired.version),
            wait_millis,
            isolation: Some(self.isolation.clone()),
            as_before: None,
            machine: Some(self.node.machine.clone()),
            sharing: self.sharing(observed),
        }
    }

    /// What is given to other nodes.
    fn sharing(&self, observed: &Observed) -> Option<Sharing> {
        let Open { address, session } = self.node.sharing.as_ref()?.open()?;
        let shared = observed.releases.iter().filter(|release| release.shared);
        let packages = shared.take(RELEASES_MAX).map(|release| release.report.digest.clone());
        Some(Sharing { address, session, packages: packages.collect() })
    }
}

/// Whether the platform says that it knows no such node. A wrong clock is no reason.
fn is_unknown(problem: &Problem) -> bool {
    let codes = ["token_refused", "node_unknown"];
    problem.kind == Kind::Unauthenticated && codes.contains(&problem.code.as_str())
}

/// What is told of what is observed. A replica that is being stopped is out of service; of two
/// generations the one that serves stands for both.
fn reports(observed: &Observed) -> (Vec<ReleaseReport>, Vec<ReplicaReport>) {
    let mut serving: BTreeMap<ReplicaId, &ObservedReplica> = BTreeMap::new();
    for replica in observed.replicas.iter().filter(|replica| !replica.stopping) {
        let told = serving.entry(replica.report.replica).or_insert(replica);
        if replica.is_healthy() {
            *told = replica;
        }
    }
    let report = |replica: &ObservedReplica| {
        let stopping = replica.stopping.then_some(ReplicaState::Stopping);
        let state = stopping.unwrap_or(replica.report.state);
        ReplicaReport { state, ..replica.report.clone() }
    };
    for replica in observed.replicas.iter().filter(|replica| replica.stopping) {
        serving.entry(replica.report.replica).or_insert(replica);
    }
    let serving = serving.into_values().take(REPLICAS_MAX);
    let mut replicas: Vec<ReplicaReport> = serving.map(report).collect();
    let releases = observed.releases.iter().take(RELEASES_MAX);
    let mut releases: Vec<ReleaseReport> = releases.map(|release| release.report.clone()).collect();
    let share = LOG_BYTES_MAX / (replicas.len() + releases.len()).max(1);
    let of_replicas = replicas.iter_mut().map(|replica| &mut replica.log);
    let of_releases = releases.iter_mut().map(|release| &mut release.log);
    for log in of_replicas.chain(of_releases) {
        if log.len() > share {
            *log = last_bytes(log, share).to_owned();
        }
    }
    (releases, replicas)
}

fn within_limits(desired: Desired) -> Result<Desired, Problem> {
    if desired.releases.len() > RELEASES_MAX || desired.replicas.len() > REPLICAS_MAX {
        let most = format!("{REPLICAS_MAX} replicas of {RELEASES_MAX} releases");
        let detail = format!("one node is to run at most {most}: add nodes");
        return Err(Problem::new(Kind::Exhausted, "too_much", detail));
    }
    Ok(desired)
}
