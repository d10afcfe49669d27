//! Services and their releases.

mod keys;

use std::path::PathBuf;

use api::{
    billing::PutPriceBook,
    releases::{self, ListServices},
};
use clap::{Args, Subcommand};

use super::{
    Outcome,
    context::Context,
    output::{Limit, Table, moment, record},
    progress::Progress,
    publish::{self, Branch, Publisher, Tree},
    release,
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
    ///
    /// A service's first release serves at once. Each later one is staged: nodes make it ready, and
    /// nobody is served by it until it is promoted.
    #[command(after_help = "Example:\n  mandate service publish services/forum --promote")]
    Publish {
        /// The folder of `mandate.toml`; with `--git` it is one in the repository, its root if absent
        #[arg(required_unless_present = "git")]
        dir: Option<PathBuf>,
        /// Publish the tip of a branch of this repository, a path or a URL that `git` knows
        #[arg(long, value_name = "REPO#BRANCH")]
        git: Option<Branch>,
        /// The publisher's Ed25519 key, a file of 64 hexadecimal digits; `publisher.key` in
        /// `MANDATE_HOME` if absent, made at first use
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Make the key that `--key` names
        #[arg(long, requires = "key")]
        new_key: bool,
        /// Promote it as soon as every node has it ready
        #[arg(long)]
        promote: bool,
        #[command(flatten)]
        plan: release::Plan,
        /// Wait until every node has it ready and, if it is the current one, until its replicas are
        /// healthy and every instance is on it; fail with what a node says that cannot have it or
        /// run it
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
    #[command(flatten)]
    Keys(keys::KeyVerb),
}

impl Service {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self.verb {
            ServiceVerb::Publish { dir, git, key, new_key, promote, plan, wait } => {
                let may_make = new_key || key.is_none();
                let key = key.unwrap_or_else(|| cx.home().join("publisher.key"));
                let how = ((key, may_make), (promote.then_some(plan), wait));
                let dir = dir.unwrap_or_else(|| PathBuf::from("."));
                let Some(branch) = git else { return publish(cx, (dir, None), how).await };
                let tree = Tree::fetch(branch).await?;
                publish(cx, (tree.at(&dir)?, Some(tree.source.clone())), how).await
            }
            ServiceVerb::Prices { dir } => {
                let texts = publish::Texts::read(&dir)?;
                // What things are called belongs to a release, and comes with one.
                let (service, book, words) = (texts.service().clone(), texts.book, None);
                let put = PutPriceBook { service: service.clone(), book, words };
                let reply = cx.ask(put).await?;
                cx.show(&reply, |_| format!("Published the prices of {service}."))
            }
            ServiceVerb::Keys(verb) => verb.run(cx).await,
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
    (dir, source): (PathBuf, Option<String>),
    ((key, may_make), (promote, wait)): ((PathBuf, bool), (Option<release::Plan>, bool)),
) -> Outcome {
    let mut progress = Progress::begin(cx);
    if let Some(source) = &source {
        progress.say(&format!("fetched {source}"))?;
    }
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
    let (size, files) = (package.packed.bytes.div_ceil(1024), package.entries);
    let digest = package.packed.digest.clone();
    if let Some(left_out) = package.left_out() {
        progress.say(&left_out)?;
    }
    progress.say(&format!("packed {files} files and folders, {size} KiB: {digest}"))?;
    package.packed.send(cx, &mut progress).await?;
    let (service, release) =
        (package.texts.service().clone(), publisher.release(package.texts, digest.clone(), source));
    release::announced(&mut progress, &cx.ask(release).await?)?;
    let mut release = release::staged(cx, &mut progress, &service, &digest).await?;
    if let Some(plan) = promote.filter(|_| !release.current) {
        release::ready(cx, &mut progress, &release).await?;
        release = release::promoted(cx, &mut progress, &release, (plan, &[])).await?;
    }
    if wait {
        release = release::ready(cx, &mut progress, &release).await?;
    }
    cx.show(&release, |release| {
        let text = record(&[
            ("service", Some(release.service.to_string())),
            ("release", Some(release.digest.to_string())),
            ("signed by", Some(release.public_key.clone())),
            ("source", release.source.clone()),
            ("published", Some(moment(release.created))),
        ]);
        let next = match (release.current, wait) {
            (true, true) => "It is the current one: every node has it, its replicas are healthy, and \
                             every instance is on it."
                .to_owned(),
            (true, false) => {
                format!("It is the current one. `mandate release status {service}` shows how far it is.")
            }
            (false, true) => format!(
                "Every node has it ready. `mandate release promote {service}` makes it the current \
                 one."
            ),
            (false, false) => format!(
                "It is staged, and serves nobody yet. `mandate release promote {service}` makes it the \
                 current one, once `mandate release status {service}` shows that every node has it \
                 ready."
            ),
        };
        format!("\n{text}\n\n{next}")
    })
}
