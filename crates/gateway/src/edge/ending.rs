//! How connections hear that nothing more is to begin on them, and how it is heard that they have
//! ended.

use std::future::pending;

use tokio::sync::watch;

/// What one connection keeps.
pub(super) struct Ending {
    told: watch::Receiver<bool>,
    _alive: watch::Receiver<()>,
}

/// Those of one listener.
pub(super) struct Endings {
    told: watch::Receiver<bool>,
    alive: watch::Sender<()>,
}

impl Endings {
    /// Connections that hear it when `told` says so.
    pub(super) fn new(told: watch::Receiver<bool>) -> Self {
        Self { told, alive: watch::Sender::new(()) }
    }

    pub(super) fn one(&self) -> Ending {
        Ending { told: self.told.clone(), _alive: self.alive.subscribe() }
    }

    /// Returns when all of them have ended.
    pub(super) async fn ended(&self) {
        self.alive.closed().await;
    }
}

impl Ending {
    /// Returns when nothing more is to begin; never if nobody can say so any more, since then all is
    /// broken off.
    pub(super) async fn told(&mut self) {
        if self.told.wait_for(|is_told| *is_told).await.is_err() {
            pending::<()>().await;
        }
    }
}
