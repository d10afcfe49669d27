//! A slice decides as the whole does, whatever the rules and however they came and went.

#![expect(clippy::unwrap_used, reason = "these are tests, and their helpers stand outside of them")]

use std::collections::BTreeMap;

use policy::{Action, Policies, Question, Rule};
use proptest::{prelude::*, sample::select};
use types::{AccountId, InstanceId, NodeId, Principal, Resource, UserId};

mod whole;
use whole::Whole;

fn account(which: &str) -> AccountId {
    AccountId::named(&[which])
}

fn instance(of: &str, which: &str) -> Resource {
    Resource::Instance(account(of), InstanceId::named(&[which]))
}

fn principals() -> Vec<Principal> {
    vec![
        Principal::Visitor,
        Principal::User(UserId::named(&["ada"])),
        Principal::User(UserId::named(&["bob"])),
        Principal::Service("billing".parse().unwrap()),
        Principal::Service("forum".parse().unwrap()),
        Principal::Node(NodeId::named(&["one"])),
        Principal::Node(NodeId::named(&["two"])),
        Principal::Instance(account("a"), InstanceId::named(&["1"])),
    ]
}

fn resources() -> Vec<Resource> {
    vec![
        Resource::Platform,
        Resource::Account(account("a")),
        Resource::Account(account("b")),
        instance("a", "1"),
        instance("a", "2"),
        // The same id, said to be in another account: another thing.
        instance("b", "1"),
        Resource::Service("billing".parse().unwrap()),
        Resource::Service("forum".parse().unwrap()),
        Resource::Node(NodeId::named(&["one"])),
        Resource::Node(NodeId::named(&["two"])),
    ]
}

const PERMISSIONS: [&str; 4] = ["forum.read", "forum.write", "forum.close", "billing.getBill"];

fn actions() -> Vec<Action> {
    let groups: [&[&str]; 4] = [
        &["service:forum", "role:owner", "by:public"],
        &["service:forum", "role:owner"],
        &["service:forum"],
        &["service:billing", "role:owner", "by:anyone", "by:agent", "by:service"],
    ];
    let both = PERMISSIONS.iter().zip(groups);
    let action = |(permission, groups): (&&str, &[&str])| Action {
        permission: permission.parse().unwrap(),
        groups: groups.iter().map(ToString::to_string).collect(),
    };
    both.map(action).collect()
}

fn policies() -> Policies {
    let mut policies = Policies::new();
    for source in ["forum", "billing"] {
        policies.put_actions(source, actions());
    }
    policies
}

fn scope(
    variable: &'static str,
    of: Vec<String>,
    kinds: Vec<&'static str>,
) -> BoxedStrategy<String> {
    let kind = select(kinds);
    let exact = select(of);
    prop_oneof![
        2 => Just(variable.to_owned()),
        4 => exact.clone().prop_map(move |uid| format!("{variable} == {uid}")),
        4 => exact.clone().prop_map(move |uid| format!("{variable} in {uid}")),
        1 => kind.clone().prop_map(move |kind| format!("{variable} is {kind}")),
        1 => (kind, exact).prop_map(move |(kind, uid)| format!("{variable} is {kind} in {uid}")),
    ]
    .boxed()
}

fn action_scope() -> impl Strategy<Value = String> {
    let names = [
        "forum.read",
        "forum.write",
        "forum.close",
        "billing.getBill",
        "service:forum",
        "role:owner",
        "by:public",
        "by:anyone",
        "by:nobody",
    ];
    let one = select(names.to_vec()).prop_map(|name| format!("Action::\"{name}\""));
    prop_oneof![
        1 => Just("action".to_owned()),
        2 => one.clone().prop_map(|uid| format!("action == {uid}")),
        3 => one.clone().prop_map(|uid| format!("action in {uid}")),
        2 => prop::collection::vec(one, 1..4)
            .prop_map(|all| format!("action in [{}]", all.join(","))),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let fails = [
        "principal.name == \"ada\"",
        "resource.size > 1",
        "context.hour < 12",
        "9223372036854775807 + 1 == 0",
        "action has level && principal has level || principal.level == 1",
    ];
    let holds_or_not = [
        "true",
        "false",
        "principal == resource",
        "principal has name",
        "principal in Platform::\"platform\"",
        "resource in Platform::\"platform\"",
        "resource is Instance",
        "action in Action::\"service:forum\"",
        "!(principal is Visitor)",
    ];
    let clause = select(vec!["when", "unless"]);
    prop_oneof![
        6 => Just(String::new()),
        3 => (clause.clone(), select(holds_or_not.to_vec()))
            .prop_map(|(w, c)| format!("{w} {{ {c} }}")),
        1 => (clause, select(fails.to_vec())).prop_map(|(w, c)| format!("{w} {{ {c} }}")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let actors: Vec<String> =
        principals().iter().map(|p| whole::principal(p).to_string()).collect();
    let places: Vec<String> = resources().iter().map(|r| whole::resource(r).to_string()).collect();
    let actors = actors.into_iter().chain(["Platform::\"platform\"".to_owned()]).collect();
    (
        prop_oneof![4 => Just("permit"), 1 => Just("forbid")],
        scope("principal", actors, vec!["User", "Service", "Node", "Visitor"]),
        action_scope(),
        scope("resource", places, vec!["Account", "Instance", "Service", "Platform"]),
        condition(),
    )
        .prop_map(|(effect, who, what, place, condition)| {
            format!("{effect}({who}, {what}, {place}) {condition};")
        })
}

fn question() -> impl Strategy<Value = (Principal, &'static str, Resource)> {
    (select(principals()), select(PERMISSIONS.to_vec()), select(resources()))
}

fn rule(id: u8, text: &str) -> Rule {
    Rule { id: format!("r{id}"), text: text.to_owned(), note: String::new() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_slice_decides_as_the_whole_does(
        changes in prop::collection::vec((0_u8..24, prop::option::weighted(0.85, text())), 1..40),
        questions in prop::collection::vec(question(), 24),
    ) {
        let mut policies = policies();
        let mut all = BTreeMap::new();
        for (id, text) in changes {
            if let Some(text) = text {
                policies.put_rule(rule(id, &text)).unwrap();
                all.insert(format!("r{id}"), text);
            } else {
                policies.remove_rule(&format!("r{id}"));
                all.remove(&format!("r{id}"));
            }
        }
        prop_assert_eq!(policies.rule_count(), all.len());
        let whole = Whole::new(all.iter().map(|(id, text)| (&**id, &**text)), &actions());
        for (principal, permission, resource) in &questions {
            let decision = policies.decide(&Question { principal, permission, resource });
            let expected = whole.decide(principal, permission, resource);
            let ours = (decision.allowed, decision.rules, decision.failed);
            prop_assert_eq!(ours, expected, "{} {} {}", principal, permission, resource);
        }
    }

    #[test]
    fn a_clone_is_a_snapshot(
        before in prop::collection::vec(text(), 1..8),
        after in prop::collection::vec(text(), 1..8),
        questions in prop::collection::vec(question(), 12),
    ) {
        let mut policies = policies();
        for (id, text) in (0..).zip(&before) {
            policies.put_rule(rule(id, text)).unwrap();
        }
        let decide = |policies: &Policies| -> Vec<_> {
            let ask = |(principal, permission, resource): &(Principal, &str, Resource)| {
                policies.decide(&Question { principal, permission, resource })
            };
            questions.iter().map(ask).collect()
        };
        let (snapshot, decided) = (policies.clone(), decide(&policies));
        for (id, text) in (0..).zip(&after) {
            policies.put_rule(rule(id, text)).unwrap();
        }
        policies.remove_actions("forum");
        prop_assert_eq!(decide(&snapshot), decided);
    }
}
