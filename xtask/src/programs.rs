//! How programs of this workspace are built.

use std::{fs, process::Command};

use anyhow::ensure;

use crate::process;

/// Where the forum's package is put together.
const PACKAGE: &str = "target/xtask/forum-package";

/// Cargo, as this program was started by it.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    as_outside(command)
}

/// A command that builds nothing anew because it was not started by hand.
pub(crate) fn as_outside(mut command: Command) -> Command {
    // What cargo said of this program would have what looks at it built anew, and then again when
    // cargo is called by hand.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    // A machine that builds once keeps nothing for the next build.
    if std::env::var_os("CI").is_some() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Builds with cargo, and then the forum by its own recipe: publishing it runs that recipe, which
/// then finds everything built.
pub(crate) async fn build(arguments: &[&str]) -> anyhow::Result<()> {
    let status = process::run(cargo(arguments)).await?;
    ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    fs::create_dir_all(PACKAGE)?;
    let mut recipe = Command::new("services/forum/package.sh");
    recipe.env("PACKAGE_DIR", std::path::absolute(PACKAGE)?);
    recipe.envs(cargo(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let status = process::run(recipe).await?;
    ensure!(status.success(), "`services/forum/package.sh` failed");
    Ok(())
}
