//! Decisions that were made, for as long as the rules that they were made by hold.

use std::{collections::HashMap, sync::RwLock};

use policy::{Policies, Question};
use types::{Principal, Resource};

/// So many principals are remembered at so many resources, each.
const KEPT_MAX: usize = 50_000;

/// One state of the rules, with what was decided by it. A decision follows from the rules and the
/// question alone, so it holds until the rules change; then there is another one of these.
#[derive(Default)]
pub(crate) struct Decisions {
    policies: Policies,
    made: RwLock<HashMap<(Principal, Resource), Made>>,
}

/// Which permissions were allowed, and which were not.
type Made = Vec<(Box<str>, bool)>;

impl Decisions {
    pub(crate) fn new(policies: Policies) -> Self {
        Self { policies, made: RwLock::default() }
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Whether the principal may do that.
    pub(crate) fn allows(&self, question: &Question<'_>) -> bool {
        let key = (question.principal.clone(), question.resource.clone());
        let made = self.made.read().expect("nobody panics while holding it");
        let known = made.get(&key).and_then(|about| {
            let same = about.iter().find(|(permission, _)| **permission == *question.permission);
            same.map(|(_, allowed)| *allowed)
        });
        drop(made);
        known.unwrap_or_else(|| self.decide(key, question))
    }

    fn decide(&self, key: (Principal, Resource), question: &Question<'_>) -> bool {
        let allowed = self.policies.decide(question).allowed;
        // What nobody has declared can be asked for in endless ways.
        if self.policies.knows(question.permission) {
            let mut made = self.made.write().expect("nobody panics while holding it");
            if made.len() >= KEPT_MAX {
                made.clear();
            }
            let about = made.entry(key).or_default();
            if !about.iter().any(|(permission, _)| **permission == *question.permission) {
                about.push((question.permission.into(), allowed));
            }
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Action, Rule};
    use types::{AccountId, InstanceId, UserId};

    #[test]
    fn what_was_decided_is_what_would_be() {
        let account = AccountId::named(&["bakery"]);
        let [shop, other] = ["shop", "other"].map(|name| InstanceId::named(&[name]));
        let mut policies = Policies::new();
        let action = |verb: &str| Action {
            permission: format!("forum.{verb}").parse().unwrap(),
            groups: vec!["service:forum".to_owned()],
        };
        policies.put_actions("forum", vec![action("read"), action("write")]);
        let [ada, bob] = ["ada", "bob"].map(|name| Principal::User(UserId::named(&[name])));
        let given = types::Grantable::Permission("forum.read".parse().unwrap());
        let on = Resource::Instance(account, shop);
        policies.put_rule(Rule::of_grant("one", &ada, &given, &on)).unwrap();
        let decisions = Decisions::new(policies);
        // Each is asked three times, so that what was kept of one is not taken for another's.
        for _ in 0..3 {
            for principal in [&ada, &bob, &Principal::Visitor] {
                for permission in ["forum.read", "forum.write", "forum.unheardOf"] {
                    for instance in [shop, other] {
                        let resource = &Resource::Instance(account, instance);
                        let question = Question { principal, permission, resource };
                        let expected = decisions.policies().decide(&question).allowed;
                        assert_eq!(decisions.allows(&question), expected);
                        let allowed =
                            *principal == ada && permission == "forum.read" && instance == shop;
                        assert_eq!(expected, allowed);
                    }
                }
            }
        }
        let made = decisions.made.read().unwrap();
        assert!(made.values().flatten().all(|(permission, _)| **permission != *"forum.unheardOf"));
    }
}
