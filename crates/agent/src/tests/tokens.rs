//! What an instance's processes ask for jobs with.

use std::{fs, sync::Arc, time::Duration};

use types::{Clock as _, ManualClock, SystemClock};

use super::{Agent, Folder, eventually, jobs::queue, platform::Platform};

#[tokio::test]
async fn an_instances_processes_can_ask_for_jobs_and_their_token_is_renewed() {
    let (platform, folder) = (Platform::new(), Folder::new());
    let script = "echo \"$MANDATE_JOBS_URL $(cat $MANDATE_JOBS_TOKEN_FILE)\"";
    let lease = queue(&platform, script);
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let agent = Agent::start_with(&platform, folder.path(), clock.clone());
    let output = platform.end_of_job().await.output;
    let (account, instance) = (lease.account, lease.instance);
    let url = format!("http://127.0.0.1:1/jobs/v1/accounts/{account}/instances/{instance}/jobs");
    assert_eq!(output.trim(), format!("{url} {instance}-1"));
    let file = folder.path().join(format!("tokens/{account}-{instance}"));
    let token = || fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(token(), format!("{instance}-1"));
    clock.advance(Duration::from_mins(61));
    eventually("a new token", || token() == format!("{instance}-2")).await;
    agent.stop().await;

    // The next agent goes on with what it finds.
    let agent = Agent::start_with(&platform, folder.path(), clock);
    eventually("a token of the next agent", || token() == format!("{instance}-3")).await;
    agent.stop().await;
}
