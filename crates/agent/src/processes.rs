//! The node as it is: real packages, real processes.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    Error, Node,
    host::{Host, Observed, Step},
    logs::Printed,
    releases::Releases,
    replicas::Replicas,
};

/// A node whose replicas are processes.
pub(crate) struct Processes {
    releases: Releases,
    replicas: Replicas,
    seen: watch::Receiver<u64>,
}

impl Processes {
    /// What an earlier agent has made ready, and what it started.
    pub(crate) async fn open(node: Arc<Node>) -> Result<Self, Error> {
        let seen = node.changes.listen();
        let releases = Releases::open(Arc::clone(&node)).await?;
        let mut replicas = Replicas::new(node);
        replicas.adopt(&releases).await;
        Ok(Self { releases, replicas, seen })
    }

    /// Its releases, for who runs jobs from them.
    pub(crate) fn releases(&self) -> Releases {
        self.releases.clone()
    }
}

impl Host for Processes {
    fn observe(&mut self) -> Observed {
        // The revision is read before what it stands for: what changes meanwhile is seen again.
        let revision = *self.seen.borrow_and_update();
        Observed {
            revision,
            releases: self.releases.observe(),
            replicas: self.replicas.observe(),
            current: self.releases.current(),
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Install(release, engine) => self.releases.install(*release, engine),
            Step::Remove(digest) => self.releases.remove(&digest),
            Step::Promote(service, digest) => self.releases.promote(&service, &digest),
            Step::Start(replica) => {
                if let Some(ready) = self.releases.ready(&replica.digest) {
                    self.replicas.start(replica, ready);
                }
            }
            Step::Stop(replica, generation) => self.replicas.stop((replica, generation)),
        }
    }

    fn printed(&self) -> Vec<Printed> {
        self.replicas.printed()
    }

    async fn changed(&mut self) {
        // This value holds what could close the channel.
        let _ = self.seen.changed().await;
    }

    async fn stop(self) {
        self.releases.stop();
        self.replicas.stop_all().await;
    }

    async fn leave(self) {
        self.releases.stop();
        self.replicas.leave().await;
    }
}
