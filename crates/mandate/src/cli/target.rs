//! What people call things, and what those are: an instance by its host, a user by their e-mail.

use api::{
    configurator::{FindInstance, GetInstance, Instance, InstanceState},
    identity::{FindAnyUser, FindUser},
};
use clap::Args;
use types::{AccountId, InstanceId, Principal, Resource};

use super::{Failure, Outcome, context::Context, failure::failed, status};

/// An instance.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Which instance: its id, or its host
    #[arg(value_name = "INSTANCE")]
    pub(super) instance: String,
    /// Only if it is of this account
    #[arg(long, value_name = "ID")]
    pub(super) account: Option<AccountId>,
}

impl Context {
    /// The instance that has the id or the host name `text`: of `named` if that is said, else of
    /// any account whose instances one may look at.
    pub(crate) async fn instance(
        &self,
        named: Option<AccountId>,
        text: &str,
    ) -> Result<Instance, Failure> {
        let found = self.ask(FindInstance { name: text.to_lowercase() }).await;
        let missing = || {
            let whose = named.map_or_else(String::new, |account| format!(" of {account}"));
            Failure::new(status::NOT_FOUND, format!("there is no instance `{text}`{whose}"))
                .hint("name it by id or host; `mandate instance list` shows the hosts")
        };
        match found {
            Ok(found) if named.is_none_or(|account| account == found.account) => Ok(found),
            Err(failure) if !failure.is_not_found() => Err(failure),
            _ => Err(missing()),
        }
    }

    /// Only whose it is, and its id.
    pub(crate) async fn instance_id(
        &self,
        named: Option<AccountId>,
        text: &str,
    ) -> Result<(AccountId, InstanceId), Failure> {
        let account = named.or_else(|| self.session().and_then(|session| session.account));
        if let (Some(account), Ok(instance)) = (account, text.parse()) {
            return Ok((account, instance));
        }
        let found = self.instance(named, text).await?;
        Ok((found.account, found.instance))
    }

    /// Whoever waited for a job of an instance that has failed would wait for good; `called` is how
    /// the instance was named.
    pub(super) async fn is_not_failed(
        &self,
        (account, instance): (AccountId, InstanceId),
        called: &str,
    ) -> Outcome {
        // Who may queue a job need not be one who may look at the instance.
        let Ok(found) = self.ask(GetInstance { account, instance }).await else { return Ok(()) };
        if found.state != InstanceState::Failed {
            return Ok(());
        }
        let what = format!("nothing was queued, since `{called}` has failed and does no jobs");
        Err(failed(&what, found.problem)
            .hint(format!("set it up again first: `mandate instance setup {called}`")))
    }

    /// Who is meant: `me`, an e-mail address, `user_…`, or a principal in full. An address is looked
    /// for in `account`; without one, which only operators may, everywhere.
    pub(crate) async fn principal(
        &self,
        account: Option<AccountId>,
        text: &str,
    ) -> Result<Principal, Failure> {
        if text == "me" {
            return match self.session() {
                Some(session) => Ok(Principal::User(session.user)),
                None => Ok(self.me().await?.principal),
            };
        }
        if let Ok(user) = text.parse() {
            return Ok(Principal::User(user));
        }
        if !text.contains('@') {
            let unfit = |error: types::WhoError| {
                Failure::new(status::UNFIT, error.to_string())
                    .hint("or write `me`, or the e-mail address of a user of the account")
            };
            return text.parse().map_err(unfit);
        }
        let email = text.to_owned();
        let found = match account {
            Some(account) => self.ask(FindUser { account, email }).await,
            None => self.ask(FindAnyUser { email }).await,
        };
        match found {
            Ok(user) => Ok(Principal::User(user.user)),
            Err(failure) if failure.is_not_found() && account.is_some() => {
                Err(Failure::new(status::NOT_FOUND, format!("the account has no user `{text}`"))
                    .hint("`mandate user list` shows the users, `mandate user add` adds one"))
            }
            Err(failure) => Err(failure),
        }
    }

    /// What is meant, and the account it is in: `account`, an instance's id or host, or a resource
    /// in full. Only a resource in full may be of another account than `named`, or of none.
    pub(crate) async fn resource(
        &self,
        named: Option<AccountId>,
        text: &str,
    ) -> Result<(Option<AccountId>, Resource), Failure> {
        match text.parse::<Resource>() {
            Ok(resource @ (Resource::Account(account) | Resource::Instance(account, _))) => {
                return Ok((Some(account), resource));
            }
            Ok(resource) => return Ok((None, resource)),
            Err(error) if text.contains('/') => {
                return Err(Failure::new(status::UNFIT, error.to_string()));
            }
            Err(_) => {}
        }
        if text == "account" {
            let account = self.account(named).await?;
            return Ok((Some(account), Resource::Account(account)));
        }
        let (account, instance) = self.instance_id(named, text).await?;
        Ok((Some(account), Resource::Instance(account, instance)))
    }
}
