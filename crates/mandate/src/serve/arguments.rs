//! What a process of the platform can be told.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};

/// Run the platform, or some of its parts.
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// Where everything is kept: databases, keys, packages, journals; made if it is not there
    #[arg(long, value_name = "DIR", default_value = ".mandate/data", env = "MANDATE_DATA")]
    pub(crate) data: PathBuf,
    /// The port at which browsers reach the gateway; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// The platform's own domain; `console.` and `api.` below it are its too
    #[arg(long, value_name = "DOMAIN", default_value = "localhost")]
    pub(crate) domain: String,
    /// `sqlite`, or a PostgreSQL server: postgres://USER:PASSWORD@HOST:PORT/DATABASE, whose user
    /// may create databases and roles
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "sqlite",
        env = "MANDATE_DATABASE",
        hide_env_values = true
    )]
    pub(crate) database: String,
    /// What the names of databases on a PostgreSQL server begin with
    #[arg(long, value_name = "PREFIX", default_value = "mandate")]
    pub(crate) database_prefix: String,
    /// Run these parts only; they find the others by `--peer`
    #[arg(long, value_name = "PART,…", value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// Where this process listens; by default 127.0.0.1 at `--port` for the gateway, and at a free
    /// port for other parts
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where a part is that is not in this process, such as `billing=http://10.0.0.5:7000`;
    /// `gateway` is where services ask whose host a request is for
    #[arg(long = "peer", value_name = "PART=URL")]
    pub(crate) peers: Vec<Peer>,
    /// The mail server that links for new passwords are sent by, smtps://USER:PASSWORD@HOST:465 or
    /// smtp://HOST:587?tls=required; without one letters are written into the folder `mail`
    #[arg(long, value_name = "URL", env = "MANDATE_SMTP", hide_env_values = true)]
    pub(crate) smtp: Option<String>,
    /// Whom letters are from; by default `mandate@` and the domain
    #[arg(long, value_name = "ADDRESS", env = "MANDATE_MAIL_FROM")]
    pub(crate) mail_from: Option<String>,
    /// How many users an account may have
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) users_per_account: u64,
    /// How many grants an account may have
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub(crate) grants_per_account: u64,
    /// The process's name among those of this installation; by default its parts' names
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Run a node: fetch releases, run their replicas and jobs.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentArgs {
    /// Where the platform is, such as `http://10.0.0.4:8080`
    #[arg(long, value_name = "URL")]
    pub(crate) join: String,
    /// What `mandate node token` gave; needed until the machine has joined
    #[arg(long, value_name = "TOKEN", env = "MANDATE_JOIN_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Where releases, logs and the node's key are kept; made if it is not there
    #[arg(long, value_name = "DIR", default_value = ".mandate/agent")]
    pub(crate) data: PathBuf,
    /// What the machine is called; by default its host name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<types::Name>,
    /// The address at which replicas listen: one that the gateways reach
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) listen_ip: std::net::IpAddr,
}

/// A part of the platform that can stand in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Who is calling.
    Identity,
    /// What they may do.
    Access,
    /// What is on offer, and who has taken it.
    Provider,
    /// What each instance is.
    Configurator,
    /// What each account owes.
    Billing,
    /// What must still be done.
    Jobs,
    /// What should run where.
    Releases,
    /// The public front.
    Gateway,
    /// The pages.
    Console,
    /// The hand on this machine.
    Agent,
}

impl Part {
    /// The name by which it speaks, finds and is found.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Access => "access",
            Self::Provider => "provider",
            Self::Configurator => "configurator",
            Self::Billing => "billing",
            Self::Jobs => "jobs",
            Self::Releases => "releases",
            Self::Gateway => "gateway",
            Self::Console => "console",
            Self::Agent => "agent",
        }
    }
}

/// Where a part is that is not in this process.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) part: Part,
    pub(crate) url: String,
}

impl FromStr for Peer {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (part, url) =
            text.split_once('=').ok_or("write it as `billing=http://10.0.0.5:7000`")?;
        let part = Part::from_str(part, false)?;
        let parsed = url.parse::<http::Uri>().ok();
        let plain = parsed.filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if plain.is_none() {
            return Err(format!("`{url}` is not an address such as `http://10.0.0.5:7000`"));
        }
        Ok(Self { part, url: url.to_owned() })
    }
}

impl UpArgs {
    /// The parts that this process runs.
    pub(crate) fn parts(&self) -> BTreeSet<Part> {
        if self.only.is_empty() {
            return Part::value_variants().iter().copied().collect();
        }
        self.only.iter().copied().collect()
    }

    /// The process's name.
    pub(crate) fn process_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            if self.only.is_empty() {
                return "main".to_owned();
            }
            self.parts().into_iter().map(Part::name).collect::<Vec<_>>().join("-")
        })
    }

    /// What identity is told.
    pub(crate) fn identity(&self, public_port: u16) -> anyhow::Result<identity::Config> {
        let from = self.mail_from.clone().unwrap_or_else(|| format!("mandate@{}", self.domain));
        let mail = identity::Mail::new(self.data.join("mail"), &from, self.smtp.as_deref())?;
        let port = if public_port == 80 { String::new() } else { format!(":{public_port}") };
        let console_url = format!("http://console.{}{port}", self.domain);
        let (data, users_max) = (self.data.clone(), self.users_per_account);
        Ok(identity::Config { data, mail, users_max, console_url })
    }

    /// Where a part is that is not in this process.
    pub(crate) fn peer(&self, part: Part) -> Option<&str> {
        self.peers.iter().find(|peer| peer.part == part).map(|peer| peer.url.as_str())
    }
}
