//! What people call who and what the platform knows by an id.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    configurator::GetHosts,
    identity::{GetNames, User},
};
use maud::{Markup, html};
use types::{AccountId, InstanceId, Name, NodeId, Principal, Resource, UserId};

use crate::{paths, visitor::Person};

/// So many names are asked for at once: two kinds of them together.
const EACH_MAX: usize = 250;
/// So many hosts are asked for at once.
const HOSTS_MAX: usize = 500;

/// What is to be called by its name.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) users: BTreeSet<UserId>,
    pub(crate) nodes: BTreeSet<NodeId>,
    pub(crate) instances: BTreeSet<InstanceId>,
}

impl Ids {
    pub(crate) fn principal(&mut self, principal: &Principal) {
        match principal {
            Principal::User(user) => drop(self.users.insert(*user)),
            Principal::Node(node) => drop(self.nodes.insert(*node)),
            Principal::Instance(_, instance) => drop(self.instances.insert(*instance)),
            Principal::Visitor | Principal::Service(_) => {}
        }
    }

    pub(crate) fn resource(&mut self, resource: &Resource) {
        match resource {
            Resource::Instance(_, instance) => drop(self.instances.insert(*instance)),
            Resource::Node(node) => drop(self.nodes.insert(*node)),
            Resource::Platform | Resource::Account(_) | Resource::Service(_) => {}
        }
    }

    /// Whoever and whatever a sentence of the platform's names.
    pub(crate) fn text(&mut self, text: &str) {
        for word in text.split(|letter| !is_of_id(letter)) {
            if let Ok(user) = word.parse() {
                self.users.insert(user);
            } else if let Ok(node) = word.parse() {
                self.nodes.insert(node);
            } else if let Ok(instance) = word.parse() {
                self.instances.insert(instance);
            }
        }
    }
}

const fn is_of_id(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Names by ids. What is not known here is shown by its id, in small print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// The names of all these, as far as the person may know them. One that cannot be found out is
    /// no reason to show nothing.
    pub(crate) async fn of(person: &Person, ids: Ids) -> Self {
        let mut names = Self::default().and_users([&person.user]);
        let longest = ids.users.len().max(ids.nodes.len());
        for from in (0..longest).step_by(EACH_MAX) {
            let (users, nodes) = (part(&ids.users, from), part(&ids.nodes, from));
            let question = GetNames { users, nodes, ..GetNames::default() };
            if let Ok(told) = person.client.call(question).await {
                names.and(told.users);
                names.and(told.nodes);
            }
        }
        let instances: Vec<_> = ids.instances.into_iter().collect();
        for instances in instances.chunks(HOSTS_MAX) {
            let instances = instances.iter().copied().collect();
            if let Ok(told) = person.client.call(GetHosts { instances }).await {
                names.and(told.hosts);
            }
        }
        names
    }

    fn and<I: ToString, N: ToString>(&mut self, told: BTreeMap<I, N>) {
        self.0.extend(told.into_iter().map(|(id, name)| (id.to_string(), name.to_string())));
    }

    pub(crate) fn and_users<'u>(mut self, users: impl IntoIterator<Item = &'u User>) -> Self {
        self.0.extend(users.into_iter().map(|user| (user.user.to_string(), user.email.clone())));
        self
    }

    /// An instance by its host, where nobody says whose it is.
    pub(crate) fn host(&self, id: InstanceId) -> Markup {
        self.named(&id.to_string())
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

fn part<T: Copy + Ord>(all: &BTreeSet<T>, from: usize) -> BTreeSet<T> {
    all.iter().skip(from).take(EACH_MAX).copied().collect()
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
