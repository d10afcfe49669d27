//! Whether the manifest's commands can be run from the package, asked before it is sent.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use api::{
    manifest::{Manifest, WEB},
    package::inside,
};

use crate::cli::{Failure, status};

/// Refuses a command whose program should be in the package and is not. A bare name is a program of
/// the node; and what the build hook makes is there only after it.
pub(super) fn check(folder: &Path, names: &[PathBuf], manifest: &Manifest) -> Result<(), Failure> {
    let built = manifest.run.build.is_some();
    for (key, command) in commands(manifest) {
        let program = command.first().map_or("", String::as_str);
        let may_be_made = built && key != "run.build";
        if let Some((why, hint)) = fault(folder, names, program, may_be_made) {
            let sentence = format!("the program `{program}` of `{key}` {why}");
            return Err(Failure::new(status::UNFIT, sentence).hint(hint));
        }
    }
    Ok(())
}

/// What is wrong with a program, and what to do about it.
fn fault(
    folder: &Path,
    names: &[PathBuf],
    program: &str,
    may_be_made: bool,
) -> Option<(&'static str, String)> {
    if program.starts_with('/') {
        return None;
    }
    let is_packed = inside(Path::new(program)).is_ok_and(|path| packed(folder, names, &path));
    let file = fs::metadata(folder.join(program)).ok().filter(|file| is_packed && file.is_file());
    match (program.contains('/'), file) {
        (false, Some(_)) => {
            let why = "is looked for among the node's programs, not in the package";
            Some((why, format!("write `./{program}`")))
        }
        (true, None) if !may_be_made => {
            let hint = "pack it, or name a program that nodes have, without a path";
            Some(("is not in the package", hint.to_owned()))
        }
        (true, Some(file)) if file.permissions().mode() & 0o111 == 0 => {
            Some(("is not executable", format!("say `chmod +x {program}`")))
        }
        _ => None,
    }
}

/// Whether a path is packed, perhaps through a link to a folder.
fn packed(folder: &Path, names: &[PathBuf], path: &Path) -> bool {
    let known = |path: &Path| names.binary_search_by(|name| name.as_path().cmp(path)).is_ok();
    let through = |above: &Path| known(above) && folder.join(above).is_symlink();
    known(path) || path.ancestors().skip(1).any(through)
}

fn commands(manifest: &Manifest) -> Vec<(String, &[String])> {
    let build = [("run.build", manifest.run.build.as_ref())];
    let database = manifest.database.iter().flat_map(|database| {
        [("database.migrate", database.migrate.as_ref()), ("database.seed", database.seed.as_ref())]
    });
    let fixed = build.into_iter().chain(database);
    let fixed = fixed.filter_map(|(key, command)| Some((key.to_owned(), command?.as_slice())));
    let processes = manifest.processes().map(|(name, process)| {
        let table = if name == WEB { "run".to_owned() } else { format!("processes.{name}") };
        (format!("{table}.command"), process.command.as_slice())
    });
    let jobs = manifest.jobs.iter();
    let jobs = jobs.flat_map(|(name, job)| {
        let upgrade = job.upgrade.as_deref();
        let upgrade = upgrade.map(|command| (format!("jobs.{name}.upgrade"), command));
        [(format!("jobs.{name}.command"), job.command.as_slice())].into_iter().chain(upgrade)
    });
    fixed.chain(processes).chain(jobs).collect()
}
