//! A folder as an archive that depends on nothing but the files' names and content.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path, PathBuf},
};

use crate::cli::{Failure, status};

/// A package holds at most so many files and folders…
const ENTRIES_MAX: usize = 50_000;
/// …of at most so many bytes before they are compressed; the platform unpacks no more.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// What `zstd` itself begins with: fast, and near enough to the best.
const COMPRESSION_LEVEL: i32 = 3;

/// The refusal of a folder that holds more than `most`.
pub(super) fn too_large(most: String) -> Failure {
    Failure::new(status::UNFIT, format!("the package is too large: it may hold {most}"))
        .hint("leave out what is not needed to run it")
}

/// The archive of `folder`: names in order, no times, no owners, modes 0644 or 0755.
pub(super) fn of(folder: &Path) -> Result<(Vec<u8>, usize), Failure> {
    let mut names = Vec::new();
    let mut size = 0;
    walk(folder, Path::new(""), &mut names, &mut size)?;
    names.sort();
    let cannot = |cause: io::Error| Failure::cannot(format!("pack `{}`", folder.display()), &cause);
    let zstd = zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL).map_err(cannot)?;
    let mut archive = tar::Builder::new(zstd);
    for name in &names {
        append(&mut archive, folder, name).map_err(cannot)?;
    }
    let bytes = archive.into_inner().and_then(zstd::Encoder::finish).map_err(cannot)?;
    Ok((bytes, names.len()))
}

fn walk(
    root: &Path,
    below: &Path,
    names: &mut Vec<PathBuf>,
    size: &mut u64,
) -> Result<(), Failure> {
    let folder = root.join(below);
    let cannot = |cause: io::Error| Failure::cannot(format!("read `{}`", folder.display()), &cause);
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = below.join(entry.file_name());
        let metadata = entry.metadata().map_err(cannot)?;
        let kind = metadata.file_type();
        if kind.is_symlink() {
            check_link(root, &name)?;
        } else if !kind.is_dir() && !kind.is_file() {
            let sentence = format!("`{}` is neither a file, a folder nor a link", name.display());
            return Err(Failure::new(status::UNFIT, sentence).hint("leave it out of the package"));
        }
        *size += if kind.is_file() { metadata.len() } else { 0 };
        names.push(name.clone());
        if names.len() > ENTRIES_MAX {
            return Err(too_large(format!("{ENTRIES_MAX} files and folders")));
        }
        if *size > UNPACKED_BYTES_MAX {
            return Err(too_large(format!("{} MiB", UNPACKED_BYTES_MAX >> 20)));
        }
        if kind.is_dir() {
            walk(root, &name, names, size)?;
        }
    }
    Ok(())
}

/// A link must lead, step by step, to a place inside the package.
fn check_link(root: &Path, name: &Path) -> Result<(), Failure> {
    let cannot = |cause: io::Error| Failure::cannot(format!("read `{}`", name.display()), &cause);
    let target = fs::read_link(root.join(name)).map_err(cannot)?;
    let mut depth = name.components().count() - 1;
    let inside = target.components().all(|step| match step {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => depth.checked_sub(1).map(|above| depth = above).is_some(),
        Component::RootDir | Component::Prefix(_) => false,
    });
    if inside {
        return Ok(());
    }
    let sentence =
        format!("`{}` leads out of the package, to `{}`", name.display(), target.display());
    Err(Failure::new(status::UNFIT, sentence)
        .hint("copy what it leads to instead of linking to it"))
}

type Archive = tar::Builder<zstd::Encoder<'static, Vec<u8>>>;

fn append(archive: &mut Archive, folder: &Path, name: &Path) -> io::Result<()> {
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
    let content = fs::read(&path)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content.as_slice())
}
