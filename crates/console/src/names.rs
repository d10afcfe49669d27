//! How names stand in pages.

use api::{identity::User, names};
use maud::{Markup, html};
use types::{AccountId, InstanceId, Name, NodeId, Principal, Resource};

pub(crate) use api::names::Ids;

use crate::{paths, visitor::Person};

/// Names by ids. What is not known here is shown by its id, in small print.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(names::Names);

impl Names {
    /// The names of all these, as far as the person may know them.
    pub(crate) async fn of(person: &Person, ids: Ids) -> Self {
        Self(names::Names::of(&person.client, ids).await).and_users([&person.user])
    }

    pub(crate) fn and_users<'u>(mut self, users: impl IntoIterator<Item = &'u User>) -> Self {
        self.0.extend(users.into_iter().map(|user| (user.user, &user.email)));
        self
    }

    /// An instance by its host, where nobody says whose it is.
    pub(crate) fn host(&self, id: InstanceId) -> Markup {
        self.named(&id.to_string())
    }

    /// A machine, if the person may know it.
    pub(crate) fn known_node(&self, id: NodeId) -> Option<Markup> {
        self.0.get(&id.to_string()).is_some().then(|| self.node(id))
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

    /// A customer's account, as a link to what it has.
    pub(crate) fn account(&self, id: AccountId) -> Markup {
        html! { a href=(paths::of(id, "instances")) { (self.named(&id.to_string())) } }
    }

    fn named(&self, id: &str) -> Markup {
        html! {
            @if let Some(name) = self.0.get(id) { span title=(id) { (name) } }
            @else { code.small { (id) } }
        }
    }

    /// A text of the platform's with names in place of ids.
    pub(crate) fn in_text(&self, text: &str) -> String {
        self.0.in_text(text)
    }
}

fn service(name: &Name) -> Markup {
    html! {
        @if api::COMPONENTS.contains(&name.as_str()) { "the platform" }
        @else { "the service " (name) }
    }
}
