//! What people call things, and what those are: an instance by its host, a user by their e-mail.

use api::{
    configurator::{GetInstance, Instance, ListInstances},
    identity::ListUsers,
};
use types::{AccountId, InstanceId, Principal, Resource};

use super::{Failure, context::Context, status};

impl Context {
    /// The instance of `account` that has the id or the host name `text`.
    pub(crate) async fn instance(
        &self,
        account: AccountId,
        text: &str,
    ) -> Result<Instance, Failure> {
        match text.parse() {
            Ok(instance) => self.ask(GetInstance { account, instance }).await,
            Err(_) => self.instance_at(account, text).await,
        }
    }

    /// Only the id of that instance.
    pub(crate) async fn instance_id(
        &self,
        account: AccountId,
        text: &str,
    ) -> Result<InstanceId, Failure> {
        match text.parse() {
            Ok(instance) => Ok(instance),
            Err(_) => Ok(self.instance_at(account, text).await?.instance),
        }
    }

    async fn instance_at(&self, account: AccountId, host: &str) -> Result<Instance, Failure> {
        let page = |after, limit| ListInstances { account, after, limit };
        let instances = self.list(None, page).await?.items;
        instances.into_iter().find(|instance| instance.host.as_str() == host).ok_or_else(|| {
            Failure::new(status::NOT_FOUND, format!("{account} has no instance `{host}`"))
                .hint("name it by id or host; `mandate instance list` shows both")
        })
    }

    /// Who is meant: `me`, an e-mail address of `account`, `user_…`, or a principal in full.
    pub(crate) async fn principal(
        &self,
        account: AccountId,
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
        let page = |after, limit| ListUsers { account, after, limit };
        let users = self.list(None, page).await?.items;
        let user = users.into_iter().find(|user| user.email.eq_ignore_ascii_case(text));
        user.map(|user| Principal::User(user.user)).ok_or_else(|| {
            Failure::new(status::NOT_FOUND, format!("{account} has no user `{text}`"))
                .hint("`mandate user list` shows the users, `mandate user add` adds one")
        })
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
        let account = self.account(named).await?;
        if text == "account" {
            return Ok((Some(account), Resource::Account(account)));
        }
        let instance = self.instance_id(account, text).await?;
        Ok((Some(account), Resource::Instance(account, instance)))
    }
}
