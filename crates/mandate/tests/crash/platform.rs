//! The real program, which can be told to kill itself.

use std::{
    fs::{DirEntry, File},
    io::{BufRead as _, BufReader},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use api::{Client, Credentials, Problem, Remote};
use db::EngineKind;
use rustix::process::{Pid, Signal, kill_process};
use types::{AccountId, Digest, Secret};

const MANDATE: &str = env!("CARGO_BIN_EXE_mandate");
/// More steps than any story has: one that gets there counts something else.
const STEPS_MAX: u64 = 150;
/// No story takes longer, also on a machine that does much else.
const TOLD_LONGEST: Duration = Duration::from_mins(4);

pub(crate) struct Platform {
    folder: PathBuf,
    engine: EngineKind,
    /// Where its databases are, as the program is told.
    database: String,
    prefix: String,
    only: Option<&'static str>,
    /// What it is told by its environment.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Its process, and its address.
    pub(crate) running: Option<(Child, String)>,
}

impl Platform {
    pub(crate) fn new(name: &str, engine: EngineKind) -> Self {
        let folder =
            std::env::temp_dir().join(format!("mandate-crash-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let digest = Digest::of(folder.as_os_str().as_encoded_bytes());
        let prefix = format!("t{}", digest.short());
        let database = match engine {
            EngineKind::Sqlite => "sqlite".to_owned(),
            EngineKind::Postgres => db::testing::server(),
        };
        let variables = Vec::new();
        Self { folder, engine, database, prefix, only: None, variables, running: None }
    }

    /// Nothing is run for its instances, and jobs are the test's to do.
    pub(crate) fn without_agent(mut self) -> Self {
        let only = "identity,access,provider,configurator,billing,jobs,releases,gateway,console";
        self.only = Some(only);
        self
    }

    fn crash_file(&self) -> PathBuf {
        self.folder.join("crash")
    }

    fn command(&self) -> Command {
        let log = File::options().append(true).create(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new(MANDATE);
        command
            .args(["up", "--port", "0", "--data"])
            .arg(self.folder.join("data"))
            .args(["--database", &self.database, "--database-prefix", &self.prefix])
            .args(self.only.iter().flat_map(|parts| ["--only", parts]))
            .env("MANDATE_CRASH_FILE", self.crash_file())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0);
        command
    }

    /// Starts it, which must fail; gives what it says.
    pub(crate) async fn does_not_start(&self) -> String {
        let mut command = self.command();
        let ended = tokio::task::spawn_blocking(move || command.status().unwrap());
        assert!(!ended.await.unwrap().success());
        self.log()
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        let (mut child, _) = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self) {
        let mut child = self.command().spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            BufReader::new(stdout).read_line(&mut line).unwrap();
            line
        });
        let line = reading.await.unwrap();
        let Some(url) = line.trim().strip_prefix("ready ") else {
            panic!("it does not start: {line}\n{}", self.log())
        };
        self.running = Some((child, url.to_owned()));
    }

    /// Asks it to end, and sees that it does.
    pub(crate) async fn stop(&mut self) {
        let (mut child, _) = self.running.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        assert!(ended.await.unwrap().success(), "{}", self.log());
        if self.engine == EngineKind::Postgres {
            db::testing::postgres(&self.prefix).remove_all().await.unwrap();
        }
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Has a story told with a kill after no durable step, after `stride` more, and so on, until it
    /// is told before it would be killed; answers after how many steps that was. The story answers
    /// whether it was killed.
    pub(crate) async fn killed_after_each_step(
        &mut self,
        stride: usize,
        mut story: impl AsyncFnMut(&mut Self, u64) -> bool,
    ) -> u64 {
        for steps in (0..STEPS_MAX).step_by(stride) {
            if !story(self, steps).await {
                println!("{}: killed after up to {steps} durable steps", self.folder.display());
                return steps;
            }
        }
        panic!("after {STEPS_MAX} durable steps it was still killed");
    }

    /// Goes on with a story as somebody would who tries again, until it is told. The process is
    /// killed after `steps` durable steps and started again; answers whether it was killed.
    pub(crate) async fn goes_on(
        &mut self,
        steps: u64,
        mut go_on: impl AsyncFnMut(&Self) -> Result<bool, Problem>,
    ) -> bool {
        self.kill_after(steps);
        let mut killed = false;
        let told = tokio::time::timeout(TOLD_LONGEST, async {
            loop {
                match go_on(self).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(problem) if problem.is_transient() => {}
                    Err(problem) => panic!("after {steps} steps: {problem}"),
                }
                self.starts_again_if_killed(&mut killed).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(told.await.is_ok(), "after {steps} steps it never ended\n{}", self.log());
        // What else the process does takes steps too, and the last may have come just now.
        self.kill_never();
        self.starts_again_if_killed(&mut killed).await;
        killed
    }

    async fn starts_again_if_killed(&mut self, killed: &mut bool) {
        if self.was_killed() {
            assert!(!std::mem::replace(killed, true), "it was killed once only");
            self.start().await;
        }
    }

    /// From now on it has so many durable steps left.
    fn kill_after(&self, steps: u64) {
        db::testing::kill_after(&self.crash_file(), steps).unwrap();
    }

    /// No step is counted any more. A process that has taken its last one is waited for.
    fn kill_never(&mut self) {
        let killed = db::testing::kill_never(&self.crash_file()).unwrap();
        if let Some((child, _)) = self.running.as_mut().filter(|_| killed) {
            child.wait().unwrap();
        }
    }

    /// Whether it has ended, which it may only by being killed; it will not be a second time.
    fn was_killed(&mut self) -> bool {
        let Some((child, _)) = &mut self.running else { return true };
        let Some(status) = child.try_wait().unwrap() else { return false };
        assert_eq!(status.signal(), Some(9), "{status}\n{}", self.log());
        self.kill_never();
        true
    }

    pub(crate) fn client(&self, token: Option<&Secret>) -> Client {
        let nobody: Option<Arc<str>> = None;
        self.client_of(Arc::new(nobody)).with_token(token.map(Secret::reveal))
    }

    pub(crate) fn client_of(&self, credentials: Arc<dyn Credentials>) -> Client {
        let (_, url) = self.running.as_ref().unwrap();
        Client::new(Arc::new(Remote::new(url)), credentials)
    }

    /// What the operator gives the next machine.
    pub(crate) fn join_token(&self) -> Secret {
        let token = std::fs::read_to_string(self.folder.join("data/join-token")).unwrap();
        Secret::new(token.trim())
    }

    /// The operator's e-mail address and password.
    pub(crate) fn operator(&self) -> (String, String) {
        let file = std::fs::read_to_string(self.folder.join("data/operator.txt")).unwrap();
        let line = |start: &str| {
            file.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned()
        };
        (line("e-mail: "), line("password: "))
    }

    /// Publishes the service beside this file, as an operator would.
    pub(crate) fn publish(&self) {
        let (email, password) = self.operator();
        let (_, url) = self.running.as_ref().unwrap();
        let service = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/service");
        for arguments in [["sign-in", &email].as_slice(), &["service", "publish", service]] {
            let done = Command::new(MANDATE)
                .args(arguments)
                .env("MANDATE_URL", url)
                .env("MANDATE_HOME", self.folder.join("home"))
                .env("MANDATE_PASSWORD", &password)
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{arguments:?}: {printed}");
        }
    }

    /// Lets an account order more than accounts may.
    pub(crate) fn allow(&self, account: AccountId) {
        let (_, url) = self.running.as_ref().unwrap();
        let done = Command::new(MANDATE)
            .args(["order", "quota", "--account", &account.to_string()])
            .args(["--instances", "1000", "--orders-an-hour", "1000"])
            .env("MANDATE_URL", url)
            .env("MANDATE_HOME", self.folder.join("home"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// How many databases of instances there are.
    pub(crate) async fn instance_databases(&self) -> usize {
        if self.engine == EngineKind::Sqlite {
            let folders = std::fs::read_dir(self.folder.join("data/databases/instances"));
            let folders = folders.into_iter().flatten().map(|folder| folder.unwrap().path());
            let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
            let files = files.map(|file| file.unwrap().path());
            return files.filter(|file| file.extension().is_some_and(|end| end == "db")).count();
        }
        let query = format!(
            "select count(*) from pg_database where datname like '{}\\_inst\\_%'",
            self.prefix
        );
        let mut psql = Command::new("psql");
        psql.args([&self.database, "-Atc", &query]);
        let done = tokio::task::spawn_blocking(move || psql.output().unwrap()).await.unwrap();
        String::from_utf8(done.stdout).unwrap().trim().parse().unwrap()
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Platform {
    /// Replicas and jobs outlive the platform, but not the test.
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        let names = |pid: &Pid, file: &str| {
            let text = std::fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero()));
            // Another's folder may begin like this one.
            let wanted = [self.folder.as_os_str().as_encoded_bytes(), b"/"].concat();
            text.unwrap_or_default().windows(wanted.len()).any(|part| part == wanted)
        };
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pid = |entry: DirEntry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
        for pid in entries.filter_map(pid) {
            if names(&pid, "environ") || names(&pid, "cmdline") {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
