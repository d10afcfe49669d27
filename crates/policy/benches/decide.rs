//! How long a decision takes: from a slice, as we do it, and from the whole set, as Cedar does it.
//!
//! Both answer the same questions about the same grants, in one process, and must agree. Look at
//! the ratio: the times are of this machine and what else it is doing. The last column is what a
//! new grant costs: a clone of the snapshot, changed.

#![expect(clippy::unwrap_used, reason = "it shares the tests' oracle")]

use std::time::{Duration, Instant};

use policy::{Action, Policies, Question, Rule};
use types::{AccountId, Grantable, InstanceId, Principal, Resource, UserId};

#[path = "../tests/whole/mod.rs"]
mod whole;
use whole::Whole;

/// For one measurement; twelve of them stay below 15 seconds.
const BUDGET: Duration = Duration::from_millis(900);
const ROUNDS_MAX: usize = 20_000;

fn main() {
    println!("grants    sliced p50 / p99    whole p50 / p99    whole / sliced    change p50 / p99");
    for grants in [10, 100, 1_000, 10_000] {
        compare(grants);
    }
}

fn actions() -> Vec<Action> {
    let groups: Vec<String> = ["service:forum", "role:owner"].map(String::from).to_vec();
    ["forum.addUsers", "forum.readTopics", "forum.post"]
        .map(|name| Action {
            permission: name.parse().expect("a permission"),
            groups: groups.clone(),
        })
        .to_vec()
}

/// Each user has a grant on the account that they are of.
fn grant(number: usize) -> (Principal, Grantable, Resource) {
    let name = number.to_string();
    let given = ["owner", "forum.*", "forum.readTopics", "forum.post"][number % 4];
    (
        Principal::User(UserId::named(&[&name])),
        given.parse().expect("something to grant"),
        Resource::Account(AccountId::named(&[&name])),
    )
}

fn compare(grants: usize) {
    let standing = [
        Rule::for_component("billing"),
        Rule::for_agents(),
        Rule::for_anyone(),
        Rule::for_everybody(),
        Rule::for_services_themselves(),
        Rule::for_instances_themselves(),
    ];
    let granted = (0..grants).map(|number| {
        let (principal, given, on) = grant(number);
        Rule::of_grant(&format!("grant-{number}"), &principal, &given, &on)
    });
    let rules: Vec<Rule> = standing.into_iter().chain(granted).collect();
    let mut policies = Policies::new();
    policies.put_actions("forum", actions());
    for rule in &rules {
        policies.put_rule(rule.clone()).expect("a rule of our own");
    }
    let texts = rules.iter().map(|rule| (rule.id.as_str(), rule.text.as_str()));
    let whole = Whole::new(texts, &actions());

    // Everybody asks about an instance of their account and, each fifth time, of somebody else's.
    let question = |round: usize| {
        let number = round.wrapping_mul(7_919) % grants;
        let owner = if round.is_multiple_of(5) { (number + 1) % grants } else { number };
        let (name, of) = (number.to_string(), owner.to_string());
        let instance = InstanceId::named(&[&of, "forum"]);
        let resource = Resource::Instance(AccountId::named(&[&of]), instance);
        (Principal::User(UserId::named(&[&name])), resource)
    };
    let permission = "forum.readTopics";
    let ours = |principal: &Principal, resource: &Resource| {
        policies.decide(&Question { principal, permission, resource }).allowed
    };
    let cedars = |principal: &Principal, resource: &Resource| {
        whole.decide(principal, permission, resource).0
    };
    for round in 0..20 {
        let (principal, resource) = question(round);
        assert_eq!(ours(&principal, &resource), cedars(&principal, &resource));
    }
    let changed = |principal: &Principal, resource: &Resource| {
        let mut next = policies.clone();
        let rule = Rule::of_grant("grant-0", principal, &Grantable::Owner, resource);
        next.put_rule(rule).is_ok()
    };
    let sliced = measure(&question, &ours);
    let whole = measure(&question, &cedars);
    let change = measure(&question, &changed);
    let ratio = whole.0.as_nanos() / sliced.0.as_nanos().max(1);
    let [sliced, whole, change] = [sliced, whole, change].map(micros);
    println!("{grants:>6} {sliced:>19} {whole:>18} {ratio:>16} {change:>19}");
}

fn micros((p50, p99): (Duration, Duration)) -> String {
    let one =
        |time: Duration| format!("{}.{}", time.as_nanos() / 1_000, time.as_nanos() / 100 % 10);
    format!("{} / {} µs", one(p50), one(p99))
}

/// The median and the 99th percentile.
fn measure(
    question: &impl Fn(usize) -> (Principal, Resource),
    decide: &impl Fn(&Principal, &Resource) -> bool,
) -> (Duration, Duration) {
    let begin = Instant::now();
    let mut times = Vec::with_capacity(ROUNDS_MAX);
    while times.len() < ROUNDS_MAX && begin.elapsed() < BUDGET {
        let (principal, resource) = question(times.len());
        let start = Instant::now();
        std::hint::black_box(decide(&principal, &resource));
        times.push(start.elapsed());
    }
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
