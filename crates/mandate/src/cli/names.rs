//! What people call what replies name by ids. Programs read the ids themselves, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    configurator::GetHosts,
    identity::{self, GetNames},
};
use types::{AccountId, Host, InstanceId, NodeId, Principal, Resource, UserId};

use super::context::Context;

/// So many names of each kind are asked for at once: three kinds are asked for together.
const EACH_AT_ONCE: usize = 160;
/// So many hosts are asked for at once.
const HOSTS_AT_ONCE: usize = 500;

/// What is to be called by its name.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) users: BTreeSet<UserId>,
    pub(crate) accounts: BTreeSet<AccountId>,
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

    /// Whoever a sentence names.
    pub(crate) fn text(&mut self, text: &str) {
        text.split(' ').filter_map(|word| word.parse().ok()).for_each(|who| self.principal(&who));
    }
}

/// Names, as far as whoever asks may know them; the rest goes by its ids.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: identity::Names,
    hosts: BTreeMap<InstanceId, Host>,
}

impl Names {
    pub(crate) fn principal(&self, principal: &Principal) -> String {
        let name = match principal {
            Principal::User(user) => self.names.users.get(user).cloned(),
            Principal::Node(node) => self.names.nodes.get(node).map(ToString::to_string),
            Principal::Instance(_, instance) => {
                Some(format!("the processes of {}", self.instance(*instance)))
            }
            Principal::Visitor | Principal::Service(_) => None,
        };
        name.unwrap_or_else(|| principal.to_string())
    }

    /// A resource of an account's list: the account is the one that the list is of.
    pub(crate) fn resource(&self, resource: &Resource) -> String {
        let name = match resource {
            Resource::Instance(_, instance) => self.hosts.get(instance).map(ToString::to_string),
            Resource::Node(node) => self.names.nodes.get(node).map(ToString::to_string),
            Resource::Account(_) => Some("account".to_owned()),
            Resource::Platform | Resource::Service(_) => None,
        };
        name.unwrap_or_else(|| resource.to_string())
    }

    pub(crate) fn instance(&self, instance: InstanceId) -> String {
        self.hosts.get(&instance).map_or_else(|| instance.to_string(), ToString::to_string)
    }

    pub(crate) fn account(&self, account: AccountId) -> String {
        self.names.accounts.get(&account).cloned().unwrap_or_else(|| account.to_string())
    }

    pub(crate) fn node(&self, node: NodeId) -> String {
        self.names.nodes.get(&node).map_or_else(|| node.to_string(), ToString::to_string)
    }

    /// A sentence with the names of those whom it names.
    pub(crate) fn text(&self, text: &str) -> String {
        let word = |word: &str| match word.parse() {
            Ok(who) => self.principal(&who),
            Err(_) => word.to_owned(),
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

impl Context {
    /// The names of all these, where people will read them. A name that cannot be found out is no
    /// reason to show nothing.
    pub(crate) async fn names(&self, ids: Ids) -> Names {
        let mut names = Names::default();
        if self.json() {
            return names;
        }
        let longest = ids.users.len().max(ids.accounts.len()).max(ids.nodes.len());
        for from in (0..longest).step_by(EACH_AT_ONCE) {
            let (users, accounts) = (part(&ids.users, from), part(&ids.accounts, from));
            let nodes = part(&ids.nodes, from);
            if let Ok(told) = self.ask(GetNames { users, accounts, nodes }).await {
                names.names.users.extend(told.users);
                names.names.accounts.extend(told.accounts);
                names.names.nodes.extend(told.nodes);
            }
        }
        let instances: Vec<InstanceId> = ids.instances.into_iter().collect();
        for instances in instances.chunks(HOSTS_AT_ONCE) {
            let instances = instances.iter().copied().collect();
            if let Ok(told) = self.ask(GetHosts { instances }).await {
                names.hosts.extend(told.hosts);
            }
        }
        names
    }
}

fn part<T: Copy + Ord>(all: &BTreeSet<T>, from: usize) -> BTreeSet<T> {
    all.iter().skip(from).take(EACH_AT_ONCE).copied().collect()
}
