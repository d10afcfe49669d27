//! What on the disk says that a release is whole, and which one a service runs.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use api::manifest::Manifest;
use serde::{Deserialize, Serialize};
use types::{Digest, Name, Timestamp};

use crate::{
    Node,
    folder::{remove_file, remove_folder},
    hold::{Found, find},
};

/// What was fetched of a package is kept for so long for a release that is not ready.
const PACKAGE_LASTS: Duration = Duration::from_hours(24);

/// What says that a release is whole.
#[derive(Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) service: Name,
    /// The engine that it was made ready for.
    pub(crate) engine: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What it is, as its publisher signed it.
    pub(crate) manifest: Manifest,
}

/// Ends the build hooks that go on without their agent, which happens only to one whose holder was
/// killed too.
pub(crate) async fn end_builds(releases: &Path) {
    let entries = fs::read_dir(releases).into_iter().flatten().flatten();
    let builds = entries.map(|entry| entry.path());
    for build in builds.filter(|path| path.extension().is_some_and(|kind| kind == "build")) {
        if let Found::Running(held, _) = find(&build).await {
            held.end(Duration::ZERO, "was ended with its agent").await;
        }
    }
}

/// The releases with a mark; everything else in the folder is removed, but for packages that are not
/// unpacked yet, and those of whole releases where they are shared.
pub(crate) fn whole_releases(node: &Node) -> io::Result<BTreeMap<Digest, Mark>> {
    let mut whole = BTreeMap::new();
    let entries: Vec<fs::DirEntry> =
        fs::read_dir(node.folder.releases())?.collect::<Result<_, _>>()?;
    for path in entries.iter().map(fs::DirEntry::path) {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let digest = format!("sha256:{stem}").parse::<Digest>().ok();
        let found = digest.and_then(|digest| Some((read_mark(node, &digest)?, digest)));
        match found {
            Some((mark, digest)) if path.extension().is_none() => {
                whole.insert(digest, mark);
            }
            Some(_) if path.extension().is_some_and(|kind| kind == "json" || kind == "log") => {}
            Some(_) if node.sharing.is_some() && is_package(&path) => {}
            None if is_recent_package(&path, node.clock.now()) => {}
            _ if path.is_dir() => remove_folder(&path)?,
            _ => remove_file(&path)?,
        }
    }
    Ok(whole)
}

/// Whether a package was being fetched a short while ago: it need not be fetched from its beginning.
fn is_recent_package(path: &Path, now: Timestamp) -> bool {
    let changed = fs::metadata(path).and_then(|about| about.modified()).ok();
    let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let lasts = |since: Duration| Timestamp::from_micros(0).plus(since + PACKAGE_LASTS) > now;
    is_package(path) && changed.is_some_and(lasts)
}

fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "package")
}

fn read_mark(node: &Node, digest: &Digest) -> Option<Mark> {
    let text = fs::read_to_string(node.folder.mark(digest)).ok()?;
    let mark = serde_json::from_str(&text).ok()?;
    node.folder.release(digest).is_dir().then_some(mark)
}

/// The release that each service runs, by the links.
pub(crate) fn current_releases(node: &Node) -> BTreeMap<Name, Digest> {
    let links = fs::read_dir(node.folder.current()).into_iter().flatten().flatten();
    let read = |link: fs::DirEntry| {
        let service = link.file_name().to_str()?.parse().ok()?;
        let target = fs::read_link(link.path()).ok()?;
        let digest = format!("sha256:{}", target.file_name()?.to_str()?).parse().ok()?;
        Some((service, digest))
    };
    links.filter_map(read).collect()
}
