//! What people call who and what the platform knows by an id.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    configurator::{GetInstance, Instance, ListInstances},
    identity::{GetUser, ListUsers, User},
    releases::Node,
};
use futures_util::future::join_all;
use maud::{Markup, html};
use types::{AccountId, InstanceId, Name, NodeId, Principal, Resource, UserId};

use crate::{paging::ALL, paths, visitor::Person};

/// Names by ids. What is not known here is shown by its id, in small print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// Those of the account's users and instances, as far as the person may see them.
    pub(crate) async fn of_account(person: &Person, account: AccountId) -> Self {
        let (users, instances) = tokio::join!(
            person.client.call(ListUsers { account, after: None, limit: ALL }),
            person.client.call(ListInstances { account, after: None, limit: ALL }),
        );
        let users = users.map(|page| page.items).unwrap_or_default();
        let instances = instances.map(|page| page.items).unwrap_or_default();
        Self::default().and_users(&users).and_users([&person.user]).and_instances(&instances)
    }

    /// Those of people and instances of any account, for who runs the platform.
    pub(crate) async fn of(
        person: &Person,
        users: BTreeSet<UserId>,
        instances: BTreeSet<(AccountId, InstanceId)>,
    ) -> Self {
        let client = &person.client;
        let users = users.into_iter().map(|user| client.call(GetUser { user }));
        let ask = |(account, instance)| client.call(GetInstance { account, instance });
        let (users, instances) =
            tokio::join!(join_all(users), join_all(instances.into_iter().map(ask)));
        let (users, instances): (Vec<_>, Vec<_>) =
            (users.into_iter().flatten().collect(), instances.into_iter().flatten().collect());
        Self::default().and_users(&users).and_instances(&instances)
    }

    pub(crate) fn and_users<'u>(mut self, users: impl IntoIterator<Item = &'u User>) -> Self {
        self.0.extend(users.into_iter().map(|user| (user.user.to_string(), user.email.clone())));
        self
    }

    pub(crate) fn and_instances<'i>(
        mut self,
        instances: impl IntoIterator<Item = &'i Instance>,
    ) -> Self {
        let pairs = instances.into_iter().map(|it| (it.instance.to_string(), it.host.to_string()));
        self.0.extend(pairs);
        self
    }

    pub(crate) fn and_nodes<'n>(mut self, nodes: impl IntoIterator<Item = &'n Node>) -> Self {
        self.0.extend(nodes.into_iter().map(|it| (it.node.to_string(), it.name.to_string())));
        self
    }

    /// A machine.
    pub(crate) fn node(&self, id: NodeId) -> Markup {
        self.named(&id.to_string())
    }

    /// Who acts.
    pub(crate) fn principal(&self, principal: &Principal) -> Markup {
        match principal {
            Principal::User(id) => self.named(&id.to_string()),
            Principal::Service(name) => service(name),
            Principal::Node(id) => html! { "the node " (self.node(*id)) },
            Principal::Instance(account, id) => {
                html! { "the processes of " (self.instance(*account, *id)) }
            }
            Principal::Visitor => html! { "everybody" },
        }
    }

    /// On what, as a link where it has a page.
    pub(crate) fn resource(&self, on: &Resource) -> Markup {
        match on {
            Resource::Platform => html! { "the platform" },
            Resource::Account(_) => html! { "the account" },
            Resource::Instance(account, id) => self.instance(*account, *id),
            Resource::Service(name) => service(name),
            Resource::Node(id) => html! { "the node " (self.node(*id)) },
        }
    }

    /// An instance by its host, as a link to its page.
    pub(crate) fn instance(&self, account: AccountId, id: InstanceId) -> Markup {
        html! { a href=(paths::instance(account, id)) { (self.named(&id.to_string())) } }
    }

    fn named(&self, id: &str) -> Markup {
        html! {
            @if let Some(name) = self.0.get(id) { span title=(id) { (name) } }
            @else { code.small { (id) } }
        }
    }

    /// A text of the platform's with names in place of ids.
    pub(crate) fn in_text(&self, text: &str) -> String {
        let is_of_id = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|letter| !is_of_id(letter)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match self.0.get(word) {
                Some(name) => {
                    // `user/user_…` is one name.
                    let kind = format!("{}/", word.split('_').next().unwrap_or_default());
                    named.truncate(named.strip_suffix(&kind).map_or(named.len(), str::len));
                    named.push_str(name);
                }
                None => named.push_str(word),
            }
            let next = after.find(is_of_id).unwrap_or(after.len());
            named.push_str(&after[..next]);
            rest = &after[next..];
        }
        named
    }
}

fn service(name: &Name) -> Markup {
    html! {
        @if api::COMPONENTS.contains(&name.as_str()) { "the platform" }
        @else { "the service " (name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_people_and_hosts_and_keeps_the_rest() {
        let names = Names(BTreeMap::from([
            ("user_1".to_owned(), "ben@bakery.example".to_owned()),
            ("inst_2".to_owned(), "bakery.localhost".to_owned()),
        ]));
        for (text, said) in [
            ("`forum.addUsers` to user/user_1", "`forum.addUsers` to ben@bakery.example"),
            (
                "`user_1` may not do `a.b` on `inst_2`: für user_12",
                "`ben@bakery.example` may not do `a.b` on `bakery.localhost`: für user_12",
            ),
            ("", ""),
            ("ü", "ü"),
        ] {
            assert_eq!(names.in_text(text), said);
        }
    }
}
