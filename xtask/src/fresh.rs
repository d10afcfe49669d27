//! `./x fresh`: the README's commands as somebody meets them who has a new Debian 12, a Rust
//! toolchain and this checkout's last commit, and nothing else.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, ensure};

use crate::{
    machine,
    process::{self, succeeds},
};

/// Tries the commands in a new root.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run the tests there too
    #[arg(long)]
    test: bool,
    /// Where the new root is made; what is there is removed first
    #[arg(long, value_name = "DIR", default_value = ".mandate/fresh")]
    root: PathBuf,
}

/// Says that a folder is one of ours and may be removed.
const MARK: &str = ".made-by-x-fresh";
/// Where the checkout is, in there.
const CHECKOUT: &str = "mandate";
/// Where the toolchain is, in there.
const TOOLCHAIN: &str = "opt/rust";

/// Mounts what a machine has, and runs the rest there. The mounts are seen, and live, in here only.
const ENTER: &str = r#"
root=$1; shift
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
exec chroot "$root" "$@"
"#;

impl Options {
    /// The same, wherever the program goes.
    pub(crate) fn absolute(self) -> anyhow::Result<Self> {
        Ok(Self { root: std::path::absolute(self.root)?, ..self })
    }
}

/// Makes the root and runs the commands; the first that fails ends it.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    ensure!(machine::is_root(), "only root can make a root: run `./x fresh` as root");
    machine::ensure(&[&machine::DEBOOTSTRAP]).await?;
    make(&options.root).await?;
    let commands: &[&[&str]] = &[&["demo", "--exit"], &["test"]];
    for arguments in &commands[..if options.test { 2 } else { 1 }] {
        println!("\n== in the new root: ./x {}", arguments.join(" "));
        let status = process::run(inside(&options.root, arguments)).await?;
        ensure!(status.success(), "`./x {}` failed there ({status})", arguments.join(" "));
    }
    std::fs::remove_dir_all(&options.root)?;
    println!("\nthe commands do all the set-up: the new root is removed");
    Ok(ExitCode::SUCCESS)
}

async fn make(root: &Path) -> anyhow::Result<()> {
    if root.exists() {
        let ours = root.join(MARK).exists();
        ensure!(ours, "`{}` is there already; name another folder", root.display());
        std::fs::remove_dir_all(root)?;
    }
    std::fs::create_dir_all(root)?;
    std::fs::write(root.join(MARK), "")?;
    let place = root.to_str().context("the folder's name must be plain text")?;
    step("debootstrap", &["--variant=minbase", "bookworm", place]).await?;
    copy_toolchain(root).await?;
    copy_checkout(root).await?;
    // How this machine reaches others; a new one would have its own way.
    for file in ["/etc/resolv.conf", "/etc/hosts"] {
        std::fs::copy(file, root.join(&file[1..]))?;
    }
    let own = "/usr/local/share/ca-certificates";
    if Path::new(own).is_dir() {
        let beside = root.join("usr/local/share");
        step("cp", &["--recursive", own, &beside.display().to_string()]).await?;
    }
    Ok(())
}

async fn copy_toolchain(root: &Path) -> anyhow::Result<()> {
    let mut asking = Command::new("rustc");
    asking.args(["--print", "sysroot"]);
    let said = process::output(asking).await?;
    let from = PathBuf::from(String::from_utf8(said.stdout)?.trim());
    let to = root.join(TOOLCHAIN);
    std::fs::create_dir_all(&to)?;
    for part in ["bin", "lib", "libexec"].map(|part| from.join(part)) {
        if part.is_dir() {
            let (part, to) = (part.display().to_string(), to.display().to_string());
            step("cp", &["--archive", &part, &to]).await?;
        }
    }
    Ok(())
}

async fn copy_checkout(root: &Path) -> anyhow::Result<()> {
    let (to, packed) = (root.join(CHECKOUT), root.join("checkout.tar"));
    std::fs::create_dir_all(&to)?;
    let (to, file) = (to.display().to_string(), packed.display().to_string());
    step("git", &["archive", "--output", &file, "HEAD"]).await?;
    step("tar", &["--extract", "--file", &file, "--directory", &to]).await?;
    Ok(std::fs::remove_file(packed)?)
}

async fn step(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    succeeds(Command::new(program).args(arguments)).await
}

/// `./x` with these arguments in there, in namespaces of its own: nothing outlives it. Of the
/// environment it gets what says how others are reached from this machine.
fn inside(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh"]);
    command.arg(root).arg(format!("/{CHECKOUT}/x")).args(arguments);
    let path = format!("/{TOOLCHAIN}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let reaches = |name: &str| {
        let name = name.to_uppercase();
        ["PROXY", "CERT", "CA_BUNDLE", "PIP_", "NPM_CONFIG_"].iter().any(|part| name.contains(part))
    };
    command.env_clear().env("PATH", path).env("HOME", "/root").env("TERM", "dumb");
    command.envs(std::env::vars().filter(|(name, _)| reaches(name)));
    command
}
