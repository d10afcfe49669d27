//! A PostgreSQL server for one run: in a temporary folder, on a free port of this machine alone.

use std::{
    fs::{DirBuilder, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{
        fs::{DirBuilderExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use rustix::process::Signal;

use crate::{machine, process};

/// Where a folder is in memory. What a run leaves is worth nothing, and each database has hundreds of
/// files, which cost more on a disk than all that is in them.
const MEMORY: &str = "/dev/shm";
/// So much must be free there.
const ROOM: u64 = 6 << 30;
/// How its folder is called, but for the number of the process.
const NAME: &str = "mandate-postgres-";
/// How long a server may take to begin.
const START_LONGEST: Duration = Duration::from_mins(1);
/// Whom everything belongs to, and who needs no password.
const SUPERUSER: &str = "postgres";
/// Anybody else does; the superuser is on this machine. Tests make thousands of connections: SCRAM,
/// which is slow on purpose, would be a third of what they compute.
fn who_may(address: Ipv4Addr) -> String {
    format!("host all {SUPERUSER} {address}/32 trust\nhost all all {address}/16 md5\n")
}

/// Its data lives as long as a run: nothing needs to survive a loss of power.
const SETTINGS: [&str; 7] = [
    "unix_socket_directories=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "password_encryption=md5",
    "max_connections=300",
    "log_min_messages=warning",
];

/// A running server; stopped, and its folder removed, when this is dropped.
pub(crate) struct Postgres {
    // Before the folder, since fields are dropped in this order.
    _server: process::Group,
    _folder: Folder,
    address: SocketAddr,
}

impl Postgres {
    /// Starts one.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST).await
    }

    /// Starts one that is found at an address of this machine, also by machines beyond it.
    pub(crate) async fn start_at(address: Ipv4Addr) -> anyhow::Result<Self> {
        let programs = machine::postgres().context("PostgreSQL is not installed")?;
        // The server refuses to run as root.
        let user = if machine::is_root() { Some(unprivileged()?) } else { None };
        let folder = Folder::new(user)?;
        let data = folder.0.join("data");
        let initdb = run_as(user, &programs.join("initdb"), &folder.0);
        initialise(initdb, &data).await?;
        std::fs::write(data.join("pg_hba.conf"), who_may(address))?;
        let port = TcpListener::bind((address, 0))?.local_addr()?.port();
        let mut command = run_as(user, &programs.join("postgres"), &folder.0);
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.args(["-c", &format!("listen_addresses={address}")]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let log = folder.0.join("log");
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        // QUIT ends it at once, however many clients there are.
        let mut server = process::Group::start(command, Signal::QUIT, Duration::from_secs(10))?;
        ready(&mut server, &data).await.with_context(|| {
            format!("PostgreSQL said: {}", std::fs::read_to_string(&log).unwrap_or_default().trim())
        })?;
        Ok(Self { _server: server, _folder: folder, address: SocketAddr::from((address, port)) })
    }

    /// Where its superuser finds it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{SUPERUSER}@{}/postgres", self.address)
    }

    /// The address of a new and empty database.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let mut psql = Command::new("psql");
        psql.args(["--quiet", "--dbname", &self.url(), "--command"]);
        psql.arg(format!("create database {name}"));
        let done = process::output(psql).await?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "a database cannot be made: {}", said.trim());
        Ok(format!("postgres://{SUPERUSER}@{}/{name}", self.address))
    }

    /// Tells a program where it is, under the names that the tests of this workspace ask for.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("MANDATE_TEST_POSTGRES", self.url()).env("TEST_POSTGRES_URL", self.url());
    }
}

async fn initialise(mut initdb: Command, data: &Path) -> anyhow::Result<()> {
    initdb.arg("-D").arg(data).args(["-U", SUPERUSER, "--auth=trust", "--no-sync"]);
    initdb.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
    let done = process::output(initdb).await?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "`initdb` failed ({}): {}", done.status, said.trim());
    Ok(())
}

/// The server writes in its data folder when it takes connections.
async fn ready(server: &mut process::Group, data: &Path) -> anyhow::Result<()> {
    let begun = process::until(START_LONGEST, async || {
        if let Some(status) = server.ended() {
            bail!("PostgreSQL ended at once ({status})");
        }
        let state = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        Ok(state.lines().nth(7).filter(|line| line.trim() == "ready").map(|_| ()))
    });
    begun.await?.ok_or_else(|| anyhow!("PostgreSQL is not ready after a minute"))
}

/// A user's number and its group's.
#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

/// The user that Debian's package makes for the server.
fn unprivileged() -> anyhow::Result<User> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let entry = users.lines().find_map(|line| line.strip_prefix("postgres:"));
    let entry =
        entry.context("there is no user `postgres`, as whom root could start the server")?;
    let mut numbers = entry.split(':').skip(1).take(2).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(id)), Some(Ok(group))) => Ok(User { id, group }),
        _ => bail!("`/etc/passwd` has no numbers for the user `postgres`"),
    }
}

fn run_as(user: Option<User>, program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    if let Some(user) = user {
        command.uid(user.id).gid(user.group);
    }
    command
}

fn place() -> PathBuf {
    let room = rustix::fs::statvfs(MEMORY).map(|about| about.f_bavail * about.f_frsize);
    if room.is_ok_and(|room| room >= ROOM) { MEMORY.into() } else { std::env::temp_dir() }
}

/// Removes what processes have left that were killed. What cannot be removed is somebody else's, or
/// another run has just done so.
fn remove_left(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(NAME)?.parse::<u32>().ok());
        let is_left =
            |of: u32| of == std::process::id() || !Path::new("/proc").join(of.to_string()).exists();
        if of.is_some_and(is_left) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(owner: Option<User>) -> anyhow::Result<Self> {
        let place = place();
        remove_left(&place);
        let path = place.join(format!("{NAME}{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self(path);
        if let Some(owner) = owner {
            chown(&folder.0, Some(owner.id), Some(owner.group))?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
