//! A platform of a few answers, and a person with a home folder at its terminal.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{Kind, Problem};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, process::Command, time::timeout};
use types::{AccountId, InstanceId, Kind as IdKind, Timestamp, UserId};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method and path, `GET /billing/v1/…`.
    pub(crate) line: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
    /// How many requests had the same line before.
    pub(crate) before: usize,
}

impl Asked {
    pub(crate) fn body<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answers = dyn Fn(&Asked) -> Response + Send + Sync;

/// A platform that answers what it is told to.
pub(crate) struct Platform {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Platform {
    pub(crate) async fn start(
        answers: impl Fn(&Asked) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, answers)
    }

    /// The same on a socket that may have seen something already.
    pub(crate) fn on(
        listener: TcpListener,
        answers: impl Fn(&Asked) -> Response + Send + Sync + 'static,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: Arc<Answers> = Arc::new(answers);
        let router = Router::new().fallback(answer).with_state((answers, Arc::clone(&asked)));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Method and path of everything that was asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

type Shared = (Arc<Answers>, Arc<Mutex<Vec<Asked>>>);

async fn answer(State((answers, log)): State<Shared>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri.path());
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or("").to_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    let body = to_bytes(body, 64 << 20).await.unwrap();
    let asked = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|asked| asked.line == line).count();
        let query = parts.uri.query().unwrap_or("").to_owned();
        log.push(Asked { line, query, headers: headers.collect(), body, before });
        log.last().unwrap().clone()
    };
    answers(&asked)
}

/// A reply of an operation.
pub(crate) fn reply(reply: &impl Serialize) -> Response {
    let json = serde_json::to_vec(reply).unwrap();
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// A problem, with a request's id as every real one has.
pub(crate) fn problem(kind: Kind, code: &str, detail: &str) -> Response {
    let request = Some(id("req"));
    let problem = Problem { request, ..Problem::new(kind, code, detail) };
    let status = StatusCode::from_u16(problem.status).unwrap();
    (status, serde_json::to_vec(&problem).unwrap()).into_response()
}

pub(crate) fn not_found() -> Response {
    problem(Kind::NotFound, "not_found", "there is no such thing")
}

/// A person at a terminal, with a home folder of their own.
pub(crate) struct Person {
    pub(crate) home: Folder,
    variables: Vec<(&'static str, String)>,
}

impl Person {
    pub(crate) fn new() -> Self {
        Self { home: Folder::new(), variables: Vec::new() }
    }

    /// Somebody who has a token, and works with `platform`.
    pub(crate) fn at(platform: &Platform) -> Self {
        Self::new().with("MANDATE_URL", &platform.url).with("MANDATE_TOKEN", "a-token")
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
        command.args(arguments).env_clear().env("MANDATE_HOME", self.home.path());
        command.env("PATH", std::env::var("PATH").unwrap());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub(crate) async fn runs(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output()).await
    }

    /// Runs a command that reads `input`.
    pub(crate) async fn runs_with(&self, arguments: &[&str], input: &str) -> Done {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        Done::of(child.wait_with_output()).await
    }
}

/// A command that takes longer waits for something that does not come.
const LONGEST: Duration = Duration::from_mins(2);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    async fn of(output: impl Future<Output = io::Result<Output>>) -> Self {
        let output = timeout(LONGEST, output).await.expect("the command ends").unwrap();
        Self {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it printed, if all went well.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.out
    }

    /// What it printed as JSON, if all went well.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(self) -> T {
        serde_json::from_str(&self.good()).unwrap()
    }

    /// What was printed with the seconds hidden.
    #[track_caller]
    pub(crate) fn timeless(self) -> String {
        let hidden = |line: &str| match line.split_once(" s  ") {
            Some((time, what)) if time.trim().chars().all(|c| c.is_ascii_digit() || c == '.') => {
                format!("TIME  {what}\n")
            }
            _ => format!("{line}\n"),
        };
        self.good().lines().map(hidden).collect()
    }
}

/// A folder that goes when this goes.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("mandate-cli-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Noon of a day, always the same.
pub(crate) fn noon() -> Timestamp {
    "2026-11-24T12:00:00.5Z".parse().unwrap()
}

/// The id that a name always gives.
pub(crate) fn id<K: IdKind>(name: &str) -> types::Id<K> {
    types::Id::named(&[name])
}

pub(crate) fn account() -> AccountId {
    id("bakery")
}

pub(crate) fn user() -> UserId {
    id("ada")
}

pub(crate) fn instance() -> InstanceId {
    id("bakery-forum")
}

/// Who asks, as `identity` sees it.
pub(crate) fn me() -> Response {
    let ada = api::identity::User {
        user: user(),
        account: Some(account()),
        email: "ada@bakery.example".into(),
        created: noon(),
    };
    let principal = types::Principal::User(user());
    reply(&api::identity::Me { principal, user: Some(ada), session: Some(id("session")) })
}
