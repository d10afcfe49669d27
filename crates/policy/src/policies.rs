//! The policies in hand, and what they decide.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Verdict, Entities, EntityUid, ParseErrors,
    PolicySet, Request, Response,
};
use rpds::HashTrieMapSync;
use types::{Permission, Principal, Resource};

use crate::{Rule, index::Index, words};

/// A permission that exists, and the groups it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its name.
    pub permission: Permission,
    /// What rules call it together with others: `by:billing`, `role:owner`, `service:forum`.
    pub groups: Vec<String>,
}

/// May `principal` do `permission` on `resource`?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who acts.
    pub principal: &'a Principal,
    /// What they would do.
    pub permission: &'a str,
    /// On what.
    pub resource: &'a Resource,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Whether they may.
    pub allowed: bool,
    /// The ids of the rules that decided, sorted: those that permit, or those that forbid; none if
    /// nothing is said, or if it was denied only because of what failed.
    pub rules: Vec<String>,
    /// The ids of the rules that could not be evaluated, sorted. One is enough to deny.
    pub failed: Vec<String>,
}

/// Why a rule is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is too big to be looked at with every request.
    #[error("the {what} of rule `{id}` has {bytes} bytes: write it in at most {max}")]
    TooLong {
        /// The rule's id, cut to what is allowed.
        id: String,
        /// Its `id` or its `text`.
        what: &'static str,
        /// How long that is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// It is not one policy in Cedar's language.
    #[error("rule `{id}` is not one Cedar policy, `permit(…);` or `forbid(…);`: {cause}")]
    Unreadable {
        /// The rule's id.
        id: String,
        /// What Cedar says.
        cause: String,
    },
}

impl PolicyError {
    pub(crate) fn unreadable(id: &str, causes: &ParseErrors) -> Self {
        let causes: Vec<String> = causes.iter().take(3).map(ToString::to_string).collect();
        let cause = causes.join("; ").chars().take(400).collect();
        Self::Unreadable { id: id.to_owned(), cause }
    }
}

/// An action ready to be asked about.
pub(crate) struct Known {
    /// The permission itself, and then its groups.
    targets: Vec<EntityUid>,
    /// The permission in its groups: worked out once, since it is most of the work.
    entities: Entities,
}

const NO_CIRCLE: &str = "what an entity is in is itself in nothing, so no circle closes";

impl Known {
    fn new(mut action: Action) -> Self {
        // A permission is no group: it may be in groups itself, and in the end in its own.
        action.groups.retain(|group| group.parse::<Permission>().is_err());
        let own = words::action(action.permission.as_str());
        let groups = action.groups.iter().map(|group| words::action(group));
        let targets: Vec<EntityUid> = std::iter::once(own).chain(groups).collect();
        let entity = words::entity(targets[0].clone(), targets[1..].iter().cloned());
        let entities = Entities::from_entities([entity], None).expect(NO_CIRCLE);
        Self { targets, entities }
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.targets[1..].iter().any(|uid| uid.id().unescaped() == group)
    }
}

/// The rules and the permissions that they speak of: a snapshot, cheap to clone.
///
/// Clones share all they hold. Changing one leaves the others as they were, and costs no more the
/// more rules there are, save for a logarithm.
#[derive(Clone, Default)]
pub struct Policies {
    catalogues: HashTrieMapSync<String, Arc<HashMap<String, Known>>>,
    rules: Index,
}

impl Policies {
    /// No rules and no permissions: everything is denied.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all permissions of `source`, a component or a published service, by `actions`.
    ///
    /// A source speaks for itself alone: what is not in its namespace is left out.
    pub fn put_actions(&mut self, source: &str, actions: Vec<Action>) {
        let own = actions.into_iter().filter(|action| action.permission.service() == source);
        let known = own.map(|action| (action.permission.to_string(), Known::new(action)));
        self.catalogues.insert_mut(source.to_owned(), Arc::new(known.collect()));
    }

    /// Forgets the permissions of `source`: from now on they are unknown, and denied.
    pub fn remove_actions(&mut self, source: &str) {
        self.catalogues.remove_mut(source);
    }

    /// Adds a rule, in place of the one with the same id if there is one. If it is refused, that
    /// one stays.
    pub fn put_rule(&mut self, rule: Rule) -> Result<(), PolicyError> {
        self.rules.put(rule)
    }

    /// Removes a rule if it is there.
    pub fn remove_rule(&mut self, id: &str) {
        self.rules.remove(id);
    }

    /// Whether there is such a permission.
    pub fn knows(&self, permission: &str) -> bool {
        self.known(permission).is_some()
    }

    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    pub(crate) fn known(&self, permission: &str) -> Option<&Known> {
        let (source, _) = permission.split_once('.')?;
        self.catalogues.get(source)?.get(permission)
    }

    pub(crate) fn has_catalogue(&self, source: &str) -> bool {
        self.catalogues.contains_key(source)
    }

    pub(crate) fn note(&self, id: &str) -> &str {
        self.rules.get(id).map_or("", |entry| &entry.rule.note)
    }

    /// Whether the principal may do that. What is not known, not permitted, forbidden or not clear
    /// is denied.
    pub fn decide(&self, question: &Question) -> Decision {
        let Some(known) = self.known(question.permission) else { return Decision::default() };
        let principal = words::principal(question.principal);
        let resource = words::resource(question.resource);
        let around = words::around(question.resource);
        let slice = self.rules.slice(&principal, &known.targets, &resource, &around);
        let set = PolicySet::from_policies(slice.map(|entry| entry.policy.clone()))
            .expect("rules are filed once each, by ids that differ");
        if set.is_empty() {
            return Decision::default();
        }
        let mut entities = vec![words::entity(resource.clone(), around)];
        if let Some(actor) = words::as_resource(question.principal) {
            entities.push(words::entity(principal.clone(), words::around(&actor)));
        }
        let entities = known.entities.clone().add_entities(entities, None).expect(NO_CIRCLE);
        let action = known.targets[0].clone();
        let request = Request::new(principal, action, resource, Context::empty(), None)
            .expect("without a schema every request is valid");
        Decision::of(&Authorizer::new().is_authorized(&request, &set, &entities))
    }
}

impl Decision {
    /// Cedar's answer, but for the rules that failed: Cedar passes over them, we deny.
    pub(crate) fn of(response: &Response) -> Self {
        let sorted = |ids: &mut dyn Iterator<Item = String>| {
            let mut ids: Vec<String> = ids.collect();
            ids.sort_unstable();
            ids
        };
        let diagnostics = response.diagnostics();
        let permitted = response.decision() == Verdict::Allow;
        let failed =
            sorted(&mut diagnostics.errors().map(
                |AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string(),
            ));
        let allowed = permitted && failed.is_empty();
        let rules = if permitted && !allowed {
            Vec::new()
        } else {
            sorted(&mut diagnostics.reason().map(ToString::to_string))
        };
        Self { allowed, rules, failed }
    }
}
