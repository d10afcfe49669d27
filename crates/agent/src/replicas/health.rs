//! What a replica is asked, and how.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    Node,
    environment::{self, Variables},
    folder::Scratch,
    hold::{self, Bounds, LOG, Launch, Limit, Output},
    releases::Ready,
    users::User,
};

/// What a replica is asked.
pub(super) enum Question {
    /// Whether it answers 2xx.
    Visit {
        address: SocketAddr,
        path: String,
        /// As whose visitor: an application may refuse a host that is not its own, or send whoever
        /// does not come by HTTPS there.
        site: Uri,
    },
    /// Whether it takes a connection.
    Knock(SocketAddr),
    /// Whether a command beside it ends well.
    Command(Box<Command>),
}

/// A command that says how a replica is.
pub(super) struct Command {
    pub(super) words: Vec<String>,
    pub(super) variables: Variables,
    pub(super) user: Option<User>,
    pub(super) ready: Arc<Ready>,
    /// A folder that is its own.
    pub(super) folder: PathBuf,
}

/// A command takes longer than an answer, and is asked more seldom.
const COMMAND_TIMES: u32 = 5;

impl Question {
    /// Asks. The answer, if it is not well, is a few words on what happened.
    pub(super) async fn ask(&self, node: &Node) -> Result<(), String> {
        let patience = node.pace.answer;
        let answer = async {
            match self {
                Self::Visit { address, path, site } => visit(*address, path, site).await,
                Self::Knock(address) => TcpStream::connect(*address).await.map(drop).map_err(words),
                Self::Command(command) => return command.run(node).await,
            }
        };
        match self {
            Self::Command(_) => answer.await,
            _ => tokio::time::timeout(patience, answer)
                .await
                .unwrap_or_else(|_| Err(format!("nothing within {patience:?}"))),
        }
    }

    /// Where it must listen, if it must.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Visit { address, .. } | Self::Knock(address) => Some(*address),
            Self::Command(_) => None,
        }
    }

    /// How long to wait between two questions to a replica that runs.
    pub(super) fn every(&self, look: Duration) -> Duration {
        if matches!(self, Self::Command(_)) { look * COMMAND_TIMES } else { look }
    }
}

impl Command {
    /// Its holder ends it in time, also if this is dropped.
    async fn run(&self, node: &Node) -> Result<(), String> {
        let patience = node.pace.answer * COMMAND_TIMES;
        let scratch = Scratch::new(self.folder.clone()).map_err(words)?;
        let mut variables = self.variables.clone();
        variables.extend(environment::temporary(scratch.path(), self.user).map_err(words)?);
        let why = format!("was stopped: it took longer than {patience:?}");
        let launch = Launch {
            command: &self.words,
            variables,
            user: self.user,
            bounds: Bounds::new(node, None),
            limit: Some(Limit::after(patience, why)),
            ..Launch::new(node, &self.ready.folder)
        };
        let held = hold::launch(scratch.path(), launch).await.map_err(words)?;
        let exit = held.ended().await;
        if exit.is_success() {
            return Ok(());
        }
        let printed = Output::hiding(scratch.path().join(LOG), Vec::new()).tail();
        let line = printed.lines().rfind(|line| !line.trim().is_empty());
        Err(line.map_or_else(|| exit.in_words(), |line| format!("{}: {line}", exit.in_words())))
    }
}

fn words(cause: impl std::error::Error) -> String {
    cause.to_string()
}

/// Only a 2xx is well. The answer's body is not read.
async fn visit(address: SocketAddr, path: &str, site: &Uri) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(words)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    let host = site.authority().map_or("localhost", http::uri::Authority::as_str);
    let request = Request::get(path)
        .header(header::HOST, host)
        .header("x-forwarded-host", host)
        .header("x-forwarded-proto", site.scheme_str().unwrap_or("http"))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(words)?;
    let answer = tokio::select! {
        // The connection ends with an error or, politely, right after the answer.
        biased;
        answer = sender.send_request(request) => answer.map_err(words)?,
        Err(cause) = connection => return Err(words(cause)),
    };
    if answer.status().is_success() {
        return Ok(());
    }
    Err(format!("the answer is {}", answer.status()))
}
