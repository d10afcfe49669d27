//! Fetches a package into a file, part by part, and goes on where an earlier attempt was interrupted:
//! where packages are shared, from other nodes as far as they give it, and from the platform.
//!
//! Other nodes are believed about nothing. Each is asked once for a package, for a limited time; what
//! is wrong shows in the digest, and then all of it comes from the platform.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use api::{
    Client, Problem, Remote,
    releases::{
        FindPackage, GetPackagePart, PACKAGE_BYTES_MAX, PACKAGE_PART_BYTES_MAX, PackageSource,
        SOURCES_MAX,
    },
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use types::{Digest, NodeId};

use super::{blocking, package::PackageError};
use crate::{Node, folder::remove_file};

/// So much of a file is in memory while it is hashed.
const BUFFER_BYTES: usize = 64 << 10;

/// A file with the beginning of a package, or all of it.
struct Fetched {
    file: fs::File,
    hash: Sha256,
    bytes: u64,
}

impl Fetched {
    /// What an earlier attempt has left, perhaps nothing.
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = fs::File::options();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let (mut file, mut hash) = (options.open(path)?, Sha256::new());
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let bytes = file.stream_position()?;
        Ok(Self { file, hash, bytes })
    }

    fn append(&mut self, part: &[u8]) -> io::Result<()> {
        self.file.write_all(part)?;
        self.hash.update(part);
        self.bytes += part.len() as u64;
        Ok(())
    }

    fn digest(&self) -> Digest {
        Digest::finish(self.hash.clone())
    }
}

/// Who gives parts of a package.
struct Giver {
    client: Client,
    /// How long a part may take, and until when all may come; as long as the client waits if absent.
    limits: Option<(Duration, Instant)>,
}

impl Giver {
    fn platform(node: &Node) -> Self {
        Self { client: node.client.clone(), limits: None }
    }

    fn other(source: &PackageSource, (part, until): (Duration, Instant)) -> Self {
        let way = Remote::new(&format!("http://{}", source.address));
        let way = way.reading_at_most(PACKAGE_PART_BYTES_MAX);
        let ticket: Option<Arc<str>> = Some(source.ticket.reveal().into());
        Self { client: Client::new(Arc::new(way), Arc::new(ticket)), limits: Some((part, until)) }
    }

    async fn part(&self, digest: &Digest, offset: u64) -> Result<Bytes, Problem> {
        let asking = self.client.download(GetPackagePart { digest: digest.clone(), offset });
        let Some((part, until)) = self.limits else { return asking.await };
        let late = |_| Err(Problem::unavailable("it takes too long", 1));
        let until = until.min(Instant::now() + part);
        tokio::time::timeout_at(until, asking).await.unwrap_or_else(late)
    }
}

/// Has the whole package in the file at `path`. One that cannot be right is removed. `asked` are the
/// nodes that were asked for it already; they are not asked again.
pub(super) async fn fetch(
    node: &Node,
    digest: &Digest,
    path: &Path,
    asked: &mut BTreeSet<NodeId>,
) -> Result<(), PackageError> {
    if node.sharing.is_some() && from_others(node, digest, path, asked).await? {
        return Ok(());
    }
    let platform = Giver::platform(node);
    match go_on(&platform, digest, path).await {
        // Perhaps another node gave what is wrong.
        Err(problem) if is_wrong(&problem) && !asked.is_empty() => {
            go_on(&platform, digest, path).await
        }
        outcome => outcome,
    }
}

/// Fetches as much as other nodes give, and says whether that is all.
async fn from_others(
    node: &Node,
    digest: &Digest,
    path: &Path,
    asked: &mut BTreeSet<NodeId>,
) -> Result<bool, PackageError> {
    if open(path).await?.digest() == *digest {
        return Ok(true);
    }
    let limits = (node.pace.part, Instant::now() + node.pace.sharing);
    for source in sources(node, digest).await {
        if !asked.insert(source.node) {
            continue;
        }
        match go_on(&Giver::other(&source, limits), digest, path).await {
            Ok(()) => {
                tracing::info!(digest = digest.short(), from = %source.node, "a node gave a package");
                return Ok(true);
            }
            Err(PackageError::Storage(cause)) => return Err(cause.into()),
            Err(problem) => {
                let (digest, from) = (digest.short(), source.node);
                tracing::warn!(digest, %from, %problem, "a node did not give a package");
                if is_wrong(&problem) {
                    break;
                }
            }
        }
    }
    Ok(false)
}

/// The other nodes that the platform names. If it does not, it gives the package itself.
async fn sources(node: &Node, digest: &Digest) -> Vec<PackageSource> {
    let operation = FindPackage { node: node.id, digest: digest.clone() };
    let mut sources = node.client.call(operation).await.unwrap_or_default().sources;
    sources.truncate(SOURCES_MAX);
    sources
}

fn is_wrong(problem: &PackageError) -> bool {
    matches!(problem, PackageError::Digest(_) | PackageError::Size)
}

/// Goes on with what is in the file.
async fn go_on(giver: &Giver, digest: &Digest, path: &Path) -> Result<(), PackageError> {
    let outcome = take_parts(giver, digest, path).await;
    if outcome.as_ref().is_err_and(is_wrong) {
        remove_file(path)?;
    }
    outcome
}

async fn open(path: &Path) -> Result<Fetched, PackageError> {
    let path = path.to_owned();
    blocking(move || Ok(Fetched::open(&path)?)).await
}

async fn take_parts(giver: &Giver, digest: &Digest, path: &Path) -> Result<(), PackageError> {
    let mut fetched = open(path).await?;
    while fetched.digest() != *digest {
        let part = giver.part(digest, fetched.bytes).await.map_err(PackageError::Fetch)?;
        if part.is_empty() {
            return Err(PackageError::Digest(fetched.digest()));
        }
        if fetched.bytes + part.len() as u64 > PACKAGE_BYTES_MAX {
            return Err(PackageError::Size);
        }
        fetched = blocking(move || {
            fetched.append(&part)?;
            Ok(fetched)
        })
        .await?;
    }
    Ok(())
}
