//! What a process finds in its environment: nothing of the agent's own but where programs are.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use api::{
    Operation, Problem,
    configurator::{Environment, GetEnvironment},
    identity::{IssueServiceToken, Purpose},
    manifest::{Manifest, Tenancy},
};
use http::Uri;
use tokio::time::Instant;
use types::{Digest, InstanceId, Name, Period, Secret};

use crate::{
    Node,
    users::{User, folder_of, folder_within, hand_over, write_for},
};

/// Where programs are, if the agent was not told.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Build hooks fetch from package indexes, which not every node reaches directly.
const BUILD_VARIABLES: [&str; 14] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
];
const BUILD_PREFIXES: [&str; 5] = ["PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "YARN_"];

/// A token is renewed no more often, and no less, whatever the clock says of its life.
const RENEWED_AT_BEST: Duration = Duration::from_mins(1);
const RENEWED_AT_MOST: Duration = Duration::from_hours(1);

/// How long others may take to hear of what this node is to run.
const HEARD: Duration = Duration::from_secs(2);
/// Between two questions until then.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Variables by their names.
pub(crate) type Variables = BTreeMap<String, Secret>;

/// Asks for what belongs to that which this node is to run. The node may hear of it before those who are
/// asked, so that they do not give it is only true when it lasts.
pub(crate) async fn ask<O: Operation + Clone>(
    node: &Node,
    operation: O,
) -> Result<O::Reply, Problem> {
    let begun = Instant::now();
    loop {
        let answer = node.client.call(operation.clone()).await;
        let is_elsewhere = answer.as_ref().is_err_and(|problem| problem.code == "not_placed");
        if !is_elsewhere || begun.elapsed() > HEARD {
            return answer;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// What every process gets: a home and a place for temporary files in `folder`, its user's own.
pub(crate) fn basis(folder: &Path, user: Option<User>) -> io::Result<Variables> {
    let (home, temporary) = (folder.join("home"), folder.join("tmp"));
    folder_of(&home, user)?;
    folder_of(&temporary, user)?;
    let path = std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned());
    let pairs = [
        ("PATH", path),
        ("LANG", "C.UTF-8".to_owned()),
        ("HOME", home.display().to_string()),
        ("TMPDIR", temporary.display().to_string()),
    ];
    Ok(pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).into())
}

/// A place for temporary files in `folder`, for a command beside a process: what is held is known by
/// it.
pub(crate) fn temporary(folder: &Path, user: Option<User>) -> io::Result<Variables> {
    let temporary = folder.join("tmp");
    folder_of(&temporary, user)?;
    Ok([("TMPDIR".to_owned(), Secret::new(temporary.display().to_string()))].into())
}

/// What an instance's processes get instead of a home that ends with them: the instance's own
/// folder on this node, which is kept for it, and in it those that its manifest asks for.
pub(crate) fn home_of(
    node: &Node,
    (instance, user): (InstanceId, Option<User>),
    manifest: &Manifest,
) -> io::Result<Variables> {
    let folder = node.folder.instance(instance);
    folder_of(&folder, user)?;
    let own = ["HOME", "DATA_DIR"].map(|name| (name.to_owned(), folder.clone()));
    let mut folders = Vec::from(own);
    for name in &manifest.run.volumes {
        folder_within(&folder, &["volumes", name], user)?;
        let volume = folder.join("volumes").join(name);
        folders.push((format!("VOLUME_{}", name.to_uppercase()), volume));
    }
    let value = |path: PathBuf| Secret::new(path.display().to_string());
    Ok(folders.into_iter().map(|(name, path)| (name, value(path))).collect())
}

/// What a build hook gets beside that.
pub(crate) fn of_build(engine: &str) -> Variables {
    let mut variables: Variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_for_builds(name))
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    variables.insert("DATABASE_ENGINE".to_owned(), Secret::new(engine));
    variables
}

fn is_for_builds(name: &str) -> bool {
    BUILD_VARIABLES.contains(&name) || BUILD_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Where a replica listens.
pub(crate) fn of_address(address: SocketAddr) -> Variables {
    let pairs = [("HOST", address.ip().to_string()), ("PORT", address.port().to_string())];
    pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).into()
}

/// What is an instance's own.
pub(crate) struct Own {
    pub(crate) variables: Variables,
    /// Which of it must not be shown.
    pub(crate) secrets: Vec<Secret>,
    /// Who its processes run as, if not the agent's own user.
    pub(crate) user: Option<User>,
}

/// What an instance's own processes get, and which of it must not be shown.
pub(crate) async fn of_instance(
    node: &Node,
    instance: InstanceId,
    (release, manifest): (&Digest, &Manifest),
) -> Result<Own, Problem> {
    let operation = GetEnvironment { node: node.id, instance, release: Some(release.clone()) };
    let told: Environment = ask(node, operation).await?;
    let Environment { account, mut variables, secrets } = told;
    variables.retain(|name, _| is_name(name));
    variables.extend(secrets.into_iter().filter(|(name, _)| manifest.secrets.contains_key(name)));
    let secrets = manifest.hidden(&variables);
    variables.extend(node.tokens.variables(node, (account, instance)).await);
    let user = user_of(node, manifest, instance, &variables);
    let user =
        user.map_err(|cause| Problem::unavailable(format!("no user can be had: {cause}"), 1))?;
    if let Some(user) = user {
        let given = user.own(&node.folder.token(account, instance));
        given.map_err(|cause| {
            Problem::unavailable(format!("its token is not its own: {cause}"), 1)
        })?;
    }
    Ok(Own { variables, secrets, user })
}

/// The user that an instance's processes run as, who is given what is theirs; `None` if that is the
/// agent's own.
fn user_of(
    node: &Node,
    manifest: &Manifest,
    instance: InstanceId,
    variables: &Variables,
) -> io::Result<Option<User>> {
    let url = variables.get("DATABASE_URL").map_or("", Secret::reveal);
    if manifest.service.tenancy == Tenancy::Shared {
        return user_of_all(node, manifest, url.starts_with("sqlite:"));
    }
    let Some(user) = node.users.of(&manifest.service.name, Some(instance))? else {
        return Ok(None);
    };
    if let Err(why) = hand_over(url, instance, user) {
        tracing::warn!(%instance, why, "its processes run as the agent's own user");
        return Ok(None);
    }
    Ok(Some(user))
}

/// The user that all processes of a service run as that serve all instances. Files of SQLite are the
/// platform's until they are given to somebody, and nobody tells this node which ones a service has.
pub(crate) fn user_of_all(
    node: &Node,
    manifest: &Manifest,
    on_sqlite: bool,
) -> io::Result<Option<User>> {
    if on_sqlite && manifest.database.is_some() {
        return Ok(None);
    }
    node.users.of(&manifest.service.name, None)
}

/// Where visitors come to a replica with these variables: its instance's address, or nothing in
/// particular if it serves all instances.
pub(crate) fn site(variables: &Variables) -> Uri {
    let url = variables.get("PUBLIC_URL").and_then(|url| url.reveal().parse().ok());
    url.unwrap_or_else(|| Uri::from_static("http://localhost/"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A token with which a replica asks whose host it is, in a file that is renewed.
pub(crate) struct TokenFile {
    service: Name,
    /// Who reads it, if not the agent's own user.
    user: Option<User>,
    path: PathBuf,
    /// When it is not to be renewed yet.
    fresh: Option<Period>,
}

impl TokenFile {
    /// Gets a first token.
    pub(crate) async fn new(
        node: &Node,
        service: Name,
        user: Option<User>,
        folder: &Path,
    ) -> Result<Self, String> {
        let mut file = Self::found(service, user, folder);
        file.renew(node).await?;
        Ok(file)
    }

    /// The one of a replica that was found; it is renewed at once.
    pub(crate) fn found(service: Name, user: Option<User>, folder: &Path) -> Self {
        Self { service, user, path: folder.join("token"), fresh: None }
    }

    /// The variables that tell the replica.
    pub(crate) fn variables(&self, node: &Node) -> Variables {
        let url = node.platform_url.trim_end_matches('/');
        let pairs = [
            ("MANDATE_JOBS_URL", format!("{url}/jobs/v1/services/{}/instances", self.service)),
            ("MANDATE_JOBS_TOKEN_FILE", self.path_for_jobs().display().to_string()),
            ("MANDATE_TENANCY_URL", node.platform_url.clone()),
            ("MANDATE_TENANCY_TOKEN_FILE", self.path.display().to_string()),
            ("MANDATE_SERVICE", self.service.to_string()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), Secret::new(value))).into()
    }

    /// Renews the token at half of its life, for as long as it runs. The clock may leap.
    pub(crate) async fn keep(&mut self, node: &Node) {
        loop {
            tokio::time::sleep(node.pace.look).await;
            if self.fresh.is_none_or(|fresh| !fresh.contains(node.clock.now()))
                && let Err(why) = self.renew(node).await
            {
                tracing::warn!(service = %self.service, why, "will try again");
            }
        }
    }

    async fn renew(&mut self, node: &Node) -> Result<(), String> {
        self.renew_for(node, Purpose::Jobs).await?;
        self.fresh = Some(self.renew_for(node, Purpose::Tenancy).await?);
        Ok(())
    }

    /// Answers when not to renew it yet.
    async fn renew_for(&self, node: &Node, purpose: Purpose) -> Result<Period, String> {
        let operation = IssueServiceToken { node: node.id, service: self.service.clone(), purpose };
        let issued = ask(node, operation).await;
        let issued = issued.map_err(|problem| format!("its token cannot be had: {problem}"))?;
        let path = match purpose {
            Purpose::Tenancy => self.path.clone(),
            Purpose::Jobs => self.path_for_jobs(),
        };
        let written = write_for(self.user, &path, issued.token.reveal());
        written.map_err(|cause| format!("its token cannot be stored: {cause}"))?;
        let now = node.clock.now();
        // A clock that is wrong has its own idea of how long that is.
        let half = issued.expires.since(now) / 2;
        Ok(Period::lasting(now, half.clamp(RENEWED_AT_BEST, RENEWED_AT_MOST)))
    }

    fn path_for_jobs(&self) -> PathBuf {
        self.path.with_file_name("jobs-token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_told_of_proxies_certificates_and_indexes_and_of_nothing_else() {
        for name in [
            "https_proxy",
            "ALL_PROXY",
            "SSL_CERT_FILE",
            "NODE_EXTRA_CA_CERTS",
            "CURL_CA_BUNDLE",
            "PIP_INDEX_URL",
            "UV_INDEX",
            "npm_config_registry",
            "NPM_CONFIG_CAFILE",
        ] {
            assert!(is_for_builds(name), "{name}");
        }
        for name in ["MANDATE_DATABASE", "AWS_SECRET_ACCESS_KEY", "HOME", "NODE_OPTIONS", "PIPE"] {
            assert!(!is_for_builds(name), "{name}");
        }
    }
}
