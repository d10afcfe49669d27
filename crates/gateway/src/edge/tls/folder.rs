//! Certificates in a folder: the chain in `NAME.crt`, its key in `NAME.key`, both as PEM.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use tokio::time::{Instant, sleep};
use types::Timestamp;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{TlsError, certificates::Certificate};

const CHAIN: &str = "crt";
const KEY: &str = "key";
/// Whoever writes a certificate writes its key too: both are there after so long.
const SETTLE: Duration = Duration::from_millis(200);
/// How often the machine is asked whether something has changed, however much is there.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
const EVENTS_BYTES: usize = 4 << 10;
/// It is read again after so long in any case: what a link leads to may have changed.
const AGAIN: Duration = Duration::from_hours(1);

/// A folder, watched.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    provider: Arc<CryptoProvider>,
    watch: OwnedFd,
}

impl Folder {
    pub(super) fn open(path: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        match watch(&path) {
            Ok(watch) => Ok(Self { path, provider, watch }),
            Err(cause) => Err(TlsError::Folder { folder: path, cause }),
        }
    }

    /// All that can be used, and whether there was something that cannot: of that, the log says why.
    pub(super) fn read(&self) -> Result<(Vec<Certificate>, bool), TlsError> {
        let entries =
            std::fs::read_dir(&self.path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries =
            entries.map_err(|cause| TlsError::Folder { folder: self.path.clone(), cause })?;
        let (mut all, mut is_whole) = (Vec::new(), true);
        for chain in entries.iter().map(std::fs::DirEntry::path) {
            if chain.extension().is_none_or(|end| end != CHAIN) {
                continue;
            }
            match certificate(&chain, &self.provider) {
                Ok(certificate) => all.push(certificate),
                Err(problem) => {
                    let file = chain.display();
                    tracing::error!(%file, problem, "a certificate cannot be used");
                    is_whole = false;
                }
            }
        }
        Ok((all, is_whole))
    }

    /// Returns when something of it has changed, or may have.
    pub(super) async fn changed(&self) {
        let until = Instant::now() + AGAIN;
        while !self.was_told() && Instant::now() < until {
            sleep(LOOK_PERIOD).await;
        }
        sleep(SETTLE).await;
        self.was_told();
    }

    /// Whether the machine has told of changes since this was asked last.
    fn was_told(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut events = inotify::Reader::new(&self.watch, &mut buffer);
        let was_told = events.next().is_ok();
        while events.next().is_ok() {}
        was_told
    }
}

fn watch(path: &Path) -> io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let changes = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE;
    inotify::add_watch(&watch, path, changes)?;
    Ok(watch)
}

/// Reads a chain, and its key from the file beside it.
fn certificate(chain: &Path, provider: &CryptoProvider) -> Result<Certificate, String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
    let certificates = certificates.map_err(|cause| format!("it is no chain as PEM: {cause}"))?;
    let first = certificates.first().ok_or("there is no certificate in it")?;
    let (_, said) = X509Certificate::from_der(first)
        .map_err(|cause| format!("it is not a certificate: {cause}"))?;
    let (names, until) = (names(&said), said.validity().not_after.timestamp());
    if names.is_empty() {
        return Err("it names no host".to_owned());
    }
    if !said.validity().is_valid() {
        let (file, validity) = (chain.display(), said.validity());
        let (from, until) = (validity.not_before, validity.not_after);
        tracing::warn!(%file, %from, %until, "a certificate is not good at this time");
    }
    let key = chain.with_extension(KEY);
    let key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|cause| format!("its key in `{}` cannot be read: {cause}", key.display()))?;
    let key = CertifiedKey::from_der(certificates, key, provider)
        .map_err(|cause| format!("it and its key do not fit together: {cause}"))?;
    let until = Timestamp::from_micros(until.saturating_mul(1_000_000));
    Ok(Certificate { names, until, key: Arc::new(key) })
}

/// The hosts that a certificate is for. Its subject is not looked at, as browsers do not either
/// (RFC 9525).
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let hosts = names.filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    });
    hosts.collect()
}
