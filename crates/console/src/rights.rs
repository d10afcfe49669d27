//! What was granted to whoever looks: no link leads where they may not go.

use api::{
    access::{Grant, ListOwnGrants},
    configurator::Instance,
};
use types::{Grantable, Resource};

use crate::{
    paging::ALL,
    visitor::{Person, Visitor},
};

/// What was granted to whoever looks; nothing if that cannot be told now.
pub(crate) struct Rights(Option<Vec<Grant>>);

impl Rights {
    pub(crate) async fn of(visitor: &Visitor) -> Self {
        match visitor.person() {
            Some(person) => Self::of_person(&person).await,
            None => Self(Some(Vec::new())),
        }
    }

    pub(crate) async fn of_person(person: &Person) -> Self {
        let asked = person.client.call(ListOwnGrants { after: None, limit: ALL }).await;
        Self(asked.ok().map(|page| page.items.into_iter().map(|own| own.grant).collect()))
    }

    /// Whether a link that asks for `permission` on `on` leads to a page: the platform decides when
    /// it is followed, so where nothing is known it does.
    pub(crate) fn may(&self, permission: &str, on: &Resource) -> bool {
        let gives = |grant: &Grant| {
            grant.on == *on
                && match &grant.given {
                    Grantable::Owner | Grantable::Operator => true,
                    Grantable::Service(name) => permission.split('.').next() == Some(name.as_str()),
                    Grantable::Permission(given) => given.as_str() == permission,
                }
        };
        self.0.as_ref().is_none_or(|grants| grants.iter().any(gives))
    }

    /// The same for an instance, where what was granted on its account or the platform holds too.
    pub(crate) fn may_on_instance(&self, permission: &str, instance: &Instance) -> bool {
        let Instance { account, instance, .. } = *instance;
        let held = [Resource::Platform, Resource::Account(account)];
        let mut held = held.into_iter().chain([Resource::Instance(account, instance)]);
        held.any(|on| self.may(permission, &on))
    }
}
