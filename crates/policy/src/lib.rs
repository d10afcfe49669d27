//! Decides whether a principal may act on a resource, from policies in hand, and says why.
//!
//! A [`Rule`] is one Cedar policy with a sentence for people. [`Policies`] holds the rules and the
//! catalogue of permissions, and answers a [`Question`]: nothing is allowed that no rule permits,
//! one rule that forbids is stronger than all that permit, and a rule that cannot be evaluated
//! denies, since nobody knows what it would have forbidden (Cedar itself would pass over it).
//!
//! Cedar looks at every policy of the set it is given, so what it is given is a slice: the rules
//! filed under the asking principal (or under nobody in particular), under the resource or what it
//! is in, and about the permission or a group of it. Other people's grants cost nothing. A property
//! test holds that the slice and the whole set decide alike.
//!
//! How our words are written in Cedar:
//!
//! | ours | Cedar's |
//! | --- | --- |
//! | `visitor`, `user/user_…` | `Visitor::"visitor"`, `User::"user_…"` |
//! | `service/forum`, `node/node_…` | `Service::"forum"`, `Node::"node_…"`, acting or acted on |
//! | `platform`, `account/acct_…` | `Platform::"platform"`, `Account::"acct_…"` |
//! | `account/acct_…/instance/inst_…` | `Instance::"acct_…/inst_…"`, in its account, acting or acted on |
//! | `forum.addUsers` | `Action::"forum.addUsers"`, in groups: `Action::"service:forum"` |
//!
//! Everything is in the platform. This crate knows no store, no clock and no network, and it takes
//! a resource at its word: that an instance is in the account of its path is for the asker to see.

mod explain;
mod index;
mod policies;
mod rule;
mod words;

pub use explain::{Explanation, Reason, Words};
pub use policies::{Action, Decision, Policies, PolicyError, Question};
pub use rule::Rule;
