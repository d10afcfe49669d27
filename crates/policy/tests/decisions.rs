//! Who may do what, by example: grants, standing rules, and the words they are explained in.

#![expect(clippy::unwrap_used, reason = "these are tests, and their helpers stand outside of them")]

use policy::{Action, Explanation, Policies, PolicyError, Question, Reason, Rule, Words};
use proptest::prelude::*;
use types::{
    AccountId, Grantable, InstanceId, Name, NodeId, Permission, Principal, Resource, UserId,
};

fn action(permission: &str, groups: &[&str]) -> Action {
    let groups = groups.iter().map(ToString::to_string).collect();
    Action { permission: permission.parse().unwrap(), groups }
}

/// An installation that offers `forum`, with the standing rules and no grant.
fn installation() -> Policies {
    let mut policies = Policies::new();
    policies.put_actions(
        "identity",
        vec![
            action("identity.createUser", &["service:identity", "role:owner"]),
            action("identity.signIn", &["service:identity", "by:public"]),
            action("identity.whoAmI", &["service:identity", "by:anyone"]),
            action("identity.listNodes", &["service:identity", "role:operator"]),
            action("identity.issueToken", &["service:identity", "by:agent"]),
            action("identity.queue", &["service:identity", "by:instance"]),
            action("identity.findUser", &["service:identity", "by:billing"]),
        ],
    );
    policies.put_actions(
        "configurator",
        vec![action("configurator.resolveHost", &["service:configurator", "by:service"])],
    );
    let forum = ["forum.addUsers", "forum.readTopics"];
    let forum = forum.map(|permission| action(permission, &["service:forum", "role:owner"]));
    policies.put_actions("forum", forum.to_vec());
    let components = ["identity", "billing", "gateway"].map(Rule::for_component);
    let others = [
        Rule::for_agents(),
        Rule::for_anyone(),
        Rule::for_everybody(),
        Rule::for_services_themselves(),
        Rule::for_instances_themselves(),
    ];
    for rule in components.into_iter().chain(others) {
        policies.put_rule(rule).unwrap();
    }
    policies
}

fn user(name: &str) -> Principal {
    Principal::User(UserId::named(&[name]))
}

fn service(name: &str) -> Principal {
    Principal::Service(name.parse().unwrap())
}

fn node(name: &str) -> NodeId {
    NodeId::named(&[name])
}

fn account(name: &str) -> Resource {
    Resource::Account(AccountId::named(&[name]))
}

fn instance(of: &str, name: &str) -> Resource {
    Resource::Instance(AccountId::named(&[of]), InstanceId::named(&[name]))
}

fn may(policies: &Policies, principal: &Principal, permission: &str, resource: &Resource) -> bool {
    policies.decide(&Question { principal, permission, resource }).allowed
}

fn explain(
    policies: &Policies,
    principal: &Principal,
    permission: &str,
    resource: &Resource,
) -> Explanation {
    let question = Question { principal, permission, resource };
    policies.explain(&question, &ada_at_the_forum())
}

fn ada_at_the_forum() -> Words {
    Words { who: "Ada".into(), act: "add members".into(), place: "at forum.example".into() }
}

fn grant(policies: &mut Policies, id: &str, to: &Principal, given: &str, on: &Resource) {
    policies.put_rule(Rule::of_grant(id, to, &given.parse().unwrap(), on)).unwrap();
}

fn forbid_everything(condition: &str) -> Rule {
    Rule {
        id: "freeze".into(),
        text: format!("forbid(principal, action, resource) {condition};"),
        note: "the installation is frozen".into(),
    }
}

#[test]
fn a_component_may_do_what_is_meant_for_it_and_nothing_else() {
    let policies = installation();
    let billing = service("billing");
    assert!(may(&policies, &billing, "identity.findUser", &account("a")));
    assert!(!may(&policies, &service("gateway"), "identity.findUser", &account("a")));
    assert!(!may(&policies, &user("ada"), "identity.findUser", &account("a")));
    // Being a component is no grant: what is the customer's stays the customer's.
    for resource in
        [Resource::Platform, account("a"), Resource::Service("identity".parse().unwrap())]
    {
        assert!(!may(&policies, &billing, "identity.createUser", &resource));
        assert!(!may(&policies, &service("identity"), "identity.createUser", &resource));
    }
}

#[test]
fn an_agent_may_act_on_its_own_node_and_on_the_platform() {
    let policies = installation();
    let agent = Principal::Node(node("one"));
    let issue = "identity.issueToken";
    assert!(may(&policies, &agent, issue, &Resource::Node(node("one"))));
    assert!(may(&policies, &agent, issue, &Resource::Platform));
    for other in [Resource::Node(node("two")), account("a"), instance("a", "1")] {
        assert!(!may(&policies, &agent, issue, &other), "{other}");
    }
    for other in [service("billing"), user("ada"), Principal::Visitor] {
        assert!(!may(&policies, &other, issue, &Resource::Node(node("one"))), "{other}");
    }
    assert!(!may(&policies, &agent, "identity.listNodes", &Resource::Platform));
}

#[test]
fn anyone_is_everybody_but_the_visitor() {
    let policies = installation();
    let known = [user("ada"), service("forum"), Principal::Node(node("one"))];
    for principal in &known {
        assert!(may(&policies, principal, "identity.whoAmI", &Resource::Platform), "{principal}");
        assert!(may(&policies, principal, "identity.signIn", &Resource::Platform), "{principal}");
    }
    assert!(!may(&policies, &Principal::Visitor, "identity.whoAmI", &Resource::Platform));
    assert!(may(&policies, &Principal::Visitor, "identity.signIn", &Resource::Platform));
}

#[test]
fn an_instances_processes_may_act_on_their_own_instance() {
    let policies = installation();
    let mine = Principal::Instance(AccountId::named(&["a"]), InstanceId::named(&["1"]));
    assert!(may(&policies, &mine, "identity.queue", &instance("a", "1")));
    // The account belongs to the name: another's, or the whole account, is something else.
    for other in [instance("a", "2"), instance("b", "1"), account("a"), Resource::Platform] {
        assert!(!may(&policies, &mine, "identity.queue", &other), "{other}");
    }
    for other in [service("identity"), user("ada"), Principal::Node(node("one"))] {
        assert!(!may(&policies, &other, "identity.queue", &instance("a", "1")), "{other}");
    }
    assert!(!may(&policies, &mine, "forum.addUsers", &instance("a", "1")));
}

#[test]
fn a_service_may_act_on_itself() {
    let policies = installation();
    let forum = Resource::Service("forum".parse().unwrap());
    let resolve = "configurator.resolveHost";
    assert!(may(&policies, &service("forum"), resolve, &forum));
    assert!(!may(&policies, &service("store"), resolve, &forum));
    assert!(!may(&policies, &service("forum"), resolve, &Resource::Platform));
    assert!(!may(&policies, &user("forum"), resolve, &forum));
}

#[test]
fn a_grant_on_one_account_says_nothing_about_another() {
    let mut policies = installation();
    let ada = user("ada");
    grant(&mut policies, "g1", &ada, "owner", &account("a"));
    assert!(may(&policies, &ada, "identity.createUser", &account("a")));
    assert!(may(&policies, &ada, "forum.addUsers", &instance("a", "1")));
    assert!(!may(&policies, &ada, "identity.createUser", &account("b")));
    assert!(!may(&policies, &ada, "forum.addUsers", &instance("b", "1")));
    assert!(!may(&policies, &ada, "identity.createUser", &Resource::Platform));
    assert!(!may(&policies, &ada, "identity.listNodes", &Resource::Platform));
    assert!(!may(&policies, &user("bob"), "identity.createUser", &account("a")));
}

#[test]
fn all_of_a_service_on_an_instance_is_that_service_on_that_instance() {
    let mut policies = installation();
    let ada = user("ada");
    grant(&mut policies, "g1", &ada, "forum.*", &instance("a", "1"));
    assert!(may(&policies, &ada, "forum.addUsers", &instance("a", "1")));
    assert!(may(&policies, &ada, "forum.readTopics", &instance("a", "1")));
    assert!(!may(&policies, &ada, "forum.addUsers", &instance("a", "2")));
    assert!(!may(&policies, &ada, "forum.addUsers", &account("a")));
    // The same instance under another account's name is another instance.
    assert!(!may(&policies, &ada, "forum.addUsers", &instance("b", "1")));
    assert!(!may(&policies, &ada, "identity.createUser", &instance("a", "1")));
}

#[test]
fn one_permission_is_one_permission_and_ends_with_its_grant() {
    let mut policies = installation();
    let bob = user("bob");
    grant(&mut policies, "g1", &bob, "forum.readTopics", &account("a"));
    assert!(may(&policies, &bob, "forum.readTopics", &instance("a", "1")));
    assert!(!may(&policies, &bob, "forum.addUsers", &instance("a", "1")));
    policies.remove_rule("g1");
    policies.remove_rule("never was");
    assert!(!may(&policies, &bob, "forum.readTopics", &instance("a", "1")));
}

#[test]
fn an_operator_of_the_platform_covers_everything_on_it() {
    let mut policies = installation();
    let eve = user("eve");
    grant(&mut policies, "g1", &eve, "operator", &Resource::Platform);
    for resource in
        [Resource::Platform, account("a"), instance("b", "1"), Resource::Node(node("one"))]
    {
        assert!(may(&policies, &eve, "identity.listNodes", &resource), "{resource}");
    }
    // The owner's things need the owner's word.
    assert!(!may(&policies, &eve, "identity.createUser", &account("a")));
}

#[test]
fn a_rule_is_replaced_whole() {
    let mut policies = installation();
    let count = policies.rule_count();
    grant(&mut policies, "g1", &user("ada"), "owner", &account("a"));
    grant(&mut policies, "g1", &user("bob"), "owner", &account("b"));
    assert_eq!(policies.rule_count(), count + 1);
    assert!(!may(&policies, &user("ada"), "identity.createUser", &account("a")));
    assert!(may(&policies, &user("bob"), "identity.createUser", &account("b")));
}

#[test]
fn a_forbid_wins_and_a_failure_denies() {
    let mut policies = installation();
    let (ada, on) = (user("ada"), account("a"));
    grant(&mut policies, "g1", &ada, "owner", &on);
    let question = Question { principal: &ada, permission: "identity.createUser", resource: &on };
    let decision = policies.decide(&question);
    assert!(decision.allowed && decision.rules == ["g1"] && decision.failed.is_empty());

    policies.put_rule(forbid_everything("")).unwrap();
    let decision = policies.decide(&question);
    assert!(!decision.allowed && decision.rules == ["freeze"] && decision.failed.is_empty());
    let sentence = policies.explain(&question, &Words::for_the_asker(&question)).sentence;
    let frozen = "you may not do `identity.createUser` on the account, because the installation is \
                  frozen";
    assert_eq!(sentence, frozen);

    policies.put_rule(forbid_everything("when { principal.name == \"eve\" }")).unwrap();
    let decision = policies.decide(&question);
    assert!(!decision.allowed && decision.rules.is_empty() && decision.failed == ["freeze"]);
    let explanation = policies.explain(&question, &ada_at_the_forum());
    assert!(explanation.sentence.contains("rule `freeze` cannot be evaluated"), "{explanation:?}");
    // One more grant would not help.
    assert_eq!(explanation.missing, None);
}

#[test]
fn what_is_not_known_is_denied_with_its_own_sentence() {
    let mut policies = installation();
    let (ada, on) = (user("ada"), account("a"));
    grant(&mut policies, "g1", &ada, "forum.*", &Resource::Platform);
    assert!(policies.knows("forum.addUsers") && !policies.knows("forum.fly"));
    for (permission, hint) in [
        ("forum.fly", "`forum` has published none of that name"),
        ("store.buy", "nobody of that name has published permissions"),
        ("fly", "it should look like `forum.addUsers`"),
        ("service:forum", "it should look like `forum.addUsers`"),
    ] {
        let explanation = explain(&policies, &ada, permission, &on);
        let expected = format!("there is no permission `{permission}`: {hint}");
        assert_eq!(explanation.sentence, expected);
        assert!(!explanation.allowed && explanation.missing.is_none());
    }
    policies.remove_actions("forum");
    assert!(!may(&policies, &ada, "forum.addUsers", &on));
}

#[test]
fn a_source_speaks_for_itself_alone() {
    let mut policies = installation();
    policies.put_actions(
        "forum",
        vec![
            action("identity.createUser", &["by:public"]),
            // No circle either: permissions are no groups.
            action("forum.addUsers", &["forum.addUsers", "forum.readTopics"]),
            action("forum.readTopics", &["forum.addUsers", "role:owner"]),
        ],
    );
    let ada = user("ada");
    assert!(!may(&policies, &Principal::Visitor, "identity.createUser", &account("a")));
    grant(&mut policies, "g1", &ada, "owner", &account("a"));
    assert!(may(&policies, &ada, "forum.readTopics", &instance("a", "1")));
    assert!(!may(&policies, &ada, "forum.addUsers", &instance("a", "1")));
}

#[test]
fn a_yes_names_its_rule_and_a_no_names_the_grant_that_is_missing() {
    let mut policies = installation();
    let (ada, on) = (user("ada"), instance("a", "1"));
    let no = explain(&policies, &ada, "forum.addUsers", &on);
    let sentence = "Ada may not add members at forum.example, because nobody has granted it";
    assert_eq!(no.sentence, sentence);
    let missing = "a grant of `forum.addUsers` (or `forum.*`, or `owner`) to Ada at forum.example, \
                   or on the account it is in";
    assert_eq!(no.missing.as_deref(), Some(missing));
    assert!(!no.allowed && no.rules.is_empty());

    grant(&mut policies, "g1", &ada, "forum.*", &account("a"));
    let yes = explain(&policies, &ada, "forum.addUsers", &on);
    let note = "there is a grant of `forum.*` on the account";
    assert_eq!(yes.sentence, format!("Ada may add members at forum.example, because {note}"));
    assert_eq!(yes.rules, [Reason { id: "g1".into(), note: note.into() }]);
    assert!(yes.allowed && yes.missing.is_none());
}

#[test]
fn what_is_not_a_rule_is_refused_and_the_old_one_stays() {
    let mut policies = installation();
    let (ada, on) = (user("ada"), account("a"));
    grant(&mut policies, "g1", &ada, "owner", &on);
    let owner = Rule::of_grant("g1", &ada, &Grantable::Owner, &on).text;
    let long = format!("{owner}{}", " ".repeat(10_000));
    let deep = format!("permit(principal, action, resource) when {{ {} }};", "!(".repeat(3_000));
    let template = "permit(principal == ?principal, action, resource);";
    let two = format!("{owner}{owner}");
    for bad in ["", "allow everything", "permit(principal)", template, &two, &long, &deep] {
        let rule = Rule { id: "g1".into(), text: bad.into(), note: String::new() };
        let error = policies.put_rule(rule).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("`g1`") && said.len() < 600 && !said.ends_with('.'), "{said}");
        assert_eq!(matches!(error, PolicyError::TooLong { .. }), bad.len() > 8_192, "{said}");
    }
    let id = "g".repeat(1_000);
    let error = policies.put_rule(Rule { id, text: owner, note: String::new() }).unwrap_err();
    assert!(error.to_string().contains("has 1000 bytes: write it in at most 200"), "{error}");
    assert!(may(&policies, &ada, "identity.createUser", &on));
}

fn principals() -> impl Strategy<Value = Principal> {
    prop_oneof![
        Just(Principal::Visitor),
        any::<String>().prop_map(|seed| Principal::User(UserId::named(&[&seed]))),
        any::<String>().prop_map(|seed| Principal::Node(NodeId::named(&[&seed]))),
        names().prop_map(Principal::Service),
    ]
}

fn names() -> impl Strategy<Value = Name> {
    "[a-z]([a-z0-9-]{0,30}[a-z0-9])?".prop_map(|name| name.parse().unwrap())
}

fn resources() -> impl Strategy<Value = Resource> {
    let account = any::<u8>().prop_map(|seed| AccountId::named(&[&seed.to_string()]));
    let id = any::<u8>().prop_map(|seed| InstanceId::named(&[&seed.to_string()]));
    prop_oneof![
        Just(Resource::Platform),
        account.clone().prop_map(Resource::Account),
        (account, id).prop_map(|(account, id)| Resource::Instance(account, id)),
        names().prop_map(Resource::Service),
        any::<u8>().prop_map(|seed| Resource::Node(NodeId::named(&[&seed.to_string()]))),
    ]
}

fn permissions() -> impl Strategy<Value = Permission> {
    (names(), "[a-z][a-zA-Z0-9]{0,20}")
        .prop_map(|(name, verb)| format!("{name}.{verb}").parse().unwrap())
}

proptest! {
    #[test]
    fn a_grant_holds_for_its_principal_on_its_resource(
        id in "\\PC{0,40}",
        (to, other) in (principals(), principals()),
        (on, elsewhere) in (resources(), resources()),
        permission in permissions(),
        whole_service: bool,
    ) {
        let given = if whole_service {
            Grantable::Service(permission.service().parse().unwrap())
        } else {
            Grantable::Permission(permission.clone())
        };
        let mut policies = Policies::new();
        let groups = [format!("service:{}", permission.service())];
        let actions = vec![Action { permission: permission.clone(), groups: groups.to_vec() }];
        policies.put_actions(permission.service(), actions);
        policies.put_rule(Rule::of_grant(&id, &to, &given, &on)).unwrap();
        let permission = permission.as_str();
        prop_assert!(may(&policies, &to, permission, &on));
        prop_assert_eq!(may(&policies, &other, permission, &on), other == to);
        let covered = match (&on, &elsewhere) {
            (Resource::Platform, _) => true,
            (Resource::Account(account), Resource::Instance(of, _)) => account == of,
            _ => on == elsewhere,
        };
        prop_assert_eq!(may(&policies, &to, permission, &elsewhere), covered);
    }

    #[test]
    fn no_name_breaks_out_of_a_rule(name: String, quoted in "[\"\\\\\\n;){}a:*]{0,20}") {
        for name in [name, quoted].into_iter().filter(|name| name.len() < 150) {
            let rule = Rule::for_component(&name);
            let policy = cedar_policy::Policy::parse(None, &rule.text).unwrap();
            let service = cedar_policy::EntityUid::from_type_name_and_id(
                "Service".parse().unwrap(),
                name.parse().unwrap(),
            );
            let group = cedar_policy::EntityUid::from_type_name_and_id(
                "Action".parse().unwrap(),
                format!("by:{name}").parse().unwrap(),
            );
            prop_assert_eq!(
                policy.principal_constraint(),
                cedar_policy::PrincipalConstraint::Eq(service)
            );
            prop_assert_eq!(
                policy.action_constraint(),
                cedar_policy::ActionConstraint::In(vec![group])
            );
            prop_assert!(!policy.has_non_scope_constraint());
            prop_assert_eq!(policy.effect(), cedar_policy::Effect::Permit);
        }
    }

    #[test]
    fn no_rule_text_panics(text in "\\PC{0,200}") {
        let rule = Rule { id: "r".into(), text, note: String::new() };
        drop(Policies::new().put_rule(rule));
    }
}
