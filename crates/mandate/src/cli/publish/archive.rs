//! A folder as an archive that depends on nothing but the files' names and content.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use api::package::{ENTRIES_MAX, UNPACKED_BYTES_MAX, Unfit, inside, link_stays_inside, shown};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::packed::{Packed, Packing};
use crate::cli::{Failure, status};

/// What `zstd` itself begins with: fast, and near enough to the best.
const COMPRESSION_LEVEL: i32 = 3;
/// A file in the folder that says what is not packed, as `.gitignore` does.
pub(super) const IGNORE: &str = ".mandateignore";
/// What is not packed unless that file says so: histories and secrets, which nodes need not have.
const LEFT_OUT: [&str; 6] = [".git", ".hg", ".svn", ".env", ".env.*", IGNORE];

/// The refusal of a folder that holds more than `most`.
pub(super) fn too_large(most: String) -> Failure {
    Failure::new(status::UNFIT, format!("the package is too large: it may hold {most}"))
        .hint("leave out what is not needed to run it")
}

/// What is packed of a folder.
pub(super) struct Contents {
    folder: PathBuf,
    rules: Gitignore,
    /// Every file, folder and link that is packed, in order.
    pub(super) names: Vec<PathBuf>,
    /// What is not.
    pub(super) left_out: Vec<PathBuf>,
    size: u64,
}

impl Contents {
    /// All of a folder that was filled for the package.
    pub(super) fn all(folder: &Path) -> Result<Self, Failure> {
        Self::gathered(folder, Gitignore::empty())
    }

    /// A folder as it is, without what nobody wants on a node.
    pub(super) fn of(folder: &Path) -> Result<Self, Failure> {
        let cannot = |cause: ignore::Error| {
            Failure::new(status::UNFIT, format!("`{IGNORE}` cannot be used: {cause}"))
        };
        let mut rules = GitignoreBuilder::new(folder);
        for line in LEFT_OUT {
            rules.add_line(None, line).map_err(cannot)?;
        }
        let own = folder.join(IGNORE);
        if let Some(cause) = own.exists().then(|| rules.add(own)).flatten() {
            return Err(cannot(cause));
        }
        Self::gathered(folder, rules.build().map_err(cannot)?)
    }

    fn gathered(folder: &Path, rules: Gitignore) -> Result<Self, Failure> {
        let (folder, names, left_out) = (folder.to_owned(), Vec::new(), Vec::new());
        let mut contents = Self { folder, rules, names, left_out, size: 0 };
        contents.walk(Path::new(""))?;
        contents.names.sort();
        contents.left_out.sort();
        Ok(contents)
    }

    fn walk(&mut self, below: &Path) -> Result<(), Failure> {
        let folder = self.folder.join(below);
        let cannot =
            |cause: io::Error| Failure::cannot(format!("read `{}`", folder.display()), &cause);
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let (name, kind) = (below.join(entry.file_name()), entry.file_type().map_err(cannot)?);
            if self.rules.matched(&name, kind.is_dir()).is_ignore() {
                self.left_out.push(name);
                continue;
            }
            check(&self.folder, &name, kind)?;
            self.size += entry.metadata().map_err(cannot)?.len() * u64::from(kind.is_file());
            self.names.push(name.clone());
            if self.names.len() as u64 > ENTRIES_MAX {
                return Err(too_large(format!("{ENTRIES_MAX} files and folders")));
            }
            if self.size > UNPACKED_BYTES_MAX {
                return Err(too_large(format!("{} MiB", UNPACKED_BYTES_MAX >> 20)));
            }
            if kind.is_dir() {
                self.walk(&name)?;
            }
        }
        Ok(())
    }

    /// The archive: names in order, no times, no owners, modes 0644 or 0755.
    pub(super) fn pack(&self) -> Result<Packed, Failure> {
        let cannot =
            |cause: io::Error| Failure::cannot(format!("pack `{}`", self.folder.display()), &cause);
        let packing = Packing::begin().map_err(cannot)?;
        let inner = zstd::Encoder::new(packing, COMPRESSION_LEVEL).map_err(cannot)?;
        let mut archive = tar::Builder::new(Counted { inner, count: 0 });
        for name in &self.names {
            append(&mut archive, &self.folder, name).map_err(cannot)?;
        }
        let Counted { inner, count } = archive.into_inner().map_err(cannot)?;
        if count > UNPACKED_BYTES_MAX {
            let most = format!("{} MiB with the archive's own headers", UNPACKED_BYTES_MAX >> 20);
            return Err(too_large(most));
        }
        inner.finish().and_then(Packing::end).map_err(cannot)
    }
}

/// Refuses what a node would not unpack.
fn check(root: &Path, name: &Path, kind: fs::FileType) -> Result<(), Failure> {
    let unfit = |unfit: Unfit| Failure::new(status::UNFIT, unfit.to_string());
    inside(name).map_err(unfit)?;
    if kind.is_symlink() {
        let cannot =
            |cause: io::Error| Failure::cannot(format!("read `{}`", name.display()), &cause);
        let target = fs::read_link(root.join(name)).map_err(cannot)?;
        return link_stays_inside(name, &target).map_err(|why| {
            unfit(why)
                .hint(format!("it leads to `{}`: perhaps copy that instead", target.display()))
        });
    }
    if kind.is_dir() || kind.is_file() { Ok(()) } else { Err(unfit(Unfit::Kind(shown(name)))) }
}

/// Counts what a node will have to decompress.
struct Counted {
    inner: zstd::Encoder<'static, Packing>,
    count: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn append(archive: &mut tar::Builder<Counted>, folder: &Path, name: &Path) -> io::Result<()> {
    let path = folder.join(name);
    let metadata = fs::symlink_metadata(&path)?;
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    let executable = metadata.is_dir() || metadata.permissions().mode() & 0o111 != 0;
    header.set_mode(if executable { 0o755 } else { 0o644 });
    if metadata.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o755);
        return archive.append_link(&mut header, name, fs::read_link(&path)?);
    }
    if metadata.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        return archive.append_data(&mut header, name, io::empty());
    }
    let file = fs::File::open(&path)?;
    let left = file.metadata()?.len();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(left);
    archive.append_data(&mut header, name, Whole { file, left })
}

/// A file of which as much is read as it had at the beginning: its header says so.
struct Whole {
    file: fs::File,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::other("a file has become shorter meanwhile"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
