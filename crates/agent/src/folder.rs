//! The agent's folder: the key and the node's id, releases under their digests, and what lasts no
//! longer than the process that needs it.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::FlockOperation;
use types::{AccountId, Digest, InstanceId, JobId, Name, ReplicaId};

use crate::Error;

/// A disk with less room is full.
const ROOM_BYTES_MIN: u64 = 64 << 10;
/// What lets anybody write, or run a program as its owner.
const WRITE: u32 = 0o6222;
/// What lets others pass, and no more.
const WAY: u32 = 0o711;

/// The folder, which no other agent works in while this value lives.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    _lock: fs::File,
}

impl Folder {
    /// Takes the folder at `root` for this agent alone.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        private_folder(root).map_err(Error::folder(root))?;
        let root = root.canonicalize().map_err(Error::folder(root))?;
        let path = root.join("lock");
        let lock = fs::File::create(&path).map_err(Error::folder(&path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse(root)),
            Err(cause) => return Err(Error::folder(&path)(cause.into())),
        }
        let folder = Self { root, _lock: lock };
        for part in [folder.ports(), folder.current()] {
            private_folder(&part).map_err(Error::folder(&part))?;
        }
        let ways = [folder.releases(), folder.tokens(), folder.instances()];
        for part in ways.into_iter().chain([folder.replicas(), folder.jobs()]) {
            way(&part).map_err(Error::folder(&part))?;
        }
        Ok(folder)
    }

    /// Where it is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Lets others pass on the way to what is theirs.
    pub(crate) fn let_pass(&self) -> io::Result<()> {
        way(&self.root)
    }

    /// The node's private key.
    pub(crate) fn key(&self) -> PathBuf {
        self.root.join("node.key")
    }

    /// The node's id.
    pub(crate) fn node(&self) -> PathBuf {
        self.root.join("node.id")
    }

    /// A file for each port that a replica has, or had until a moment ago.
    pub(crate) fn ports(&self) -> PathBuf {
        self.root.join("ports")
    }

    /// The releases.
    pub(crate) fn releases(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// An unpacked release.
    pub(crate) fn release(&self, digest: &Digest) -> PathBuf {
        self.releases().join(digest.hex())
    }

    /// The file that says that a release is whole.
    pub(crate) fn mark(&self, digest: &Digest) -> PathBuf {
        self.releases().join(format!("{}.json", digest.hex()))
    }

    /// A package, as far as it was fetched, until its release is ready; where packages are shared,
    /// as long as the release is here.
    pub(crate) fn package(&self, digest: &Digest) -> PathBuf {
        self.releases().join(format!("{}.package", digest.hex()))
    }

    /// Links from services to the releases that they run.
    pub(crate) fn current(&self) -> PathBuf {
        self.root.join("current")
    }

    /// The link of one service.
    pub(crate) fn current_of(&self, service: &Name) -> PathBuf {
        self.current().join(service.as_str())
    }

    fn instances(&self) -> PathBuf {
        self.root.join("instances")
    }

    /// What is an instance's own, and stays whichever process of it runs.
    pub(crate) fn instance(&self, instance: InstanceId) -> PathBuf {
        self.instances().join(instance.to_string())
    }

    /// The tokens of instances.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.root.join("tokens")
    }

    /// The token with which an instance's processes ask for jobs.
    pub(crate) fn token(&self, account: AccountId, instance: InstanceId) -> PathBuf {
        self.tokens().join(format!("{account}-{instance}"))
    }

    /// What is to be said of whatever went wrong while the disk is full.
    pub(crate) fn remark(&self) -> &'static str {
        if self.is_full() { "; the disk of the node is full" } else { "" }
    }

    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        let room = rustix::fs::statvfs(&self.root).map(|disk| disk.f_bavail * disk.f_frsize);
        room.is_ok_and(|room| room < ROOM_BYTES_MIN)
    }

    /// The replicas.
    pub(crate) fn replicas(&self) -> PathBuf {
        self.root.join("replicas")
    }

    /// What is a replica's own: a folder for each of its last starts.
    pub(crate) fn replica(&self, (replica, generation): (ReplicaId, u64)) -> PathBuf {
        self.replicas().join(format!("{replica}.{generation}"))
    }

    /// The jobs.
    pub(crate) fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// What is a job's own.
    pub(crate) fn job(&self, job: JobId, token: u64) -> PathBuf {
        self.jobs().join(format!("{job}.{token}"))
    }
}

/// A folder that is gone when this value is.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder through which others only pass. What an earlier one left is removed.
    pub(crate) fn new(path: PathBuf) -> io::Result<Self> {
        remove_folder(&path)?;
        way(&path)?;
        Ok(Self(path))
    }

    /// A folder beside `path` that nobody else has.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        Self::new(free_name(path))
    }

    /// What is at `path`, under a name beside it that nobody looks for. That needs no room.
    pub(crate) fn moved(path: &Path) -> io::Result<Self> {
        let this = Self(free_name(path));
        move_sealed(path, &this.0)?;
        Ok(this)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Lets the folder stay.
    pub(crate) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }

    /// Gives the folder its lasting name.
    pub(crate) fn keep_as(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it: what stays is removed by the next start.
        let _ = remove_folder(&self.0);
    }
}

fn free_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("part{count}"))
}

/// Makes `path` a folder that only this user can look into.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes `path` a folder, with those above it, that only this user can look into and through which
/// others may pass on the way to what is theirs. Nobody comes that far whom the agent's own folder
/// does not let pass.
pub(crate) fn way(path: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    while let Some(path) = missing.pop() {
        private_folder(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(WAY))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(WAY))
}

/// Removes a folder with all that is in it, if it is there, also what is sealed.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    let removed = match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
            unseal(path)?;
            fs::remove_dir_all(path)
        }
        removed => removed,
    };
    match removed {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Takes the right to write from everything in a folder, and from the folder. Root may write all
/// the same. With a group, what its owner may read or run its group may too, and nobody else.
pub(crate) fn seal(folder: &Path, group: Option<u32>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            seal(&path, group)?;
        } else {
            seal_one(&path, group, kind.is_file())?;
        }
    }
    seal_one(folder, group, true)
}

fn seal_one(path: &Path, group: Option<u32>, has_mode: bool) -> io::Result<()> {
    let share = |mode: u32| (mode & 0o700) | (mode & 0o500) >> 3;
    if let Some(group) = group {
        std::os::unix::fs::lchown(path, Some(0), Some(group))?;
    }
    if !has_mode {
        return Ok(());
    }
    change_mode(path, |mode| (if group.is_some() { share(mode) } else { mode }) & !WRITE)
}

/// Gives the owner the right to change what stands in a folder, and in those below it.
fn unseal(folder: &Path) -> io::Result<()> {
    change_mode(folder, |mode| mode | 0o700)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unseal(&entry.path())?;
        }
    }
    Ok(())
}

/// Renames a folder that may be sealed: whoever moves one must be able to write to it.
fn move_sealed(from: &Path, to: &Path) -> io::Result<()> {
    change_mode(from, |mode| mode | 0o700)?;
    fs::rename(from, to)
}

fn change_mode(path: &Path, change: impl FnOnce(u32) -> u32) -> io::Result<()> {
    let mode = fs::symlink_metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(change(mode)))
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Writes a file that only this user can read: the whole text or nothing. A machine that fails may
/// forget it.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    write(&fresh, text)?;
    fs::rename(&fresh, path)
}

/// Writes a file that only this user can read and that a failing machine does not forget.
pub(crate) fn write_lasting(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    write(&fresh, text)?.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

fn write(path: &Path, text: &str) -> io::Result<fs::File> {
    let mut file = private_file(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Reads a short text file; `None` if it is not there.
pub(crate) fn read_text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}
