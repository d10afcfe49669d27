//! Starting the parts, saying where they are, and ending them in order.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::{Router, body::Body, extract::Request};
use chassis::{House, Relay};
use tokio::{net::TcpListener, sync::watch};
use tower::ServiceExt as _;
use types::{Secret, Site};

use super::{
    agent::Node,
    arguments::{Part, UpArgs},
    ended, ending,
    house::{Settings, engine, furnish, open},
    lock, log, private,
};

/// How long whoever is being answered is waited for at the end.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the copies of grants and sessions are waited for at the start.
const COPIES: Duration = Duration::from_secs(5);

/// Runs the platform until it is asked to end.
pub(crate) async fn up(args: UpArgs) -> anyhow::Result<()> {
    log();
    let ending = ending()?;
    let first = !args.data.join("master.key").exists();
    let engine = engine(&args)?;
    let _lock = lock::take(&args.data, &args.process_name())?;
    private::keep(&args.data)?;
    let parts = args.parts();
    let listener = listen(&args).await?;
    let here = listener.local_addr()?;
    let port = if parts.contains(&Part::Gateway) { here.port() } else { args.port() };
    let https = listen_https(&args, here).await?;
    let https_port = https.as_ref().map(TcpListener::local_addr).transpose()?;
    let site = args.site(port, https_port.map(|address| address.port()));
    let house = Arc::new(open(&args, engine.clone())?);
    let domain = args.domain();
    let identity = args.identity(here, site).context("mail cannot be sent")?;
    let access = access::Config { grants_max: args.grants_per_account };
    let data = &args.data;
    let settings = Settings {
        data,
        packages: args.packages.as_deref(),
        domain,
        site,
        engine: &engine,
        instance_mail: args.instance_mail()?,
        identity,
        access,
        move_after: args.move_after.0,
        snapshot_max: args.snapshot_max,
    };
    Box::pin(furnish(&house, &parts, settings)).await?;
    // Agents ask as themselves; the process's own copies are asked for as one of its parts.
    let speaker = parts.iter().copied().find(|part| *part != Part::Agent);
    let loops = speaker.map(|part| house.start(part.name())).transpose()?;
    if parts.contains(&Part::Identity) && parts.contains(&Part::Access) {
        await_copies(&house).await;
    }
    if first {
        say_what_was_made(&args.data, parts.contains(&Part::Identity));
    }
    let platform = platform(&args, &house, site);
    let front = front(&args, &house, platform, site)?;
    if let Some(address) = https_port {
        tracing::info!("browsers come to {}, by HTTPS at {address}", site.origin(&domain.parse()?));
    }
    println!("ready http://{here}");

    let node = parts.contains(&Part::Agent).then(|| node(&args, &house, here)).transpose()?;
    let node = async |answered| match node {
        Some(node) => node.run(ended(answered)).await,
        None => Ok(()),
    };
    let answering = answer(front, (listener, https), ending.clone());
    let done = Box::pin(in_order(answering, node)).await;
    drop(loops);
    house.close().await;
    done
}

/// Answers people, and keeps the node running until nobody is answered any more: replicas must not
/// end under the requests that are still drained to them. Whichever cannot go on ends both: half a
/// process looks like a whole one to whoever watches it.
async fn in_order(
    answering: impl Future<Output = anyhow::Result<()>>,
    node: impl AsyncFnOnce(watch::Receiver<bool>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (sender, answered) = watch::channel(false);
    let answering = async {
        let served = answering.await;
        sender.send_replace(true);
        served
    };
    let working = async { node(answered).await.context("the agent cannot go on") };
    let (mut answering, mut working) = (pin!(answering), pin!(working));
    tokio::select! {
        served = &mut answering => served.and(working.await),
        worked = &mut working => {
            worked?;
            answering.await
        }
    }
}

/// Until this process knows who may do what; both are here, so that is a matter of moments.
async fn await_copies(house: &House) {
    let fresh = async {
        while !house.guard().is_fresh() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(COPIES, fresh).await.is_err() {
        tracing::warn!("what is granted is not known yet; people will be asked to try again");
    }
}

async fn listen(args: &UpArgs) -> anyhow::Result<TcpListener> {
    let port = if args.parts().contains(&Part::Gateway) { args.port() } else { 0 };
    let address = args.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "`{address}` cannot be listened at: is something running there? choose another `--port`"
        )
    })
}

/// Where HTTPS is spoken, if it is: beside `here`.
async fn listen_https(args: &UpArgs, here: SocketAddr) -> anyhow::Result<Option<TcpListener>> {
    let Some(port) = args.https_port() else { return Ok(None) };
    let address = SocketAddr::new(here.ip(), port);
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "`{address}` cannot be listened at for HTTPS: choose another `--https-port`, and see \
             whether ports below 1024 are for root only"
        )
    })?;
    Ok(Some(listener))
}

/// What to keep a copy of, and who may sign in.
fn say_what_was_made(data: &Path, has_identity: bool) {
    let key = data.join("master.key");
    tracing::info!("first start: the master key is `{}`; keep a copy of it", key.display());
    if has_identity {
        let operator = data.join("operator.txt");
        tracing::info!("the operator's sign-in is in `{}`", operator.display());
    }
}

/// What answers at the platform's own hosts: the API below the components' names, else the pages.
fn platform(args: &UpArgs, house: &Arc<House>, site: Site) -> Router {
    let console = match args.peer(Part::Console) {
        Some(url) => {
            let relay = Arc::new(Relay::new(url));
            Router::new().fallback(move |request: Request| {
                let relay = Arc::clone(&relay);
                async move { relay.pass(request).await }
            })
        }
        None if args.parts().contains(&Part::Console) => {
            let domain = args.domain().to_owned();
            let (client, clock) = (house.visitor(), house.clock());
            console::router(console::Config { client, domain, site, clock })
        }
        None => Router::new(),
    };
    let house = Arc::clone(house);
    Router::new().fallback(move |request: Request<Body>| {
        let (house, console) = (Arc::clone(&house), console.clone());
        async move {
            let first = request.uri().path().split('/').nth(1).unwrap_or_default();
            if api::COMPONENTS.contains(&first) {
                return house.directory().answer(request).await;
            }
            let Ok(response) = console.oneshot(request).await;
            response
        }
    })
}

/// What answers.
enum Front {
    /// The gateway stands here.
    Gateway(Box<gateway::Gateway>),
    /// Other processes ask, the gateway among them.
    Parts(Router),
}

fn front(args: &UpArgs, house: &House, platform: Router, site: Site) -> anyhow::Result<Front> {
    if !args.parts().contains(&Part::Gateway) {
        return Ok(Front::Parts(platform));
    }
    let config = gateway::Config {
        name: args.process_name(),
        data: args.data.clone(),
        domain: args.domain().to_owned(),
        site,
        proxies: args.trusted_proxy.clone(),
        tls: args.certificates.clone(),
        hsts: args.hsts,
        access_log: args.access_log(),
        clock: house.clock(),
        client: house.client("gateway")?,
        guard: house.guard().clone(),
        threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        platform,
    };
    Ok(Front::Gateway(Box::new(gateway::Gateway::open(config)?)))
}

/// Serves until the end.
async fn answer(
    front: Front,
    (listener, https): (TcpListener, Option<TcpListener>),
    ending: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let platform = match front {
        Front::Gateway(gateway) => {
            let serving = gateway.serve(listener, https, ended(ending));
            return serving.await.context("the gateway cannot go on");
        }
        Front::Parts(platform) => platform,
    };
    let serving = axum::serve(listener, platform).with_graceful_shutdown(ended(ending.clone()));
    let late = async {
        ended(ending).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served.context("the process cannot listen any more"),
        () = late => Ok(()),
    }
}

fn node(args: &UpArgs, house: &House, here: SocketAddr) -> anyhow::Result<Node> {
    let token = args.data.join("join-token");
    let join_token = std::fs::read_to_string(&token).with_context(|| {
        format!(
            "`{}` cannot be read: identity's first start on this data folder makes it",
            token.display()
        )
    })?;
    let gateway = args.peer(Part::Gateway).map_or_else(|| format!("http://{here}"), str::to_owned);
    Ok(Node {
        data: args.data.join("agent"),
        name: None,
        transport: Arc::new(house.directory().clone()),
        join_token: Secret::new(join_token.trim()),
        platform_url: gateway,
        listen_ip: Ipv4Addr::LOCALHOST.into(),
        share_packages: None,
        machine: args.machine.machine(),
        ports: args.replica_ports.clone(),
        ends_all: args.end_replicas || args.only.is_empty(),
        one_user: args.one_user,
        processes_max: args.instance_processes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replicas_end_when_nobody_is_answered_any_more() {
        let done = std::sync::Mutex::new(Vec::new());
        let happens = |what| done.lock().unwrap().push(what);
        let answering = async {
            tokio::task::yield_now().await;
            happens("the last request is answered");
            Ok(())
        };
        let node = async |answered| {
            ended(answered).await;
            happens("replicas are stopped");
            Ok(())
        };
        in_order(answering, node).await.unwrap();
        assert_eq!(*done.lock().unwrap(), ["the last request is answered", "replicas are stopped"]);
    }

    #[tokio::test]
    async fn whoever_cannot_go_on_ends_the_process() {
        let broken = async |_| anyhow::bail!("its folder is full");
        let ending = in_order(std::future::pending(), broken);
        let failed = tokio::time::timeout(DRAIN, ending).await.expect("it ends").unwrap_err();
        assert_eq!(format!("{failed:#}"), "the agent cannot go on: its folder is full");
        let answering = async { anyhow::bail!("nobody can connect") };
        let node = async |answered| {
            ended(answered).await;
            Ok(())
        };
        let failed = in_order(answering, node).await.unwrap_err();
        assert_eq!(failed.to_string(), "nobody can connect");
    }
}
