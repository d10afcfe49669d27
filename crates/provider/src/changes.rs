//! What an order for an instance that is there already changes.

use std::collections::BTreeSet;

use api::provider::Order;
use serde::{Deserialize, Serialize};

/// What a change changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changes {
    pub(crate) modules: Option<BTreeSet<String>>,
    pub(crate) size: Option<String>,
}

impl Changes {
    /// The same order with what is to change.
    pub(crate) fn made_to(&self, order: Order) -> Order {
        Order {
            modules: self.modules.clone().unwrap_or(order.modules),
            size: self.size.clone().unwrap_or(order.size),
            ..order
        }
    }
}
