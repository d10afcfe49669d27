//! What a process of the platform can be told.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use types::{Host, Site};

use super::machine::MachineArgs;

/// Run the platform, or some of its parts.
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// Where everything is kept: databases, keys, packages, journals; made if it is not there
    #[arg(long, value_name = "DIR", default_value = ".mandate/data", env = "MANDATE_DATA")]
    pub(crate) data: PathBuf,
    /// The port at which browsers reach the gateway, 8080 if absent; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// The platform's own domain; `console.` and `api.` below it are its too
    #[arg(long, value_name = "DOMAIN", default_value = "localhost", value_parser = domain)]
    pub(crate) domain: Host,
    /// Where browsers reach the platform if that is elsewhere than it listens, such as
    /// `https://example.com`; its host is the platform's domain
    #[arg(long, value_name = "URL", conflicts_with = "domain")]
    pub(crate) public_url: Option<PublicUrl>,
    /// Speak HTTPS with browsers, by the certificates in this folder: chains in `NAME.crt`, their keys
    /// in `NAME.key`. What is changed there is noticed. Requests by plain HTTP are led to HTTPS
    #[arg(long, value_name = "DIR")]
    pub(crate) certificates: Option<PathBuf>,
    /// The port for HTTPS; by default that of `--public-url`, or 8443; 0 takes a free one
    #[arg(long, value_name = "PORT", requires = "certificates")]
    pub(crate) https_port: Option<u16>,
    /// Tell browsers to come by HTTPS only, for so long, such as `365d`
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) hsts: Option<Duration>,
    /// Where a line of JSON is written for each request: a file, or `off`; by default
    /// `gateway/NAME/access.log` in `--data`. After 64 MiB another follows; four before it are kept
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// Where other machines reach the platform to join it as nodes, such as `http://10.0.0.4:8080`;
    /// by default `--public-url`, or the address that is listened at if others can reach it
    #[arg(long, value_name = "URL", value_parser = address)]
    pub(crate) advertise: Option<String>,
    /// The addresses of what stands before the gateway, such as `10.0.0.0/8`: what it says in
    /// `X-Forwarded-For` and `X-Forwarded-Proto` is believed
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', value_parser = net)]
    pub(crate) trusted_proxy: Vec<IpNet>,
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
    /// Where packages lie: a folder, or `s3://BUCKET/PREFIX` with the variables `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for another server than Amazon's,
    /// `AWS_ENDPOINT_URL`; by default the folder `packages` in `--data`
    #[arg(long, value_name = "WHERE", env = "MANDATE_PACKAGES")]
    pub(crate) packages: Option<String>,
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
    /// The mail server that links for new passwords are sent by, `smtps://USER:PASSWORD@HOST:465` or
    /// `smtp://HOST:587?tls=required`; without one letters are written into the folder `mail`
    #[arg(long, value_name = "URL", env = "MANDATE_SMTP", hide_env_values = true)]
    pub(crate) smtp: Option<String>,
    /// The mail server that instances may send by, written as for `--smtp`; their processes find it
    /// in `MAIL_URL`. Without one they are told of none
    #[arg(long, value_name = "URL", env = "MANDATE_INSTANCE_SMTP", hide_env_values = true)]
    pub(crate) instance_smtp: Option<String>,
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
    /// How long a node may be silent before its instances move to others, such as `5m`; `0` is for
    /// ever. Those whose data is on the node wait for it in any case
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = patience)]
    pub(crate) move_after: Patience,
    /// The largest database that is copied before it is migrated, such as `50GiB`; any is if absent.
    /// An instance with a larger one stays, unless a rollout is made `--without-snapshot`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) snapshot_max: Option<u64>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// The ports at which this machine's replicas listen, each at one of its own
    #[arg(long, value_name = "FIRST-LAST", default_value = REPLICA_PORTS)]
    pub(crate) replica_ports: PortRange,
    /// Run everything as the agent's own user, also where each instance could have a user of its own
    #[arg(long)]
    pub(crate) one_user: bool,
    /// How many processes and threads may run for one instance at once, where the machine can count
    /// them: by a user of its own, as root, or by cgroups
    #[arg(long, value_name = "N", default_value_t = INSTANCE_PROCESSES,
        value_parser = clap::value_parser!(u32).range(16..=100_000))]
    pub(crate) instance_processes: u32,
    /// End replicas and jobs when this process is asked to end; without `--only` that is always so.
    /// Otherwise they go on, and the agent that is started next on the same data takes them over
    #[arg(long)]
    pub(crate) end_replicas: bool,
}

/// Run a node: fetch releases, run their replicas and jobs.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentArgs {
    /// Where the platform is, such as `http://10.0.0.4:8080`
    #[arg(long, value_name = "URL", value_parser = address)]
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
    pub(crate) listen_ip: IpAddr,
    /// Share packages with other nodes: fetch them from those that share theirs too, and give them
    /// out at this address, such as `10.0.0.5:7071`; only other nodes need to reach it
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = own_address)]
    pub(crate) share_packages: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// The ports at which replicas listen, each at one of its own
    #[arg(long, value_name = "FIRST-LAST", default_value = REPLICA_PORTS)]
    pub(crate) replica_ports: PortRange,
    /// Run everything as the agent's own user, also where each instance could have a user of its own
    #[arg(long)]
    pub(crate) one_user: bool,
    /// How many processes and threads may run for one instance at once, where the machine can count
    /// them: by a user of its own, as root, or by cgroups
    #[arg(long, value_name = "N", default_value_t = INSTANCE_PROCESSES,
        value_parser = clap::value_parser!(u32).range(16..=100_000))]
    pub(crate) instance_processes: u32,
    /// End replicas and jobs when the agent is asked to end. Otherwise they go on, and the agent that
    /// is started next with the same `--data` takes them over
    #[arg(long)]
    pub(crate) end_replicas: bool,
}

/// How long something is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Option<Duration>);

fn patience(text: &str) -> Result<Patience, String> {
    match api::manifest::duration(text) {
        _ if text == "0" => Ok(Patience(None)),
        Some(time) if time >= SHORTEST => Ok(Patience(Some(time))),
        _ => Err("write `20s` or longer, as in `5m` or `2h`, or `0` for ever".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "write `s`, `m`, `h` or `d` after a whole number, as in `365d`".to_owned();
    api::manifest::duration(text).ok_or_else(wrong)
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = "write `MiB`, `GiB` or `TiB` after a whole number, as in `50GiB`";
    api::manifest::bytes(text).ok_or_else(|| wrong.to_owned())
}

/// A node may be silent for so long without anybody knowing of it.
const SHORTEST: Duration = Duration::from_secs(20);

fn address(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().ok();
    let fits = |uri: &http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|h| !h.is_empty())
    };
    match uri.filter(fits) {
        Some(_) => Ok(text.to_owned()),
        None => Err("it is not an address such as `http://10.0.0.4:8080`".to_owned()),
    }
}

/// An address that others can be told.
fn own_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok().filter(|it| !it.ip().is_unspecified());
    address.ok_or_else(|| {
        "write an address of this machine and a port, as in `10.0.0.5:7071`".to_owned()
    })
}

/// Whether other machines reach `url`: not if it leads each machine to itself, or to any.
pub(crate) fn is_reached_from_elsewhere(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    let Some(host) = uri.as_ref().and_then(http::Uri::host) else { return false };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => !ip.is_loopback() && !ip.is_unspecified(),
        Err(_) => host != "localhost" && !host.ends_with(".localhost"),
    }
}

/// Upper and lower case make no difference to browsers.
fn domain(text: &str) -> Result<Host, String> {
    text.to_ascii_lowercase().parse().map_err(|wrong: types::NameError| wrong.to_string())
}

/// None of those that a kernel gives to whoever does not mind which.
const REPLICA_PORTS: &str = "20000-29999";
/// Enough for a server with some workers of many threads each, and far from all that a machine has.
const INSTANCE_PROCESSES: u32 = 1_024;

/// Ports from a first to a last one.
#[derive(Debug, Clone)]
pub(crate) struct PortRange(pub(crate) RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first @ 1..), Ok(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err("write the first and the last port, as in `20000-29999`"),
        }
    }
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

/// Where browsers reach the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    site: Site,
    domain: Host,
}

impl FromStr for PublicUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address such as `https://example.com`");
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let (Some(authority), true) = (authority, is_bare) else { return Err(wrong()) };
        let domain = authority.host().parse().map_err(|_| wrong())?;
        // A port that cannot be read is told, and not taken for none.
        let has_port = authority.as_str() != authority.host();
        let port = authority.port_u16();
        if has_port && port.is_none() {
            return Err(wrong());
        }
        let site = match uri.scheme_str() {
            Some("https") => Site::https(port.unwrap_or(443)),
            Some("http") => Site::http(port.unwrap_or(80)),
            _ => return Err(wrong()),
        };
        Ok(Self { site, domain })
    }
}

/// A range of addresses, or a single one.
fn net(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).map_err(|_| {
        format!("`{text}` is not a range of addresses such as `10.0.0.0/8`, nor an address")
    })
}

impl UpArgs {
    /// The platform's own domain.
    pub(crate) fn domain(&self) -> &str {
        self.public_url.as_ref().map_or(self.domain.as_str(), |url| url.domain.as_str())
    }

    /// How browsers reach the gateway, which listens at `port`, and for HTTPS at `https` if it speaks
    /// that.
    pub(crate) fn site(&self, port: u16, https: Option<u16>) -> Site {
        let own = https.map_or(Site::http(port), Site::https);
        self.public_url.as_ref().map_or(own, |url| url.site)
    }

    /// Where the access log is, if it is written.
    pub(crate) fn access_log(&self) -> Option<PathBuf> {
        let usual = || self.data.join("gateway").join(self.process_name()).join("access.log");
        let path = self.access_log.clone().unwrap_or_else(usual);
        (path.as_os_str() != "off").then_some(path)
    }

    /// The port for HTTPS, if that is spoken.
    pub(crate) fn https_port(&self) -> Option<u16> {
        self.certificates.as_ref()?;
        let public = || self.public_url.as_ref().map(|url| url.site.port());
        self.https_port.or_else(public).or(Some(8443))
    }

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

    /// The port at which browsers reach the gateway.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(8080)
    }

    /// What cannot be meant together, as a sentence. For a process without the gateway `--port` says
    /// where that is, and `--listen` where the process is.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (self.port, self.listen) {
            (Some(port), Some(listen)) if self.parts().contains(&Part::Gateway) => Err(format!(
                "`--listen {listen}` says the gateway's port already: leave `--port {port}` out"
            )),
            _ => self.check_https(),
        }
    }

    fn check_https(&self) -> Result<(), String> {
        if self.certificates.is_some() && !self.parts().contains(&Part::Gateway) {
            return Err("`--certificates` is for the process that runs the gateway".to_owned());
        }
        let is_https = self.public_url.as_ref().is_some_and(|url| url.site.is_https());
        if self.certificates.is_some() && self.public_url.is_some() && !is_https {
            return Err("with `--certificates`, `--public-url` begins with `https://`".to_owned());
        }
        if self.hsts.is_some() && !is_https && self.certificates.is_none() {
            return Err(
                "`--hsts` needs HTTPS: `--certificates`, or a `--public-url` that begins with \
                        `https://`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Where other machines reach the platform from outside, as far as that can be known of a
    /// process that listens at `here`.
    fn join_url(&self, here: SocketAddr, site: Site) -> Option<String> {
        let gateway = || match self.peer(Part::Gateway) {
            Some(url) => Some(url.to_owned()),
            None => self.parts().contains(&Part::Gateway).then(|| format!("http://{here}")),
        };
        let public = || self.public_url.as_ref().map(|url| site.origin(&url.domain));
        let reached = || gateway().filter(|url| is_reached_from_elsewhere(url));
        self.advertise.clone().or_else(public).or_else(reached)
    }

    /// What identity is told.
    pub(crate) fn identity(
        &self,
        here: SocketAddr,
        site: Site,
    ) -> anyhow::Result<identity::Config> {
        let from = self.mail_from();
        let mail = identity::Mail::new(self.data.join("mail"), &from, self.smtp.as_deref())?;
        let (scheme, port) = (site.scheme(), site.port_suffix());
        let console_url = format!("{scheme}://console.{}{port}", self.domain());
        let (data, users_max) = (self.data.clone(), self.users_per_account);
        let join_url = self.join_url(here, site);
        let hash_memory_kib = identity::Config::HASH_MEMORY_KIB;
        Ok(identity::Config { data, mail, users_max, hash_memory_kib, console_url, join_url })
    }

    /// Where instances send mail.
    pub(crate) fn instance_mail(&self) -> anyhow::Result<Option<configurator::Mail>> {
        let Some(url) = self.instance_smtp.as_deref() else { return Ok(None) };
        let uri = url.parse::<http::Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("smtp" | "smtps"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        // What was written may hold a password, so it is not repeated.
        uri.context(
            "`--instance-smtp` is no address of a mail server: write it as \
             `smtps://USER:PASSWORD@HOST:465` or `smtp://HOST:587?tls=required`",
        )?;
        Ok(Some(configurator::Mail { url: types::Secret::new(url), from: self.mail_from() }))
    }

    fn mail_from(&self) -> String {
        self.mail_from.clone().unwrap_or_else(|| format!("mandate@{}", self.domain()))
    }

    /// Where a part is that is not in this process.
    pub(crate) fn peer(&self, part: Part) -> Option<&str> {
        self.peers.iter().find(|peer| peer.part == part).map(|peer| peer.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        up: UpArgs,
    }

    #[test]
    fn a_domain_is_served_however_it_is_written() {
        let read = |domain| <Program as clap::Parser>::try_parse_from(["up", "--domain", domain]);
        assert_eq!(read("Example.COM").ok().unwrap().up.domain(), "example.com");
        assert!(read("no name").is_err());
    }

    #[test]
    fn a_public_url_is_scheme_host_and_port() {
        let read = |text: &str| text.parse::<PublicUrl>();
        for (text, origin) in [
            ("https://example.com", "https://example.com"),
            ("https://example.com/", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://cloud.example.com:80", "http://cloud.example.com"),
        ] {
            let url = read(text).unwrap();
            assert_eq!(url.site.origin(&url.domain), origin);
        }
        for wrong in [
            "",
            "example.com",
            "https://",
            "ftp://example.com",
            "https://example.com/cloud",
            "https://example.com?a",
            "https://me@example.com",
            "https://example.com:0x1",
            "https://example.com:99999",
            "https://Example_com",
        ] {
            let problem = read(wrong).unwrap_err();
            assert!(problem.contains("such as `https://example.com`"), "{problem}");
        }
    }

    #[test]
    fn a_mail_server_for_instances_is_one_and_its_password_is_not_repeated() {
        let up = |url: &str| {
            let words = ["up", "--domain", "example.com", "--instance-smtp", url];
            <Program as clap::Parser>::try_parse_from(words).ok().unwrap().up
        };
        let mail = up("smtps://me:pass@mail.example:465").instance_mail().unwrap().unwrap();
        assert_eq!(mail.from, "mandate@example.com");
        for wrong in ["mail.example", "http://me:hunter2@mail.example", "smtp://"] {
            let refused = up(wrong).instance_mail().unwrap_err().to_string();
            assert!(refused.contains("smtps://") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn one_port_is_said_once() {
        let up = |words: &[&str]| {
            let words = [&["up"], words].concat();
            <Program as clap::Parser>::try_parse_from(words).ok().unwrap().up
        };
        let both = ["--listen", "127.0.0.1:7000", "--port", "9000"];
        let refused = up(&both).check().unwrap_err();
        assert!(refused.contains("leave `--port 9000` out"), "{refused}");
        assert_eq!(up(&both[..2]).check(), Ok(()));
        assert_eq!(up(&both[2..]).check(), Ok(()));
        // Here the port is the gateway's, which is elsewhere.
        assert_eq!(up(&[&both[..], &["--only", "billing"]].concat()).check(), Ok(()));
    }

    #[test]
    fn https_is_spoken_where_it_is_said() {
        let up = |words: &[&str]| {
            let words = [&["up"], words].concat();
            <Program as clap::Parser>::try_parse_from(words).ok().map(|program| program.up)
        };
        let https = ["--certificates", "x"];
        let with = |more: &[&str]| up(&[&https[..], more].concat()).unwrap();
        assert_eq!(up(&[]).unwrap().https_port(), None);
        assert_eq!(with(&[]).https_port(), Some(8443));
        assert_eq!(with(&["--https-port", "0"]).https_port(), Some(0));
        let public = ["--public-url", "https://example.com"];
        assert_eq!(with(&public).https_port(), Some(443));
        assert_eq!(with(&public).site(8080, Some(9443)), Site::https(443));
        assert_eq!(with(&[]).site(8080, Some(9443)), Site::https(9443));
        assert_eq!(with(&[]).check(), Ok(()));
        assert!(up(&["--https-port", "1"]).is_none());
        let refused = |more: &[&str]| with(more).check().unwrap_err();
        assert!(refused(&["--only", "billing"]).contains("runs the gateway"));
        assert!(refused(&["--public-url", "http://a.example"]).contains("https://"));
        assert!(up(&["--hsts", "1d"]).unwrap().check().unwrap_err().contains("needs HTTPS"));
        assert_eq!(with(&["--hsts", "365d"]).hsts, Some(Duration::from_hours(365 * 24)));
        assert!(up(&["--hsts", "soon"]).is_none());
    }

    #[test]
    fn other_machines_are_told_an_address_that_they_reach() {
        let told = |here: &str, words: &[&str]| {
            let words = [&["up"], words].concat();
            let up = <Program as clap::Parser>::try_parse_from(words).ok().unwrap().up;
            let here: SocketAddr = here.parse().unwrap();
            up.join_url(here, up.site(here.port(), None))
        };
        let at = |url: &str| Some(url.to_owned());
        assert_eq!(told("127.0.0.1:8080", &[]), None);
        assert_eq!(told("[::1]:8080", &[]), None);
        assert_eq!(told("0.0.0.0:8080", &[]), None);
        assert_eq!(told("10.0.0.4:8080", &[]), at("http://10.0.0.4:8080"));
        let public = ["--public-url", "https://example.com"];
        assert_eq!(told("127.0.0.1:8080", &public), at("https://example.com"));
        let advertise = ["--advertise", "http://10.0.0.4:8080"];
        let all = [&public[..], &advertise].concat();
        assert_eq!(told("0.0.0.0:8080", &all), at("http://10.0.0.4:8080"));
        let apart = ["--only", "identity", "--peer", "gateway=http://10.0.0.5:80"];
        assert_eq!(told("10.0.0.4:7000", &apart), at("http://10.0.0.5:80"));
        assert_eq!(told("10.0.0.4:7000", &apart[..2]), None);
    }

    #[test]
    fn a_silent_node_is_waited_for_as_long_as_is_said() {
        let read = |words: &[&str]| {
            <Program as clap::Parser>::try_parse_from([&["up"], words].concat()).map(|it| it.up)
        };
        let after = |time| read(&["--move-after", time]).ok().unwrap().move_after.0;
        assert_eq!(after("0"), None);
        assert_eq!(after("2m"), Some(Duration::from_mins(2)));
        assert_eq!(read(&[]).ok().unwrap().move_after.0, Some(releases::MOVE_AFTER));
        for wrong in ["3", "1s"] {
            assert!(read(&["--move-after", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_is_a_range_or_an_address() {
        assert_eq!(net("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(net("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(net("::1").unwrap().to_string(), "::1/128");
        for wrong in ["", "proxy", "10.0.0.0/40", "10.0.0"] {
            assert!(net(wrong).is_err(), "{wrong}");
        }
    }
}
