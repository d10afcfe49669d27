//! Jobs and queues at the command line.

use api::{
    Kind,
    configurator::{Instance, InstanceState},
    jobs::{
        Counts, Drain, DrainState, Enqueued, Gate, Job, JobState, NewJob, Progress, Queue,
        QueueDetail, QueuedKind, Replayed, SetQueue, Until,
    },
};
use serde_json::{Value, json};
use types::{Digest, JobId, Page};

use crate::{
    orders::bakery_forum,
    platform::{
        Asked, Person, Platform, account, id, instance, me, noon, not_found, problem, reply,
    },
};

fn job(state: JobState) -> Job {
    Job {
        job: id("job"),
        account: account(),
        instance: instance(),
        service: "forum".parse().unwrap(),
        class: "default".into(),
        name: "import".into(),
        version: 3,
        priority: 0,
        state,
        not_before: noon(),
        attempts: u32::from(state != JobState::Ready),
        attempts_max: 3,
        release: Some(Digest::of(b"package")),
        lost: 0,
        problem: (state == JobState::Failed).then(|| "its command ended with status 65".into()),
        progress: None,
        waits_for: None,
        payload: Value::Null,
        result: (state == JobState::Succeeded).then(|| json!({ "members": 7 })),
        output: if state.has_ended() { "7 members\n".into() } else { String::new() },
        created: noon(),
        started: None,
        ended: None,
        node: None,
    }
}

fn halfway(percent: u8, note: &str) -> Job {
    let progress = Some(Progress { percent: Some(percent), note: Some(note.into()) });
    Job { progress, ..job(JobState::Running) }
}

fn of_instance(rest: &str) -> String {
    format!("/jobs/v1/accounts/{}/instances/{}/jobs{rest}", account(), instance())
}

/// Each look finds the job one step further; `end` is how it ends.
fn going(asked: &Asked, end: JobState) -> axum::response::Response {
    let job_id: JobId = id("job");
    let looks = [job(JobState::Ready), halfway(10, "reads"), halfway(90, "writes"), job(end)];
    match asked.line.as_str() {
        "GET /identity/v1/me" => me(),
        line if line == format!("POST {}", of_instance("")) => {
            reply(&Enqueued { jobs: vec![job_id] })
        }
        line if line == format!("GET {}", of_instance(&format!("/{job_id}"))) => {
            reply(&looks[asked.before.min(3)])
        }
        _ => not_found(),
    }
}

#[tokio::test]
async fn a_job_is_queued_and_followed_to_its_end() {
    let platform = Platform::start(|asked| going(asked, JobState::Succeeded)).await;
    let ada = Person::at(&platform);
    ada.home.write("members.json", r#"{"members":["ben"]}"#);
    let file = format!("{}/members.json", ada.home.text());
    let name = instance().to_string();
    let of = account().to_string();
    let run =
        ["job", "run", &name, "--account", &of, "import", "--payload", &file, "--version", "3"];
    let more = ["--delay", "2m", "--unique", "members", "--wait"];
    let done = ada.runs(&[&run[..], &more[..]].concat()).await;
    insta::assert_snapshot!("job_run_wait", done.timeless());
    let asked = platform.asked();
    let sent = asked.iter().find(|asked| asked.line.starts_with("POST")).unwrap();
    assert!(sent.headers.contains_key("idempotency-key"), "so that it is queued once");
    let body: Value = sent.body();
    let new: NewJob = serde_json::from_value(body["jobs"][0].clone()).unwrap();
    assert_eq!((new.name.as_str(), new.version), ("import", Some(3)));
    assert_eq!(new.payload, json!({ "members": ["ben"] }));
    assert_eq!(new.delay_seconds, Some(120));
    assert_eq!(
        new.unique.map(|unique| (unique.key, unique.until)),
        Some(("members".into(), Until::Ended))
    );
}

#[tokio::test]
async fn a_job_that_fails_says_why_and_what_it_printed() {
    let platform = Platform::start(|asked| going(asked, JobState::Failed)).await;
    let ada = Person::at(&platform);
    let name = instance().to_string();
    let of = account().to_string();
    let piped = ["job", "run", &name, "--account", &of, "import", "--payload", "-", "--wait"];
    let done = ada.runs_with(&piped, "[1]").await;
    assert_eq!(done.status, 5, "{done:?}");
    assert!(done.err.contains("the job is failed: its command ended with status 65"), "{done:?}");
    assert!(done.err.contains("`import` printed:\n  7 members"), "{done:?}");
    let json: Job =
        ada.runs(&["job", "run", &name, "--account", &of, "import", "--json"]).await.json();
    assert_eq!(json.job, id("job"));
}

#[tokio::test]
async fn nobody_waits_for_a_job_of_an_instance_that_has_failed() {
    let failed = || Instance {
        problem: Some("`seed` failed".into()),
        ..bakery_forum(InstanceState::Failed)
    };
    let platform = Platform::start(move |asked| match asked.line.as_str() {
        line if line.starts_with("GET /configurator/") => reply(&failed()),
        _ => going(asked, JobState::Succeeded),
    })
    .await;
    let ada = Person::at(&platform);
    let (name, of) = (instance().to_string(), account().to_string());
    for (words, ends) in [
        (["job", "run", &name, "--account", &of].as_slice(), ["import", "--wait"].as_slice()),
        (&["instance", "run", &name, "--account", &of], &["--", "./manage.py"]),
    ] {
        let done = ada.runs(&[words, ends].concat()).await;
        assert_eq!(done.status, 5, "{done:?}");
        assert!(done.err.contains("has failed and does no jobs: `seed` failed"), "{done:?}");
        assert!(done.err.contains("hint: set it up again first"), "{done:?}");
    }
    assert!(!platform.lines().iter().any(|line| line.starts_with("POST")), "nothing was queued");
}

#[tokio::test]
async fn a_payload_that_cannot_be_is_refused_before_anything_is_sent() {
    let platform = Platform::start(|asked| going(asked, JobState::Succeeded)).await;
    let ada = Person::at(&platform);
    ada.home.write("long.json", &format!("\"{}\"", "a".repeat(256 << 10)));
    let long = format!("{}/long.json", ada.home.text());
    let name = instance().to_string();
    let run = |payload: &str| {
        ["job", "run", &name, "import", "--payload", payload].map(str::to_owned).to_vec()
    };
    for (payload, input, said) in [
        ("-", "{", "`-` is not JSON"),
        ("/nowhere", "", "`/nowhere` cannot be read"),
        (&long, "", "is longer than 256 KiB"),
    ] {
        let arguments = run(payload);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = ada.runs_with(&arguments, input).await;
        assert!(done.status == 5 && done.err.contains(said), "{payload}: {done:?}");
    }
    assert!(platform.lines().is_empty());
    let delay = ada.runs(&["job", "run", &name, "import", "--delay", "soon"]).await;
    assert!(delay.status == 2 && delay.err.contains("after a whole number"), "{delay:?}");
}

#[tokio::test]
async fn who_may_not_list_all_jobs_is_told_how_to_list_their_own() {
    let platform = Platform::start(|_| problem(Kind::Denied, "denied", "not you")).await;
    let refused = Person::at(&platform).runs(&["job", "list"]).await;
    assert_eq!(refused.status, 3);
    assert!(refused.err.contains("hint: yours are listed by instance"), "{}", refused.err);
    assert!(!refused.err.contains("operators"), "{}", refused.err);
}

#[tokio::test]
async fn jobs_are_listed_taken_back_and_tried_again() {
    let platform = Platform::start(|asked| {
        let job_id: JobId = id("job");
        let one = of_instance(&format!("/{job_id}"));
        match asked.line.as_str() {
            "GET /identity/v1/me" => me(),
            "GET /jobs/v1/jobs" => reply(&Page { items: vec![job(JobState::Failed)], next: None }),
            line if line == format!("GET /jobs/v1/jobs/{job_id}") => {
                problem(Kind::Denied, "denied", "not you")
            }
            line if line == format!("GET {}", of_instance("")) => {
                reply(&Page { items: vec![job(JobState::Stranded)], next: None })
            }
            line if line == format!("GET {one}") => reply(&job(JobState::Running)),
            line if line == format!("PUT {one}/cancellation") => reply(&job(JobState::Running)),
            line if line == format!("POST {one}/replays") => reply(&job(JobState::Ready)),
            "POST /jobs/v1/queues/forum/slow/replays" => reply(&Replayed { replayed: 2 }),
            _ => not_found(),
        }
    })
    .await;
    let ada = Person::at(&platform);
    let job_id: JobId = id("job");
    let (name, one, of) = (instance().to_string(), job_id.to_string(), account().to_string());
    let listed =
        ada.runs(&["job", "list", &name, "--account", &of, "--state", "stranded"]).await.good();
    assert!(listed.contains("stranded"), "{listed}");
    let all = ada.runs(&["job", "list", "--state", "failed", "--service", "forum"]).await.good();
    assert!(all.contains("failed"), "{all}");
    let queries: Vec<String> = platform.asked().into_iter().map(|asked| asked.query).collect();
    assert!(queries.iter().any(|query| query.contains("state=stranded")), "{queries:?}");
    assert!(queries.iter().any(|query| query.contains("service=forum")), "{queries:?}");
    let unknown = ada.runs(&["job", "list", "--state", "bad"]).await;
    assert!(unknown.status == 2 && unknown.err.contains("`stranded`"), "{unknown:?}");

    let cancelled =
        ada.runs(&["job", "cancel", &one, "--of", &name, "--account", &of]).await.good();
    assert_eq!(cancelled, format!("{one} is being stopped.\n"));
    let replayed = ada.runs(&["job", "replay", &one, "--of", &name, "--account", &of]).await.good();
    assert_eq!(replayed, format!("{one} is tried again.\n"));
    let many = ada.runs(&["job", "replay", "--service", "forum", "--class", "slow"]).await.good();
    assert_eq!(many, "2 jobs are tried again.\n");
    let denied = ada.runs(&["job", "cancel", &one]).await;
    assert!(denied.status == 3 && denied.err.contains("pass `--of HOST`"), "{denied:?}");
    assert_eq!(ada.runs(&["job", "replay"]).await.status, 2);
}

fn queue(gate: Gate, drain: impl Into<Option<Drain>>) -> Queue {
    let drain = drain.into();
    let (service, class) = ("forum".parse().unwrap(), "default".to_owned());
    let jobs = Counts { ready: 3, stranded: 2, failed: 1, ..Counts::default() };
    Queue { service, class, paused: false, gate, concurrency: Some(4), drain, jobs }
}

fn drain(state: DrainState, left: u64) -> Drain {
    Drain { began: noon(), deadline: noon(), left, state }
}

#[tokio::test]
async fn a_queue_is_shown_closed_and_emptied() {
    let platform = Platform::start(|asked| match asked.line.as_str() {
        "GET /jobs/v1/queues" => reply(&Page {
            items: vec![queue(Gate::Hold, drain(DrainState::Overdue, 6))],
            next: None,
        }),
        "GET /jobs/v1/queues/forum/default" => {
            let drains = [
                drain(DrainState::Draining, 6),
                drain(DrainState::Draining, 2),
                drain(DrainState::Empty, 0),
            ];
            let kind = |version, ready, stranded| QueuedKind {
                name: "import".into(),
                version,
                jobs: Counts { ready, stranded, ..Counts::default() },
            };
            let kinds = vec![kind(2, 0, 2), kind(3, 3, 0)];
            reply(&QueueDetail { queue: queue(Gate::Hold, drains[asked.before.min(2)]), kinds })
        }
        "PUT /jobs/v1/queues/forum/default" => {
            let mut body: Value = asked.body();
            (body["service"], body["class"]) = (json!("forum"), json!("default"));
            let change: SetQueue = serde_json::from_value(body).unwrap();
            let paused = change.paused.unwrap_or_default();
            reply(&Queue { paused, ..queue(change.gate.unwrap_or(Gate::Open), None) })
        }
        "GET /jobs/v1/queues/late/default" => reply(&QueueDetail {
            queue: queue(Gate::Hold, drain(DrainState::Overdue, 6)),
            kinds: vec![],
        }),
        "PUT /jobs/v1/queues/late/default" => reply(&queue(Gate::Hold, None::<Drain>)),
        _ => not_found(),
    })
    .await;
    let operator = Person::at(&platform);
    insta::assert_snapshot!("queue_list", operator.runs(&["queue", "list"]).await.good());
    insta::assert_snapshot!("queue_show", operator.runs(&["queue", "show", "forum"]).await.good());
    for (arguments, said) in [
        (&["queue", "pause", "forum"][..], "The queue of forum is paused; 5 jobs wait, 0 run.\n"),
        (&["queue", "resume", "forum"], "The queue of forum is open; 5 jobs wait, 0 run.\n"),
        (
            &["queue", "gate", "forum", "refuse"],
            "The queue of forum is refusing; 5 jobs wait, 0 run.\n",
        ),
        (&["queue", "drain", "forum"], "The queue of forum is holding; 5 jobs wait, 0 run.\n"),
    ] {
        assert_eq!(operator.runs(arguments).await.good(), said);
    }
    let drained = operator.runs(&["queue", "drain", "forum", "--within", "5m", "--wait"]).await;
    // It was shown once before.
    assert_eq!(drained.timeless(), "TIME  2 jobs left\nThe queue of forum is empty.\n");
    let asked = platform.asked();
    let last = asked.iter().rfind(|asked| asked.line.starts_with("PUT")).unwrap();
    let body: Value = last.body();
    assert_eq!((&body["gate"], &body["drain_seconds"]), (&json!("hold"), &json!(300)));
    let late = operator.runs(&["queue", "drain", "late", "--wait"]).await;
    assert!(late.status == 6 && late.err.contains("6 jobs are left"), "{late:?}");
}

#[tokio::test]
async fn a_command_prints_what_it_prints_and_ends_as_it_ends() {
    let platform = Platform::start(|asked| {
        let job_id: JobId = id("job");
        let with = |state, output: &str| Job { output: output.into(), ..job(state) };
        let ended = Job {
            result: Some(json!({ "status": 3 })),
            ..with(JobState::Succeeded, "one\ntwo\nno")
        };
        let looks = [with(JobState::Ready, ""), with(JobState::Running, "one\ntw"), ended];
        match asked.line.as_str() {
            "GET /identity/v1/me" => me(),
            line if line.starts_with("POST") && line.ends_with("/commands") => {
                reply(&Enqueued { jobs: vec![job_id] })
            }
            line if line == format!("GET {}", of_instance(&format!("/{job_id}"))) => {
                reply(&looks[asked.before.min(2)])
            }
            _ => not_found(),
        }
    })
    .await;
    let (name, of) = (instance().to_string(), account().to_string());
    let words = ["./manage.py", "check", "--deploy"];
    let run = ["instance", "run", &name, "--account", &of, "--"];
    let done = Person::at(&platform).runs(&[&run[..], &words].concat()).await;
    assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (3, "one\ntwo\nno\n", ""));
    let asked = platform.asked();
    let sent = asked.iter().find(|asked| asked.line.starts_with("POST")).unwrap();
    assert!(sent.headers.contains_key("idempotency-key"), "so that it is run once");
    assert_eq!(sent.body::<Value>()["command"], json!(words));
}
