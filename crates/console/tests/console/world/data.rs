//! The documents of the small platform: a bakery with a forum and a shop, in November.

use std::collections::BTreeSet;

use api::{
    access::{AuditEntry, CatalogueEntry, Decision, Grant, OwnGrant, Reason},
    billing::{
        Bill, BillChange, BillLine, BillVerification, Forecast, LineExplanation, LineKind,
        LinePart, LineUsage, Verification, VerificationState, VerifiedLine, VerifiedTotal,
    },
    configurator::{Instance, InstanceState, LastMove, Setup, SetupStep},
    identity::{Account, User},
    jobs::{Counts, Drain, DrainState, Gate, Job, JobState, Progress, Queue, QueuedKind},
    manifest::{Level, Manifest},
    prices::PriceBook,
    provider::{Offer, Order, OrderPhase, PlaceOrder},
    releases::{
        Accepted, Act, Change, Concerned, DatabaseChange, Did, JobChange, Machine, MeterChange,
        ModuleChange, MoveCounts, Node, OnNodes, Passage, PermissionChange, Preview, Promised,
        Reach, Release, ReleasePhase, ReleaseReport, ReleaseState, ReplicaReport, ReplicaState,
        Rollout, RolloutPlan, RolloutRecord, RolloutState, RouteChange, ServiceSummary, Update,
        UpdateState, Waiting,
    },
};
use types::{
    AccountId, Amount, Digest, GrantId, InstanceId, JobId, Money, Name, NodeId, OrderId, Principal,
    ReplicaId, RequestId, Resource, SessionId, Timestamp, UserId,
};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const OPERATOR: &str = "operator@localhost";
/// 2026-11-24T12:00:00Z.
pub(crate) const NOON: Timestamp = Timestamp::from_micros(1_795_521_600_000_000);
/// 2026-11-03T09:30:00Z.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_micros(1_793_698_200_000_000);

const FORUM: &str = include_str!("forum.toml");
const FORUM_PRICES: &str = include_str!("forum-prices.toml");
const STORE: &str = include_str!("store.toml");
const STORE_PRICES: &str = include_str!("store-prices.toml");

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn usd(minor: i64) -> Money {
    Money { currency: "USD".parse().unwrap(), minor }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn account() -> AccountId {
    AccountId::named(&["bakery"])
}

pub(crate) fn session() -> SessionId {
    SessionId::named(&["session"])
}

pub(crate) fn ada() -> User {
    let (user, account) = (UserId::named(&["ada"]), Some(account()));
    User { user, account, email: "ada@bakery.example".into(), created: BEGINNING }
}

pub(crate) fn operator() -> User {
    let user = UserId::named(&["operator"]);
    User { user, account: None, email: OPERATOR.into(), created: BEGINNING }
}

pub(crate) fn users() -> Vec<User> {
    let ben = User { user: UserId::named(&["ben"]), email: "ben@bakery.example".into(), ..ada() };
    vec![ada(), ben]
}

pub(crate) fn accounts() -> Vec<Account> {
    let account = |id, title: &str, created| Account { account: id, title: title.into(), created };
    vec![
        account(account_id("bakery"), "Corner Bakery", BEGINNING),
        account(account_id("chess"), "Chess Club <North>", at("2026-11-12T17:20:00Z")),
    ]
}

fn account_id(text: &str) -> AccountId {
    AccountId::named(&[text])
}

pub(crate) fn offers() -> Vec<Offer> {
    [("forum", FORUM, &["basic"][..]), ("store", STORE, &["basic", "business"])]
        .map(|(service, manifest, plans)| Offer {
            service: name(service),
            release: Digest::of(service.as_bytes()),
            manifest: Manifest::parse("mandate.toml", manifest).unwrap(),
            plans: plans.iter().map(|plan| (*plan).to_owned()).collect(),
        })
        .to_vec()
}

pub(crate) fn book(service: &str) -> Option<PriceBook> {
    let text = match service {
        "forum" => FORUM_PRICES,
        "store" => STORE_PRICES,
        _ => return None,
    };
    Some(PriceBook::parse("prices.toml", text).unwrap())
}

pub(crate) fn instance_id(text: &str) -> InstanceId {
    InstanceId::named(&[text])
}

pub(crate) fn instances() -> Vec<Instance> {
    let open = Instance {
        instance: instance_id("forum"),
        account: account(),
        service: name("forum"),
        host: "bakery-forum.localhost".parse().unwrap(),
        url: "http://bakery-forum.localhost:8080/".into(),
        modules: set(&["polls", "search"]),
        size: "small".into(),
        release: types::Digest::of(b"release"),
        state: InstanceState::Open,
        suspended: None,
        maintenance: None,
        problem: None,
        frozen_until: Some(at("2026-12-27T06:00:00Z")),
        last_move: Some(LastMove {
            from: types::Digest::of(b"before"),
            to: types::Digest::of(b"release"),
            began: at("2026-11-24T04:12:00Z"),
            ended: Some(at("2026-11-24T04:12:04Z")),
            held_millis: 3_812,
            closed_millis: 0,
            problem: None,
        }),
        setup_url: None,
        created: BEGINNING,
    };
    let waiting = Instance {
        instance: instance_id("store"),
        service: name("store"),
        host: "bakery.localhost".parse().unwrap(),
        url: "http://bakery.localhost:8080/".into(),
        modules: set(&["coupons"]),
        state: InstanceState::AwaitingSetup,
        setup_url: Some("http://bakery.localhost:8080/setup?key=k3y".into()),
        created: at("2026-11-24T11:58:20Z"),
        ..open.clone()
    };
    let running = Instance {
        instance: instance_id("news"),
        host: "bakery-news.localhost".parse().unwrap(),
        modules: set(&[]),
        state: InstanceState::SettingUp,
        ..open.clone()
    };
    vec![open, waiting, running]
}

pub(crate) fn setup(instance: InstanceId) -> Setup {
    let state = instances().into_iter().find(|known| known.instance == instance).map(|i| i.state);
    let state = state.unwrap_or(InstanceState::Creating);
    let step = |text: &str, state, output: &str| SetupStep {
        job: JobId::named(&[text]),
        name: text.into(),
        state,
        output: output.into(),
        waits_for: None,
    };
    let steps = match state {
        InstanceState::SettingUp => vec![
            step("migrate", JobState::Succeeded, "applying 0001_forum.sql\ndone\n"),
            step("seed", JobState::Running, "writing the welcome topic\n"),
        ],
        InstanceState::Open => {
            let at = "http://bakery-forum.localhost:8080/invitations/t0k3n";
            let printed = format!("seeded; the administrator chooses a password at {at}\n");
            vec![step("seed", JobState::Succeeded, &printed)]
        }
        _ => Vec::new(),
    };
    Setup { state, fields: Vec::new(), path: None, steps, problem: None }
}

pub(crate) fn order_id(text: &str) -> OrderId {
    OrderId::named(&[text])
}

pub(crate) fn orders() -> Vec<Order> {
    let instances = instances();
    let order = |instance: &Instance, text: &str, phase| Order {
        order: order_id(text),
        account: account(),
        instance: instance.instance,
        service: instance.service.clone(),
        plan: "basic".into(),
        modules: instance.modules.clone(),
        size: instance.size.clone(),
        host: instance.host.clone(),
        phase,
        problem: None,
        created: instance.created,
    };
    vec![
        order(&instances[1], "store", OrderPhase::Complete),
        order(&instances[2], "news", OrderPhase::Complete),
        order(&instances[0], "forum", OrderPhase::Complete),
    ]
}

pub(crate) fn order_of(op: &PlaceOrder, number: usize) -> Order {
    let number = number.to_string();
    Order {
        order: order_id(&number),
        account: op.account,
        instance: instance_id(&number),
        service: op.service.clone(),
        plan: op.plan.clone().unwrap_or_default(),
        modules: op.modules.clone(),
        size: op.size.clone(),
        host: op.host.clone(),
        phase: OrderPhase::Placed,
        problem: None,
        created: NOON,
    }
}

pub(crate) fn permissions() -> Vec<CatalogueEntry> {
    let of = |permission: &str, title: &str| CatalogueEntry {
        permission: permission.parse().unwrap(),
        title: title.into(),
        level: Level::Write,
    };
    vec![
        of("billing.getBill", "Shows the bill of a month."),
        of("configurator.setMaintenance", "Closes an instance for maintenance."),
        of("forum.addUsers", "Add members"),
        of("forum.moderate", "Remove topics and posts"),
        of("identity.joinNode", "Makes a machine a node."),
        of("store.editProducts", "Edit products"),
    ]
}

pub(crate) fn grants() -> Vec<Grant> {
    let (forum, ada, ben) =
        (instance_id("forum"), UserId::named(&["ada"]), UserId::named(&["ben"]));
    let grant = |text: &str, user, given: &str, on, by| Grant {
        grant: GrantId::named(&[text]),
        principal: Principal::User(user),
        given: given.parse().unwrap(),
        on,
        granted_by: by,
        created: BEGINNING,
    };
    let identity = Principal::Service(name("identity"));
    vec![
        grant("owner", ada, "owner", Resource::Account(account()), identity),
        grant(
            "add",
            ben,
            "forum.addUsers",
            Resource::Instance(account(), forum),
            Principal::User(ada),
        ),
    ]
}

pub(crate) fn platform_grants() -> Vec<Grant> {
    let user = Principal::User(operator().user);
    let identity = Principal::Service(name("identity"));
    let (given, on) = ("operator".parse().unwrap(), Resource::Platform);
    let grant = GrantId::named(&["operator"]);
    vec![Grant { grant, principal: user, given, on, granted_by: identity, created: BEGINNING }]
}

/// What ada sees of what was granted to her.
pub(crate) fn adas_grants() -> Vec<OwnGrant> {
    vec![OwnGrant { grant: grants().remove(0), host: None }]
}

/// What ben sees of what was granted to him.
pub(crate) fn bens_grants() -> Vec<OwnGrant> {
    let host = Some(instances().remove(0).host);
    vec![OwnGrant { grant: grants().remove(1), host }]
}

/// What the operator sees.
pub(crate) fn operators_grants() -> Vec<OwnGrant> {
    platform_grants().into_iter().map(|grant| OwnGrant { grant, host: None }).collect()
}

pub(crate) fn decision(may: bool) -> Decision {
    if may {
        let rule = GrantId::named(&["add"]).to_string();
        let note = "ben may `forum.addUsers` on this instance".into();
        let sentence = "a grant of 3 November permits it".into();
        return Decision {
            allowed: true,
            sentence,
            rules: vec![Reason { rule, note }],
            missing: None,
        };
    }
    let sentence = format!(
        "`{}` may not do `forum.moderate` on `{}`: no rule permits it",
        UserId::named(&["ben"]),
        instance_id("forum")
    );
    let missing = Some("a grant of `forum.moderate` or `forum.*` on the instance".into());
    Decision { allowed: false, sentence, rules: Vec::new(), missing }
}

pub(crate) fn audit() -> Vec<AuditEntry> {
    let entry = |when: &str, action: &str, on, detail: &str| AuditEntry {
        at: at(when),
        by: Principal::User(UserId::named(&["ada"])),
        action: action.parse().unwrap(),
        on,
        detail: detail.into(),
        request: RequestId::named(&[when]),
    };
    let forum = Resource::Instance(account(), instance_id("forum"));
    vec![
        entry(
            "2026-11-20T10:00:00Z",
            "access.revokeGrant",
            Resource::Account(account()),
            &format!("`billing.getBill` from user/{}", UserId::named(&["ben"])),
        ),
        entry(
            "2026-11-04T08:15:00Z",
            "access.createGrant",
            forum,
            &format!("`forum.addUsers` to user/{}", UserId::named(&["ben"])),
        ),
    ]
}

pub(crate) fn jobs() -> Vec<Job> {
    let job = |text: &str, state, output: &str| Job {
        job: JobId::named(&["job", text]),
        account: account(),
        instance: instance_id("forum"),
        service: name("forum"),
        class: "default".into(),
        name: text.into(),
        version: 1,
        priority: 0,
        state,
        not_before: BEGINNING,
        attempts: 1,
        attempts_max: 3,
        release: Some(Digest::of(b"forum")),
        lost: 0,
        problem: None,
        progress: None,
        waits_for: None,
        payload: serde_json::Value::Null,
        result: None,
        output: output.into(),
        created: BEGINNING,
        started: Some(at("2026-11-03T09:31:02Z")),
        ended: Some(at("2026-11-03T09:31:03.420Z")),
        node: Some(NodeId::named(&["main"])),
    };
    let progress = Progress { percent: Some(40), note: Some("member 400 of 1,000".to_owned()) };
    vec![
        Job {
            version: 2,
            progress: Some(progress),
            payload: serde_json::json!({ "file": "members.csv" }),
            created: at("2026-11-24T11:58:00Z"),
            started: Some(at("2026-11-24T11:58:01Z")),
            ended: None,
            ..job("import", JobState::Running, "read members.csv\n")
        },
        Job {
            version: 3,
            waits_for: Some("a release that accepts version 3".into()),
            attempts: 0,
            started: None,
            ended: None,
            node: None,
            ..job("export", JobState::Stranded, "")
        },
        Job {
            attempts: 3,
            problem: Some("it ended with status 1".into()),
            ..job("digest", JobState::Failed, "cannot reach smtp.localhost:25\n")
        },
        job("seed", JobState::Succeeded, "\u{1b}[32mwrote the welcome topic\u{1b}[0m\n"),
        job(
            "migrate",
            JobState::Succeeded,
            "applying 0001_forum.sql\napplying 0002_polls.sql\ndone\n",
        ),
    ]
}

pub(crate) fn jobs_that_are(state: Option<JobState>) -> Vec<Job> {
    let wanted = |job: &Job| state.is_none_or(|state| job.state == state);
    jobs().into_iter().filter(wanted).collect()
}

fn queue(service: &str, class: &str, paused: bool, jobs: Counts) -> Queue {
    let class = class.to_owned();
    let (gate, concurrency, drain) = (Gate::Open, None, None);
    Queue { service: name(service), class, paused, gate, concurrency, drain, jobs }
}

pub(crate) fn queues() -> Vec<Queue> {
    vec![
        queue(
            "forum",
            "default",
            false,
            Counts { running: 1, failed: 1, stranded: 1, ..Counts::default() },
        ),
        Queue {
            gate: Gate::Hold,
            drain: Some(Drain {
                began: NOON,
                deadline: at("2026-11-24T12:10:00Z"),
                left: 12,
                state: DrainState::Draining,
            }),
            concurrency: Some(4),
            ..queue("forum", "mail", false, Counts { ready: 12, held: 3, ..Counts::default() })
        },
        queue("store", "default", true, Counts { ready: 1_204, ..Counts::default() }),
    ]
}

pub(crate) fn kinds(queue: &Queue) -> Vec<QueuedKind> {
    let kind = |name: &str, version, jobs| QueuedKind { name: name.into(), version, jobs };
    if queue.class == "mail" {
        return vec![kind("letter", 1, queue.jobs)];
    }
    vec![
        kind("digest", 1, Counts { failed: 1, ..Counts::default() }),
        kind("export", 3, Counts { stranded: 1, ..Counts::default() }),
        kind("import", 2, Counts { running: 1, ..Counts::default() }),
    ]
}

/// A line of the forum's.
fn line(
    tail: &str,
    kind: LineKind,
    title: &str,
    quantity: &str,
    unit: &str,
    minor: i64,
) -> BillLine {
    let forum = &instances()[0];
    BillLine {
        line: format!("{}.{tail}", forum.host),
        kind,
        instance: forum.instance,
        host: forum.host.clone(),
        service: forum.service.clone(),
        title: title.into(),
        quantity: amount(quantity),
        unit: unit.into(),
        amount: usd(minor),
        problem: None,
    }
}

pub(crate) fn bill(month: Option<Timestamp>) -> Bill {
    let period = month.unwrap_or(NOON).month();
    let draft = period.contains(NOON);
    let until = if draft { NOON } else { period.ends() };
    let plan = line("plan.basic", LineKind::Plan, "Plan Basic", "211/300", "months", 633);
    let store = &instances()[1];
    let plan_of_store = BillLine {
        line: format!("{}.plan.basic", store.host),
        instance: store.instance,
        host: store.host.clone(),
        service: store.service.clone(),
        quantity: amount("1/21600"),
        amount: usd(0),
        ..plan.clone()
    };
    let lines = vec![
        plan,
        line("size.small", LineKind::Size, "Size Small", "506.5", "hours", 633),
        line("module.polls", LineKind::Module, "Module Polls", "211/300", "months", 211),
        line("meter.requests", LineKind::Meter, "Requests", "148203", "requests", 96),
        line("jobs.time", LineKind::Jobs, "Background jobs", "42.318", "seconds", 0),
        plan_of_store,
    ];
    let totals = vec![usd(lines.iter().map(|line| line.amount.minor).sum())];
    Bill { account: account(), period, until, draft, lines, totals }
}

pub(crate) fn explanation(wanted: &str) -> Option<LineExplanation> {
    let line = bill(None).lines.into_iter().find(|line| line.line == wanted)?;
    let part = |note: &str, quantity: &str, rate: &str, product: &str| LinePart {
        note: note.into(),
        quantity: amount(quantity),
        rate: amount(rate),
        amount: amount(product),
        effective: at("2026-01-01T00:00:00Z"),
    };
    let usage = |event: &str, when: &str, note: &str| LineUsage {
        event: event.into(),
        at: at(when),
        until: None,
        quantity: amount("1"),
        note: note.into(),
    };
    Some(LineExplanation {
        line,
        exact: amount("0.96406"),
        rounding: "0.96406 USD is rounded down to 0.96 USD".into(),
        parts: vec![
            part("the first 100,000 are included", "100000", "0", "0"),
            part("up to 1,000,000", "48203", "0.00002", "0.96406"),
        ],
        usage: vec![
            usage("req_01kaw3v0c9f2rsq8e6s4h8w2xk", "2026-11-24T11:59:58Z", "GET /topics/*"),
            usage("req_01kaw3tzd3e7htq21s7q9m4m0e", "2026-11-24T11:59:51Z", "POST /topics/*/posts"),
            usage("req_01kaw3tx2gfg3a8gq6p3k1a7b2", "2026-11-24T11:59:12Z", "GET /"),
        ],
        usage_count: 148_203,
    })
}

/// A verification that has come so far.
pub(crate) fn verification(events: u64) -> BillVerification {
    let result = (events == 148_209).then(verified);
    BillVerification {
        account: account(),
        month: NOON.month().starts(),
        state: if result.is_some() { VerificationState::Done } else { VerificationState::Running },
        asked: NOON,
        ended: result.is_some().then_some(NOON),
        until: NOON,
        events,
        events_total: 148_209,
        result,
        problem: None,
    }
}

fn verified() -> Verification {
    let lines = bill(None).lines.into_iter().map(|line| VerifiedLine {
        line: line.line,
        agrees: true,
        billed: Some(line.amount),
        recomputed: Some(line.amount),
    });
    let total = bill(None).totals[0];
    Verification {
        agrees: true,
        until: NOON,
        events: 148_209,
        set_aside: 0,
        lines: lines.collect(),
        totals: vec![VerifiedTotal { currency: total.currency, billed: total, recomputed: total }],
    }
}

pub(crate) fn services() -> Vec<ServiceSummary> {
    let service = |text: &str, title: &str, nodes_ready, replicas_healthy| ServiceSummary {
        service: name(text),
        title: title.into(),
        release: Digest::of(text.as_bytes()),
        nodes_ready,
        replicas_healthy,
    };
    vec![service("forum", "Forum", 2, 2), service("store", "Shop", 1, 1)]
}

pub(crate) fn releases(service: &Name) -> Vec<Release> {
    let release = |content: &str, phase, created: &str, problem: Option<&str>| Release {
        digest: Digest::of(content.as_bytes()),
        service: service.clone(),
        phase,
        public_key: "5c9a1f".repeat(10) + "77aa",
        source: None,
        signature: "0".repeat(128),
        created: at(created),
        published_by: Some(Principal::User(operator().user)),
        problem: problem.map(str::to_owned),
        current: phase == ReleasePhase::Staged,
        does_old_jobs: false,
        collected: false,
        on_nodes: OnNodes::default(),
    };
    let refused = "`store` claims the permission `forum.addUsers`, which is another service’s";
    let former = release("former", ReleasePhase::Staged, "2026-10-05T09:00:00Z", None);
    let staged = release("next", ReleasePhase::Staged, "2026-11-23T08:00:00Z", None);
    vec![
        Release { current: false, source: Some("forum.git#production@1f0c3a9".into()), ..staged },
        release("bad", ReleasePhase::Failed, "2026-11-22T16:00:00Z", Some(refused)),
        release(service.as_str(), ReleasePhase::Staged, "2026-11-02T16:00:00Z", None),
        Release { current: false, does_old_jobs: true, published_by: None, ..former },
    ]
}

pub(crate) fn rollouts(service: &Name) -> Vec<Rollout> {
    let rollout = |number, content: &str, state, begun: &str| Rollout {
        service: service.clone(),
        number,
        from: None,
        to: Digest::of(content.as_bytes()),
        plan: RolloutPlan::default(),
        state,
        problem: (state == RolloutState::Paused)
            .then(|| "1 instance could not be moved in the first wave".to_owned()),
        by: (number > 1).then(|| Principal::User(operator().user)),
        begun: at(begun),
        ended: None,
        counts: MoveCounts {
            waiting: u32::from(state == RolloutState::Paused),
            failed: u32::from(state == RolloutState::Paused),
            ..MoveCounts::default()
        },
    };
    let last = if service.as_str() == "forum" { RolloutState::Done } else { RolloutState::Paused };
    vec![
        Rollout {
            from: Some(Digest::of(b"former")),
            ..rollout(2, service.as_str(), last, "2026-11-02T16:10:00Z")
        },
        rollout(1, "old", RolloutState::Done, "2026-10-02T16:00:00Z"),
    ]
}

/// What was done to the last rollout, and agreed to.
pub(crate) fn record(service: &Name, number: u64) -> Option<RolloutRecord> {
    let rollout = rollouts(service).into_iter().find(|rollout| rollout.number == number)?;
    let was_replaced = rollout.from.is_some();
    let act = |when: &str, did| Act { at: at(when), by: Principal::User(operator().user), did };
    let acts = vec![
        act("2026-11-02T16:10:00Z", Did::Promoted),
        act("2026-11-02T16:11:20Z", Did::Paused),
        act("2026-11-02T16:15:00Z", Did::Resumed),
    ];
    Some(RolloutRecord {
        accepted_loss: was_replaced,
        is_way_back: false,
        preview: was_replaced.then(|| preview(service, &rollout.to)),
        acts: if was_replaced { acts } else { Vec::new() },
        rollout,
    })
}

/// Something of each kind changes, and something is lost.
pub(crate) fn preview(service: &Name, to: &Digest) -> Preview {
    let hosts = ["bakery", "chess", "library"].map(|name| format!("{name}.localhost"));
    let concerned = |count: u64| Concerned {
        count,
        hosts: hosts
            .iter()
            .take(usize::try_from(count).unwrap())
            .map(|it| it.parse().unwrap())
            .collect(),
    };
    let module = |change, module: &str, title: &str, count| ModuleChange {
        change,
        module: module.into(),
        title: title.into(),
        instances: concerned(count),
    };
    let permission = |change, verb: &str, title: &str, first: Vec<Grant>| PermissionChange {
        change,
        permission: format!("{service}.{verb}").parse().unwrap(),
        title: title.into(),
        grants: first.len() as u64,
        first,
    };
    let accepted = |version, oldest| Some(Accepted { version, oldest, newest: version });
    let waiting = |version, jobs, accepted| Waiting { version, jobs, instances: 2, accepted };
    Preview {
        service: service.clone(),
        from: Digest::of(service.as_str().as_bytes()),
        to: to.clone(),
        instances: 12,
        elsewhere: 1,
        database: Some(DatabaseChange {
            change: Change::Changed,
            before: 1,
            after: 2,
            compatible: false,
            migrated: concerned(11),
            stay: Concerned::default(),
        }),
        modules: vec![
            module(Change::Dropped, "badges", "Badges", 3),
            module(Change::Added, "wiki", "Wiki", 0),
        ],
        permissions: vec![
            permission(Change::Dropped, "addUsers", "Add members", vec![grants().remove(1)]),
            permission(Change::Added, "pinTopics", "Pin topics", Vec::new()),
        ],
        jobs: vec![JobChange {
            change: Change::Changed,
            job: "digest".into(),
            before: accepted(2, 1),
            after: accepted(3, 2),
            waiting: vec![waiting(1, 7, false), waiting(2, 1_204, true)],
        }],
        routes: vec![RouteChange {
            passage: Passage::Opens,
            requests: "POST /topics/*/pins".into(),
            before: Reach { refused: true, ..Reach::default() },
            after: Reach {
                permissions: [format!("{service}.pinTopics").parse().unwrap()].into(),
                modules: set(&["wiki"]),
                ..Reach::default()
            },
        }],
        more_routes: 2,
        meters: vec![MeterChange {
            change: Change::Added,
            meter: "pins".into(),
            title: "Pins".into(),
        }],
        bills: Some(Forecast {
            month: NOON.month(),
            effective: Some(at("2026-12-01T00:00:00Z")),
            changes: vec![BillChange {
                plan: "basic".into(),
                size: "small".into(),
                modules: set(&["badges", "polls"]),
                instances: 3,
                before: usd(2_130),
                after: usd(1_830),
            }],
            more: 0,
        }),
    }
}

/// The forum comes to a version at night, as soon as it is not to stay any more.
pub(crate) fn update(instance: InstanceId) -> Option<Update> {
    (instance == instance_id("forum")).then(|| Update {
        to: Digest::of(b"next"),
        state: UpdateState::Planned,
        at: at("2026-11-25T03:00:00Z"),
        closes: true,
        longest_millis: Some(3_812),
    })
}

pub(crate) fn nodes() -> Vec<Node> {
    let report = |service: &str, state, log: &str| ReleaseReport {
        digest: Digest::of(service.as_bytes()),
        service: name(service),
        state,
        log: log.into(),
    };
    let replica = |service: &str, port: u16, state, starts| ReplicaReport {
        replica: ReplicaId::named(&[service, &port.to_string()]),
        digest: Digest::of(service.as_bytes()),
        service: name(service),
        process: "web".to_owned(),
        instance: (service == "store").then(|| instance_id("store")),
        address: format!("127.0.0.1:{port}"),
        state,
        starts,
        next_start: None,
        log: "listening\n".into(),
    };
    let drain = api::releases::Drain {
        since: at("2026-11-24T08:00:00Z"),
        until: at("2026-11-24T08:10:00Z"),
        left: 1,
        waits_for: None,
        stays: vec![],
    };
    let node = |text: &str, alive, releases, replicas| Node {
        node: NodeId::named(&[text]),
        name: name(text),
        seen: if alive { NOON } else { at("2026-11-24T08:02:11Z") },
        alive,
        releases,
        replicas,
        isolation: None,
        machine: Machine {
            labels: [("disk".into(), "ssd".into())].into(),
            memory: Some(8 << 30),
            cpu: None,
        },
        promised: Promised { instances: 1, memory: 256 << 20, cpu: 500 },
        drain: (!alive).then(|| drain.clone()),
        shares_at: None,
    };
    let built = "unpacked 214 files\nbuild hook ended with status 0\n";
    vec![
        node(
            "main",
            true,
            vec![
                report("forum", ReleaseState::Ready, built),
                report("store", ReleaseState::Ready, built),
            ],
            vec![
                replica("forum", 41_234, ReplicaState::Healthy, 1),
                replica("store", 41_307, ReplicaState::Failing, 4),
            ],
        ),
        node(
            "attic",
            false,
            vec![report("forum", ReleaseState::Failed, "error: linker `cc` not found\n")],
            vec![],
        ),
    ]
}
