//! A platform that knows a few forums, the server process that serves them, and browsers.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use axum::{Json, Router, extract::Path, http::StatusCode, response::IntoResponse as _, routing};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

const FORUM: &str = env!("CARGO_BIN_EXE_forum");

/// Where the databases of a world are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

pub(crate) const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

pub(crate) struct World {
    databases: Vec<(&'static str, String)>,
    server: Child,
    address: String,
}

impl World {
    /// Two forums, `a` with every module, `b` with none, both migrated and seeded; and `c`, which
    /// is neither yet.
    pub(crate) async fn start(test: &str, engine: Engine) -> Self {
        let mut databases = Vec::new();
        for host in ["a", "b", "c"] {
            databases.push((host, database(&format!("{test}_{host}"), engine).await));
        }
        let platform = platform(databases.clone()).await;
        let token = directory().join(format!("{test}_{engine:?}.token"));
        std::fs::write(&token, "token").unwrap();
        let mut server = Command::new(FORUM)
            .arg("serve")
            .env_remove("DATABASE_URL")
            .env("PORT", "0")
            .env("MANDATE_TENANCY_URL", platform)
            .env("MANDATE_TENANCY_TOKEN_FILE", token)
            .env("MANDATE_SERVICE", "forum")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let world = Self { databases, server, address };
        for host in ["a", "b"] {
            world.run(host, "migrate");
            world.run(host, "seed");
        }
        world
    }

    /// Runs a command on one forum; what it prints.
    pub(crate) fn run(&self, host: &str, command: &str) -> String {
        let (_, url) = self.databases.iter().find(|(name, _)| *name == host).unwrap();
        let output = Command::new(FORUM)
            .arg(command)
            .env("DATABASE_URL", url)
            .env("PUBLIC_URL", format!("http://{host}.localhost"))
            .env("SETUP_FORUM_NAME", format!("Forum of {host}"))
            .env("SETUP_ADMIN_EMAIL", "admin@example.com")
            .env("SETUP_WELCOME", if host == "a" { "yes" } else { "no" })
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Someone who looks at a host.
    pub(crate) fn browser(&self, host: &str) -> Browser {
        Browser { address: self.address.clone(), host: format!("{host}.localhost"), cookie: None }
    }

    /// A member of a forum, signed in.
    pub(crate) async fn member(&self, host: &str, name: &str) -> Browser {
        let mut browser = self.browser(host);
        let fields = [("name", name), ("email", "x@example.com"), ("password", "correct horse")];
        let answer = browser.post("/join", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        browser
    }

    /// Asks the server to end, as a platform does; whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        let pid = self.server.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.server.wait().unwrap().success()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It may have ended before, which is as well.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// An empty database of its own for each test.
async fn database(name: &str, engine: Engine) -> String {
    match engine {
        Engine::Sqlite => {
            let file = directory().join(format!("{name}.db"));
            for suffix in ["", "-wal", "-shm"] {
                let mut file = file.clone().into_os_string();
                file.push(suffix);
                // Left over from an earlier run, or not there.
                drop(std::fs::remove_file(file));
            }
            format!("sqlite:{}", file.display())
        }
        Engine::Postgres => {
            let server = std::env::var("MANDATE_TEST_POSTGRES").expect(
                "set MANDATE_TEST_POSTGRES to a server for tests, such as \
                 postgres://admin@127.0.0.1:5432/postgres",
            );
            let name = format!("forum_test_{name}");
            let mut connection = PgConnection::connect(&server).await.unwrap();
            for statement in [
                format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                format!("CREATE DATABASE {name}"),
            ] {
                let statement = sqlx::AssertSqlSafe(statement);
                sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
            }
            let (server, _) = server.rsplit_once('/').unwrap();
            format!("{server}/{name}")
        }
    }
}

async fn platform(databases: Vec<(&'static str, String)>) -> String {
    let answer = async move |Path(host): Path<String>| {
        let name = host.trim_end_matches(".localhost");
        let Some((_, database_url)) = databases.iter().find(|(known, _)| *known == name) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let modules: &[&str] = if name == "a" { &["polls", "search", "badges"] } else { &[] };
        let instance = format!("inst_01h455vb4pex5vsknk084sn02{name}");
        Json(json!({
            "instance": instance, "host": host, "database_url": database_url, "modules": modules,
            "settings": {}, "public_url": format!("http://{host}"),
        }))
        .into_response()
    };
    let path = "/configurator/v1/services/forum/hosts/{host}";
    let router = Router::new().route(path, routing::get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Someone who looks at pages, and keeps the cookie that is handed out.
#[derive(Clone)]
pub(crate) struct Browser {
    address: String,
    pub(crate) host: String,
    pub(crate) cookie: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], String::new()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let form = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &form, body.join("&")).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header(header::HOST, &self.host);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request.body(body.into()).unwrap()).await.unwrap();
        let text = |name: header::HeaderName| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        if let Some(cookie) = text(header::SET_COOKIE) {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        let status = response.status().as_u16();
        let location = text(header::LOCATION).unwrap_or_default();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, location, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

fn encoded(text: &str) -> String {
    let letters = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    letters.collect()
}
