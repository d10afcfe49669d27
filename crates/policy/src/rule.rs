//! Rules as they are written: grants, and the standing rules that need no grant.
//!
//! INVARIANT: whatever comes from outside enters a rule's text as an entity that Cedar writes, so
//! quotes and the like are escaped and no name can say more than itself.

use types::{Grantable, Principal, Resource};

use crate::words;

/// One Cedar policy, and what it means to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What names it: the grant's id, or `standing.…`.
    pub id: String,
    /// The policy, in Cedar's language.
    pub text: String,
    /// What it says, as a sentence without a full stop.
    pub note: String,
}

impl Rule {
    /// The rule that the grant `id` makes: `principal` may do what is `given` on `on` and on all
    /// that is in it.
    pub fn of_grant(id: &str, principal: &Principal, given: &Grantable, on: &Resource) -> Self {
        let who = words::principal(principal);
        let what = match given {
            Grantable::Permission(permission) => {
                format!("action == {}", words::action(permission.as_str()))
            }
            Grantable::Service(name) => in_group(&format!("service:{name}")),
            Grantable::Owner => in_group("role:owner"),
            Grantable::Operator => in_group("role:operator"),
        };
        let place = words::resource(on);
        Self {
            id: id.to_owned(),
            text: format!("permit(principal == {who}, {what}, resource in {place});"),
            note: format!("there is a grant of `{given}` on {}", words::near(on)),
        }
    }

    /// A component of the platform may do what is `by:` its name, wherever it is.
    pub fn for_component(name: &str) -> Self {
        let who = words::service(name);
        let what = in_group(&format!("by:{name}"));
        Self {
            id: format!("standing.component.{name}"),
            text: format!("permit(principal == {who}, {what}, resource);"),
            note: format!("the component `{name}` may do what is meant for it"),
        }
    }

    /// Any node's agent may do what is `by:agent`, on its own node and on the platform.
    pub fn for_agents() -> Self {
        let what = in_group("by:agent");
        let platform = words::platform();
        Self::standing(
            "agents",
            format!(
                "permit(principal is Node, {what}, resource) \
                 when {{ resource == principal || resource == {platform} }};"
            ),
            "a node's agent may do what is meant for agents, on its own node and the platform",
        )
    }

    /// Whoever has said who they are may do what is `by:anyone`.
    pub fn for_anyone() -> Self {
        let what = in_group("by:anyone");
        Self::standing(
            "anyone",
            format!("permit(principal, {what}, resource) unless {{ principal is Visitor }};"),
            "whoever has signed in may do what is meant for anyone",
        )
    }

    /// Everybody, visitors too, may do what is `by:public`.
    pub fn for_everybody() -> Self {
        Self::standing(
            "everybody",
            format!("permit(principal, {}, resource);", in_group("by:public")),
            "everybody may do what is public",
        )
    }

    /// A service may do what is `by:service`, on itself.
    pub fn for_services_themselves() -> Self {
        let what = in_group("by:service");
        Self::standing(
            "services",
            format!(
                "permit(principal is Service, {what}, resource) when {{ resource == principal }};"
            ),
            "a service may do what is meant for services, on itself",
        )
    }

    /// An instance's processes may do what is `by:instance`, on their own instance.
    pub fn for_instances_themselves() -> Self {
        let what = in_group("by:instance");
        Self::standing(
            "instances",
            format!(
                "permit(principal is Instance, {what}, resource) when {{ resource == principal }};"
            ),
            "an instance's processes may do what is meant for them, on their own instance",
        )
    }

    fn standing(name: &str, text: String, note: &str) -> Self {
        Self { id: format!("standing.{name}"), text, note: note.to_owned() }
    }
}

fn in_group(name: &str) -> String {
    format!("action in {}", words::action(name))
}
