//! Our words in Cedar's: entities for principals, resources and permissions.

use std::{collections::HashSet, sync::LazyLock};

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid};
use types::{AccountId, Principal, Resource};

struct Types {
    action: EntityTypeName,
    visitor: EntityTypeName,
    user: EntityTypeName,
    service: EntityTypeName,
    node: EntityTypeName,
    platform: EntityTypeName,
    account: EntityTypeName,
    instance: EntityTypeName,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let named = |name: &str| name.parse().expect("a capitalised word is a type's name");
    Types {
        action: named("Action"),
        visitor: named("Visitor"),
        user: named("User"),
        service: named("Service"),
        node: named("Node"),
        platform: named("Platform"),
        account: named("Account"),
        instance: named("Instance"),
    }
});

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// A permission or a group of permissions.
pub(crate) fn action(name: &str) -> EntityUid {
    uid(&TYPES.action, name)
}

/// A service or component, of any name, as it comes from outside.
pub(crate) fn service(name: &str) -> EntityUid {
    uid(&TYPES.service, name)
}

/// The whole installation.
pub(crate) fn platform() -> EntityUid {
    uid(&TYPES.platform, "platform")
}

/// Who acts.
pub(crate) fn principal(principal: &Principal) -> EntityUid {
    match principal {
        Principal::Visitor => uid(&TYPES.visitor, "visitor"),
        Principal::User(id) => uid(&TYPES.user, &id.to_string()),
        Principal::Service(name) => service(name.as_str()),
        Principal::Node(id) => uid(&TYPES.node, &id.to_string()),
        Principal::Instance(account, id) => resource(&Resource::Instance(*account, *id)),
    }
}

/// On what somebody acts.
pub(crate) fn resource(resource: &Resource) -> EntityUid {
    match resource {
        Resource::Platform => platform(),
        Resource::Account(id) => account(*id),
        // The account belongs to the name: the same id said to be elsewhere is something else.
        Resource::Instance(account, id) => uid(&TYPES.instance, &format!("{account}/{id}")),
        Resource::Service(name) => service(name.as_str()),
        Resource::Node(id) => uid(&TYPES.node, &id.to_string()),
    }
}

fn account(id: AccountId) -> EntityUid {
    uid(&TYPES.account, &id.to_string())
}

/// What a resource is in, all the way up.
pub(crate) fn around(resource: &Resource) -> Vec<EntityUid> {
    match resource {
        Resource::Platform => vec![],
        Resource::Instance(id, _) => vec![account(*id), platform()],
        Resource::Account(_) | Resource::Service(_) | Resource::Node(_) => vec![platform()],
    }
}

/// A principal as something that is acted on, if it is.
pub(crate) fn as_resource(principal: &Principal) -> Option<Resource> {
    match principal {
        Principal::Visitor | Principal::User(_) => None,
        Principal::Service(name) => Some(Resource::Service(name.clone())),
        Principal::Node(id) => Some(Resource::Node(*id)),
        Principal::Instance(account, id) => Some(Resource::Instance(*account, *id)),
    }
}

/// An entity that is in all of `parents` and, since these are not known by themselves, in nothing
/// else.
pub(crate) fn entity(uid: EntityUid, parents: impl IntoIterator<Item = EntityUid>) -> Entity {
    Entity::new_no_attrs(uid, parents.into_iter().collect::<HashSet<_>>())
}

/// A resource as it is called by those who have named it.
pub(crate) fn near(resource: &Resource) -> String {
    match resource {
        Resource::Platform => "the platform".to_owned(),
        Resource::Account(_) => "the account".to_owned(),
        Resource::Instance(..) => "the instance".to_owned(),
        Resource::Service(name) => format!("the service `{name}`"),
        Resource::Node(_) => "the node".to_owned(),
    }
}
