//! The answer that our decisions are held against: Cedar, given every rule there is, every entity
//! with its direct parents alone, and no help from this crate but its rules' texts.

use std::collections::HashSet;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityUid, Policy,
    PolicyId, PolicySet, Request,
};
use policy::Action;
use types::{Principal, Resource};

/// All rules, and the permissions they speak of.
pub(crate) struct Whole {
    policies: PolicySet,
    actions: Vec<Entity>,
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.parse().unwrap(), id.parse().unwrap())
}

fn inside(entity: EntityUid, parents: &[EntityUid]) -> Entity {
    Entity::new_no_attrs(entity, parents.iter().cloned().collect::<HashSet<_>>())
}

/// How a principal is written in Cedar.
pub(crate) fn principal(principal: &Principal) -> EntityUid {
    match principal {
        Principal::Visitor => uid("Visitor", "visitor"),
        Principal::User(id) => uid("User", &id.to_string()),
        Principal::Service(name) => uid("Service", name.as_str()),
        Principal::Node(id) => uid("Node", &id.to_string()),
        Principal::Instance(account, id) => resource(&Resource::Instance(*account, *id)),
    }
}

/// How a resource is written in Cedar.
pub(crate) fn resource(resource: &Resource) -> EntityUid {
    match resource {
        Resource::Platform => uid("Platform", "platform"),
        Resource::Account(id) => uid("Account", &id.to_string()),
        Resource::Instance(account, id) => uid("Instance", &format!("{account}/{id}")),
        Resource::Service(name) => uid("Service", name.as_str()),
        Resource::Node(id) => uid("Node", &id.to_string()),
    }
}

impl Whole {
    /// Reads the rules, given as ids and texts.
    pub(crate) fn new<'a>(
        rules: impl Iterator<Item = (&'a str, &'a str)>,
        actions: &[Action],
    ) -> Self {
        let read = |(id, text)| Policy::parse(Some(PolicyId::new(id)), text).unwrap();
        let actions = actions.iter().map(|action| {
            let groups = action.groups.iter().map(|group| uid("Action", group));
            inside(uid("Action", action.permission.as_str()), &groups.collect::<Vec<_>>())
        });
        Self {
            policies: PolicySet::from_policies(rules.map(read)).unwrap(),
            actions: actions.collect(),
        }
    }

    /// Whether it is allowed, by which rules it was decided, and which rules failed, where one
    /// that failed denies.
    pub(crate) fn decide(
        &self,
        actor: &Principal,
        permission: &str,
        on: &Resource,
    ) -> (bool, Vec<String>, Vec<String>) {
        let platform = resource(&Resource::Platform);
        let mut entities = self.actions.clone();
        entities.push(inside(platform.clone(), &[]));
        let acting = match actor {
            Principal::Instance(account, id) => Some(Resource::Instance(*account, *id)),
            _ => None,
        };
        for on in acting.iter().chain([on]) {
            if let Resource::Instance(account, _) = on {
                let account = resource(&Resource::Account(*account));
                entities.push(inside(account.clone(), std::slice::from_ref(&platform)));
                entities.push(inside(resource(on), &[account]));
            } else if *on != Resource::Platform {
                entities.push(inside(resource(on), std::slice::from_ref(&platform)));
            }
        }
        if matches!(actor, Principal::Service(_) | Principal::Node(_)) {
            entities.push(inside(principal(actor), &[platform]));
        }
        let entities = Entities::from_entities(entities, None).unwrap();
        let action = uid("Action", permission);
        let request =
            Request::new(principal(actor), action, resource(on), Context::empty(), None).unwrap();
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        let permitted = response.decision() == Decision::Allow;
        let mut rules: Vec<_> = response.diagnostics().reason().map(ToString::to_string).collect();
        let failed = response.diagnostics().errors();
        let mut failed: Vec<_> = failed
            .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string())
            .collect();
        if permitted && !failed.is_empty() {
            rules.clear();
        }
        rules.sort();
        failed.sort();
        (permitted && failed.is_empty(), rules, failed)
    }
}
