//! Jobs: run with the instance's environment, under a lease that is renewed, and never without.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use api::jobs::{COMMAND_JOB, Lease, Outcome, Upgrade};
use serde_json::{Value, json};
use types::{AccountId, InstanceId, JobId, Secret};

use super::{
    Agent, Folder, eventually,
    packages::Package,
    platform::{Platform, desired},
    runs,
};

/// A job of a release whose `job.sh` is this.
pub(super) fn queue(platform: &Arc<Platform>, script: &'static str) -> Lease {
    queue_packed(platform, &Package { job: script, ..Package::new("serve") })
}

/// A job of what is packed.
pub(super) fn queue_packed(platform: &Arc<Platform>, package: &Package) -> Lease {
    let release = package.publish(platform);
    let lease = Lease {
        job: JobId::named(&["job"]),
        account: AccountId::named(&["account"]),
        instance: InstanceId::named(&["instance"]),
        service: release.service.clone(),
        release: release.digest.clone(),
        name: "work".to_owned(),
        version: 1,
        attempt: 1,
        token: 1,
        payload: Value::Null,
        upgrade: None,
        command: vec!["./job.sh".to_owned(), "serve".to_owned()],
        timeout_seconds: 20,
        // As the platform gives it: a shorter one may run out on a machine that does much else.
        lease_seconds: 15,
    };
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    platform.change(|state| state.jobs.push_back(lease.clone()));
    lease
}

/// The same, changed before anybody can take it.
pub(super) fn queue_with(
    platform: &Arc<Platform>,
    script: &'static str,
    change: impl FnOnce(&mut Lease),
) -> Lease {
    let mut lease = queue(platform, script);
    change(&mut lease);
    platform.change(|state| state.jobs = [lease.clone()].into());
    lease
}

/// The number that a job's script wrote to a file beside the releases, when it has.
async fn number(folder: &Folder, name: &str) -> i32 {
    let path = folder.path().join(name);
    let read = || fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
    eventually("what the job writes", || read().is_some()).await;
    read().unwrap().trim().parse().unwrap()
}

async fn pid(folder: &Folder) -> i32 {
    number(folder, "pid").await
}

/// The folders of jobs that there are.
fn folders(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path.join("jobs")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Runs a script to its end: how it ended, what it printed, and why.
async fn run(script: &'static str) -> (Outcome, String, Option<String>) {
    let (platform, folder) = (Platform::new(), Folder::new());
    queue(&platform, script);
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    agent.stop().await;
    (end.outcome, end.output, end.problem)
}

#[tokio::test]
async fn a_job_runs_with_the_instances_environment_and_no_secret_is_shown() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let url = ("DATABASE_URL".to_owned(), Secret::new("postgres://u:hunter22@h/d"));
    platform.change(|state| state.variables.extend([url]));
    let script = "echo '{\"note\":\"with hunter22\"}' >&3; \
        echo \"to $DATABASE_URL with hunter22\"; echo \"$1 in $(pwd)\"; \
        echo $MANDATE_JOB $MANDATE_JOB_TOKEN $MANDATE_JOB_ATTEMPT; \
        until test -e ../../go; do sleep 0.02; done";
    let lease = queue(&platform, script);
    let agent = Agent::start(&platform, folder.path());
    let with_progress = |state: &super::platform::State| {
        state.reports.iter().any(|report| report.progress.is_some()).then_some(())
    };
    platform.until("its progress", with_progress).await;
    fs::write(folder.path().join("go"), "").unwrap();
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.problem), (Outcome::Succeeded, None));
    assert!(end.output.starts_with("to [secret] with [secret]\nserve in "), "{}", end.output);
    assert!(end.output.ends_with(&format!("\n{} 1 1\n", lease.job)), "{}", end.output);
    let shown = platform.change(|state| format!("{:?}", state.reports));
    assert!(shown.contains("with [secret]") && !shown.contains("hunter22"), "{shown}");
    eventually("its folder to be removed", || folders(folder.path()).is_empty()).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_payload_is_read_and_a_result_is_kept() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let payload = json!({ "to": ["a", "é"], "n": 3 });
    let read = payload.clone();
    queue_with(&platform, "cat > $MANDATE_RESULT_FILE", |lease| lease.payload = read);
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.result), (Outcome::Succeeded, Some(payload)));
    agent.stop().await;
}

#[tokio::test]
async fn a_result_that_cannot_be_kept_is_refused() {
    for (script, why) in [
        ("echo '{' > $MANDATE_RESULT_FILE", "is no JSON"),
        ("head -c 70000 /dev/zero | tr '\\0' 1 > $MANDATE_RESULT_FILE", "longer than 64 KiB"),
        ("ln -s /etc/passwd $MANDATE_RESULT_FILE", "is no file"),
        ("mkfifo $MANDATE_RESULT_FILE", "is no file"),
    ] {
        let (outcome, _, problem) = run(script).await;
        assert_eq!(outcome, Outcome::Refused, "{script}");
        assert!(problem.as_ref().unwrap().contains(why), "{problem:?}");
    }
}

#[tokio::test]
async fn a_job_that_fails_says_how() {
    for (script, outcome, problem) in [
        ("echo trying; exit 4", Outcome::Again, "the command ended with status 4"),
        ("echo trying; exit 75", Outcome::Again, "the command ended with status 75"),
        ("echo trying; exit 65", Outcome::Refused, "the command ended with status 65"),
        ("echo trying; exit 78", Outcome::Refused, "the command ended with status 78"),
        ("echo trying; kill -KILL $$", Outcome::Again, "the command was ended by signal 9"),
    ] {
        assert_eq!(run(script).await, (outcome, "trying\n".into(), Some(problem.into())));
    }
}

#[tokio::test]
async fn an_older_payload_is_upgraded_first() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let script = "case $1 in upgrade) sed s/old/new/; echo upgrading >&2;; \
        *) cat > $MANDATE_RESULT_FILE;; esac";
    let command = vec!["./job.sh".to_owned(), "upgrade".to_owned()];
    queue_with(&platform, script, |lease| {
        lease.payload = json!({ "old": 1 });
        lease.upgrade = Some(Upgrade { command, from: 1, to: 2 });
    });
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.problem), (Outcome::Succeeded, None));
    assert_eq!(end.result, Some(json!({ "new": 1 })));
    agent.stop().await;
}

#[tokio::test]
async fn an_upgrade_that_goes_wrong_is_no_beginning() {
    for (script, outcome, why) in [
        ("exit 65", Outcome::Refused, "the upgrade of its payload ended with status 65"),
        ("exit 3", Outcome::Again, "the upgrade of its payload ended with status 3"),
        ("echo {", Outcome::Refused, "what the upgrade of its payload printed is no JSON"),
        ("true", Outcome::Refused, "what the upgrade of its payload printed is empty"),
        ("exec yes", Outcome::Again, "the upgrade of its payload was ended by signal 25"),
    ] {
        let (platform, folder) = (Platform::new(), Folder::new());
        let command = vec!["./job.sh".to_owned(), "upgrade".to_owned()];
        queue_with(&platform, script, |lease| {
            lease.upgrade = Some(Upgrade { command, from: 1, to: 2 });
        });
        let agent = Agent::start(&platform, folder.path());
        let end = platform.end_of_job().await;
        let problem = end.problem.unwrap_or_default();
        assert_eq!(end.outcome, outcome, "{script}: {problem}");
        assert!(problem.starts_with(why), "{script}: {problem}");
        agent.stop().await;
    }
}

#[tokio::test]
async fn how_far_a_job_is_and_what_it_prints_is_told_while_it_runs() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let go = folder.path().join("go");
    let script = "echo working; echo garbage >&3; head -c 9000 /dev/zero >&3; echo >&3; \
        echo '{\"percent\":40,\"note\":\"half\"}' >&3; exec 3>&-; \
        until test -e ../../go; do sleep 0.02; done";
    // With a lease that needs no renewal meanwhile.
    queue_with(&platform, script, |lease| lease.lease_seconds = 60);
    let agent = Agent::start(&platform, folder.path());
    let told = platform
        .until("a report with progress", |state| {
            let mut reports = state.reports.iter();
            reports.find(|report| report.progress.is_some()).cloned()
        })
        .await;
    let progress = told.progress.unwrap();
    assert_eq!((progress.percent, progress.note.as_deref()), (Some(40), Some("half")));
    assert_eq!((told.outcome, told.output.as_str()), (Outcome::Running, "working\n"));
    fs::write(go, "").unwrap();
    assert_eq!(platform.end_of_job().await.outcome, Outcome::Succeeded);
    agent.stop().await;
}

#[tokio::test]
async fn a_long_job_keeps_its_lease_and_ends_at_its_limit() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let script = "echo $$ > ../../pid; echo working; sleep 3600";
    queue_with(&platform, script, |lease| (lease.lease_seconds, lease.timeout_seconds) = (3, 5));
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.output.as_str()), (Outcome::Again, "working\n"));
    assert_eq!(end.problem.unwrap(), "the command was stopped after its limit of 5s");
    let renewals = platform.change(|state| {
        state.reports.iter().filter(|report| report.outcome == Outcome::Running).count()
    });
    assert!(renewals >= 2, "{renewals} renewals of a lease of three seconds");
    assert!(!runs(pid(&folder).await));
    agent.stop().await;
}

#[tokio::test]
async fn a_job_whose_lease_is_lost_is_stopped() {
    for away in [false, true] {
        let (platform, folder) = (Platform::new(), Folder::new());
        let script = "echo $$ > ../../pid; trap '' TERM; sleep 3600";
        queue_with(&platform, script, |lease| lease.lease_seconds = 3);
        let agent = Agent::start(&platform, folder.path());
        let pid = pid(&folder).await;
        platform.change(|state| (state.fenced, state.away) = (!away, away));
        eventually("the end of the command", || !runs(pid)).await;
        let ends = platform.change(|state| {
            (state.fenced, state.away) = (false, false);
            state.reports.iter().filter(|report| report.outcome != Outcome::Running).count()
        });
        agent.stop().await;
        assert_eq!(ends, 0, "what happens to the job is another node's to tell");
    }
}

#[tokio::test]
async fn a_job_that_is_taken_back_is_stopped_with_all_that_it_started() {
    let (platform, folder) = (Platform::new(), Folder::new());
    // It ignores being asked, and its child has left group, session, environment and parent.
    let script = "trap '' TERM; (env -i setsid sh -c 'trap \"\" TERM; \
        echo $$ > ../../stray; sleep 3600' &); echo $$ > ../../pid; \
        while true; do sleep 1; done";
    queue_with(&platform, script, |lease| lease.lease_seconds = 3);
    let agent = Agent::start(&platform, folder.path());
    let pids = [pid(&folder).await, number(&folder, "stray").await];
    platform.change(|state| state.cancelled = true);
    let end = platform.end_of_job().await;
    let told = (end.outcome, end.problem.as_deref());
    assert_eq!(told, (Outcome::Cancelled, Some("the command was cancelled")));
    assert!(!pids.iter().any(|pid| runs(*pid)));
    agent.stop().await;
}

#[tokio::test]
async fn a_job_that_floods_its_output_ends_well_and_fills_nothing() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let script = "head -c 50000000 /dev/zero | tr '\\0' x; echo; echo done; \
        du -sk ${TMPDIR%/tmp} | cut -f1 > ../../kilobytes";
    queue(&platform, script);
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.problem), (Outcome::Succeeded, None));
    assert!(end.output.ends_with("x\ndone\n") && end.output.len() <= 8 << 10);
    assert!(number(&folder, "kilobytes").await < 3_000);
    agent.stop().await;
}

#[tokio::test]
async fn only_the_manifests_commands_are_run() {
    let evil = || vec!["touch".to_owned(), "../../evil".to_owned()];
    let changes: [fn(&mut Lease, Vec<String>); 2] = [
        |lease, command| lease.command = command,
        |lease, command| lease.upgrade = Some(Upgrade { command, from: 1, to: 2 }),
    ];
    for change in changes {
        let (platform, folder) = (Platform::new(), Folder::new());
        queue_with(&platform, "true", |lease| change(lease, evil()));
        let agent = Agent::start(&platform, folder.path());
        let end = platform.end_of_job().await;
        assert_eq!(end.outcome, Outcome::Refused);
        assert!(end.problem.unwrap().contains("no such command"));
        assert!(!folder.path().join("evil").exists());
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_node_that_stops_gives_its_jobs_back() {
    let (platform, folder) = (Platform::new(), Folder::new());
    queue(&platform, "echo $$ > ../../pid; sleep 3600");
    let agent = Agent::start(&platform, folder.path());
    let pid = pid(&folder).await;
    agent.stop().await;
    assert!(!runs(pid));
    let end = platform.end_of_job().await;
    assert_eq!(end.outcome, Outcome::Lost);
    assert_eq!(end.problem.unwrap(), "the command was stopped, since the node stops");
}

#[tokio::test]
async fn a_job_goes_on_under_the_next_agent() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let go = folder.path().join("go");
    let script = "echo $$ > ../../pid; echo working; until test -e ../../go; do sleep 0.02; done; \
        echo 7 > $MANDATE_RESULT_FILE";
    queue(&platform, script);
    let agent = Agent::leaving(&platform, folder.path());
    let pid = pid(&folder).await;
    agent.stop().await;
    assert!(runs(pid));
    platform.change(|state| state.reports.clear());
    let agent = Agent::leaving(&platform, folder.path());
    platform.until("a renewal", |state| state.reports.first().cloned()).await;
    let held = platform.change(|state| state.holding.clone());
    assert_eq!(held, [JobId::named(&["job"])], "it is named before anything else is asked for");
    fs::write(go, "").unwrap();
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.result), (Outcome::Succeeded, Some(json!(7))));
    assert_eq!(end.output, "working\n");
    agent.stop().await;
}

#[tokio::test]
async fn a_job_that_ended_without_an_agent_is_told_of_by_the_next() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let word = ("SETUP_SECRET_WORD".to_owned(), Secret::new("sesame-open"));
    platform.change(|state| state.variables.extend([word]));
    let script = "echo $$ > ../../pid; until test -e ../../go; do sleep 0.02; done; \
        echo $SETUP_SECRET_WORD; exit 65";
    queue(&platform, script);
    let agent = Agent::leaving(&platform, folder.path());
    pid(&folder).await;
    agent.stop().await;
    let job = folders(folder.path()).remove(0);
    fs::write(folder.path().join("go"), "").unwrap();
    let ended = || fs::read_to_string(job.join("exit")).unwrap().contains("65");
    eventually("its end to be written down", ended).await;
    let agent = Agent::leaving(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.output.as_str()), (Outcome::Refused, "[secret]\n"));
    eventually("its folder to be removed", || !job.exists()).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_job_without_an_agent_ends_before_its_lease_does() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let script = "trap '' TERM; (env -i setsid sh -c 'trap \"\" TERM; \
        echo $$ > ../../stray; sleep 3600' &); echo $$ > ../../pid; \
        while true; do sleep 1; done";
    queue_with(&platform, script, |lease| lease.lease_seconds = 10);
    let agent = Agent::leaving(&platform, folder.path());
    let pids = [pid(&folder).await, number(&folder, "stray").await];
    // The last renewal may come with the farewell, but no later than when the agent is gone.
    agent.stop().await;
    let gone = std::time::Instant::now();
    eventually("the end of the command", || !pids.iter().any(|pid| runs(*pid))).await;
    assert!(gone.elapsed() < std::time::Duration::from_secs(10), "{:?}", gone.elapsed());
    let job = folders(folder.path()).remove(0);
    let told = || fs::read_to_string(job.join("exit")).unwrap().contains("was not renewed");
    eventually("why to be written down", told).await;
    platform.change(|state| state.reports.clear());
    let agent = Agent::leaving(&platform, folder.path());
    eventually("its folder to be removed", || !job.exists()).await;
    assert!(platform.change(|state| state.reports.is_empty()), "it is another node's to tell");
    agent.stop().await;
}

#[tokio::test]
async fn a_command_is_run_once_with_its_arguments_and_its_status_is_told() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let script = "echo \"$@\"; cat; exit 3";
    let package =
        Package { job: script, run: "commands = [\"./job.sh\"]", ..Package::new("serve") };
    let mut lease = queue_packed(&platform, &package);
    let words = ["./job.sh", "create", "a b"].map(str::to_owned);
    (lease.name, lease.command) = (COMMAND_JOB.to_owned(), words.into());
    platform.change(|state| state.jobs = [lease].into());
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!((end.outcome, end.problem), (Outcome::Succeeded, None));
    assert_eq!((end.output.trim_end(), end.result), ("create a b", Some(json!({ "status": 3 }))));
    agent.stop().await;
}

#[tokio::test]
async fn a_program_that_the_manifest_does_not_name_is_not_run_once() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let run = "commands = [\"./other.sh\"]";
    let package = Package { job: "true", run, ..Package::new("serve") };
    let mut lease = queue_packed(&platform, &package);
    (lease.name, lease.command) = (COMMAND_JOB.to_owned(), vec!["./job.sh".to_owned()]);
    platform.change(|state| state.jobs = [lease].into());
    let agent = Agent::start(&platform, folder.path());
    let end = platform.end_of_job().await;
    assert_eq!(end.outcome, Outcome::Refused);
    assert!(end.problem.unwrap().contains("no such command"));
    agent.stop().await;
}
