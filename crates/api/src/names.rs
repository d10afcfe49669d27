//! What people call who and what replies name by ids. Programs read the ids themselves.

use std::collections::{BTreeMap, BTreeSet};

use types::{AccountId, InstanceId, NodeId, Principal, Resource, UserId};

use crate::{Client, configurator::GetHosts, identity::GetNames};

/// So many names of each kind are asked for at once: three kinds are asked for together.
const EACH_MAX: usize = 160;
/// So many hosts are asked for at once.
const HOSTS_MAX: usize = 500;

/// What is to be called by its name.
#[derive(Debug, Default)]
pub struct Ids {
    /// People.
    pub users: BTreeSet<UserId>,
    /// Accounts.
    pub accounts: BTreeSet<AccountId>,
    /// Machines.
    pub nodes: BTreeSet<NodeId>,
    /// Instances, which go by their hosts.
    pub instances: BTreeSet<InstanceId>,
}

impl Ids {
    /// Whoever acts.
    pub fn principal(&mut self, principal: &Principal) {
        match principal {
            Principal::User(user) => drop(self.users.insert(*user)),
            Principal::Node(node) => drop(self.nodes.insert(*node)),
            Principal::Instance(_, instance) => drop(self.instances.insert(*instance)),
            Principal::Visitor | Principal::Service(_) => {}
        }
    }

    /// Whatever is acted on. Its account is left out: lists are of one account.
    pub fn resource(&mut self, resource: &Resource) {
        match resource {
            Resource::Instance(_, instance) => drop(self.instances.insert(*instance)),
            Resource::Node(node) => drop(self.nodes.insert(*node)),
            Resource::Platform | Resource::Account(_) | Resource::Service(_) => {}
        }
    }

    /// Whoever and whatever a sentence of the platform's names.
    pub fn text(&mut self, text: &str) {
        for word in text.split(|letter| !is_of_id(letter)) {
            self.users.extend(word.parse::<UserId>());
            self.nodes.extend(word.parse::<NodeId>());
            self.instances.extend(word.parse::<InstanceId>());
        }
    }
}

const fn is_of_id(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Names by ids, as far as whoever asks may know them; the rest goes by its ids.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// The names of all these. One that cannot be found out is no reason to show nothing.
    pub async fn of(client: &Client, ids: Ids) -> Self {
        let mut names = Self::default();
        let longest = ids.users.len().max(ids.accounts.len()).max(ids.nodes.len());
        for from in (0..longest).step_by(EACH_MAX) {
            let (users, accounts) = (part(&ids.users, from), part(&ids.accounts, from));
            let nodes = part(&ids.nodes, from);
            if let Ok(told) = client.call(GetNames { users, accounts, nodes }).await {
                names.extend(told.users);
                names.extend(told.accounts);
                names.extend(told.nodes);
            }
        }
        let instances: Vec<InstanceId> = ids.instances.into_iter().collect();
        for instances in instances.chunks(HOSTS_MAX) {
            let instances = instances.iter().copied().collect();
            if let Ok(told) = client.call(GetHosts { instances }).await {
                names.extend(told.hosts);
            }
        }
        names
    }

    /// With these as well.
    pub fn extend<I: ToString, N: ToString>(&mut self, told: impl IntoIterator<Item = (I, N)>) {
        self.0.extend(told.into_iter().map(|(id, name)| (id.to_string(), name.to_string())));
    }

    /// What that is called, where it is known.
    pub fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// A sentence of the platform's with names in place of ids.
    pub fn in_text(&self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|letter| !is_of_id(letter)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match self.get(word) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_people_and_hosts_and_keeps_the_rest() {
        let mut names = Names::default();
        names.extend([("user_1", "ben@bakery.example"), ("inst_2", "bakery.localhost")]);
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
