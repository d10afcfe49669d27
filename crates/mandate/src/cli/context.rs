//! A command's way to the platform and to the terminal.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use api::{
    Asker, Client, Kind, Operation, Problem, Remote,
    identity::{Me, WhoAmI},
};
use http::Method;
use serde::Serialize;
use types::{AccountId, Page, Resource, Secret};

use super::{
    Failure, Outcome,
    connection::Connection,
    output,
    session::{self, Session},
    status,
};

/// A list that never ends is cut here.
const ITEMS_MAX: usize = 100_000;
/// How long to wait before a request that brought no answer is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// So often is a request sent at most.
const ATTEMPTS_MAX: usize = 4;

/// A command's way to the platform and to the terminal.
pub(crate) struct Context {
    client: Client,
    url: String,
    json: bool,
    home: PathBuf,
    session: Option<Session>,
    asks_as_nobody: bool,
}

impl Context {
    /// Finds out where the platform is and who asks. A session's token goes only to the platform
    /// that gave it.
    pub(crate) fn open(connection: Connection) -> Result<Self, Failure> {
        let url = connection.url();
        check_url(&url)?;
        let home = session::home()?;
        let given = connection.token();
        let kept = if given.is_some() { None } else { session::kept(&home, connection.json()) };
        let session = kept.filter(|session| session.url == url);
        let token = given.or_else(|| session.as_ref().map(|session| session.token.clone()));
        let token: Option<Arc<str>> = token.as_ref().map(Secret::reveal).map(Into::into);
        let asks_as_nobody = token.is_none();
        let client = Client::new(Arc::new(Remote::new(&url)), Arc::new(token));
        Ok(Self { client, url, json: connection.json(), home, session, asks_as_nobody })
    }

    /// The platform's base address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The folder of the session and the publisher's key.
    pub(crate) fn home(&self) -> &std::path::Path {
        &self.home
    }

    /// The session that asks, unless it is a token that was handed in.
    pub(crate) const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether there is no token to ask with.
    pub(crate) const fn asks_as_nobody(&self) -> bool {
        self.asks_as_nobody
    }

    /// Whether replies are printed as JSON.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// The way to the platform.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Asks for `operation`. If no answer comes it is sent once more, under the same key, so that
    /// it is done once.
    pub(crate) async fn ask<O: Operation + Clone>(
        &self,
        operation: O,
    ) -> Result<O::Reply, Failure> {
        self.ask_by(&self.client, operation).await
    }

    /// The same without a token: a session that has ended keeps nobody from beginning another.
    pub(crate) async fn ask_as_nobody<O: Operation + Clone>(
        &self,
        operation: O,
    ) -> Result<O::Reply, Failure> {
        self.ask_by(&self.client.with_token(None), operation).await
    }

    async fn ask_by<O: Operation + Clone>(
        &self,
        client: &Client,
        operation: O,
    ) -> Result<O::Reply, Failure> {
        let key = (O::METHOD == Method::POST).then(|| chassis::random_secret().reveal().to_owned());
        let send = || async {
            match &key {
                Some(key) => client.call_once(operation.clone(), key).await,
                None => client.call(operation.clone()).await,
            }
        };
        let reply = again(send).await;
        reply.map_err(|problem| self.failure(problem, &operation))
    }

    /// Asks for `operation` with `content` as its body.
    pub(crate) async fn upload<O: Operation + Clone>(
        &self,
        operation: O,
        content: bytes::Bytes,
    ) -> Outcome {
        let sent = again(|| self.client.upload(operation.clone(), content.clone())).await;
        sent.map_err(|problem| self.failure(problem, &operation))
    }

    /// Reads a list to its end, or `limit` items of it, page by page. If there are more, the
    /// page's `next` says so.
    pub(crate) async fn list<T, O: Operation<Reply = Page<T>> + Clone>(
        &self,
        limit: Option<u32>,
        page: impl Fn(Option<String>, Option<u32>) -> O,
    ) -> Result<Page<T>, Failure> {
        let wanted = limit.map_or(ITEMS_MAX, |limit| limit as usize);
        let mut whole = Page { items: Vec::new(), next: None };
        loop {
            let rest = u32::try_from(wanted - whole.items.len()).unwrap_or(u32::MAX);
            let rest = rest.min(Page::<T>::LIMIT_MAX);
            let read = self.ask(page(whole.next.take(), Some(rest))).await?;
            let empty = read.items.is_empty();
            whole.items.extend(read.items);
            whole.next = read.next;
            if whole.next.is_none() || empty || whole.items.len() >= wanted {
                return Ok(whole);
            }
        }
    }

    /// Prints a reply: as JSON, or in the form for people that `human` gives it.
    pub(crate) fn show<T: Serialize>(
        &self,
        reply: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Outcome {
        if !self.json {
            return output::print(&human(reply));
        }
        let text = serde_json::to_string_pretty(reply);
        output::print_raw(
            &text.map_err(|cause| Failure::new(status::UNEXPECTED, cause.to_string()))?,
        )
    }

    /// Prints a list: `empty` says what to do if there is nothing.
    pub(crate) fn show_list<T: Serialize>(
        &self,
        page: &Page<T>,
        empty: &str,
        table: impl FnOnce(&[T]) -> String,
    ) -> Outcome {
        self.show(page, |page| match (page.items.as_slice(), &page.next) {
            ([], _) => empty.to_owned(),
            (items, None) => table(items),
            (items, Some(_)) => format!("{}\n\nThere are more; raise `--limit`.", table(items)),
        })
    }

    /// Whoever asks, as the platform sees it.
    pub(crate) async fn me(&self) -> Result<Me, Failure> {
        self.ask(WhoAmI {}).await
    }

    /// The account that a command is about: the one that was named, or that of whoever asks.
    pub(crate) async fn account(&self, named: Option<AccountId>) -> Result<AccountId, Failure> {
        if let Some(account) = named.or_else(|| self.session.as_ref().and_then(|s| s.account)) {
            return Ok(account);
        }
        if self.asks_as_nobody {
            let problem =
                Problem::new(Kind::Unauthenticated, "unauthenticated", "you are not signed in");
            return Err(self.failure(problem, &WhoAmI {}));
        }
        self.me().await?.user.and_then(|user| user.account).ok_or_else(|| {
            Failure::new(status::USAGE, "you belong to no account, so name one")
                .hint("pass `--account ID`; `mandate account list` shows the accounts")
        })
    }

    /// A problem with `operation`, and what can be done about it.
    fn failure<O: Operation>(&self, problem: Problem, operation: &O) -> Failure {
        let (kind, lost) = (problem.kind, unanswered(&problem));
        // What a component refuses by a rule of its own, no permission would open.
        let is_missing_permission = problem.code == DENIED;
        let failure = Failure::from(problem);
        let hint = match kind {
            _ if lost => Some(format!(
                "is the platform running at {}? `mandate up` starts it, and `--url` or \
                 `MANDATE_URL` names another one",
                self.url
            )),
            Kind::Denied if is_missing_permission => hint_of_denial(operation),
            Kind::Unauthenticated if O::ASKERS == [Asker::Public] => None,
            Kind::Unauthenticated => match session::read(&self.home) {
                Ok(Some(session)) if session.url != self.url => Some(format!(
                    "you are signed in at {}, and this is {}: pass `--url`, or sign in here",
                    session.url, self.url
                )),
                _ => Some("sign in with `mandate sign-in EMAIL`".to_owned()),
            },
            _ => None,
        };
        hint.into_iter().fold(failure, Failure::hint)
    }
}

/// What the guard's refusals are called.
const DENIED: &str = "denied";

fn hint_of_denial<O: Operation>(operation: &O) -> Option<String> {
    if O::ASKERS == [Asker::Operator] {
        return Some("this is for operators: sign in as one".to_owned());
    }
    match operation.resource() {
        on @ (Resource::Account(_) | Resource::Instance(..)) => Some(format!(
            "`mandate can me {} --on {on} --explain` says what is missing",
            O::PERMISSION
        )),
        _ if O::ASKERS.contains(&Asker::Operator) => {
            Some("this is for operators: sign in as one".to_owned())
        }
        _ => None,
    }
}

fn check_url(url: &str) -> Outcome {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or("");
    let parsed = url.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
    if host.is_empty() || parsed.is_none() {
        let sentence = format!("`{url}` is not the address of a platform");
        return Err(
            Failure::new(status::USAGE, sentence).hint("write it as `http://127.0.0.1:8080`")
        );
    }
    Ok(())
}

/// Whether nobody answered, so that nobody knows whether it was done.
pub(crate) fn unanswered(problem: &Problem) -> bool {
    problem.kind == Kind::Unavailable && problem.code == "unavailable" && problem.request.is_none()
}

/// Sends again where nobody answered, and where the answer says after how long to try again.
async fn again<T, F: Future<Output = Result<T, Problem>>>(
    send: impl Fn() -> F,
) -> Result<T, Problem> {
    for _ in 0..ATTEMPTS_MAX - 1 {
        match send().await {
            Err(problem) if unanswered(&problem) => tokio::time::sleep(RETRY_PAUSE).await,
            Err(problem) if problem.retry_after.is_some_and(|seconds| seconds <= 2) => {
                let seconds = problem.retry_after.unwrap_or_default().into();
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            reply => return reply,
        }
    }
    send().await
}
