//! What must be installed on this machine, and how it comes there: Debian's packages.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::process;

/// Something that must be there, and the packages that bring it.
pub(crate) struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    present: fn() -> bool,
}

/// Compiles the C parts of some crates.
pub(crate) const COMPILER: Need =
    Need { what: "a C compiler", packages: &["gcc", "libc6-dev"], present: compiles };
/// Runs the store.
pub(crate) const PYTHON: Need =
    Need { what: "Python 3.11 or later", packages: &["python3"], present: || python(RECENT) };
/// Makes the virtual environments that the services in Python run in.
pub(crate) const PYTHON_VENV: Need = Need {
    what: "Python's `venv`",
    packages: &["python3-venv"],
    present: || python("import venv, ensurepip"),
};
/// Keeps the repositories that the tests publish from.
pub(crate) const GIT: Need = Need {
    what: "git",
    packages: &["git"],
    present: || quiet(Command::new("git").arg("--version")),
};
/// Signs in and out in the tests, as people do.
pub(crate) const CHROMIUM: Need = Need {
    what: "Chromium and its driver",
    packages: &["chromium", "chromium-driver"],
    present: || quiet(Command::new("chromedriver").arg("--version")),
};
/// Runs applications from npm.
pub(crate) const NODE: Need = Need {
    what: "Node and npm",
    packages: &["nodejs", "npm"],
    present: || quiet(Command::new("npm").arg("--version")),
};
/// Serves databases.
pub(crate) const POSTGRES: Need =
    Need { what: "PostgreSQL", packages: &["postgresql"], present: || postgres().is_some() };

/// Forwards requests in the bench of the gateway.
pub(crate) const NGINX: Need = Need {
    what: "nginx",
    packages: &["nginx-light"],
    present: || Path::new("/usr/sbin/nginx").exists(),
};
/// Forwards them, too.
pub(crate) const HAPROXY: Need = Need {
    what: "HAProxy",
    packages: &["haproxy"],
    present: || Path::new("/usr/sbin/haproxy").exists(),
};
/// Asks them.
pub(crate) const WRK: Need =
    Need { what: "wrk", packages: &["wrk"], present: || Path::new("/usr/bin/wrk").exists() };

/// Makes a Debian to try things in.
pub(crate) const DEBOOTSTRAP: Need = Need {
    what: "`debootstrap`",
    packages: &["debootstrap"],
    present: || quiet(Command::new("debootstrap").arg("--version")),
};

const RECENT: &str = "import sys; sys.exit(sys.version_info < (3, 11))";

/// While this file is there, installing PostgreSQL makes no server of the machine's own.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/mandate-xtask.conf";

/// Installs what is missing.
pub(crate) async fn ensure(needs: &[&Need]) -> anyhow::Result<()> {
    let missing: Vec<_> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let names = packages.join(" ");
    println!("Missing on this machine: {names}");
    install(&packages).await.with_context(|| {
        format!("install these packages and try again: `apt-get install {names}`")
    })?;
    for need in missing {
        if !(need.present)() {
            bail!(
                "{} is still missing after `{}` was installed; see what comes first in PATH",
                need.what,
                need.packages.join(" ")
            );
        }
    }
    Ok(())
}

/// Where the newest PostgreSQL's programs are.
pub(crate) fn postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found =
        versions.filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin"))));
    found.filter(|(_, bin)| bin.join("postgres").exists()).max().map(|(_, bin)| bin)
}

/// Tells a program, and the nodes that it starts, where `pip` may keep what it has fetched: a build
/// hook has a new home each time.
pub(crate) fn tell_pip(command: &mut Command) -> anyhow::Result<()> {
    if std::env::var_os("PIP_CACHE_DIR").is_none() {
        command.env("PIP_CACHE_DIR", std::path::absolute("target/xtask/pip")?);
    }
    Ok(())
}

/// Whether this program runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn compiles() -> bool {
    quiet(Command::new("cc").args(["-fsyntax-only", "-include", "stdlib.h", "-xc", "/dev/null"]))
}

fn python(program: &str) -> bool {
    quiet(Command::new("python3").args(["-c", program]))
}

fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

async fn install(packages: &[&str]) -> anyhow::Result<()> {
    may_be_root()?;
    let server = POSTGRES.packages.iter().any(|package| packages.contains(package));
    if server {
        without_cluster()?;
    }
    let installed = apt_get(packages).await;
    if server {
        process::run(as_root("rm", &["-f", NO_CLUSTER])).await?;
    }
    installed
}

async fn apt_get(packages: &[&str]) -> anyhow::Result<()> {
    let quietly = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-oDPkg::Lock::Timeout=120"];
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    for step in [vec!["update"], install] {
        let status = process::run(as_root("env", &[&quietly[..], &step].concat())).await?;
        if !status.success() {
            bail!("`apt-get {}` failed ({status})", step.join(" "));
        }
    }
    Ok(())
}

/// Debian's package would start a server on the standard port.
fn without_cluster() -> anyhow::Result<()> {
    let mut command = as_root("install", &["-D", "-m", "644", "/dev/stdin", NO_CLUSTER]);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let mut file = child.stdin.take().expect("it was piped just now");
    file.write_all(b"create_main_cluster = false\n")?;
    drop(file);
    if !child.wait()?.success() {
        bail!("`{NO_CLUSTER}` cannot be written");
    }
    Ok(())
}

/// Asks for the password where `sudo` wants one: later, in a group of its own, it cannot.
fn may_be_root() -> anyhow::Result<()> {
    let free = || quiet(Command::new("sudo").args(["-n", "true"]));
    let asked = || Command::new("sudo").arg("-v").status().is_ok_and(|status| status.success());
    anyhow::ensure!(is_root() || free() || asked(), "this user is not root and may not use `sudo`");
    Ok(())
}

/// A command that runs as root.
fn as_root(program: &str, arguments: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", program]);
        sudo
    };
    command.args(arguments);
    command
}
