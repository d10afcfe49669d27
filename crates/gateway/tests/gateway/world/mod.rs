//! A real gateway with small peers: two feeds, a set-up, a sign-in and a ledger, each a router.

mod feed;
mod peers;
pub(crate) mod python;
pub(crate) mod upstream;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{
    Client, Transport,
    access::{Catalogue, CatalogueEntry, Grant},
    billing::UsageEvent,
    configurator::{InstanceState, Route},
    http::{
        Sending,
        token::{Claims, EVERYONE},
    },
    identity::EndedSession,
    manifest::Manifest,
    releases::{ReplicaAddress, ServiceRelease},
};
use bytes::Bytes;
use chassis::{Directory, Guard, KeyRing, Signer};
use gateway::{Config, Gateway};
use http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use types::{
    AccountId, Clock as _, Digest, GrantId, InstanceId, NodeId, Principal, ReplicaId, Resource,
    SessionId, Site, SystemClock, UserId,
};

use feed::Feed;
use peers::Peers;
use upstream::Upstream;

/// Counts what a request causes beside the feeds and the usage, which run by themselves.
struct Counting {
    directory: Directory,
    calls: Arc<AtomicUsize>,
}

impl Transport for Counting {
    fn send(&self, request: Request<Bytes>) -> Sending<'_> {
        let path = request.uri().path();
        let own =
            path.contains("/followers/") || path.ends_with("/snapshot") || path.ends_with("/usage");
        if !own {
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
        self.directory.send(request)
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    /// Where TLS is spoken, if it is.
    pub(crate) https: Option<SocketAddr>,
    pub(crate) folder: PathBuf,
    pub(crate) peers: Peers,
    pub(crate) account: AccountId,
    calls: Arc<AtomicUsize>,
    identity: Signer,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    _guard: JoinHandle<()>,
}

fn address_of(
    process: &str,
    (name, address): (&str, SocketAddr),
    owned: Option<(InstanceId, AccountId)>,
) -> ReplicaAddress {
    ReplicaAddress {
        process: process.to_owned(),
        replica: ReplicaId::named(&[name]),
        service: "forum".parse().unwrap(),
        release: Some(release()),
        instance: owned.map(|(instance, _)| instance),
        account: owned.map(|(_, account)| account),
        node: NodeId::named(&["node"]),
        address: address.to_string(),
        silent: false,
        unproven: false,
    }
}

static WORLDS: AtomicUsize = AtomicUsize::new(0);

/// The release that everything is on unless said otherwise.
pub(crate) fn release() -> Digest {
    Digest::of(b"release")
}

/// How a gateway is reached.
struct Front {
    site: Site,
    proxies: Vec<ipnet::IpNet>,
    tls: Option<PathBuf>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let world = Self::begin().await;
        world.is_followed().await;
        world
    }

    async fn is_followed(&self) {
        self.peers.configurator.followed("test.gateway").await;
        self.peers.access.followed("test.guard").await;
        self.peers.identity.followed("test.guard").await;
    }

    /// A world whose gateway may not have caught up.
    pub(crate) async fn begin() -> Self {
        Self::on(Self::folder(), Peers::new()).await
    }

    /// A gateway with a forum behind something on this machine that ends TLS.
    pub(crate) async fn behind_proxy() -> (Self, Upstream) {
        let loopback = vec!["127.0.0.0/8".parse().unwrap()];
        let front = Front { site: Site::https(443), proxies: loopback, tls: None };
        let world = Self::open(Self::folder(), Peers::new(), front).await;
        world.is_followed().await;
        let upstream = world.opens_forum().await;
        (world, upstream)
    }

    /// A gateway with a forum that speaks TLS itself, by the certificates in this folder.
    pub(crate) async fn with_tls(
        certificates: PathBuf,
        proxies: Vec<ipnet::IpNet>,
    ) -> (Self, Upstream) {
        let front = Front { site: Site::https(8443), proxies, tls: Some(certificates) };
        let world = Self::open(Self::folder(), Peers::new(), front).await;
        world.is_followed().await;
        let upstream = world.opens_forum().await;
        (world, upstream)
    }

    fn folder() -> PathBuf {
        let number = WORLDS.fetch_add(1, Ordering::SeqCst);
        let name = format!("gateway-world-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The same installation, after its gateway has started again.
    pub(crate) async fn on(folder: PathBuf, peers: Peers) -> Self {
        let front = Front { site: Site::http(8080), proxies: vec![], tls: None };
        Self::open(folder, peers, front).await
    }

    async fn open(folder: PathBuf, peers: Peers, front: Front) -> Self {
        let Front { site, proxies, tls } = front;
        let speaks_tls = tls.is_some();
        let directory = Directory::default();
        peers.stand_in(&directory);
        let clock = Arc::new(SystemClock);
        let keys = KeyRing::open(&folder.join("keys")).unwrap();
        let identity = keys.signer("identity", clock.clone()).unwrap();
        let signer = keys.signer("gateway", clock.clone()).unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let transport: Arc<dyn Transport> =
            Arc::new(Counting { directory, calls: Arc::clone(&calls) });
        let client = Client::new(Arc::clone(&transport), Arc::new(signer));
        let guard = Guard::new(keys, clock.clone());
        let keeping = guard.clone();
        let guard_client = client.clone();
        let guard_task = tokio::spawn(async move { keeping.keep_up(guard_client, "test").await });
        let gateway = Gateway::open(Config {
            name: "test".into(),
            data: folder.clone(),
            domain: "localhost".into(),
            site,
            proxies,
            tls,
            access_log: Some(folder.join("access.log")),
            hsts: speaks_tls.then_some(Duration::from_hours(24)),
            clock,
            client,
            guard,
            threads: 2,
            platform: axum::Router::new()
                .route("/from", axum::routing::get(said_to_be_from))
                .fallback(|uri: http::Uri, headers: http::HeaderMap| async move {
                    let said = |name: &str| headers[name].to_str().unwrap_or("").to_owned();
                    let (scheme, address) = (said("x-forwarded-proto"), said("x-forwarded-for"));
                    if uri.path() == "/seen" {
                        return format!("proto={scheme} for={address}");
                    }
                    format!("platform {uri}")
                }),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls =
            if speaks_tls { Some(TcpListener::bind("127.0.0.1:0").await.unwrap()) } else { None };
        let https = tls.as_ref().map(|listener| listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            gateway.serve(listener, tls, async { drop(stopped.await) }).await.unwrap();
        });
        Self {
            address,
            https,
            folder,
            peers,
            account: AccountId::named(&["ada"]),
            calls,
            identity,
            stop: Some(stop),
            serving: Some(serving),
            _guard: guard_task,
        }
    }

    /// Ends the gateway as a signal would, and waits for it.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap();
        }
    }

    /// Ends the gateway's tasks where they stand, as far as that can be done within one process.
    pub(crate) async fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            drop(serving.await);
        }
        // Its connections hold the journal until they have seen that nobody is there.
        let lock = std::fs::File::open(self.folder.join("gateway/test/lock")).unwrap();
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// The events that lie in the journal's files, sent or not.
    pub(crate) fn journal(&self) -> Vec<UsageEvent> {
        let files = std::fs::read_dir(self.folder.join("gateway/test")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let usage = paths.filter(|path| path.extension().is_some_and(|end| end == "usage"));
        // A file that was sent meanwhile is gone.
        let texts: Vec<String> =
            usage.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.flat_map(|line| serde_json::from_str::<Vec<UsageEvent>>(line).unwrap()).collect()
    }

    /// The lines of the access log, once there are so many.
    pub(crate) async fn access_log(&self, count: usize) -> Vec<serde_json::Value> {
        let read = || std::fs::read_to_string(self.folder.join("access.log")).unwrap();
        let written = async {
            while read().lines().count() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), written).await.expect("it is written");
        let read = read();
        let mut lines: Vec<serde_json::Value> =
            read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        // Each thread writes its own.
        lines.sort_by_key(|line| line["time"].as_str().unwrap().to_owned());
        lines
    }

    /// How often a component was asked, the feeds and the usage apart.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) async fn publish(&self, manifest: &str) {
        let manifest =
            Manifest::parse("mandate.toml", manifest).unwrap_or_else(|f| panic!("{f:?}"));
        let permissions = manifest.permissions.iter().map(|(verb, entry)| CatalogueEntry {
            permission: format!("{}.{verb}", manifest.service.name).parse().unwrap(),
            title: entry.title.clone(),
            level: entry.level,
        });
        let catalogue = Catalogue {
            service: manifest.service.name.clone(),
            permissions: permissions.collect(),
        };
        let revision = self.peers.access.put(&catalogue);
        self.peers.access.acknowledged("test.guard", revision).await;
        let release =
            ServiceRelease { service: manifest.service.name.clone(), digest: release(), manifest };
        self.release(&release).await;
    }

    pub(crate) async fn release(&self, release: &ServiceRelease) {
        let revision = self.peers.releases.put(release);
        self.peers.releases.acknowledged("test.gateway", revision).await;
    }

    pub(crate) fn instance(&self, host: &str) -> Route {
        Route {
            instance: InstanceId::named(&[host]),
            account: self.account,
            service: "forum".parse().unwrap(),
            host: host.parse().unwrap(),
            modules: std::iter::once("polls".to_owned()).collect(),
            size: "small".into(),
            release: release(),
            state: InstanceState::Open,
            suspended: None,
            maintenance: None,
            setup_key: None,
            rotations: 0,
            schema: 0,
            frozen_until: None,
            moving: None,
        }
    }

    pub(crate) async fn put(&self, route: &Route) {
        let revision = self.peers.configurator.put(route);
        self.peers.configurator.acknowledged("test.gateway", revision).await;
    }

    pub(crate) async fn replica(
        &self,
        name: &str,
        address: SocketAddr,
        instance: Option<InstanceId>,
    ) -> ReplicaAddress {
        self.replica_of("web", (name, address), instance).await
    }

    /// A replica of another release, that serves all.
    pub(crate) async fn replica_on(&self, release: &Digest, named: (&str, SocketAddr)) {
        let replica = self.replica_of("web", named, None).await;
        self.tell(&ReplicaAddress { release: Some(release.clone()), ..replica }).await;
    }

    /// One that no gateway has had an answer from.
    pub(crate) async fn new_replica(
        &self,
        name: &str,
        address: SocketAddr,
        instance: Option<InstanceId>,
    ) -> ReplicaAddress {
        let replica = address_of("web", (name, address), instance.map(|it| (it, self.account)));
        let replica = ReplicaAddress { unproven: true, ..replica };
        self.tell(&replica).await;
        replica
    }

    /// Tells the gateway of a replica.
    pub(crate) async fn tell(&self, replica: &ReplicaAddress) {
        let revision = self.peers.releases.put(replica);
        self.peers.releases.acknowledged("test.gateway", revision).await;
    }

    /// A replica of a process.
    pub(crate) async fn replica_of(
        &self,
        process: &str,
        (name, address): (&str, SocketAddr),
        instance: Option<InstanceId>,
    ) -> ReplicaAddress {
        let owned = instance.map(|it| (it, self.account));
        let replica = address_of(process, (name, address), owned);
        self.tell(&replica).await;
        replica
    }

    /// A replica at the socket that answers each head with `answer` and reads no body. It keeps the
    /// connection if `keeps` says so, and asks it what it asked.
    pub(crate) async fn hasty(&self, name: &str, answer: &str, keeps: bool) -> JoinHandle<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.replica(name, listener.local_addr().unwrap(), None).await;
        let answer = answer.to_owned();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 2_048];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                if keeps {
                    kept.push(stream);
                }
            }
        })
    }

    /// An open forum at `forum.localhost` with one replica that says what it was sent.
    pub(crate) async fn with_forum() -> (Self, Upstream) {
        let world = Self::start().await;
        let upstream = world.opens_forum().await;
        (world, upstream)
    }

    async fn opens_forum(&self) -> Upstream {
        self.publish(FORUM).await;
        let upstream = Upstream::start().await;
        self.replica("one", upstream.address, None).await;
        self.put(&self.instance("forum.localhost")).await;
        upstream
    }

    pub(crate) fn user(&self, name: &str) -> (UserId, String) {
        let user = UserId::named(&[name]);
        (user, self.token(Principal::User(user), Some(SessionId::named(&[name])), 3_600))
    }

    pub(crate) fn token(&self, sub: Principal, sid: Option<SessionId>, life: i64) -> String {
        let claims = Claims::new(sub, EVERYONE, SystemClock.now(), Duration::ZERO);
        self.identity.sign(&Claims { exp: claims.iat + life, sid, ..claims })
    }

    pub(crate) async fn grant(&self, user: UserId, given: &str, on: &Route) -> GrantId {
        let grant = Grant {
            grant: GrantId::named(&[&user.to_string(), given]),
            principal: Principal::User(user),
            given: given.parse().unwrap(),
            on: Resource::Instance(on.account, on.instance),
            granted_by: Principal::User(user),
            created: SystemClock.now(),
        };
        let revision = self.peers.access.put(&grant);
        self.peers.access.acknowledged("test.guard", revision).await;
        grant.grant
    }

    pub(crate) async fn revoke(&self, grant: GrantId) {
        let revision = self.peers.access.remove::<Grant>(&grant.to_string());
        self.peers.access.acknowledged("test.guard", revision).await;
    }

    /// Ends the session of that name.
    pub(crate) async fn end_session(&self, name: &str) {
        let session = SessionId::named(&[name]);
        let expires = SystemClock.now().plus(Duration::from_mins(10));
        let revision = self.peers.identity.put(&EndedSession { session, expires });
        self.peers.identity.acknowledged("test.guard", revision).await;
    }

    /// The token of a session that was begun at `host`.
    pub(crate) fn session_at(&self, host: &str, name: &str) -> String {
        let sub = Principal::User(UserId::named(&[name]));
        let audience = api::identity::host_audience(&host.parse().unwrap());
        let life = Duration::from_mins(10);
        self.identity.sign(&Claims {
            sid: Some(SessionId::named(&[name])),
            email: Some(format!("{name}@bakery.example")),
            ..Claims::new(sub, &audience, SystemClock.now(), life)
        })
    }

    /// Begins to sign in.
    pub(crate) async fn way(&self, path: &str) -> Way {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: forum.localhost\r\nConnection: close\r\n\r\n");
        let text = String::from_utf8(self.raw(request.as_bytes()).await).unwrap();
        let after =
            |mark: &str| text.split_once(mark).unwrap().1.split(['\r', ';']).next().unwrap();
        let (browser, cookie) = (after("&browser=").to_owned(), after("set-cookie: ").to_owned());
        Way { cookie, browser }
    }

    /// Sends a request head (and body) with `Connection: close` and reads the answer.
    pub(crate) async fn ask(
        &self,
        line: &str,
        host: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut text = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() {
            text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        text.push_str("\r\n");
        text.push_str(body);
        Answer::read(&self.raw(text.as_bytes()).await)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "forum.localhost", &[], "").await
    }

    /// Sends bytes as they are, and reads until the gateway closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The gateway may refuse and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut answer)).await;
        read.expect("the gateway closes").ok();
        answer
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What a browser has after it was led to the console.
pub(crate) struct Way {
    pub(crate) cookie: String,
    pub(crate) browser: String,
}

/// An answer, read simply.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let head = head.to_ascii_lowercase();
        let body = if head.contains("transfer-encoding: chunked") {
            joined(body)
        } else {
            body.to_owned()
        };
        Self { status, head, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
    }

    pub(crate) fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// What the replica says it was sent.
    pub(crate) fn seen(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not from a replica: {self:?}"))
    }
}

/// A body that came in chunks.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let Some(length) = usize::from_str_radix(length, 16).ok().filter(|length| *length > 0)
        else {
            break;
        };
        body += &rest[..length];
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    body
}

pub(crate) const FORUM: &str = r#"
[service]
name = "forum"
title = "Forum"
tenancy = "shared"

[run]
command = ["./forum"]

[setup.name]
label = "Name"
type = "text"

[setup.admin_email]
label = "E-mail"
type = "email"

[setup.secret]
label = "Password"
type = "password"

[modules.polls]
title = "Polls"
routes = ["/polls", "/polls/*"]

[modules.badges]
title = "Badges"
routes = ["/badges"]

[permissions]
addUsers = { title = "Add members", level = "write" }
seeAdmin = { title = "See the administration", level = "read" }

[[routes]]
match = "POST /users"
permission = "addUsers"
[[routes]]
match = "* /admin"
permission = "seeAdmin"
[[routes]]
match = "* /admin/*"
permission = "seeAdmin"
[[routes]]
match = "GET /*"
access = "public"
[[routes]]
match = "POST /topics/*/posts"
access = "public"
[[routes]]
match = "PUT /files/*"
access = "public"

[meters.requests]
title = "Requests"
unit = "requests"
count = "requests"

[meters.posts]
title = "Posts"
unit = "posts"
count = "requests"
match = "POST /topics/*/posts"
status = "2xx"

[meters.bytes_in]
title = "Received"
unit = "bytes"
count = "bytes_in"

[meters.bytes_out]
title = "Delivered"
unit = "bytes"
count = "bytes_out"

[sizes.small]
title = "Small"
cpu = 0.5
memory = "256MiB"
"#;

/// What the platform is told of where a visitor is.
async fn said_to_be_from(headers: http::HeaderMap) -> String {
    format!("{:?}", headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>())
}
