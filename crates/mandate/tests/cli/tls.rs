//! A platform behind `https://`: asked if this machine trusts whoever vouches for it, and not else.

use std::{fs, net::SocketAddr, sync::Arc};

use axum::{Router, http::header, response::IntoResponse as _};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::platform::{Folder, Person};

/// Serves an empty list of offers, and gives the certificate that vouches for it.
async fn platform() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    let empty = r#"{"items":[],"next":null}"#;
    let answer = move || async move {
        ([(header::CONTENT_TYPE, "application/json")], empty).into_response()
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
            tokio::spawn(async move {
                let Ok(socket) = acceptor.accept(socket).await else { return };
                let serving = hyper::server::conn::http1::Builder::new();
                // Whoever asked may leave at any time.
                let _ = serving.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (address, made.cert.pem())
}

#[tokio::test]
async fn a_platform_behind_tls_is_asked_if_it_is_trusted() {
    let (address, certificate) = platform().await;
    let url = format!("https://localhost:{}", address.port());
    let list = ["offer", "list", "--url", &url];
    let (folder, nobody) = (Folder::new(), Folder::new());
    let trusted = folder.path().join("trusted.pem");
    fs::write(&trusted, certificate).unwrap();
    let knows = Person::new().with("SSL_CERT_FILE", trusted.to_str().unwrap());
    knows.runs(&list).await.good();
    let other = knows.runs(&["offer", "list", "--url", &format!("https://{address}")]).await;
    assert!(other.status == 6 && other.err.contains("certificate"), "another name: {}", other.err);
    let stranger = Person::new().with("SSL_CERT_DIR", nobody.path().to_str().unwrap());
    let refused = stranger.runs(&list).await;
    assert_eq!(refused.status, 6, "{}", refused.err);
    assert!(refused.err.contains("certificate"), "it says why: {}", refused.err);
}
