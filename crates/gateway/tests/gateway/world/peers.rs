//! The other components, as far as a gateway needs them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    Kind, Problem,
    billing::{RecordUsage, Recorded, UsageEvent},
    configurator::{InstanceState, Setup, SetupField, SetupStep},
    identity::{RedeemSignInCode, SignedIn, User},
    jobs::{EnqueueJobs, Enqueued, JobState, NewJob, Progress},
    manifest::Manifest,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::{get, post, put},
};
use chassis::{Directory, problem_response};
use serde_json::{Value, json};
use tokio::sync::watch;
use types::{
    AccountId, Clock as _, Digest, InstanceId, JobId, ReplicaId, Secret, SessionId, SystemClock,
    UserId,
};

use super::{FORUM, Feed};

#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) configurator: Feed,
    pub(crate) releases: Feed,
    pub(crate) access: Feed,
    pub(crate) identity: Feed,
    pub(crate) ledger: Ledger,
    pub(crate) setup: Arc<Mutex<SetupDesk>>,
    pub(crate) signed_out: Arc<Mutex<Vec<(UserId, SessionId)>>>,
    /// For which browsers codes were taken.
    pub(crate) redeemed: Arc<Mutex<Vec<Digest>>>,
    /// What was queued, by its key.
    pub(crate) jobs: Arc<Mutex<JobDesk>>,
    /// What signing in gives.
    pub(crate) token: Arc<Mutex<String>>,
    /// For which instances nothing was under way, as it was told.
    pub(crate) quiet: Arc<Mutex<BTreeSet<InstanceId>>>,
    /// The new replicas that the gateway has said to have answered, and where.
    pub(crate) reached: Arc<Mutex<BTreeMap<ReplicaId, String>>>,
}

/// By source, epoch and first number.
type Batches = BTreeMap<(String, u64, u64), Vec<UsageEvent>>;

/// Usage as billing keeps it: each batch once, by its name.
#[derive(Clone)]
pub(crate) struct Ledger {
    batches: Arc<Mutex<Batches>>,
    refuses: Arc<Mutex<usize>>,
    changed: watch::Sender<u64>,
}

impl Ledger {
    /// The next so many batches are taken, but the sender does not hear of it.
    pub(crate) fn lose_answers(&self, count: usize) {
        *self.refuses.lock().unwrap() = count;
    }

    pub(crate) fn events(&self) -> Vec<UsageEvent> {
        self.batches.lock().unwrap().values().flatten().cloned().collect()
    }

    pub(crate) fn sum(&self, meter: &str) -> u64 {
        self.events().iter().filter(|event| event.meter == meter).map(|event| event.quantity).sum()
    }

    /// Returns when so much of `meter` has arrived.
    pub(crate) async fn has(&self, meter: &str, quantity: u64) {
        let mut changed = self.changed.subscribe();
        let wait = changed.wait_for(|_| self.sum(meter) >= quantity);
        let waited = tokio::time::timeout(Duration::from_mins(1), wait).await;
        assert!(waited.is_ok(), "{meter}: {} of {quantity}", self.sum(meter));
    }

    fn take(&self, batch: RecordUsage) -> Response {
        let next_sequence = batch.first_sequence + batch.events.len() as u64;
        {
            let mut batches = self.batches.lock().unwrap();
            let key = (batch.source, batch.epoch, batch.first_sequence);
            if let Some(before) = batches.get(&key) {
                assert_eq!(before, &batch.events, "the same batch is the same batch");
            }
            batches.insert(key, batch.events);
        }
        self.changed.send_modify(|count| *count += 1);
        let mut refuses = self.refuses.lock().unwrap();
        if *refuses > 0 {
            *refuses -= 1;
            return problem_response(Problem::unavailable("not now", 1));
        }
        Json(Recorded { next_sequence, refused: vec![] }).into_response()
    }
}

/// Jobs as their component keeps them: what is sent again under its key is there once.
#[derive(Default)]
pub(crate) struct JobDesk {
    pub(crate) queued: BTreeMap<String, (EnqueueJobs, JobId)>,
    /// How far the job is that is looked at.
    pub(crate) state: Option<(JobState, Progress)>,
    /// What is answered instead.
    pub(crate) refusal: Option<Problem>,
}

pub(crate) struct SetupDesk {
    pub(crate) state: InstanceState,
    pub(crate) key: String,
    pub(crate) submitted: Vec<Value>,
}

impl Peers {
    pub(crate) fn new() -> Self {
        let setup = SetupDesk {
            state: InstanceState::AwaitingSetup,
            key: "right".into(),
            submitted: vec![],
        };
        Self {
            configurator: Feed::new(),
            releases: Feed::new(),
            access: Feed::new(),
            identity: Feed::new(),
            ledger: Ledger {
                batches: Arc::default(),
                refuses: Arc::default(),
                changed: watch::Sender::new(0),
            },
            setup: Arc::new(Mutex::new(setup)),
            signed_out: Arc::default(),
            redeemed: Arc::default(),
            jobs: Arc::default(),
            token: Arc::default(),
            quiet: Arc::default(),
            reached: Arc::default(),
        }
    }

    pub(crate) fn stand_in(&self, directory: &Directory) {
        let setup = get(get_setup).post(submit_setup);
        let configurator = Router::new()
            .route("/configurator/v1/accounts/{account}/instances/{instance}/setup", setup)
            .route("/configurator/v1/gateways/{gateway}/quiet", put(put_quiet))
            .with_state(self.clone());
        let billing =
            Router::new().route("/billing/v1/usage", post(record)).with_state(self.clone());
        let identity = Router::new()
            .route("/identity/v1/sign-in-codes/redemption", post(redeem))
            .route("/identity/v1/users/{user}/sessions/{session}/end", put(end_session))
            .with_state(self.clone());
        directory.add_local(
            "configurator",
            configurator.merge(self.configurator.router("configurator")),
        );
        let releases = Router::new()
            .route("/releases/v1/gateways/{gateway}/reached", put(put_reached))
            .with_state(self.clone());
        directory.add_local("releases", releases.merge(self.releases.router("releases")));
        directory.add_local("access", self.access.router("access"));
        directory.add_local("identity", identity.merge(self.identity.router("identity")));
        directory.add_local("billing", billing);
        let of_instance = "/jobs/v1/accounts/{account}/instances/{instance}/jobs";
        let jobs = Router::new()
            .route(of_instance, post(enqueue))
            .route(&format!("{of_instance}/{{job}}"), get(get_job))
            .with_state(self.clone());
        directory.add_local("jobs", jobs);
    }
}

async fn record(State(peers): State<Peers>, Json(batch): Json<RecordUsage>) -> Response {
    peers.ledger.take(batch)
}

async fn enqueue(
    State(peers): State<Peers>,
    Path((account, instance)): Path<(AccountId, InstanceId)>,
    headers: http::HeaderMap,
    Json(mut body): Json<Value>,
) -> Response {
    let mut desk = peers.jobs.lock().unwrap();
    if let Some(refusal) = &desk.refusal {
        return problem_response(refusal.clone());
    }
    (body["account"], body["instance"]) = (json!(account), json!(instance));
    let operation: EnqueueJobs = serde_json::from_value(body).unwrap();
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let job = JobId::named(&[&key]);
    if desk.queued.get(&key).is_some_and(|(before, _)| *before != operation) {
        return problem_response(Problem::conflict("idempotency_key_reused", "another request"));
    }
    desk.queued.insert(key, (operation, job));
    Json(Enqueued { jobs: vec![job] }).into_response()
}

async fn get_job(
    State(peers): State<Peers>,
    Path((account, instance, job)): Path<(AccountId, InstanceId, JobId)>,
) -> Response {
    let desk = peers.jobs.lock().unwrap();
    let queued = desk.queued.values().find(|(operation, queued)| {
        *queued == job && (operation.account, operation.instance) == (account, instance)
    });
    let Some((operation, _)) = queued else {
        return problem_response(Problem::not_found("job"));
    };
    let (state, progress) = desk.state.clone().unwrap_or((JobState::Ready, Progress::default()));
    let NewJob { name, version, .. } = operation.jobs[0].clone();
    Json(json!({
        "job": job, "account": account, "instance": instance, "service": "forum",
        "class": "default", "name": name, "version": version, "priority": 0, "state": state,
        "not_before": SystemClock.now(), "attempts": 0, "attempts_max": 3, "output": "secret",
        "progress": progress, "created": SystemClock.now(),
    }))
    .into_response()
}

async fn get_setup(State(peers): State<Peers>) -> Json<Setup> {
    Json(setup(peers.setup.lock().unwrap().state, &BTreeMap::new()))
}

async fn submit_setup(State(peers): State<Peers>, Json(question): Json<Value>) -> Response {
    let mut desk = peers.setup.lock().unwrap();
    if question["key"] != Value::String(desk.key.clone()) {
        return problem_response(Problem::new(
            Kind::Denied,
            "setup_key",
            "the set-up key is wrong",
        ));
    }
    let mut wrong = BTreeMap::new();
    if desk.state == InstanceState::AwaitingSetup {
        let values = serde_json::from_value(question["values"].clone()).unwrap();
        let manifest = Manifest::parse("mandate.toml", FORUM).unwrap();
        match manifest.check_setup(&values) {
            Ok(_) => {
                desk.state = InstanceState::SettingUp;
                desk.submitted.push(question["values"].clone());
            }
            Err(problems) => wrong = problems,
        }
    }
    Json(setup(desk.state, &wrong)).into_response()
}

fn setup(state: InstanceState, wrong: &BTreeMap<String, String>) -> Setup {
    let manifest = Manifest::parse("mandate.toml", FORUM).unwrap();
    let fields = manifest.setup.into_iter().map(|(name, field)| SetupField {
        problem: wrong.get(&name).cloned(),
        name,
        field,
    });
    let step = |name: &str, state, output: &str| SetupStep {
        job: JobId::named(&[name]),
        name: name.to_owned(),
        state,
        output: output.to_owned(),
        waits_for: None,
    };
    let steps = vec![
        step("migrate", JobState::Succeeded, "12 <tables> made"),
        step("seed", JobState::Running, ""),
    ];
    let fields: Vec<SetupField> = fields.collect();
    let unknown = wrong.keys().find(|name| !fields.iter().any(|field| field.name == **name));
    let problem = unknown.map(|name| format!("there is no field `{name}`: leave it out"));
    Setup { state, fields, path: None, steps, problem }
}

async fn redeem(State(peers): State<Peers>, Json(question): Json<RedeemSignInCode>) -> Response {
    if question.code.reveal() != "good" || question.host.as_str() != "forum.localhost" {
        let detail = "the sign-in took too long";
        return problem_response(Problem::new(Kind::Unauthenticated, "code_refused", detail));
    }
    let now = SystemClock.now();
    let email = "ada@example.com".to_owned();
    let user = User { user: UserId::named(&["ada"]), account: None, email, created: now };
    peers.redeemed.lock().unwrap().push(question.browser);
    Json(SignedIn {
        token: Secret::new(peers.token.lock().unwrap().clone()),
        session: SessionId::named(&["ada"]),
        user,
        expires: now.plus(Duration::from_mins(10)),
    })
    .into_response()
}

async fn end_session(
    State(peers): State<Peers>,
    Path((user, session)): Path<(UserId, SessionId)>,
) -> Json<api::Empty> {
    peers.signed_out.lock().unwrap().push((user, session));
    Json(api::Empty {})
}

async fn put_quiet(
    State(peers): State<Peers>,
    Path(gateway): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    assert_eq!(gateway, "test.gateway");
    let instances: BTreeSet<InstanceId> =
        serde_json::from_value(body["instances"].clone()).unwrap();
    peers.quiet.lock().unwrap().extend(instances);
    Json(json!({})).into_response()
}

async fn put_reached(
    State(peers): State<Peers>,
    Path(gateway): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    assert_eq!(gateway, "test.gateway");
    let replicas: BTreeMap<ReplicaId, String> =
        serde_json::from_value(body["replicas"].clone()).unwrap();
    peers.reached.lock().unwrap().extend(replicas);
    Json(json!({})).into_response()
}
