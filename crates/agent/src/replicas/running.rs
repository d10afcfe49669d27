//! A replica that runs: prepared, started, or found again.

use std::{io, net::SocketAddr, path::Path};

use api::{
    manifest::{Check, FILES, Process},
    releases::DesiredReplica,
};
use http::Uri;
use serde::{Deserialize, Serialize};
use types::Secret;

use super::{
    ports::Port,
    starts::{self, Start},
};
use crate::{
    Node,
    environment::{self, Own, TokenFile, Variables},
    files,
    folder::{Scratch, remove_folder},
    hold::{self, Bounds, Held, Launch, Limit, Output},
    releases::Ready,
    users::User,
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
    /// Its environment, if commands beside it say how it is.
    #[serde(default)]
    variables: Variables,
    /// Who it runs as, if not the agent's own user.
    #[serde(default)]
    user: Option<User>,
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
        let token = shared.then(|| TokenFile::found(service, kept.user, &start.folder));
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

    /// Who it runs as, if not the agent's own user.
    pub(super) fn user(&self) -> Option<User> {
        self.kept.user
    }

    /// The environment of commands that say how it is.
    pub(super) fn variables(&self) -> &Variables {
        &self.kept.variables
    }

    /// What is its own on the node.
    pub(super) fn folder(&self) -> &Path {
        &self.start.folder
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
    process: &Process,
    ready: &Ready,
) -> Result<Prepared, String> {
    let manifest = &ready.manifest;
    let replica = node.folder.replica((want.replica, want.generation));
    let number = starts::of(&replica).last().map_or(1, |last| last.number.saturating_add(1));
    let scratch = Scratch::new(replica.join(number.to_string())).map_err(unstorable)?;
    let port = want.serves().then(|| node.ports.take()).transpose();
    let port = port.map_err(|cause| format!("no port can be had: {cause}"))?;
    let (own, token) = own(node, want, ready, scratch.path()).await?;
    let Own { mut variables, secrets, user } = own;
    variables.extend(environment::basis(scratch.path(), user).map_err(unstorable)?);
    if let Some(instance) = want.instance {
        let home = environment::home_of(node, (instance, user), manifest);
        variables.extend(home.map_err(unstorable)?);
    }
    let address = port.as_ref().map(Port::address);
    variables.extend(address.map(environment::of_address).unwrap_or_default());
    manifest.complete(&mut variables, &ready.folder);
    let site = environment::site(&variables).to_string();
    let asks = |check: &Option<Check>| matches!(check, Some(Check::Command { .. }));
    let is_asked = asks(&process.health) || asks(&process.live);
    let of_checks = if is_asked { variables.clone() } else { Variables::new() };
    let kept = Kept { want: want.clone(), address, site, secrets, variables: of_checks, user };
    Ok(Prepared { scratch, number, kept, variables, token, port })
}

async fn own(
    node: &Node,
    want: &DesiredReplica,
    ready: &Ready,
    folder: &Path,
) -> Result<(Own, Option<TokenFile>), String> {
    let manifest = &ready.manifest;
    if let Some(instance) = want.instance {
        let own = environment::of_instance(node, instance, (&want.digest, manifest)).await;
        let own = own.map_err(|problem| format!("its environment cannot be had: {problem}"))?;
        return Ok((own, None));
    }
    let service = want.service.clone();
    let on_sqlite = ready.engine == "sqlite";
    let user = environment::user_of_all(node, manifest, on_sqlite).map_err(unstorable)?;
    let token = TokenFile::new(node, service, user, folder).await?;
    let (variables, secrets) = (token.variables(node), Vec::new());
    Ok((Own { variables, secrets, user }, Some(token)))
}

impl Prepared {
    /// How often it was started, with the start that comes.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// How much it may take, by its instance's size; what serves all instances has none.
    fn bounds(&self, node: &Node, ready: &Ready) -> Bounds {
        let size = self.kept.want.size.as_ref();
        Bounds::new(node, size.and_then(|size| ready.manifest.sizes.get(size)))
    }

    /// What is printed at that start.
    pub(super) fn output(&self) -> Output {
        Output::hiding(self.scratch.path().join(hold::LOG), self.kept.secrets.clone())
    }

    /// What is run: the process's own command, or this program for the one that serves files.
    pub(super) fn command(
        &self,
        node: &Node,
        ready: &Ready,
        process: &Process,
    ) -> Result<Vec<String>, String> {
        let want = &self.kept.want;
        let Some(address) = self.kept.address.filter(|_| want.process == FILES) else {
            return Ok(process.command.clone());
        };
        let instance = want.instance.map(|instance| node.folder.instance(instance));
        let command = files::command(node, ready, instance.as_deref(), address);
        command.map_err(unstorable)
    }

    /// Runs what is to be run before it. What that printed is kept, and stands before what the
    /// process prints.
    pub(super) async fn pre_start(
        self,
        node: &Node,
        ready: &Ready,
        command: &[String],
    ) -> Result<Self, String> {
        let most = node.pace.pre_start;
        let own = self.scratch.path().join("pre-start");
        let exit = async {
            let folder = Scratch::new(own)?;
            let mut variables = self.variables.clone();
            variables.extend(environment::temporary(folder.path(), self.kept.user)?);
            let why = format!("was stopped: it took longer than {} s", most.as_secs());
            let launch = Launch {
                command,
                variables,
                log: Some(self.scratch.path().join(hold::LOG)),
                user: self.kept.user,
                bounds: self.bounds(node, ready),
                limit: Some(Limit::after(most, why)),
                ..Launch::new(node, &ready.folder)
            };
            // It ends with this agent, or if it is not waited for.
            Ok::<_, io::Error>(hold::launch(folder.path(), launch).await?.ended().await)
        };
        let why = match exit.await {
            Ok(exit) if exit.is_success() => return Ok(self),
            Ok(exit) => exit.in_words(),
            Err(cause) => format!("cannot be started: {cause}"),
        };
        let problem = format!("its `pre_start` {why}");
        let folder = self.scratch.keep();
        if hold::record(&folder, &problem).is_err() {
            let _ = remove_folder(&folder);
        }
        Err(problem)
    }

    /// Starts it.
    pub(super) async fn start(
        self,
        node: &Node,
        ready: &Ready,
        command: &[String],
    ) -> Result<Running, String> {
        let bounds = self.bounds(node, ready);
        let Self { scratch, number, kept, variables, token, port } = self;
        let launch = Launch {
            command,
            variables,
            user: kept.user,
            bounds,
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
