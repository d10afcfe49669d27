//! Services and their releases.

use std::path::PathBuf;

use api::{
    billing::PutPriceBook,
    releases::{self, ListReleases, ListServices, PutPackage, ReleasePhase},
};
use clap::{Args, Subcommand};
use types::{Digest, Name};

use super::{
    Outcome,
    context::Context,
    order::failed,
    output::{Limit, Table, moment, record, word},
    progress::Progress,
};
use crate::publish::{self, Publisher};

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
            ServiceVerb::Publish { dir, key, new_key } => {
                let may_make = new_key || key.is_none();
                let key = key.unwrap_or_else(|| cx.home().join("publisher.key"));
                publish(cx, dir, (key, may_make)).await
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

async fn publish(cx: &Context, dir: PathBuf, (key, may_make): (PathBuf, bool)) -> Outcome {
    let mut progress = Progress::begin(cx);
    let texts = publish::Texts::read(&dir)?;
    let publisher = Publisher::open(key, may_make)?;
    progress.say(&format!("{} is in order", publish::files(&dir)))?;
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
    let release = published(cx, &mut progress, service, digest).await?;
    cx.show(&release, |release| {
        let text = record(&[
            ("service", Some(release.service.to_string())),
            ("release", Some(release.digest.to_string())),
            ("signed by", Some(release.public_key.clone())),
            ("published", Some(moment(release.created))),
        ]);
        format!("\n{text}\n\n`mandate node list` shows how far each node is with it.")
    })
}

async fn published(
    cx: &Context,
    progress: &mut Progress,
    service: Name,
    digest: Digest,
) -> Result<releases::Release, super::Failure> {
    // The newest releases are enough: this one has just been published.
    let page = |after, limit| ListReleases { service: service.clone(), after, limit };
    let look = async || cx.list(Some(100), page).await;
    let done = |progress: &mut Progress, page: types::Page<releases::Release>| {
        let Some(release) = page.items.into_iter().find(|release| release.digest == digest) else {
            return Ok(None);
        };
        announced(progress, &release)?;
        match release.phase {
            ReleasePhase::Announcing => Ok(None),
            ReleasePhase::Published => Ok(Some(release)),
            ReleasePhase::Failed => Err(failed("the release failed", release.problem)),
        }
    };
    progress.until(look, done).await
}

fn announced(progress: &mut Progress, release: &releases::Release) -> Outcome {
    progress.say(match release.phase {
        ReleasePhase::Announcing => "announcing it to the other components",
        ReleasePhase::Published => "published: everybody has been told",
        ReleasePhase::Failed => "somebody refused it",
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
    /// List the releases of a service, newest first
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
            let headings = ["RELEASE", "PHASE", "PUBLISHED", "SIGNED BY", "PROBLEM"];
            Table::of(&headings, releases, |table, release| {
                let (phase, published) = (word(&release.phase), moment(release.created));
                let signer: String = release.public_key.chars().take(16).collect();
                let problem = release.problem.as_deref().unwrap_or("");
                table.row([&release.digest.short(), &phase, &published, &signer, &problem]);
            })
        })
    }
}
