//! Rules filed by whom and what they are about, so that a question meets few of them.

use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint,
};
use rpds::HashTrieMapSync;

use crate::{PolicyError, Rule};

const ID_BYTES_MAX: usize = 200;
const TEXT_BYTES_MAX: usize = 8_192;

/// Where a rule is filed: under exactly this principal and this resource (or something in it), each
/// if its scope names one; else under none, which every question looks at.
type Place = (Option<EntityUid>, Option<EntityUid>);

pub(crate) struct Entry {
    pub(crate) rule: Rule,
    pub(crate) policy: Policy,
    place: Place,
    /// The permissions or groups that its scope names, if it names any.
    actions: Option<Vec<EntityUid>>,
}

impl Entry {
    fn read(rule: Rule) -> Result<Self, PolicyError> {
        for (what, bytes, max) in
            [("id", rule.id.len(), ID_BYTES_MAX), ("text", rule.text.len(), TEXT_BYTES_MAX)]
        {
            if bytes > max {
                let id = rule.id.chars().take(ID_BYTES_MAX).collect();
                return Err(PolicyError::TooLong { id, what, bytes, max });
            }
        }
        let policy = Policy::parse(Some(PolicyId::new(&rule.id)), &rule.text)
            .map_err(|cause| PolicyError::unreadable(&rule.id, &cause))?;
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Eq(uid) => Some(uid),
            _ => None,
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Eq(uid)
            | ResourceConstraint::In(uid)
            | ResourceConstraint::IsIn(_, uid) => Some(uid),
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        };
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(uid) => Some(vec![uid]),
            ActionConstraint::In(uids) => Some(uids),
        };
        Ok(Self { rule, policy, place: (principal, resource), actions })
    }

    fn is_about(&self, targets: &[EntityUid]) -> bool {
        self.actions.as_ref().is_none_or(|named| named.iter().any(|uid| targets.contains(uid)))
    }
}

/// All rules. Clones share what they hold, and a change copies a path of the tree and one drawer.
#[derive(Clone, Default)]
pub(crate) struct Index {
    by_id: HashTrieMapSync<String, Arc<Entry>>,
    by_place: HashTrieMapSync<Place, Vec<Arc<Entry>>>,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.by_id.size()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id).map(Arc::as_ref)
    }

    pub(crate) fn put(&mut self, rule: Rule) -> Result<(), PolicyError> {
        let entry = Arc::new(Entry::read(rule)?);
        self.remove(&entry.rule.id);
        self.by_id.insert_mut(entry.rule.id.clone(), Arc::clone(&entry));
        let mut drawer = self.by_place.get(&entry.place).cloned().unwrap_or_default();
        drawer.push(Arc::clone(&entry));
        self.by_place.insert_mut(entry.place.clone(), drawer);
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &str) {
        let Some(entry) = self.by_id.get(id).cloned() else { return };
        self.by_id.remove_mut(id);
        let mut drawer = self.by_place.get(&entry.place).cloned().unwrap_or_default();
        drawer.retain(|other| other.rule.id != id);
        if drawer.is_empty() {
            self.by_place.remove_mut(&entry.place);
        } else {
            self.by_place.insert_mut(entry.place.clone(), drawer);
        }
    }

    /// The rules whose scope can hold for `principal`, one of `targets` (the permission and its
    /// groups) and `resource`, which is in `around`.
    pub(crate) fn slice<'a>(
        &'a self,
        principal: &EntityUid,
        targets: &'a [EntityUid],
        resource: &EntityUid,
        around: &[EntityUid],
    ) -> impl Iterator<Item = &'a Entry> {
        let mut drawers = Vec::with_capacity(8);
        for who in [Some(principal), None] {
            let places = std::iter::once(resource).chain(around).map(Some).chain([None]);
            for place in places {
                drawers.extend(self.by_place.get(&(who.cloned(), place.cloned())));
            }
        }
        let entries = drawers.into_iter().flatten().map(Arc::as_ref);
        entries.filter(|entry| entry.is_about(targets))
    }
}
