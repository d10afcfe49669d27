//! Services and their releases.

use std::path::PathBuf;

use api::{
    billing::PutPriceBook,
    releases::{self, ListReleases, ListServices, OnNodes, PutPackage, ReleasePhase},
};
use clap::{Args, Subcommand};
use types::{Digest, Name};

use super::{
    Outcome,
    context::Context,
    failure::failed,
    output::{Limit, Table, moment, record, word},
    progress::Progress,
    publish::{self, Publisher},
};

/// Services: publish one, list them
#[derive(Debug, Args)]
pub(crate) struct Service {
    #[command(subcommand)]
    verb: ServiceVerb,
}

#[derive(Debug, Subcommand)]
enum ServiceVerb {
    /// Check, pack, sign and publish the service in a folder
    ///
    /// `mandate.toml` and `prices.toml` are checked before anything is sent. The manifest's
    /// `[package] command` is run in the folder with `PACKAGE_DIR` set to an empty one; what stands
    /// there afterwards is the package. Without a command the folder itself is. Publishing the
    /// same again changes nothing.
    #[command(after_help = "Example:\n  mandate service publish services/forum")]
    Publish {
        /// The folder of `mandate.toml`
        dir: PathBuf,
        /// The publisher's Ed25519 key, a file of 64 hexadecimal digits; `publisher.key` in
        /// `MANDATE_HOME` if absent, made at first use
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Make the key that `--key` names
        #[arg(long, requires = "key")]
        new_key: bool,
        /// Wait until every node has it and its replicas are healthy; fail with what a node says
        /// that cannot have it or run it
        #[arg(long)]
        wait: bool,
    },
    /// Publish `prices.toml` of a folder on its own, without a release
    Prices {
        /// The folder of `mandate.toml` and `prices.toml`
        dir: PathBuf,
    },
    /// List the published services
    List(Limit),
}

impl Service {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            ServiceVerb::Publish { dir, key, new_key, wait } => {
                let may_make = new_key || key.is_none();
                let key = key.unwrap_or_else(|| cx.home().join("publisher.key"));
                publish(cx, dir, (key, may_make), wait).await
            }
            ServiceVerb::Prices { dir } => {
                let texts = publish::Texts::read(&dir)?;
                // What things are called belongs to a release, and comes with one.
                let (service, book, words) = (texts.service().clone(), texts.book, None);
                let put = PutPriceBook { service: service.clone(), book, words };
                let reply = cx.ask(put).await?;
                cx.show(&reply, |_| format!("Published the prices of {service}."))
            }
            ServiceVerb::List(Limit { limit }) => {
                let services = cx.list(limit, |after, limit| ListServices { after, limit }).await?;
                let empty = "No service yet; `mandate service publish DIR` brings one.";
                cx.show_list(&services, empty, |services| {
                    let headings =
                        ["SERVICE", "TITLE", "RELEASE", ">NODES READY", ">REPLICAS HEALTHY"];
                    Table::of(&headings, services, |table, service| {
                        let releases::ServiceSummary { service: name, title, .. } = service;
                        let (release, ready) = (service.release.short(), service.nodes_ready);
                        table.row([name, title, &release, &ready, &service.replicas_healthy]);
                    })
                })
            }
        }
    }
}

async fn publish(
    cx: &Context,
    dir: PathBuf,
    (key, may_make): (PathBuf, bool),
    wait: bool,
) -> Outcome {
    let mut progress = Progress::begin(cx);
    let texts = publish::Texts::read(&dir)?;
    let is_new = !key.exists();
    let publisher = Publisher::open(key.clone(), may_make)?;
    progress.say(&format!("{} is in order", publish::files(&dir)))?;
    if is_new {
        let key = key.display();
        progress.say(&format!("made the publisher's key `{key}`: keep a copy in a safe place"))?;
    }
    if let Some(package) = &texts.manifest.package {
        progress.say(&format!("running `{}`", package.command.join(" ")))?;
    }
    let gathered = publish::gather(&dir, &texts.manifest).await?;
    progress.say("packing")?;
    let package = publish::pack(gathered).await?;
    let (size, files) = (package.bytes.len().div_ceil(1024), package.entries);
    if let Some(left_out) = package.left_out() {
        progress.say(&left_out)?;
    }
    progress.say(&format!("packed {files} files and folders, {size} KiB: {}", package.digest))?;
    let digest = package.digest.clone();
    cx.upload(PutPackage { digest: digest.clone() }, package.bytes).await?;
    progress.say("sent the package")?;
    let (service, release) =
        (package.texts.service().clone(), publisher.release(package.texts, digest.clone()));
    announced(&mut progress, &cx.ask(release).await?)?;
    let mut release = published(cx, &mut progress, &service, &digest).await?;
    if wait {
        release = healthy(cx, &mut progress, &service, &digest).await?;
    }
    cx.show(&release, |release| {
        let text = record(&[
            ("service", Some(release.service.to_string())),
            ("release", Some(release.digest.to_string())),
            ("signed by", Some(release.public_key.clone())),
            ("published", Some(moment(release.created))),
        ]);
        if wait {
            return format!("\n{text}\n\nEvery node has it, and its replicas are healthy.");
        }
        format!("\n{text}\n\n`mandate node list` shows how far each node is with it.")
    })
}

/// The release as it is now; nothing if it is not listed.
async fn listed(
    cx: &Context,
    service: &Name,
    digest: &Digest,
) -> Result<Option<releases::Release>, super::Failure> {
    // What was published last comes first.
    let page = |after, limit| ListReleases { service: service.clone(), after, limit };
    let releases = cx.list(Some(100), page).await?.items;
    Ok(releases.into_iter().find(|release| release.digest == *digest))
}

async fn published(
    cx: &Context,
    progress: &mut Progress,
    service: &Name,
    digest: &Digest,
) -> Result<releases::Release, super::Failure> {
    let look = async || listed(cx, service, digest).await;
    let done = |progress: &mut Progress, release: Option<releases::Release>| {
        let Some(release) = release else { return Ok(None) };
        announced(progress, &release)?;
        match release.phase {
            ReleasePhase::Announcing | ReleasePhase::Promoting => Ok(None),
            ReleasePhase::Published => Ok(Some(release)),
            ReleasePhase::Failed => Err(failed("the release failed", release.problem)),
        }
    };
    progress.until(look, done).await
}

/// Waits until the nodes have the release and run it, or one of them says why it cannot.
async fn healthy(
    cx: &Context,
    progress: &mut Progress,
    service: &Name,
    digest: &Digest,
) -> Result<releases::Release, super::Failure> {
    let look = async || listed(cx, service, digest).await;
    let done = |progress: &mut Progress, release: Option<releases::Release>| {
        let Some(release) = release else { return Ok(None) };
        let OnNodes { nodes, ready, replicas, healthy, problem, .. } = &release.on_nodes;
        if let Some(problem) = problem {
            return Err(failed("the release is published and does not run", None)
                .output("what the node says", problem));
        }
        if !release.current {
            return Err(failed("another release was published meanwhile", None));
        }
        if *nodes == 0 {
            return Err(failed("the release is published, and there is no node to run it", None));
        }
        if ready == nodes && healthy >= replicas {
            return Ok(Some(release));
        }
        progress.say(&format!(
            "ready on {ready} of {nodes} nodes, {healthy} of {replicas} replicas healthy"
        ))?;
        Ok(None)
    };
    progress.until(look, done).await
}

fn announced(progress: &mut Progress, release: &releases::Release) -> Outcome {
    progress.say(match release.phase {
        ReleasePhase::Announcing => "announcing it to the other components",
        ReleasePhase::Promoting => "everybody has agreed; switching to it",
        ReleasePhase::Published => "published: every component has accepted it",
        ReleasePhase::Failed => "somebody refused it, and nothing has changed",
    })
}

/// The releases of a service
#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(subcommand)]
    verb: ReleaseVerb,
}

#[derive(Debug, Subcommand)]
enum ReleaseVerb {
    /// List the releases of a service, what was published last first
    List {
        /// Of which service
        service: Name,
        #[command(flatten)]
        limit: Limit,
    },
}

impl Release {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        let ReleaseVerb::List { service, limit } = self.verb;
        let page = |after, limit| ListReleases { service: service.clone(), after, limit };
        let releases = cx.list(limit.limit, page).await?;
        let empty = "No release yet; `mandate service publish DIR` makes one.";
        cx.show_list(&releases, empty, |releases| {
            let headings = ["RELEASE", "STATE", "PUBLISHED", "SIGNED BY", "PROBLEM"];
            Table::of(&headings, releases, |table, release| {
                let (state, published) = (state(release), moment(release.created));
                let signer: String = release.public_key.chars().take(16).collect();
                let said = if release.current { &release.on_nodes.problem } else { &None };
                let problem = release.problem.as_ref().or(said.as_ref());
                let problem = problem.and_then(|text| text.lines().next()).unwrap_or_default();
                table.row([&release.digest.short(), &state, &published, &signer, &problem]);
            })
        })
    }
}

/// How far a release is, in words: of the one that holds, what the nodes say.
fn state(release: &releases::Release) -> String {
    let OnNodes { nodes, ready, failed, .. } = release.on_nodes;
    match release.phase {
        _ if release.current && nodes > 0 && failed == nodes => {
            "current, failed on every node".to_owned()
        }
        _ if release.current => format!("current, ready on {ready} of {nodes} nodes"),
        ReleasePhase::Published => "former".to_owned(),
        phase => word(&phase),
    }
}
