//! Unpacks what a stranger packed.
//!
//! What is written stays inside the folder, by construction: while files are written there is no
//! link in the folder that could lead out of it. Links come last, only where nothing is yet, and
//! climb (`..`) only at their beginning, from folders that are no links, so that the number of
//! steps up is what it says.

use std::{
    cell::Cell,
    fs,
    io::{self, BufRead, Read},
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
    rc::Rc,
};

use api::package::{ENTRIES_MAX, UNPACKED_BYTES_MAX, Unfit, inside, link_stays_inside, shown};
use tar::{Archive, Entry, EntryType};

/// How much a package may unpack to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes after decompression, with the archive's own.
    pub(crate) bytes: u64,
    /// Files, folders and links.
    pub(crate) entries: u64,
}

impl Limits {
    /// What every package must keep to.
    pub(crate) const PACKAGE: Self = Self { bytes: UNPACKED_BYTES_MAX, entries: ENTRIES_MAX };
}

/// What may stand between two entries' contents: headers, and long names.
const HEADER_BYTES_MAX: u64 = 64 << 10;

/// Why a package is not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("the package has more than {0} files: pack less")]
    Entries(u64),
    #[error("the package holds more than {0} bytes: pack less")]
    Bytes(u64),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("`{0}` is in the package twice: pack it once")]
    Twice(String),
    #[error("the package cannot be unpacked: {0}")]
    Unreadable(#[from] io::Error),
}

/// Unpacks `package`, a tar archive compressed with zstd, into the empty folder `into`.
pub(crate) fn unpack(
    package: impl BufRead,
    into: &Path,
    limits: Limits,
) -> Result<(), UnpackError> {
    let spent = Rc::new(Cell::new(false));
    match unpack_within(package, into, limits, &spent) {
        Err(_) if spent.get() => Err(UnpackError::Bytes(limits.bytes)),
        outcome => outcome,
    }
}

fn unpack_within(
    package: impl BufRead,
    into: &Path,
    limits: Limits,
    spent: &Rc<Cell<bool>>,
) -> Result<(), UnpackError> {
    let step = Rc::new(Cell::new(HEADER_BYTES_MAX));
    let reader = Measured {
        inner: zstd::Decoder::with_buffer(package)?,
        left: limits.bytes,
        step: Rc::clone(&step),
        spent: Rc::clone(spent),
    };
    let mut archive = Archive::new(reader);
    let mut links = Vec::new();
    let mut count = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        count += 1;
        if count > limits.entries {
            return Err(UnpackError::Entries(limits.entries));
        }
        step.set(entry.size().saturating_add(HEADER_BYTES_MAX));
        links.extend(take(&mut entry, into)?);
        step.set(HEADER_BYTES_MAX);
    }
    links.into_iter().try_for_each(|link| make_link(into, &link))
}

/// Counts what is decompressed, in all and since the last step, so that neither the contents nor a
/// name can be larger than it says.
struct Measured<R> {
    inner: R,
    left: u64,
    step: Rc<Cell<u64>>,
    spent: Rc<Cell<bool>>,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = count as u64;
        let (left, step) = (self.left.checked_sub(bytes), self.step.get().checked_sub(bytes));
        let (Some(left), Some(step)) = (left, step) else {
            self.spent.set(true);
            return Err(io::Error::other("too much"));
        };
        self.left = left;
        self.step.set(step);
        Ok(count)
    }
}

struct Link {
    path: PathBuf,
    target: PathBuf,
}

/// Writes one entry, or gives back the link that it is.
fn take(entry: &mut Entry<'_, impl Read>, into: &Path) -> Result<Option<Link>, UnpackError> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let path = entry.path()?;
    let name = shown(&path);
    let path = inside(&path)?;
    let place = into.join(&path);
    if kind == EntryType::Directory {
        fs::create_dir_all(&place).map_err(|cause| twice(cause, name))?;
        return Ok(None);
    }
    let parent = path.parent().ok_or_else(|| Unfit::Path(name.clone()))?;
    fs::create_dir_all(into.join(parent)).map_err(|cause| twice(cause, name.clone()))?;
    match kind {
        EntryType::Regular | EntryType::Continuous => {
            write_file(entry, &place, name).map(|()| None)
        }
        EntryType::Symlink => {
            let target = entry.link_name()?.ok_or_else(|| Unfit::Link(name.clone()))?;
            link_stays_inside(&path, &target)?;
            Ok(Some(Link { path, target: target.into_owned() }))
        }
        _ => Err(Unfit::Kind(name).into()),
    }
}

fn write_file(
    entry: &mut Entry<'_, impl Read>,
    place: &Path,
    name: String,
) -> Result<(), UnpackError> {
    // Of the packed mode only whether it is a program is kept: no set-user-id, no world-writable.
    let mode = if entry.header().mode()? & 0o111 == 0 { 0o644 } else { 0o755 };
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(place);
    let mut file = file.map_err(|cause| twice(cause, name))?;
    let declared = entry.size();
    if io::copy(entry, &mut file)? != declared {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(())
}

fn make_link(into: &Path, link: &Link) -> Result<(), UnpackError> {
    let name = || shown(&link.path);
    symlink(&link.target, into.join(&link.path)).map_err(|cause| twice(cause, name()))
}

fn twice(cause: io::Error, name: String) -> UnpackError {
    match cause.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => UnpackError::Twice(name),
        _ => cause.into(),
    }
}
