//! Routes each public request to the right instance, and adds sign-in, permissions and metering.
//!
//! Each room names only rooms below it:
//!
//! - `edge` takes connections, limits them and watches how requests follow one another on them.
//! - `phases` leads one request through its phases, one file each, with one `Visit` that goes along:
//!   `resolve` says whose host it is, `hold` whether the instance is open, `authenticate` who asks,
//!   `authorize` whether they may, `forward` has an endpoint answer, and `meter` writes down what is
//!   owed for it before the answer goes out. Where the manifest turns a request into a job,
//!   `enqueue` stands in place of `forward`. What goes on after an answer with another protocol is
//!   `tunnel`, and `streams` judges again what goes on for long. The gateway's own pages are in
//!   `phases/pages`.
//! - `routes` keeps what the feeds say: instances by host, their releases and endpoints.
//! - `upstream` chooses an endpoint, connects to it, and asks whether it is well.
//! - `usage` is the journal of what is owed, and sends it to billing.
//! - `access_log` writes down what became of each request, for whoever runs the platform.
//! - `render` makes the pages and problems that the gateway answers itself.
//! - `request` reads what a request says: target, headers, cookies, body.
//!
//! **No phase calls another component**, but for `enqueue`. Everything is decided from copies that the
//! feeds of configurator and releases keep (`routes`) and from the guard's. Beside it only the
//! gateway's own pages (`/.mandate/…`: set-up, sign-in and jobs) ask a component, a few at a time.
//!
//! **A copy that may be out of date opens nothing.** Whoever closes an instance is told that it is
//! closed once every gateway whose lease holds has acknowledged it. A gateway whose lease has run
//! out is not waited for, so it answers 503 for instances until it has caught up: a configurator
//! may be away for a lease (10 s) before anybody notices. Addresses of replicas and manifests may
//! be used for longer, since nobody waits for them.
//!
//! **What is matched is what the application sees.** A request has one host, one method in capital
//! letters and one path, all in their one form (`request/target`), and exactly these are sent on; what could
//! be read in two ways is refused. Headers with which a client could speak in our name, or ask
//! for another path or method than it seems to, are removed (`request/headers`).
//!
//! **Usage is written to a file before an answer is released** (`usage`) and sent to billing
//! afterwards, in batches of which each counts once.

mod access_log;
mod edge;
mod phases;
mod render;
mod request;
mod routes;
mod state;
mod upstream;
mod usage;

use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use types::{Clock, Site};

pub use edge::tls::TlsError;

use edge::{threads::Threads, tls::Tls};
use routes::reached::Asking;
use state::State;
use usage::sender;

/// How long the last usage may take to be sent; what is not sent is sent after the next start.
const LAST_USAGE_TIME_MAX: Duration = Duration::from_secs(5);

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
    /// Where certificates are, if TLS is spoken with visitors here: chains in `NAME.crt`, keys in
    /// `NAME.key`.
    pub tls: Option<PathBuf>,
    /// For how long browsers are told to come by HTTPS only, if they are.
    pub hsts: Option<Duration>,
    /// Where a line is written for each request, if it is.
    pub access_log: Option<PathBuf>,
    /// How many threads answer requests to instances; one for each processor is best.
    pub threads: usize,
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
    /// The access log cannot be opened.
    #[error("the access log `{path}` cannot be opened: {cause}")]
    AccessLog {
        /// Where it is.
        path: PathBuf,
        /// What the machine says.
        cause: io::Error,
    },
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No thread can be started that answers.
    #[error("the gateway cannot start threads that answer")]
    Threads(#[source] io::Error),
    /// The domain is not a host name.
    #[error("`{0}` is not a domain: write a host name such as `example.com`")]
    Domain(String),
}

/// The public front of an installation.
pub struct Gateway {
    state: Arc<State>,
    tls: Option<Tls>,
    threads: usize,
}

impl Gateway {
    /// Opens the journal; within a runtime, on which it works on all that is not a request to an
    /// instance. Usage that an earlier process had not sent is kept.
    pub fn open(config: Config) -> Result<Self, Error> {
        let (threads, tls) = (config.threads, config.tls.clone().map(Tls::open).transpose()?);
        Ok(Self { state: Arc::new(State::open(config)?), tls, threads })
    }

    /// Serves what comes to `listener`, and by TLS what comes to `tls`, keeps the copies and sends the usage, until `shutdown`
    /// ends; then takes nothing new, and returns when what is under way is done or 30 s have
    /// passed.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<TcpListener>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let state = &self.state;
        let source = format!("gateway/{}", state.name);
        let follower = format!("{}.gateway", state.name);
        let State { client, journal, .. } = &**state;
        let hosts = state.hosts.keep(client.clone(), follower.clone());
        let releases = state.releases.keep(client.clone(), follower.clone());
        let drained = routes::drained::tell(&state.hosts, client.clone(), follower.clone());
        let asking = Asking { hosts: &state.hosts, releases: &state.releases, site: state.site };
        let reached = Box::pin(routes::reached::tell(&asking, client.clone(), follower));
        let usage = sender::send(Arc::clone(journal), client.clone(), source.clone());
        let tls = tls.zip(self.tls.as_ref());
        let tls = tls.map(|(listener, tls)| (listener, Some(tls.acceptor.clone())));
        let listeners = [(listener, None)].into_iter().chain(tls).collect();
        let threads = Threads::start(state, listeners, self.threads).map_err(Error::Threads)?;
        let certificates = async {
            match &self.tls {
                Some(tls) => tls.keep().await,
                None => std::future::pending().await,
            }
        };
        let serving = async {
            shutdown.await;
            threads.end().await;
        };
        tokio::select! {
            () = serving => {}
            ((), (), (), (), (), ()) = async {
                tokio::join!(hosts, releases, drained, reached, usage, certificates)
            } => {}
        }
        let last = sender::drain(journal, client, &source);
        if !matches!(tokio::time::timeout(LAST_USAGE_TIME_MAX, last).await, Ok(Ok(()))) {
            tracing::info!("some usage is kept and sent after the next start");
        }
        Ok(())
    }
}
