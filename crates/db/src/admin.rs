//! Connections to a PostgreSQL server as the one who makes and removes databases.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;

use crate::Error;

/// One that is not used for so long is closed. To open one takes as long as many a thing that is done
/// on it, and whoever makes one database mostly makes others.
const IDLE: Duration = Duration::from_secs(10);

/// Clones share what is kept.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) options: PgConnectOptions,
    idle: Arc<Mutex<Vec<(Instant, PgConnection)>>>,
}

impl Admin {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        Self { options, idle: Arc::default() }
    }

    /// One that nobody else has until it is given back. One that is dropped instead ends, and with it
    /// what its session has locked.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Error> {
        while let Some(mut kept) = self.newest() {
            // The server may have been started again meanwhile.
            if kept.ping().await.is_ok() {
                return Ok(kept);
            }
        }
        Ok(self.options.connect().await?)
    }

    fn newest(&self) -> Option<PgConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().map(|(_, kept)| kept)
    }

    /// Gives back one on which all went well, for whoever is next.
    pub(crate) async fn give_back(&self, mut connection: PgConnection) {
        let unlocked = sqlx::query("select pg_advisory_unlock_all()").execute(&mut connection);
        if unlocked.await.is_err() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((Instant::now(), connection));
        drop(idle);
        let idle = Arc::downgrade(&self.idle);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            if let Some(idle) = idle.upgrade() {
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.retain(|(since, _)| since.elapsed() < IDLE);
            }
        });
    }
}
