//! What a package may hold: one rule for who packs and for who unpacks, so that what is published
//! can be unpacked.

use std::path::{Component, Path, PathBuf};

/// Files, folders and links are together at most so many.
pub const ENTRIES_MAX: u64 = 50_000;
/// A package is at most so many bytes after decompression, with the archive's own.
pub const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// No path in a package, and no link's target, is longer.
pub const PATH_BYTES_MAX: usize = 1_024;

/// Why something does not fit into a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A path leaves the package's folder.
    #[error("`{0}` leads out of the package: pack only paths below the manifest's folder")]
    Path(String),
    /// A link leaves it, or might.
    #[error(
        "the link `{0}` leads out of the package, or climbs (`..`) after it went down: link only to \
         what is packed too, with every `..` at the beginning"
    )]
    Link(String),
    /// A path or a link's target is too long.
    #[error("`{0}…` is longer than {PATH_BYTES_MAX} bytes: give it a shorter path")]
    Long(String),
    /// Something else, such as a device.
    #[error("`{0}` is neither a file, a folder nor a symbolic link: leave it out")]
    Kind(String),
}

/// The path of an entry without `.`, if it stays below where it starts.
pub fn inside(path: &Path) -> Result<PathBuf, Unfit> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => clean.push(part),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Unfit::Path(shown(path)));
            }
        }
    }
    if clean.as_os_str().len() > PATH_BYTES_MAX {
        return Err(Unfit::Long(shown(path)));
    }
    Ok(clean)
}

/// Whether a link at `path` that leads to `target` stays in the package: it climbs at most to the
/// package's own folder, and only at its beginning, from a folder that is no link. Later a step up
/// would be one from wherever another link has led.
pub fn link_stays_inside(path: &Path, target: &Path) -> Result<(), Unfit> {
    if target.as_os_str().len() > PATH_BYTES_MAX {
        return Err(Unfit::Long(shown(target)));
    }
    let depth = path.components().count().saturating_sub(1);
    let steps = target.components().filter(|step| *step != Component::CurDir);
    let (mut climbed, mut descends) = (0, false);
    for step in steps {
        match step {
            Component::Normal(_) => descends = true,
            Component::ParentDir if !descends => climbed += 1,
            _ => return Err(Unfit::Link(shown(path))),
        }
    }
    if climbed > depth { Err(Unfit::Link(shown(path))) } else { Ok(()) }
}

/// A stranger's path, fit for a message.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_links_stay_inside() {
        assert_eq!(inside(Path::new("./a/./b")), Ok("a/b".into()));
        for path in ["../a", "a/../b", "/a", ".."] {
            assert_eq!(inside(Path::new(path)), Err(Unfit::Path(path.into())));
        }
        let long = "x/".repeat(PATH_BYTES_MAX / 2) + "y";
        assert!(matches!(inside(Path::new(&long)), Err(Unfit::Long(_))));
        let link = |path: &str, target: &str| link_stays_inside(Path::new(path), Path::new(target));
        for (path, target) in [("a", "b/c"), ("a/b", "../c"), ("a/b/c", "./.././../d"), ("a", ".")]
        {
            assert_eq!(link(path, target), Ok(()), "{path} -> {target}");
        }
        for (path, target) in [("a", "/b"), ("a", ".."), ("a/b", "../../c"), ("a", "b/../c")] {
            assert_eq!(link(path, target), Err(Unfit::Link(path.into())), "{path} -> {target}");
        }
        assert!(matches!(link("a", &long), Err(Unfit::Long(_))));
    }
}
