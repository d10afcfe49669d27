//! Jobs: run with the instance's environment, under a lease that is renewed, and never without.

use std::{fs, path::Path, sync::Arc};

use api::jobs::{Lease, Outcome};
use types::{AccountId, InstanceId, JobId, Secret};

use super::{
    Agent, Folder, eventually,
    packages::Package,
    platform::{Platform, desired},
    runs,
};

/// A job of a release whose `job.sh` is this.
pub(super) fn queue(platform: &Arc<Platform>, script: &'static str) -> Lease {
    let release = Package { job: script, ..Package::new("serve") }.publish(platform);
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
        payload: serde_json::Value::Null,
        upgrade: None,
        command: vec!["./job.sh".to_owned(), "serve".to_owned()],
        timeout_seconds: 20,
        lease_seconds: 1,
    };
    platform.want(move |_| desired(vec![release.clone()], vec![]));
    platform.change(|state| state.jobs.push_back(lease.clone()));
    lease
}

/// The pid that a job's script wrote as `$$`, when it has.
async fn pid(path: &Path) -> i32 {
    let read = || fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    eventually("the job's pid", || read().is_some()).await;
    read().unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_job_runs_with_the_instances_environment_and_no_secret_is_shown() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let url = ("DATABASE_URL".to_owned(), Secret::new("postgres://u:hunter22@h/d"));
    platform.change(|state| state.variables.extend([url]));
    queue(&platform, "echo \"to $DATABASE_URL with hunter22\"; echo \"$1 in $(pwd)\"");
    let agent = Agent::start(&platform, folder.path());
    let (outcome, output) = platform.end_of_job().await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert!(output.starts_with("to [secret] with [secret]\nserve in "), "{output}");
    assert_eq!(fs::read_dir(folder.path().join("jobs")).unwrap().count(), 0);
    agent.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_says_how() {
    let (platform, folder) = (Platform::new(), Folder::new());
    queue(&platform, "echo trying; exit 4");
    let agent = Agent::start(&platform, folder.path());
    let (outcome, output) = platform.end_of_job().await;
    assert_eq!(
        (outcome, output.as_str()),
        (Outcome::Again, "trying\nthe command ended with status 4")
    );
    agent.stop().await;
}

#[tokio::test]
async fn a_long_job_keeps_its_lease_and_ends_at_its_limit() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let lease = queue(&platform, "echo $$ > ../../pid; echo working; sleep 3600");
    let lease = Lease { timeout_seconds: 2, ..lease };
    platform.change(|state| state.jobs = [lease].into());
    let agent = Agent::start(&platform, folder.path());
    let (outcome, output) = platform.end_of_job().await;
    let expected = "working\nthe command was stopped after its limit of 2s";
    assert_eq!((outcome, output.as_str()), (Outcome::Again, expected));
    let renewals = platform.change(|state| {
        state.reports.iter().filter(|report| report.outcome == Outcome::Running).count()
    });
    assert!(renewals >= 2, "{renewals} renewals of a lease of one second");
    assert!(!runs(pid(&folder.path().join("pid")).await));
    agent.stop().await;
}

#[tokio::test]
async fn a_job_whose_lease_is_lost_is_stopped() {
    for away in [false, true] {
        let (platform, folder) = (Platform::new(), Folder::new());
        queue(&platform, "echo $$ > ../../pid; trap '' TERM; sleep 3600");
        let agent = Agent::start(&platform, folder.path());
        let pid = pid(&folder.path().join("pid")).await;
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
async fn only_the_manifests_commands_are_run() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let lease = queue(&platform, "true");
    let command = vec!["touch".to_owned(), "../../evil".to_owned()];
    platform.change(|state| state.jobs = [Lease { command, ..lease }].into());
    let agent = Agent::start(&platform, folder.path());
    let (outcome, output) = platform.end_of_job().await;
    assert_eq!(outcome, Outcome::Again);
    assert!(output.contains("no such command") && !folder.path().join("evil").exists());
    agent.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_gives_its_jobs_back() {
    let (platform, folder) = (Platform::new(), Folder::new());
    queue(&platform, "echo $$ > ../../pid; sleep 3600");
    let agent = Agent::start(&platform, folder.path());
    let pid = pid(&folder.path().join("pid")).await;
    agent.stop().await;
    assert!(!runs(pid));
    let (outcome, output) = platform.end_of_job().await;
    assert_eq!(outcome, Outcome::Again);
    assert!(output.ends_with("the command was stopped, since the node stops"), "{output}");
}
