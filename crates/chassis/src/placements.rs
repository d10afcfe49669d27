//! What runs where, as releases plans it: a copy for whoever gives nodes what belongs to instances.
//!
//! A node's key opens what is placed on the node, and nothing else.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use api::{
    Kind, Problem,
    releases::{NodeServices, Placement},
};
use types::{AccountId, InstanceId, Name, NodeId};

use crate::Update;

/// A copy of where instances are placed and what nodes are there for.
#[derive(Debug, Default)]
pub struct Placements(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether the copy was ever complete.
    complete: bool,
    placements: HashMap<String, Placement>,
    nodes: HashMap<String, NodeServices>,
    /// The instances that each node may have.
    on: HashMap<NodeId, BTreeSet<InstanceId>>,
}

impl Placements {
    fn read(&self) -> Result<RwLockReadGuard<'_, Known>, Problem> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.complete {
            return Ok(known);
        }
        Err(Problem::unavailable("what runs where is not known yet; try again in a moment", 1))
    }

    /// Applies an update of releases' feed.
    pub fn apply(&self, update: &Update) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if update.is_reset() {
            *known = Known { complete: true, ..Known::default() };
        }
        for (key, placement) in update.of::<Placement>() {
            known.put(key, placement);
        }
        for (key, node) in update.of::<NodeServices>() {
            match node {
                Some(node) => known.nodes.insert(key, node),
                None => known.nodes.remove(&key),
            };
        }
    }

    /// Whether a node may have what belongs to an instance of that service.
    ///
    /// # Errors
    ///
    /// It may not, or it is not known yet.
    pub fn check(&self, node: NodeId, service: &Name, instance: InstanceId) -> Result<(), Problem> {
        let known = self.read()?;
        let placed = known.on.get(&node).is_some_and(|on| on.contains(&instance));
        if placed || known.runs(node, service) { Ok(()) } else { Err(elsewhere(instance)) }
    }

    /// The same of an instance that must be that account's.
    ///
    /// # Errors
    ///
    /// It may not, or it is not known yet.
    pub fn check_of(
        &self,
        node: NodeId,
        account: AccountId,
        instance: InstanceId,
    ) -> Result<(), Problem> {
        let known = self.read()?;
        let placement = known.placements.get(&instance.to_string());
        let may = placement.filter(|placement| placement.account == account).is_some_and(|it| {
            let placed = [it.node, it.former].contains(&Some(node));
            placed || it.node.is_none() && known.runs(node, &it.service)
        });
        if may { Ok(()) } else { Err(elsewhere(instance)) }
    }

    /// Whether a node runs a service for all its instances.
    ///
    /// # Errors
    ///
    /// It does not, or it is not known yet.
    pub fn check_service(&self, node: NodeId, service: &Name) -> Result<(), Problem> {
        if self.read()?.runs(node, service) {
            return Ok(());
        }
        let detail = format!("`{service}` does not run on this node for all its instances");
        Err(Problem::new(Kind::Denied, "not_placed", detail))
    }

    /// What of a service a node may have: what it is given work of.
    ///
    /// # Errors
    ///
    /// It is not known yet.
    pub fn share(&self, node: NodeId, service: &Name) -> Result<Share, Problem> {
        let known = self.read()?;
        if known.runs(node, service) {
            return Ok(Share::All);
        }
        let on = known.on.get(&node).into_iter().flatten();
        let of_it = on.filter(|instance| {
            let placement = known.placements.get(&instance.to_string());
            placement.is_some_and(|it| it.service == *service && it.node == Some(node))
        });
        Ok(Share::These(of_it.copied().collect()))
    }

    /// Whether a node is being emptied.
    ///
    /// # Errors
    ///
    /// It is not known yet.
    pub fn drains(&self, node: NodeId) -> Result<bool, Problem> {
        Ok(self.read()?.nodes.get(&node.to_string()).is_some_and(|node| node.drains))
    }

    /// The instances that are placed on a node alone.
    ///
    /// # Errors
    ///
    /// It is not known yet.
    pub fn on(&self, node: NodeId) -> Result<Vec<InstanceId>, Problem> {
        Ok(self.read()?.on.get(&node).into_iter().flatten().copied().collect())
    }
}

/// What of a service a node may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// All its instances.
    All,
    /// Those that are placed there.
    These(Vec<InstanceId>),
}

impl Known {
    fn put(&mut self, key: String, placement: Option<Placement>) {
        if let Some(before) = self.placements.remove(&key) {
            for node in [before.node, before.former].into_iter().flatten() {
                if let Some(on) = self.on.get_mut(&node) {
                    on.remove(&before.instance);
                }
            }
        }
        let Some(placement) = placement else { return };
        for node in [placement.node, placement.former].into_iter().flatten() {
            self.on.entry(node).or_default().insert(placement.instance);
        }
        self.placements.insert(key, placement);
    }

    fn runs(&self, node: NodeId, service: &Name) -> bool {
        let node = self.nodes.get(&node.to_string());
        node.is_some_and(|node| node.services.contains(service))
    }
}

fn elsewhere(instance: InstanceId) -> Problem {
    let detail = format!("instance `{instance}` does not run on this node");
    Problem::new(Kind::Denied, "not_placed", detail)
}

#[cfg(test)]
mod tests {
    use api::feed::{Change, Document};
    use types::Timestamp;

    use super::*;

    fn put<D: Document>(document: &D) -> Change {
        let body = serde_json::to_value(document).unwrap();
        Change { revision: 1, topic: D::TOPIC.into(), key: document.key(), body: Some(body) }
    }

    fn placement(instance: &str, node: Option<NodeId>, former: Option<NodeId>) -> Placement {
        let (account, service) = (AccountId::named(&["ada"]), "store".parse().unwrap());
        Placement { instance: InstanceId::named(&[instance]), account, service, node, former }
    }

    #[test]
    fn a_node_has_what_is_placed_there_and_nothing_else() {
        let [one, two] = [1, 2].map(|at| NodeId::new(Timestamp::from_micros(at)));
        let (store, forum): (Name, Name) = ("store".parse().unwrap(), "forum".parse().unwrap());
        let instance = |name: &str| InstanceId::named(&[name]);
        let placements = Placements::default();
        let unknown = placements.check(one, &store, instance("a")).unwrap_err();
        assert_eq!(unknown.kind, Kind::Unavailable, "what is not known is asked for again");
        let services = NodeServices {
            node: one,
            name: "one".parse().unwrap(),
            services: [forum.clone()].into(),
            drains: false,
        };
        let moving = placement("b", Some(two), Some(one));
        let all = vec![put(&placement("a", Some(one), None)), put(&moving), put(&services)];
        placements.apply(&Update::Reset(all));
        let may = |node, service, name| placements.check(node, service, instance(name)).is_ok();
        assert!(may(one, &store, "a") && !may(two, &store, "a"));
        assert!(may(one, &store, "b") && may(two, &store, "b"), "it is on its way");
        assert!(may(one, &forum, "any") && !may(two, &forum, "any"));
        let mine = |account: &str| {
            placements.check_of(one, AccountId::named(&[account]), instance("a")).is_ok()
        };
        assert!(mine("ada") && !mine("eve"), "nobody speaks for another account");
        assert_eq!(placements.share(one, &store).unwrap(), Share::These(vec![instance("a")]));
        assert_eq!(placements.share(one, &forum).unwrap(), Share::All);
        // It has moved.
        placements.apply(&Update::Changes(vec![put(&placement("b", Some(two), None))]));
        assert!(!may(one, &store, "b") && may(two, &store, "b"));
        assert_eq!(placements.on(one).unwrap(), [instance("a")]);
    }
}
