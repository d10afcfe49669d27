//! Says of instances whose requests wait when nothing is under way for them any more.

use std::time::Duration;

use api::{Client, configurator::PutQuiet};
use tokio::time::{Instant, timeout};
use types::InstanceId;

use super::hosts::Hosts;

/// It is said again after so long, for whoever has forgotten it.
const AGAIN: Duration = Duration::from_secs(1);

/// Says of instances that are held when nothing is under way for them, for as long as it is polled.
pub(crate) async fn tell(hosts: &Hosts, client: Client, gateway: String) {
    let mut told: (Vec<InstanceId>, Option<Instant>) = (Vec::new(), None);
    loop {
        // Listening before looking: whoever leaves meanwhile ends the wait.
        let (changed, left) = (hosts.changed(), hosts.left());
        tokio::pin!(changed, left);
        changed.as_mut().enable();
        left.as_mut().enable();
        let held = hosts.held();
        let quiet = held.iter().filter(|(_, requests)| requests.are_none());
        let quiet: Vec<InstanceId> = quiet.map(|(instance, _)| *instance).collect();
        let is_news = quiet != told.0 || told.1.is_none_or(|at| at.elapsed() >= AGAIN);
        if !quiet.is_empty() && is_news {
            let instances = quiet.iter().copied().collect();
            let put = PutQuiet { gateway: gateway.clone(), instances };
            if let Err(problem) = client.call(put).await {
                tracing::warn!(%problem, "nobody could be told that nothing is under way");
            }
            told = (quiet, Some(Instant::now()));
        }
        let until_then = async {
            tokio::select! { () = changed => {}, () = left => {} }
        };
        if held.is_empty() {
            until_then.await;
        } else {
            let _ = timeout(AGAIN, until_then).await;
        }
    }
}
