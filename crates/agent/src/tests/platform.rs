//! What an agent asks of the platform, in one struct: it believes nobody without a proper token.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    Kind, Problem, Transport, TransportError,
    configurator::{Environment, GetEnvironment},
    http::{Sending, decode, token},
    identity::{IssueInstanceToken, IssueServiceToken, IssuedToken, JoinNode, Joined},
    jobs::{Lease, LeaseJobs, Leases, Outcome, Report, ReportJobs, Reported, Reports, Verdict},
    releases::{
        Desired, FindPackage, Heartbeat, LogPart, LogWish, PackageSource, PackageSources, PutLogs,
        ReleaseState, ReplicaReport, ReplicaState, TICKET_LIFE, ticket_audience,
    },
};
use bytes::Bytes;
use ed25519_dalek::{SigningKey, VerifyingKey};
use http::{Method, Request, Response};
use tokio::sync::watch;
use types::{Digest, NodeId, Principal, Secret, SystemClock};

type Want = Box<dyn Fn(&Heartbeat) -> Desired + Send + Sync>;

pub(super) struct Platform {
    pub(super) state: Mutex<State>,
    changed: watch::Sender<u64>,
}

pub(super) struct State {
    keys: HashMap<NodeId, (String, VerifyingKey)>,
    want: Want,
    pub(super) nodes: BTreeMap<NodeId, Heartbeat>,
    pub(super) packages: HashMap<Digest, Bytes>,
    pub(super) variables: BTreeMap<String, Secret>,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) jobs: VecDeque<Lease>,
    pub(super) reports: Vec<Report>,
    /// The jobs that the node that asked last said it had.
    pub(super) holding: Vec<types::JobId>,
    /// Reports of jobs are refused: the lease is another node's.
    pub(super) fenced: bool,
    /// Jobs are to be stopped.
    pub(super) cancelled: bool,
    /// Nobody gets an answer.
    pub(super) away: bool,
    /// How often somebody got none.
    pub(super) unanswered: u32,
    pub(super) joins: u32,
    pub(super) tokens: u32,
    /// Of so many questions about what nodes are to run, each second one comes before that is known.
    pub(super) unheard: u32,
    /// How often somebody who is no node has asked.
    pub(super) strangers: u32,
    /// What somebody wants to read, until a node has heard of it.
    pub(super) wishes: Vec<LogWish>,
    /// What was told of that.
    pub(super) told: Vec<LogPart>,
    /// The parts of packages that were fetched, each as often as it was.
    pub(super) fetched: Vec<(Digest, usize)>,
    /// So much of a package is given at once.
    pub(super) part_bytes: usize,
    /// No more parts of packages are given.
    pub(super) parts_max: usize,
    /// Who is named to nodes that fetch a package, before those that share it.
    pub(super) others: Vec<(NodeId, SocketAddr)>,
    /// How often a node has asked who gives a package.
    pub(super) searched: u32,
    /// How long what a node says takes to be answered; a package takes a tenth of that.
    pub(super) slow: Duration,
    /// How often a node has not waited for the answer to what it had to say.
    pub(super) cut_short: u32,
}

/// So much of a package is given at once, unless something else is said.
pub(super) const PART_BYTES: usize = 250;

/// A platform that many agents reach.
pub(super) struct Shared(pub(super) Arc<Platform>);

impl Transport for Shared {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        Box::pin(async move {
            if self.0.state.lock().unwrap().away {
                self.0.change(|state| state.unanswered += 1);
                let why = "it is away".to_owned();
                return Err(TransportError { to: "the platform".to_owned(), why });
            }
            let answer = self.0.answer(request.clone()).await;
            self.0.takes_its_time(&request).await;
            Ok(answer)
        })
    }
}

impl Platform {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            keys: HashMap::new(),
            want: Box::new(|_| desired(Vec::new(), Vec::new())),
            nodes: BTreeMap::new(),
            packages: HashMap::new(),
            variables: BTreeMap::new(),
            secrets: BTreeMap::new(),
            jobs: VecDeque::new(),
            reports: Vec::new(),
            holding: Vec::new(),
            fenced: false,
            cancelled: false,
            away: false,
            unanswered: 0,
            joins: 0,
            tokens: 0,
            unheard: 0,
            strangers: 0,
            wishes: Vec::new(),
            told: Vec::new(),
            fetched: Vec::new(),
            part_bytes: PART_BYTES,
            parts_max: usize::MAX,
            others: Vec::new(),
            searched: 0,
            slow: Duration::ZERO,
            cut_short: 0,
        };
        Arc::new(Self { state: Mutex::new(state), changed: watch::Sender::default() })
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    /// Answers reports late, and notices who goes away meanwhile.
    fn part(&self, digest: &Digest, offset: usize) -> Result<Bytes, Problem> {
        self.change(|state| {
            if state.fetched.len() >= state.parts_max {
                return Err(Problem::unavailable("there are no more", 1));
            }
            state.fetched.push((digest.clone(), offset));
            let package =
                state.packages.get(digest).ok_or_else(|| Problem::not_found("package"))?;
            let end = package.len().min(offset + state.part_bytes);
            Ok(package.slice(end.min(offset)..end))
        })
    }

    async fn takes_its_time(&self, request: &Request<Bytes>) {
        struct CutShort<'p>(Option<&'p Platform>);
        impl Drop for CutShort<'_> {
            fn drop(&mut self) {
                if let Some(platform) = self.0 {
                    platform.change(|state| state.cut_short += 1);
                }
            }
        }
        let slow = self.state.lock().unwrap().slow;
        let is_report = request.uri().path().starts_with("/releases/v1/nodes/")
            && !request.body().windows(9).any(|part| part == b"as_before");
        if slow > Duration::ZERO && is_report {
            let mut waits = CutShort(Some(self));
            tokio::time::sleep(slow).await;
            waits.0 = None;
        } else if request.uri().path().starts_with("/releases/v1/packages/") {
            tokio::time::sleep(slow / 10).await;
        }
    }

    /// Knows no node any more.
    pub(super) fn forget_nodes(&self) {
        self.change(|state| state.keys.clear());
    }

    /// Wants this of every node.
    pub(super) fn want(&self, want: impl Fn(&Heartbeat) -> Desired + Send + Sync + 'static) {
        self.change(|state| state.want = Box::new(want));
    }

    /// Waits until something is as it should be, looking whenever anything happened.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        mut is_so: impl FnMut(&State) -> Option<T>,
    ) -> T {
        let mut changed = self.changed.subscribe();
        let found = tokio::time::timeout(super::PATIENCE, async {
            loop {
                if let Some(found) = is_so(&self.state.lock().unwrap()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        });
        let Ok(found) = found.await else {
            panic!("waited for: {what}; the nodes say: {:#?}", self.state.lock().unwrap().nodes);
        };
        found
    }

    /// Waits for the first replica that is in this state, and was started as often.
    pub(super) async fn replica(&self, state: ReplicaState, starts: u32) -> ReplicaReport {
        self.until(&format!("a replica that is {state:?}"), |platform| {
            let replicas = platform.nodes.values().flat_map(|node| &node.replicas);
            let mut found = replicas.filter(|replica| replica.state == state);
            found.find(|replica| replica.starts >= starts).cloned()
        })
        .await
    }

    /// Waits until a release is so, and gives its log.
    pub(super) async fn release(&self, digest: &Digest, state: ReleaseState) -> String {
        self.until(&format!("a release that is {state:?}"), |platform| {
            let releases = platform.nodes.values().flat_map(|node| &node.releases);
            let mut found = releases.filter(|release| release.digest == *digest);
            found.find(|release| release.state == state).map(|release| release.log.clone())
        })
        .await
    }

    /// Waits for the last report of a job.
    pub(super) async fn end_of_job(&self) -> Report {
        self.until("the end of a job", |state| {
            let mut ends = state.reports.iter().filter(|report| report.outcome != Outcome::Running);
            ends.next_back().cloned()
        })
        .await
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.reply(&request).await {
            Ok(body) => Response::new(body),
            Err(problem) => {
                let body = serde_json::to_vec(&problem).unwrap().into();
                Response::builder().status(problem.status).body(body).unwrap()
            }
        }
    }

    async fn reply(&self, request: &Request<Bytes>) -> Result<Bytes, Problem> {
        let path = request.uri().path().replace("%3A", ":");
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let (body, method) = (request.body(), request.method());
        if parts != ["identity", "v1", "nodes"] {
            let known = self.authenticate(request, parts[0]);
            known.inspect_err(|_| self.change(|state| state.strangers += 1))?;
        }
        let reply = match parts.as_slice() {
            ["identity", "v1", "nodes"] => json(&self.join(decode(&[], None, body)?)?),
            ["identity", "v1", "nodes", node, "services", service, "tokens"] => {
                let fields = [("node", *node), ("service", *service)];
                self.has_heard()?;
                json(&self.issue(&decode(&fields, None, body)?))
            }
            ["identity", "v1", "nodes", node, "instances", instance, "tokens"] => {
                let fields = [("node", *node), ("instance", *instance)];
                let op: IssueInstanceToken = decode(&fields, None, body)?;
                self.has_heard()?;
                json(&self.token_for(&op.instance))
            }
            ["releases", "v1", "nodes", node, "logs"] => {
                let told: PutLogs = decode(&[("node", node)], None, body)?;
                self.change(|state| state.told.extend(told.parts));
                json(&api::Empty {})
            }
            ["releases", "v1", "nodes", node] => {
                json(&self.heartbeat(decode(&[("node", node)], None, body)?).await)
            }
            ["releases", "v1", "packages", digest, "parts", offset] if method == Method::GET => {
                self.part(&digest.parse().unwrap(), offset.parse().unwrap())?
            }
            ["releases", "v1", "nodes", node, "packages", digest] => {
                let op: FindPackage = decode(&[("node", *node), ("digest", *digest)], None, body)?;
                json(&self.find(&op))
            }
            ["configurator", "v1", "nodes", node, "instances", instance, "environment"] => {
                let fields = [("node", *node), ("instance", *instance)];
                let _: GetEnvironment = decode(&fields, None, body)?;
                self.has_heard()?;
                let (variables, secrets) = {
                    let state = self.state.lock().unwrap();
                    (state.variables.clone(), state.secrets.clone())
                };
                json(&Environment { account: types::Id::named(&["account"]), variables, secrets })
            }
            ["jobs", "v1", "nodes", node, "leases"] => {
                json(&self.lease(decode(&[("node", node)], None, body)?).await)
            }
            ["jobs", "v1", "nodes", node, "reports"] => {
                let fields = [("node", *node)];
                json(&self.report(decode(&fields, None, body)?))
            }
            _ => return Err(Problem::not_found("operation")),
        };
        Ok(reply)
    }

    fn authenticate(&self, request: &Request<Bytes>, component: &str) -> Result<(), Problem> {
        let refuse = |why: String| Problem::new(Kind::Unauthenticated, "token_refused", why);
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| refuse("no token".into()))?;
        let state = self.state.lock().unwrap();
        let find = |kid: &str| Some(state.keys.get(&kid.parse().ok()?)?.1);
        let (kid, claims) =
            token::verify(token, find).map_err(|cause| refuse(cause.to_string()))?;
        let good = claims.aud == component && claims.sub == Principal::Node(kid.parse().unwrap());
        good.then_some(()).ok_or_else(|| refuse("it is for another".into()))
    }

    fn join(&self, op: JoinNode) -> Result<Joined, Problem> {
        if op.join_token.reveal() != "join" {
            return Err(Problem::new(Kind::Unauthenticated, "join_token_refused", "no"));
        }
        let key =
            VerifyingKey::from_bytes(&const_hex::decode_to_array(&op.public_key).unwrap()).unwrap();
        let node = NodeId::named(&[&op.public_key]);
        self.change(|state| {
            state.joins += 1;
            state.keys.insert(node, (op.public_key, key));
        });
        Ok(Joined { node })
    }

    /// Each second time that is asked for, it has.
    fn has_heard(&self) -> Result<(), Problem> {
        let left = self.change(|state| {
            state.unheard = state.unheard.saturating_sub(1);
            state.unheard
        });
        let denied = || Problem::new(Kind::Denied, "not_placed", "it does not run on this node");
        if left % 2 == 1 { Err(denied()) } else { Ok(()) }
    }

    fn issue(&self, op: &IssueServiceToken) -> IssuedToken {
        self.token_for(&op.service)
    }

    fn token_for(&self, whom: &impl std::fmt::Display) -> IssuedToken {
        let count = self.change(|state| {
            state.tokens += 1;
            state.tokens
        });
        let expires = types::Clock::now(&SystemClock).plus(Duration::from_hours(1));
        IssuedToken { token: Secret::new(format!("{whom}-{count}")), expires }
    }

    fn find(&self, op: &FindPackage) -> PackageSources {
        self.change(|state| {
            state.searched += 1;
            let sharing = state.nodes.values().filter_map(|node| {
                let sharing = node.sharing.as_ref()?;
                let has = node.node != op.node && sharing.packages.contains(&op.digest);
                has.then_some((node.node, sharing.address))
            });
            let sources = state.others.iter().copied().chain(sharing);
            let sources = sources.map(|(node, address)| {
                let said = state.nodes.get(&node).and_then(|node| node.sharing.as_ref());
                let session = said.map_or(0, |sharing| sharing.session);
                let ticket = Secret::new(ticket(node, session, &op.digest));
                PackageSource { node, address, ticket }
            });
            PackageSources { sources: sources.collect() }
        })
    }

    async fn heartbeat(&self, op: Heartbeat) -> Desired {
        let mut changed = self.changed.subscribe();
        self.change(|state| state.nodes.insert(op.node, op.clone()));
        let deadline = tokio::time::Instant::now() + Duration::from_millis(op.wait_millis.into());
        loop {
            changed.borrow_and_update();
            let mut desired = (self.state.lock().unwrap().want)(&op);
            desired.logs = std::mem::take(&mut self.state.lock().unwrap().wishes);
            let key = || const_hex::encode(ticket_key().verifying_key().as_bytes());
            desired.ticket_key = op.sharing.is_some().then(key);
            if desired.version != op.known || !desired.logs.is_empty() {
                return desired;
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return desired;
            }
        }
    }

    async fn lease(&self, op: LeaseJobs) -> Leases {
        self.change(|state| state.holding.clone_from(&op.holding));
        let mut changed = self.changed.subscribe();
        let deadline = tokio::time::Instant::now() + Duration::from_millis(op.wait_millis.into());
        loop {
            changed.borrow_and_update();
            let lease = {
                let mut state = self.state.lock().unwrap();
                let ready = |lease: &Lease| op.releases.contains(&lease.release);
                if state.jobs.front().is_some_and(ready) { state.jobs.pop_front() } else { None }
            };
            if let Some(lease) = lease {
                return Leases { leases: vec![lease] };
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Leases { leases: Vec::new() };
            }
        }
    }

    fn report(&self, op: ReportJobs) -> Reports {
        self.change(|state| {
            let verdict = match (state.fenced, state.cancelled) {
                (true, _) => Verdict::Lost,
                (_, true) => Verdict::Stop,
                _ => Verdict::Kept,
            };
            let reported = |report: &Report| Reported { job: report.job, verdict };
            let reports = op.reports.iter().map(reported).collect();
            if verdict != Verdict::Lost {
                state.reports.extend(op.reports);
            }
            Reports { reports }
        })
    }
}

/// The key that signs tickets.
pub(super) fn ticket_key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// A ticket as it should be.
pub(super) fn ticket(node: NodeId, session: u64, digest: &Digest) -> String {
    let (now, audience) = (types::Clock::now(&SystemClock), ticket_audience(node, session, digest));
    let asks = Principal::Node(NodeId::named(&["whoever asks"]));
    token::sign("releases", &ticket_key(), &token::Claims::new(asks, &audience, now, TICKET_LIFE))
}

fn json(reply: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(reply).unwrap().into()
}

/// A wish, with the number that follows from it.
pub(super) fn desired(
    releases: Vec<api::releases::DesiredRelease>,
    replicas: Vec<api::releases::DesiredReplica>,
) -> Desired {
    let digests: Vec<&Digest> = releases.iter().map(|release| &release.digest).collect();
    let text = serde_json::to_vec(&(digests, &replicas)).unwrap();
    let version = u64::from_str_radix(&Digest::of(&text).hex()[..15], 16).unwrap();
    Desired {
        version,
        engine: "sqlite".to_owned(),
        releases,
        replicas,
        report: None,
        logs: Vec::new(),
        ticket_key: None,
    }
}
