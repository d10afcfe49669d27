//! Tokens with which the processes of an instance ask for jobs: a file for each instance that has or
//! had a process here, renewed for as long as it is there, whichever agent has made it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};

use api::{
    Problem,
    identity::{IssueInstanceToken, IssuedToken},
};
use types::{AccountId, InstanceId, Period, Secret};

use crate::{
    Node,
    environment::{Variables, ask},
    folder::write_private,
    users::{reader_of, write_for},
};

/// How long before a token is renewed; it is good for a day, so that a process goes on asking while
/// the platform is away.
const RENEWED_AFTER: Duration = Duration::from_hours(1);

/// Whose token it is.
type Whose = (AccountId, InstanceId);

/// When tokens are not to be renewed yet; one of which that is not known is renewed at once.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<Whose, Period>>);

impl Tokens {
    /// What tells an instance's processes where and with what to ask for jobs. One that cannot be
    /// had now comes as soon as it can: an application starts without it.
    pub(crate) async fn variables(&self, node: &Node, whose: Whose) -> Variables {
        let (account, instance) = whose;
        let path = node.folder.token(account, instance);
        if !path.exists()
            && let Err(problem) = self.take(node, whose, ask(node, of(node, whose)).await)
        {
            tracing::warn!(%instance, %problem, "its processes cannot ask for jobs yet");
            // Found by the keeper.
            let _ = write_private(&path, "");
        }
        let url = format!(
            "{}/jobs/v1/accounts/{account}/instances/{instance}/jobs",
            node.platform_url.trim_end_matches('/')
        );
        let pairs =
            [("MANDATE_JOBS_URL", url), ("MANDATE_JOBS_TOKEN_FILE", path.display().to_string())];
        pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).into()
    }

    /// Renews all tokens that are here, for as long as it is polled. The clock may leap.
    pub(crate) async fn keep(&self, node: &Node) {
        loop {
            tokio::time::sleep(node.pace.look).await;
            if node.removed.load(Ordering::Acquire) {
                continue;
            }
            for whose in all(&node.folder.tokens()) {
                if self.is_due(node, whose)
                    && let Err(problem) = self.renew(node, whose).await
                    && keeps_or_forgets(node, whose, &problem)
                {
                    break;
                }
            }
        }
    }

    fn is_due(&self, node: &Node, whose: Whose) -> bool {
        let known = self.0.lock().expect("nobody panics while holding it");
        known.get(&whose).is_none_or(|fresh| !fresh.contains(node.clock.now()))
    }

    async fn renew(&self, node: &Node, whose: Whose) -> Result<(), Problem> {
        self.take(node, whose, node.client.call(of(node, whose)).await)
    }

    fn take(
        &self,
        node: &Node,
        whose: Whose,
        issued: Result<IssuedToken, Problem>,
    ) -> Result<(), Problem> {
        let issued = issued?;
        let path = node.folder.token(whose.0, whose.1);
        write_for(reader_of(&path), &path, issued.token.reveal()).map_err(|cause| {
            Problem::unavailable(format!("its token cannot be stored: {cause}"), 1)
        })?;
        let fresh = Period::lasting(node.clock.now(), RENEWED_AFTER);
        self.0.lock().expect("nobody panics while holding it").insert(whose, fresh);
        Ok(())
    }
}

fn of(node: &Node, (account, instance): Whose) -> IssueInstanceToken {
    IssueInstanceToken { node: node.id, account, instance }
}

/// One of an instance that does not run here any more is of no use. Answers whether the platform
/// is to be left alone for a while.
fn keeps_or_forgets(node: &Node, (account, instance): Whose, problem: &Problem) -> bool {
    if problem.code == "not_placed" {
        let _ = fs::remove_file(node.folder.token(account, instance));
        return false;
    }
    tracing::warn!(%instance, %problem, "will try again");
    true
}

/// Whose tokens lie in a folder.
fn all(folder: &Path) -> Vec<Whose> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let whose = |name: &str| {
        let (account, instance) = name.split_once('-')?;
        Some((account.parse().ok()?, instance.parse().ok()?))
    };
    entries.filter_map(|entry| whose(entry.file_name().to_str()?)).collect()
}
