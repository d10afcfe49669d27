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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::orders::tests::placed;
    use proptest::{option, prelude::*};

    fn changes() -> impl Strategy<Value = Changes> {
        let modules = option::of(prop::collection::btree_set("[a-c]", 0..3));
        let size = option::of("(small|large)");
        (modules, size).prop_map(|(modules, size)| Changes { modules, size })
    }

    proptest! {
        #[test]
        fn a_change_changes_what_it_names_once(changes in changes()) {
            let before = placed(1);
            let after = changes.made_to(before.clone());
            prop_assert_eq!(&after.modules, changes.modules.as_ref().unwrap_or(&before.modules));
            prop_assert_eq!(&after.size, changes.size.as_ref().unwrap_or(&before.size));
            prop_assert_eq!(changes.made_to(after.clone()), after.clone());
            let Order { modules, size, .. } = before.clone();
            prop_assert_eq!(Order { modules, size, ..after }, before);
        }

        /// Two people who change different things both get what they asked for, whoever was first.
        #[test]
        fn changes_of_different_things_do_not_undo_each_other(one in changes(), other in changes()) {
            let one = Changes { size: None, ..one };
            let other = Changes { modules: None, ..other };
            let before = placed(1);
            let (first, second) = (one.made_to(before.clone()), other.made_to(before));
            prop_assert_eq!(other.made_to(first), one.made_to(second));
        }
    }
}
