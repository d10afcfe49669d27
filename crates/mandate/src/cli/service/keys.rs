//! The keys that are trusted to sign releases of a service.

use std::path::PathBuf;

use api::releases::{DistrustKey, ListServiceKeys, ServiceKey, TrustKey};
use clap::Subcommand;
use types::Name;

use crate::cli::{
    Failure, Outcome,
    context::Context,
    names::Ids,
    output::{Limit, Table, moment},
    publish::Publisher,
    status,
};

#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// List the keys that are or were trusted to sign releases of a service
    Keys {
        /// Of which service
        service: Name,
        #[command(flatten)]
        limit: Limit,
    },
    /// Trust another key to sign releases of a service
    #[command(after_help = "Example:\n  mandate service trust forum \
                            \"$(mandate service public-key --key new.key --new-key)\"")]
    Trust {
        /// Of which service
        service: Name,
        /// The public key, 64 hexadecimal digits, as `mandate service public-key` prints it
        key: String,
        /// Whose it is
        #[arg(long, value_name = "TEXT", default_value = "")]
        comment: String,
    },
    /// Take a key back: it signs no release any more, and none of its releases is promoted
    Distrust {
        /// Of which service
        service: Name,
        /// Which key, by its beginning
        key: String,
        /// Also if the current release or one that instances are on is signed by it; those go on
        /// until another release takes their place
        #[arg(long)]
        force: bool,
    },
    /// Print the public key of a publisher's key, for whoever is to trust it
    PublicKey {
        /// The publisher's key; `publisher.key` in `MANDATE_HOME` if absent
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Make the key that `--key` names
        #[arg(long, requires = "key")]
        new_key: bool,
    },
}

impl KeyVerb {
    pub(super) async fn run(self, cx: &Context) -> Outcome {
        match self {
            Self::Keys { service, limit } => list(cx, service, limit).await,
            Self::Trust { service, key, comment } => {
                let trust = TrustKey { service, public_key: key, comment };
                cx.show(&cx.ask(trust).await?, |key| {
                    let ServiceKey { service, public_key, .. } = key;
                    format!("Releases of {service} may be signed by {public_key}.")
                })
            }
            Self::Distrust { service, key, force } => {
                let public_key = begins(cx, &service, &key).await?;
                let distrust = DistrustKey { service, public_key, force };
                cx.show(&cx.ask(distrust).await?, |key| {
                    let ServiceKey { service, public_key, .. } = key;
                    format!(
                        "Releases of {service} may not be signed by {public_key} any more, and none \
                         that it has signed is promoted."
                    )
                })
            }
            Self::PublicKey { key, new_key } => {
                let key = key.unwrap_or_else(|| cx.home().join("publisher.key"));
                let publisher = Publisher::open(key, new_key)?;
                crate::cli::output::print(&publisher.public_key())
            }
        }
    }
}

async fn list(cx: &Context, service: Name, Limit { limit }: Limit) -> Outcome {
    let page = |after, limit| ListServiceKeys { service: service.clone(), after, limit };
    let keys = cx.list(limit, page).await?;
    let mut ids = Ids::default();
    let who = |key: &ServiceKey| [key.added_by.clone(), key.taken_back_by.clone()];
    keys.items.iter().flat_map(who).flatten().for_each(|by| ids.principal(&by));
    let called = cx.names(ids).await;
    cx.show_list(&keys, "No key is trusted.", |keys| {
        let headings = ["KEY", "TRUSTED SINCE", "BY", "TAKEN BACK", "BY", "COMMENT"];
        Table::of(&headings, keys, |table, key| {
            let ServiceKey { public_key, comment, added, .. } = key;
            let name = |by: &Option<_>| by.as_ref().map(|by| called.principal(by));
            let added_by = name(&key.added_by).unwrap_or_else(|| "the first release".to_owned());
            let taken_back = key.taken_back.map(moment).unwrap_or_default();
            let taken_back_by = name(&key.taken_back_by).unwrap_or_default();
            table.row([
                public_key,
                &moment(*added),
                &added_by,
                &taken_back,
                &taken_back_by,
                comment,
            ]);
        })
    })
}

/// The key that begins so.
async fn begins(cx: &Context, service: &Name, text: &str) -> Result<String, Failure> {
    let page = |after, limit| ListServiceKeys { service: service.clone(), after, limit };
    let keys = cx.list(None, page).await?.items.into_iter().map(|key| key.public_key);
    let mut found: Vec<_> = keys.filter(|key| key.starts_with(&text.to_lowercase())).collect();
    let (failure, sentence) = match (found.pop(), found.len()) {
        (Some(key), 0) => return Ok(key),
        (Some(_), _) => (status::UNFIT, format!("more than one key begins with `{text}`")),
        (None, _) => (status::NOT_FOUND, format!("no key of `{service}` begins with `{text}`")),
    };
    Err(Failure::new(failure, sentence)
        .hint(format!("`mandate service keys {service}` shows them")))
}
