//! A PostgreSQL server for one run: in a temporary folder, on a free port of this machine alone.

use std::{
    fs::{DirBuilder, File},
    net::TcpListener,
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

/// How long a server may take to begin.
const START_LONGEST: Duration = Duration::from_mins(1);
/// Whom everything belongs to, and who needs no password.
const SUPERUSER: &str = "postgres";
/// Anybody else does. Tests make thousands of connections: by SCRAM, which is slow on purpose, they
/// would be half of what a test computes.
const WHO_MAY: &str = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 md5\n";
/// Its data lives as long as a run: nothing needs to survive a loss of power.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
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
    port: u16,
}

impl Postgres {
    /// Starts one.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let programs = machine::postgres().context("PostgreSQL is not installed")?;
        // The server refuses to run as root.
        let user = if machine::is_root() { Some(unprivileged()?) } else { None };
        let folder = Folder::new(user)?;
        let data = folder.0.join("data");
        let initdb = run_as(user, &programs.join("initdb"), &folder.0);
        initialise(initdb, &data).await?;
        std::fs::write(data.join("pg_hba.conf"), WHO_MAY)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = run_as(user, &programs.join("postgres"), &folder.0);
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let log = folder.0.join("log");
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        // QUIT ends it at once, however many clients there are.
        let mut server = process::Group::start(command, Signal::QUIT, Duration::from_secs(10))?;
        ready(&mut server, &data).await.with_context(|| {
            format!("PostgreSQL said: {}", std::fs::read_to_string(&log).unwrap_or_default().trim())
        })?;
        Ok(Self { _server: server, _folder: folder, port })
    }

    /// Where its superuser finds it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The address of a new and empty database.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let mut psql = Command::new("psql");
        psql.args(["--quiet", "--dbname", &self.url(), "--command"]);
        psql.arg(format!("create database {name}"));
        let done = process::output(psql).await?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "a database cannot be made: {}", said.trim());
        Ok(format!("postgres://{SUPERUSER}@127.0.0.1:{}/{name}", self.port))
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

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(owner: Option<User>) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("mandate-postgres-{}", std::process::id()));
        // Left by a process of the same number that was killed.
        let _ = std::fs::remove_dir_all(&path);
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
