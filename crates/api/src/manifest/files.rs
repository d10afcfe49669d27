//! What is served from folders, without asking the application: `[static]`.

use std::collections::BTreeMap;

use super::{
    Tenancy,
    faults::shown,
    normalise,
    reader::{NameRule, Table},
};

/// What stands before a folder that outlives the release: it is the instance's own.
pub const VOLUMES: &str = "volumes/";

/// Paths of requests.
const PATHS: NameRule = NameRule {
    holds: |path| path.len() <= 200 && path != "/" && normalise(path).as_deref() == Some(path),
    mend: "write a plain path such as `/media`",
};

/// The folders by the paths that they are served at.
pub(super) fn files(root: &Table<'_>, tenancy: Option<Tenancy>) -> BTreeMap<String, String> {
    let entries = root.table("static").map(|table| table.named(&PATHS)).unwrap_or_default();
    let folders = entries.into_iter().filter_map(|(path, node)| {
        let text = node.text()?;
        if !is_folder(text) {
            let text = shown(text);
            let mend = "write a folder of the package such as `static`, or `volumes/media`";
            return node.fail(format!("`{text}` is not a folder inside"), mend);
        }
        if text.starts_with(VOLUMES) && tenancy == Some(Tenancy::Shared) {
            let mend = "serve it from the application, which knows whose it is";
            return node.fail("volumes are an instance's, and this process serves all", mend);
        }
        Some((path, text.to_owned()))
    });
    folders.collect()
}

/// Whether a text names a folder below another, in one way.
fn is_folder(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    text.len() <= 200 && text.split('/').all(plain)
}
