//! A replica that runs: prepared, started, or found again.

use std::{io, net::SocketAddr, path::Path};

use api::{manifest::Manifest, releases::DesiredReplica};
use http::Uri;
use serde::{Deserialize, Serialize};
use types::Secret;

use super::{
    ports::Port,
    starts::{self, Start},
};
use crate::{
    Node,
    environment::{self, TokenFile, Variables},
    folder::Scratch,
    hold::{self, Held, Launch, Output},
    releases::Ready,
};

/// What the next agent wants to know of a replica.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    want: DesiredReplica,
    /// Where it listens, if it does.
    address: Option<SocketAddr>,
    /// Where its visitors come.
    site: String,
    /// What is not to be shown of its output.
    secrets: Vec<Secret>,
}

/// A replica that runs.
pub(super) struct Running {
    pub(super) held: Held,
    pub(super) token: Option<TokenFile>,
    kept: Kept,
    start: Start,
    /// Dropped after what is held has ended: until then the port is its own.
    _port: Option<Port>,
}

impl Running {
    /// One that an earlier agent had started.
    pub(super) fn found(node: &Node, kept: Kept, held: Held, start: Start) -> io::Result<Self> {
        let port = kept.address.map(|address| node.ports.keep(address.port())).transpose()?;
        let shared = kept.want.instance.is_none();
        let service = kept.want.service.clone();
        let token = shared.then(|| TokenFile::found(node, service, &start.folder));
        Ok(Self { held, token, kept, start, _port: port })
    }

    /// Which replica it is.
    pub(super) fn want(&self) -> &DesiredReplica {
        &self.kept.want
    }

    /// Where it listens, if it does.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.kept.address
    }

    /// How often it was started.
    pub(super) fn starts(&self) -> u32 {
        self.start.number
    }

    /// What is not to be shown of what it prints.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        self.kept.secrets.clone()
    }

    pub(super) fn site(&self) -> Uri {
        self.kept.site.parse().unwrap_or_default()
    }

    pub(super) fn output(&self) -> Output {
        Output::hiding(self.start.folder.join(hold::LOG), self.kept.secrets.clone())
    }
}

/// Renews the token of a replica that has one, for as long as it runs.
pub(super) async fn keep_token(token: Option<&mut TokenFile>, node: &Node) {
    match token {
        Some(token) => token.keep(node).await,
        None => std::future::pending().await,
    }
}

/// A replica that can be started.
pub(super) struct Prepared {
    scratch: Scratch,
    number: u32,
    kept: Kept,
    variables: Variables,
    token: Option<TokenFile>,
    port: Option<Port>,
}

/// Gets what a replica needs.
pub(super) async fn prepare(
    node: &Node,
    want: &DesiredReplica,
    manifest: &Manifest,
) -> Result<Prepared, String> {
    let replica = node.folder.replica((want.replica, want.generation));
    let number = starts::of(&replica).last().map_or(1, |last| last.number.saturating_add(1));
    let scratch = Scratch::new(replica.join(number.to_string())).map_err(unstorable)?;
    let port = want.serves().then(|| node.ports.take()).transpose();
    let port = port.map_err(|cause| format!("no port can be had: {cause}"))?;
    let basis = environment::basis(scratch.path()).map_err(unstorable)?;
    let (mut variables, secrets, token) =
        own_variables(node, want, manifest, scratch.path()).await?;
    variables.extend(basis);
    if let Some(instance) = want.instance {
        variables.extend(environment::home_of(node, instance).map_err(unstorable)?);
    }
    let address = port.as_ref().map(Port::address);
    variables.extend(address.map(environment::of_address).unwrap_or_default());
    let site = environment::site(&variables).to_string();
    let kept = Kept { want: want.clone(), address, site, secrets };
    Ok(Prepared { scratch, number, kept, variables, token, port })
}

async fn own_variables(
    node: &Node,
    want: &DesiredReplica,
    manifest: &Manifest,
    folder: &Path,
) -> Result<(Variables, Vec<Secret>, Option<TokenFile>), String> {
    if let Some(instance) = want.instance {
        let of_instance = environment::of_instance(node, instance, manifest).await;
        let (variables, secrets) =
            of_instance.map_err(|problem| format!("its environment cannot be had: {problem}"))?;
        return Ok((variables, secrets, None));
    }
    let token = TokenFile::new(node, want.service.clone(), folder).await?;
    Ok((token.variables(node), Vec::new(), Some(token)))
}

impl Prepared {
    /// Starts it.
    pub(super) async fn start(self, node: &Node, ready: &Ready) -> Result<Running, String> {
        let Self { scratch, number, kept, variables, token, port } = self;
        let name = &kept.want.process;
        let process = ready.manifest.process(name);
        let process = process.ok_or_else(|| format!("its release has no process `{name}`"))?;
        let launch = Launch {
            command: &process.command,
            variables,
            lasting: true,
            kept: serde_json::to_string(&kept).map_err(|cause| cause.to_string())?,
            ..Launch::new(node, &ready.folder)
        };
        let start = Start { folder: scratch.keep(), number };
        match hold::launch(&start.folder, launch).await {
            Ok(held) => Ok(Running { held, token, kept, start, _port: port }),
            Err(cause) => {
                starts::remove(&start);
                Err(format!("it cannot be started: {cause}"))
            }
        }
    }
}

fn unstorable(cause: io::Error) -> String {
    format!("the node cannot store its files: {cause}")
}
