//! Routes each public request to the right instance, and adds sign-in, permissions and metering.
//!
//! A request passes six phases, one file each in `phases`, with one `Visit` that goes along:
//! `resolve` says whose host it is, `hold` whether the instance is open, `authenticate` who asks,
//! `authorize` whether they may, `forward` has a replica answer, and `meter` writes down what is
//! owed for it before the answer goes out. Where the manifest turns a request into a job, `queue`
//! stands in place of `forward`.
//!
//! **No phase calls another component**, but for `queue`. Everything is decided from copies that the
//! feeds of configurator and releases keep (`copies`) and from the guard's. Beside it only the
//! gateway's own pages (`/.mandate/…`: set-up, sign-in and jobs) ask a component, a few at a time.
//!
//! **A copy that may be out of date opens nothing.** Whoever closes an instance is told that it is
//! closed once every gateway whose lease holds has acknowledged it. A gateway whose lease has run
//! out is not waited for, so it answers 503 for instances until it has caught up: a configurator
//! may be away for a lease (10 s) before anybody notices. Addresses of replicas and manifests may
//! be used for longer, since nobody waits for them.
//!
//! **What is matched is what the application sees.** A request has one host, one method in capital
//! letters and one path, all in their one form (`target`), and exactly these are sent on; what could
//! be read in two ways is refused. Headers with which a client could speak in our name, or ask
//! for another path or method than it seems to, are removed (`headers`).
//!
//! **Usage is written to a file before an answer is released** (`journal`) and sent to billing
//! afterwards, in batches of which each counts once.

mod answer;
mod bodies;
mod connections;
mod cookies;
mod copies;
mod framing;
mod front;
mod headers;
mod journal;
mod own;
mod pace;
mod pages;
mod patient;
mod phases;
mod proxies;
mod quiet;
mod reach;
mod replicas;
mod server;
mod target;
mod uploads;
mod upstream;
mod visit;
mod visitors;

use std::{future::Future, io, path::PathBuf, sync::Arc};

use types::{Clock, Site};

use front::Front;

/// What a gateway is built from.
pub struct Config {
    /// The process's name: its copies and its usage are known by it.
    pub name: String,
    /// The folder of the process; the journal of usage is in `gateway/NAME` below it.
    pub data: PathBuf,
    /// The platform's own domain; `console.` and `api.` below it are the platform's too.
    pub domain: String,
    /// How browsers reach us.
    pub site: Site,
    /// The addresses of what stands in front of us: from there, what is said of a visitor's address
    /// and scheme is believed.
    pub proxies: Vec<ipnet::IpNet>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Asks the components as `gateway`.
    pub client: api::Client,
    /// Decides in this process; whoever composes the process keeps it up to date.
    pub guard: chassis::Guard,
    /// Answers at the platform's own hosts.
    pub platform: axum::Router,
}

/// Why a gateway cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be opened.
    #[error("the journal of usage in `{folder}` cannot be opened")]
    Journal {
        /// Where it is.
        folder: PathBuf,
        /// What the machine says.
        #[source]
        cause: io::Error,
    },
    /// The domain is not a host name.
    #[error("`{0}` is not a domain: write a host name such as `example.com`")]
    Domain(String),
}

/// The public front of an installation.
pub struct Gateway {
    front: Arc<Front>,
}

impl Gateway {
    /// Opens the journal. Usage that an earlier process had not sent is kept.
    pub fn open(config: Config) -> Result<Self, Error> {
        Ok(Self { front: Arc::new(Front::open(config)?) })
    }

    /// Serves what comes to `listener`, keeps the copies and sends the usage, until `shutdown`
    /// ends; then takes nothing new, and returns when what is under way is done or 30 s have
    /// passed.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        server::run(self.front, listener, shutdown).await;
        Ok(())
    }
}
