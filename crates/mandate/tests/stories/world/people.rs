//! People at a terminal: each has a home folder, an e-mail address and a session.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Arc,
};

use api::{Client, Operation, Problem, Remote, configurator::Instance, identity::Registered};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::Command;
use types::AccountId;

use super::{World, until};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Person {
    pub(crate) email: String,
    home: PathBuf,
    url: String,
    password: String,
    account: Option<AccountId>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// What it printed, if all went well.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.out
    }

    /// The sentence with which it was refused.
    #[track_caller]
    pub(crate) fn refused(self, status: i32) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        self.err
    }
}

impl World {
    fn person(&self, email: &str, password: &str) -> Person {
        let home = self.folder().join("homes").join(email);
        let (email, password) = (email.to_owned(), password.to_owned());
        Person { email, home, url: self.url(), password, account: None }
    }

    /// The operator, with the sign-in that the first start has left.
    pub(crate) async fn operator(&self) -> Person {
        let file = std::fs::read_to_string(self.data().join("operator.txt")).unwrap();
        let line = |start: &str| file.lines().find_map(|line| line.strip_prefix(start)).unwrap();
        let operator = self.person(line("e-mail: "), line("password: "));
        operator.signs_in().await;
        operator
    }

    /// A customer who registers and is signed in.
    pub(crate) async fn registers(&self, name: &str) -> Person {
        let mut person = self.person(&format!("{name}@example.com"), PASSWORD);
        let title = format!("The house of {name}");
        let registered: Registered =
            person.does(&["register", &title, "--email", &person.email]).await;
        person.account = Some(registered.account);
        person
    }

    /// A user whom somebody adds to their account, and who signs in.
    pub(crate) async fn adds(&self, owner: &Person, name: &str) -> Person {
        let person = self.person(&format!("{name}@example.com"), PASSWORD);
        let _: Value = owner.does(&["user", "add", "--email", &person.email]).await;
        person.signs_in().await;
        Person { account: owner.account, ..person }
    }
}

impl Person {
    /// The account they belong to.
    pub(crate) fn account(&self) -> AccountId {
        self.account.unwrap()
    }

    /// The token of their session.
    pub(crate) fn token(&self) -> String {
        let session = std::fs::read_to_string(self.home.join("session.json")).unwrap();
        let session: Value = serde_json::from_str(&session).unwrap();
        session["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn signs_in(&self) {
        let _: Value = self.does(&["sign-in", &self.email]).await;
    }

    /// Runs a command.
    pub(crate) async fn runs(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
        command.args(arguments).current_dir(workspace()).stdin(Stdio::null()).kill_on_drop(true);
        command.env("MANDATE_HOME", &self.home).env("MANDATE_URL", &self.url);
        command.env("MANDATE_PASSWORD", &self.password).env_remove("MANDATE_TOKEN");
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        Done {
            status: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Runs a command that succeeds; what it prints as JSON.
    pub(crate) async fn does<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let printed = self.runs(&[arguments, &["--json"]].concat()).await.good();
        serde_json::from_str(&printed).unwrap_or_else(|cause| panic!("{cause}: {printed}"))
    }

    /// Asks over HTTP.
    pub(crate) async fn asks<O: Operation>(&self, operation: O) -> Result<O::Reply, Problem> {
        self.client().call(operation).await
    }

    pub(crate) fn client(&self) -> Client {
        let token: Option<Arc<str>> = Some(self.token().into());
        Client::new(Arc::new(Remote::new(&self.url)), Arc::new(token))
    }

    /// Takes a forum at `host` and waits until its set-up page is there.
    pub(crate) async fn orders_forum(&self, world: &World, host: &str, modules: &str) -> Instance {
        let order = ["order", "place", "forum", "--size", "small", "--host", host];
        let forum: Instance =
            self.does(&[&order[..], &["--modules", modules, "--wait"]].concat()).await;
        let browser = world.browser(host);
        until("the gateway has heard of it", async || {
            browser.get("/.mandate/setup").await.status == 200
        })
        .await;
        forum
    }

    /// Takes a forum at `host` and sets it up, until visitors are answered.
    pub(crate) async fn opens_forum(&self, world: &World, host: &str) -> Instance {
        self.orders_forum(world, host, "polls").await;
        let email = format!("admin_email={}", self.email);
        self.sets_up(world, host, &[&email]).await
    }

    /// Takes a store at `host` and sets it up, until visitors are answered.
    pub(crate) async fn opens_store(&self, world: &World, host: &str) -> Instance {
        let order = ["order", "place", "store", "--size", "small", "--host", host];
        let _: Instance = self.does(&[&order[..], &["--plan", "basic", "--wait"]].concat()).await;
        let email = format!("contact_email={}", self.email);
        self.sets_up(world, host, &[&email, "sample=coffee"]).await
    }

    pub(crate) async fn sets_up(&self, world: &World, host: &str, values: &[&str]) -> Instance {
        let setup = ["instance", "setup", host, "--wait"];
        let _: Value = self.does(&[&setup[..], values].concat()).await;
        let browser = world.browser(host);
        until("visitors are answered", async || browser.get("/").await.status == 200).await;
        self.does(&["instance", "show", host]).await
    }
}

/// The folder from which a reader of the README works.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}
