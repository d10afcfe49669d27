//! How names stand in the command line's tables.

use api::names;
use types::{AccountId, InstanceId, NodeId, Principal, Resource};

pub(crate) use api::names::Ids;

use super::context::Context;

/// Names, as far as whoever asks may know them; the rest goes by its ids.
#[derive(Debug, Default)]
pub(crate) struct Names(names::Names);

impl Names {
    pub(crate) fn principal(&self, principal: &Principal) -> String {
        match principal {
            Principal::User(user) => self.known(user).unwrap_or_else(|| principal.to_string()),
            Principal::Node(node) => self.known(node).unwrap_or_else(|| principal.to_string()),
            Principal::Instance(_, instance) => {
                format!("the processes of {}", self.instance(*instance))
            }
            Principal::Visitor | Principal::Service(_) => principal.to_string(),
        }
    }

    /// A resource of an account's list: the account is the one that the list is of.
    pub(crate) fn resource(&self, resource: &Resource) -> String {
        let name = match resource {
            Resource::Instance(_, instance) => self.known(instance),
            Resource::Node(node) => self.known(node),
            Resource::Account(_) => Some("account".to_owned()),
            Resource::Platform | Resource::Service(_) => None,
        };
        name.unwrap_or_else(|| resource.to_string())
    }

    pub(crate) fn instance(&self, instance: InstanceId) -> String {
        self.known(&instance).unwrap_or_else(|| instance.to_string())
    }

    pub(crate) fn account(&self, account: AccountId) -> String {
        self.known(&account).unwrap_or_else(|| account.to_string())
    }

    pub(crate) fn node(&self, node: NodeId) -> String {
        self.known(&node).unwrap_or_else(|| node.to_string())
    }

    /// A sentence with the names of those whom it names.
    pub(crate) fn text(&self, text: &str) -> String {
        self.0.in_text(text)
    }

    fn known(&self, id: &impl ToString) -> Option<String> {
        self.0.get(&id.to_string()).map(ToOwned::to_owned)
    }
}

impl Context {
    /// The names of all these, where people will read them.
    pub(crate) async fn names(&self, ids: Ids) -> Names {
        if self.json() {
            Names::default()
        } else {
            Names(names::Names::of(self.client(), ids).await)
        }
    }
}
