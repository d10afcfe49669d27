//! What was granted to whoever looks: no link leads where they may not go.

use api::access::{Grant, ListOwnGrants};
use types::{Grantable, Resource};

use crate::{paging::ALL, visitor::Visitor};

/// What was granted to whoever looks; nothing if that cannot be told now.
pub(crate) struct Rights(Option<Vec<Grant>>);

impl Rights {
    pub(crate) async fn of(visitor: &Visitor) -> Self {
        if visitor.user.is_none() {
            return Self(Some(Vec::new()));
        }
        let asked = visitor.client.call(ListOwnGrants { after: None, limit: ALL }).await;
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
}
