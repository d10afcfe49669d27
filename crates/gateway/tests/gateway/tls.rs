//! TLS with visitors: which certificate they are shown, and what follows from speaking it.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::tungstenite::Message;

use crate::world::{Answer, World, upstream::Upstream};

const HOST: &str = "forum.localhost";
/// Within which a certificate is shown that was put into the folder.
const SHOWN: Duration = Duration::from_secs(5);

/// Who signs certificates, and the folder that they are put into.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let folder = format!("gateway-certificates-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder }
    }

    /// A certificate for `names` until that year, and its key.
    fn certificate(&self, names: &[&str], year: i32) -> (String, String) {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Puts one into the folder; answers what is shown then.
    fn put(&self, name: &str, names: &[&str], year: i32) -> Vec<u8> {
        let (chain, key) = self.certificate(names, year);
        std::fs::write(self.file(name, "crt"), &chain).unwrap();
        std::fs::write(self.file(name, "key"), &key).unwrap();
        let der = <CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(
            chain.as_bytes(),
        );
        der.unwrap().to_vec()
    }

    fn file(&self, name: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{name}.{end}"))
    }

    async fn world(&self) -> (World, Upstream) {
        World::with_tls(self.folder.clone(), vec!["127.0.0.2/32".parse().unwrap()]).await
    }

    /// How a visitor speaks TLS who believes this authority.
    fn config(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    async fn connect(&self, world: &World, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        connect(world, host, self.config(&["http/1.1"])).await
    }

    /// Which certificate is shown for a host.
    async fn shown(&self, world: &World, host: &str) -> Option<Vec<u8>> {
        let stream = self.connect(world, host).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?[0].to_vec())
    }

    async fn shows(&self, world: &World, host: &str, expected: &[u8]) {
        let shows = async {
            while self.shown(world, host).await.as_deref() != Some(expected) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(SHOWN, shows).await.expect("it is shown");
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn connect(
    world: &World,
    host: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(world.https.unwrap()).await?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

async fn get(authority: &Authority, world: &World, path: &str) -> Answer {
    let mut stream = authority.connect(world, HOST).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}:8443\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // It says that it has ended; to be cut off would be another thing.
    stream.read_to_end(&mut answer).await.unwrap();
    Answer::read(&answer)
}

#[tokio::test]
async fn both_versions_are_spoken_inside() {
    let authority = Authority::new("both");
    authority.put("a", &[HOST], 2090);
    let (world, _upstream) = authority.world().await;
    let answer = get(&authority, &world, "/x").await;
    assert_eq!(
        (answer.status, answer.header("strict-transport-security")),
        (200, Some("max-age=86400"))
    );
    let seen = answer.seen().to_string();
    assert!(seen.contains(r#"["x-forwarded-proto","https"]"#), "{seen}");
    let way = get(&authority, &world, "/.mandate/sign-in").await;
    let cookie = way.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__host-mandate_way=") && cookie.ends_with("secure"), "{cookie}");
    assert!(way.header("location").unwrap().starts_with("https://console.localhost:8443/"));

    let stream = connect(&world, HOST, authority.config(&["h2", "http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let stream = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("https://{HOST}:8443/x"));
    let body = http_body_util::Empty::<bytes::Bytes>::new();
    let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let seen = String::from_utf8_lossy(&body);
    assert!(seen.contains(r#"["x-forwarded-proto","https"]"#), "{seen}");
}

#[tokio::test]
async fn who_comes_in_the_clear_is_led_to_where_it_is_spoken() {
    let authority = Authority::new("clear");
    authority.put("a", &[HOST], 2090);
    let (world, upstream) = authority.world().await;
    let answer = world.ask("POST /topics/1/posts?x=1", HOST, &[], "secret").await;
    let location = answer.header("location").map(str::to_owned);
    assert_eq!(
        (answer.status, location.as_deref()),
        (308, Some("https://forum.localhost:8443/topics/1/posts?x=1"))
    );
    let answer = world.ask("GET /", "console.localhost", &[], "").await;
    assert_eq!(answer.header("location"), Some("https://console.localhost:8443/"));
    assert!(answer.header("strict-transport-security").is_none());
    // To say it does not help; only what stands before us may.
    let said = [("X-Forwarded-Proto", "https")];
    assert_eq!(world.ask("GET /", HOST, &said, "").await.status, 308);
    assert_eq!(upstream.hits(), 0);
    let proxy = tokio::net::TcpSocket::new_v4().unwrap();
    proxy.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut proxy = proxy.connect(world.address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
    );
    proxy.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    proxy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Nodes and processes ask by address.
    assert_eq!(world.ask("GET /x", "127.0.0.1", &[], "").await.body, "platform /x");
}

#[tokio::test]
async fn the_certificate_of_a_host_is_shown_and_a_new_one_as_soon_as_it_is_there() {
    const ONE: &str = "one.shop.localhost";
    let authority = Authority::new("shown");
    let wild = authority.put("wild", &["*.shop.localhost", "shop.localhost"], 2090);
    let (world, _upstream) = authority.world().await;
    authority.shows(&world, ONE, &wild).await;
    authority.shows(&world, "shop.localhost", &wild).await;
    for host in ["a.b.shop.localhost", "example.com"] {
        assert!(authority.shown(&world, host).await.is_none(), "{host}");
    }
    let own = authority.put("own", &[ONE], 2080);
    authority.shows(&world, ONE, &own).await;
    authority.shows(&world, "other.shop.localhost", &wild).await;
    let renewed = authority.put("own", &[ONE], 2085);
    authority.shows(&world, ONE, &renewed).await;
    let older = authority.put("older", &[ONE], 2081);
    tokio::time::sleep(SHOWN / 2).await;
    assert!(older != renewed && authority.shown(&world, ONE).await == Some(renewed.clone()));

    // What cannot be used takes nothing away.
    std::fs::write(authority.file("own", "key"), authority.certificate(&["x"], 2090).1).unwrap();
    std::fs::write(authority.file("wild", "crt"), "-----BEGIN CERTIFICATE-----\nAA").unwrap();
    std::fs::remove_file(authority.file("older", "crt")).unwrap();
    tokio::time::sleep(SHOWN / 2).await;
    assert_eq!(authority.shown(&world, ONE).await, Some(renewed));
    assert_eq!(authority.shown(&world, "other.shop.localhost").await, Some(wild));
    let wild = authority.put("wild", &["*.shop.localhost"], 2091);
    authority.shows(&world, "other.shop.localhost", &wild).await;
}

#[tokio::test]
async fn who_comes_back_is_known_again_on_every_thread() {
    let authority = Authority::new("again");
    authority.put("a", &[HOST], 2090);
    let (world, _upstream) = authority.world().await;
    let config = authority.config(&["http/1.1"]);
    let mut resumed = 0;
    for _ in 0..12 {
        let mut stream = connect(&world, HOST, Arc::clone(&config)).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        resumed += u32::from(stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed));
    }
    assert_eq!(resumed, 11);
}

#[tokio::test]
async fn a_web_socket_goes_on_inside() {
    let authority = Authority::new("socket");
    authority.put("a", &[HOST], 2090);
    let (world, _upstream) = authority.world().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("one", listener.local_addr().unwrap(), None).await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let _ = socket.send(message).await;
            }
        }
    });
    let stream = authority.connect(&world, HOST).await.unwrap();
    let url = format!("wss://{HOST}/live");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    for length in [5, 1 << 20] {
        let message = Message::binary(vec![7_u8; length]);
        socket.send(message.clone()).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap() == message);
    }
}

#[tokio::test]
async fn who_does_not_agree_is_not_waited_for() {
    let authority = Authority::new("slow");
    authority.put("a", &[HOST], 2090);
    let (world, _upstream) = authority.world().await;
    let sent = [&b""[..], b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"];
    let all = sent.map(async |sent| {
        let mut stream = TcpStream::connect(world.https.unwrap()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        let closed = stream.read_to_end(&mut rest);
        let closed = tokio::time::timeout(Duration::from_secs(15), closed).await;
        assert!(closed.is_ok(), "{sent:?}");
    });
    futures_util::future::join_all(all).await;
    assert_eq!(get(&authority, &world, "/").await.status, 200);
}

#[test]
fn a_folder_without_one_that_can_be_used_is_told() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let authority = Authority::new("none");
    let problem = |folder: &Path| {
        let folder = folder.to_owned();
        let world = runtime.spawn(async move { World::with_tls(folder, vec![]).await.0 });
        let panic = runtime.block_on(world).err().unwrap().into_panic();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let said = problem(&authority.folder);
    assert!(said.contains("None("), "{said}");
    std::fs::write(authority.file("a", "crt"), "nonsense").unwrap();
    assert!(problem(&authority.folder).contains("None("));
    assert!(problem(&authority.folder.join("x")).contains("Folder {"));
}
