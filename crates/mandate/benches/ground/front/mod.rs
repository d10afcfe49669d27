//! What a request through the gateway costs, beside the application asked directly and, where it
//! is installed, beside nginx.

pub(crate) mod counting;
pub(crate) mod cpu;
pub(crate) mod load;
mod nginx;
pub(crate) mod peer;
mod upstream;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};
use types::SystemClock;

use crate::{
    figures::{Series, Table, micros, short},
    platform::{HOST, Platform, wait_for},
    runtime,
};
use counting::Counting;
use cpu::Whose;
use load::Load;
pub(crate) use upstream::start as application;

const ROUNDS: usize = 7;
/// How long each is asked in a round, by all connections and by one.
const BUSY: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 8;
/// What the threads of the gateway are called.
pub(crate) const THREADS: &str = "gateway";

/// One of those that take turns.
struct Contestant {
    what: &'static str,
    address: SocketAddr,
    request: String,
    /// Who stands between us and the application.
    between: Option<Whose>,
    rate: Series,
    work: Series,
    busy: [Series; 2],
    alone: Series,
    requests: u64,
}

/// Asks the application in each way, in turns.
pub(crate) fn measure(
    platform: &Arc<Platform>,
    (house, application): (&Runtime, SocketAddr),
    folder: &Path,
    table: &mut Table,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let own = runtime(THREADS, 2)?;
    let counting = Counting::new(platform.house.directory().clone(), house.handle().clone());
    let client = counting.client(platform.house.signer("gateway")?);
    let gateway = own.block_on(Standing::start(platform, client, folder, 2))?;
    let nginx = nginx::start(folder, application)?;
    let token = platform.customer.token.reveal();
    let mut all = vec![
        contestant("the application itself", application, "/topics", "", None),
        contestant("gateway: a public page", gateway.address, "/topics", "", Some(ours())),
        contestant(
            "gateway: a person, a permission",
            gateway.address,
            "/members",
            &format!("Authorization: Bearer {token}\r\n"),
            Some(ours()),
        ),
    ];
    if let Some(nginx) = &nginx {
        let whose = nginx.workers();
        all.push(contestant("nginx", nginx.address, "/topics", "", Some(whose)));
    }
    house.block_on(ready(&all[1]))?;
    for round in 0..=ROUNDS {
        let count = all.len();
        for place in 0..count {
            // Nobody is always the first, or always after the same one.
            all[(round + place) % count].round(round > 0)?;
            // What others still have to do with the usage must not slow the next one down.
            house.block_on(settled(folder))?;
        }
    }
    own.block_on(gateway.end());
    show(table, &all, &counting);
    if nginx.is_none() {
        table.note("nginx is not installed; `apt-get install nginx-light` puts it beside");
    }
    Ok(())
}

fn ours() -> Whose {
    Whose::Threads(THREADS)
}

fn contestant(
    what: &'static str,
    address: SocketAddr,
    path: &str,
    headers: &str,
    between: Option<Whose>,
) -> Contestant {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: ground\r\nAccept: */*\r\n{headers}\r\n"
    );
    Contestant {
        what,
        address,
        request,
        between,
        rate: Series::default(),
        work: Series::default(),
        busy: Default::default(),
        alone: Series::default(),
        requests: 0,
    }
}

impl Contestant {
    fn round(&mut self, counts: bool) -> anyhow::Result<()> {
        let load = Load { address: self.address, request: &self.request };
        let spent = || self.between.as_ref().map_or(Ok(Duration::ZERO), Whose::spent);
        let before = spent()?;
        let mut busy = load.run(CONNECTIONS, BUSY)?;
        let work = spent()?.saturating_sub(before);
        let mut alone = load.run(1, QUIET)?;
        self.requests += busy.requests() + alone.requests();
        if counts {
            self.rate.push(busy.rate());
            self.work.push(micros(work) / busy.rate() / busy.took.as_secs_f64());
            self.busy[0].push(busy.percentile(0.5));
            self.busy[1].push(busy.percentile(0.99));
            self.alone.push(alone.percentile(0.5));
        }
        Ok(())
    }
}

fn show(table: &mut Table, all: &[Contestant], counting: &Counting) {
    let title = format!("A request, {CONNECTIONS} connections kept alive, 1 KiB of answer");
    table.head(&title, ["a second", "p10 – p90 of it", "p99 µs", ""]);
    let nginx = all.iter().find(|contestant| contestant.what == "nginx");
    for one in all {
        let added = one.alone.median() - all[0].alone.median();
        let mut beside = format!("one at a time {} µs", short(one.alone.median()));
        if one.between.is_some() {
            beside = format!(
                "{beside}, of which {} between; CPU between {} µs ({})",
                short(added),
                short(one.work.median()),
                one.work.spread()
            );
        }
        if let Some(nginx) = nginx.filter(|_| one.between.is_some()) {
            beside =
                format!("{beside}: {} × nginx", short(one.work.ratio_to(&nginx.work).median()));
        }
        let cells =
            [short(one.rate.median()), one.rate.spread(), short(one.busy[1].median()), beside];
        table.row(one.what, cells);
    }
    let ours = all.iter().filter(|one| matches!(one.between, Some(Whose::Threads(_))));
    let requests: u64 = ours.map(|one| one.requests).sum();
    table.note(format!("{requests} requests through the gateway: {counting}"));
}

/// Returns when the gateway has heard of the instance.
async fn ready(public: &Contestant) -> anyhow::Result<()> {
    let load = Load { address: public.address, request: &public.request };
    wait_for("the gateway's copies", async || Ok(load.answers())).await
}

/// Returns when all usage has gone to billing.
pub(crate) async fn settled(folder: &Path) -> anyhow::Result<()> {
    let journal = folder.join("gateway");
    let waiting = async || {
        let mut bytes = 0;
        for file in std::fs::read_dir(&journal)? {
            let file = file?;
            if file.path().extension().is_some_and(|end| end == "usage") {
                // One that was sent meanwhile is gone.
                bytes += file.metadata().map_or(0, |data| data.len());
            }
        }
        Ok(bytes == 0)
    };
    wait_for("the usage to be sent", waiting).await
}

/// A gateway that serves.
pub(crate) struct Standing {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<Result<(), gateway::Error>>,
}

impl Standing {
    pub(crate) async fn start(
        platform: &Platform,
        client: api::Client,
        folder: &Path,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let gateway = gateway::Gateway::open(gateway::Config {
            name: "main".into(),
            data: folder.to_owned(),
            domain: "localhost".into(),
            site: types::Site::http(8080),
            proxies: vec![],
            tls: None,
            hsts: None,
            access_log: Some(folder.join("access.log")),
            clock: Arc::new(SystemClock),
            client,
            guard: platform.house.guard().clone(),
            threads,
            platform: platform_router(platform.house.directory().clone()),
        })?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(gateway.serve(listener, None, async { drop(stopped.await) }));
        Ok(Self { address, stop, serving })
    }

    pub(crate) async fn end(self) {
        drop(self.stop);
        let _ = self.serving.await;
    }
}

/// The components' doors, as at `api.`.
fn platform_router(directory: chassis::Directory) -> axum::Router {
    axum::Router::new().fallback(move |request: axum::extract::Request| {
        let directory = directory.clone();
        async move { directory.answer(request).await }
    })
}
