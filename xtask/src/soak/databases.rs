//! Where the databases of a run are.

use std::net::Ipv4Addr;

use crate::{machine, postgres::Postgres};

/// What keeps databases.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Engine {
    /// Files of the platform's own.
    Sqlite,
    /// A server that is started for the run.
    Postgres,
}

/// Databases that last as long as this value.
pub(crate) struct Databases(Option<Postgres>);

impl Databases {
    /// Gets what the engine needs; a server is found at an address of this machine.
    pub(crate) async fn start(engine: Engine, address: Ipv4Addr) -> anyhow::Result<Self> {
        match engine {
            Engine::Sqlite => Ok(Self(None)),
            Engine::Postgres => {
                machine::ensure(&[&machine::POSTGRES]).await?;
                Ok(Self(Some(Postgres::start_at(address).await?)))
            }
        }
    }

    /// What `mandate up` is told of them.
    pub(crate) fn options(&self) -> Vec<String> {
        let server = self.0.iter().map(Postgres::url);
        server.flat_map(|url| ["--database".to_owned(), url]).collect()
    }
}
