//! TLS with visitors: which certificate is shown for which host, and where certificates come from.

mod certificates;
mod folder;

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring::{Ticketer, default_provider},
};
use tokio_rustls::TlsAcceptor;

use certificates::Certificates;
use folder::Folder;

/// What is spoken inside, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The folder cannot be read or watched.
    #[error("the folder of certificates `{folder}` cannot be read: {cause}")]
    Folder {
        /// Where it is.
        folder: PathBuf,
        /// What the machine says.
        cause: std::io::Error,
    },
    /// It has none that can be used.
    #[error(
        "`{}` has no certificate that can be used: put the chain in `NAME.crt` and the key in `NAME.key`",
        .0.display()
    )]
    None(PathBuf),
    /// The library refuses what was set.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// Speaks TLS by the certificates of a folder.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
    folder: Folder,
}

impl Tls {
    /// Reads the certificates in `folder`; there has to be one that can be used.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        let folder = Folder::open(folder, Arc::clone(&provider))?;
        let certificates = Arc::new(Certificates::default());
        certificates.replace(folder.read()?);
        if certificates.are_none() {
            return Err(TlsError::None(folder.path));
        }
        let resolver: Arc<Certificates> = Arc::clone(&certificates);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // Whoever comes back, also on another thread, need not be proven everything again.
        config.ticketer = Ticketer::new()?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { acceptor, certificates, folder })
    }

    /// Reads the folder again whenever something of it has changed, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        loop {
            self.folder.changed().await;
            match self.folder.read() {
                Ok(read) => self.certificates.replace(read),
                Err(problem) => tracing::error!(%problem, "the certificates stay as they were"),
            }
        }
    }
}
