//! Why: the decision as a sentence, with the rules behind it and the grant that is missing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::Resource;

use crate::{Decision, Policies, Question, policies::Known, words};

/// A decision, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Whether they may.
    pub allowed: bool,
    /// Why, for people.
    pub sentence: String,
    /// The rules that decided.
    pub rules: Vec<Reason>,
    /// The grant that would allow it, if a grant would.
    pub missing: Option<String>,
}

/// A rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The rule's id.
    pub id: String,
    /// What it says.
    pub note: String,
}

impl Policies {
    /// Decides as [`Policies::decide`] does, and says why.
    pub fn explain(&self, question: &Question) -> Explanation {
        let Decision { allowed, rules, failed } = self.decide(question);
        let known = self.known(question.permission);
        let reason = |id: String| Reason { note: self.note(&id).to_owned(), id };
        let rules: Vec<Reason> = rules.into_iter().map(reason).collect();
        let unsaid = !allowed && rules.is_empty() && failed.is_empty();
        let Question { permission, .. } = question;
        let (who, place) =
            (words::short_principal(question.principal), words::short_resource(question.resource));
        let asked = |verb| format!("`{who}` {verb} do `{permission}` on `{place}`");
        let sentence = match (known, rules.first(), failed.first()) {
            (None, ..) => self.unknown(permission),
            (_, Some(rule), _) if allowed => format!("{}: `{}` permits it", asked("may"), rule.id),
            (_, Some(rule), _) => {
                format!("{}: `{}` forbids it: {}", asked("may not"), rule.id, rule.note)
            }
            (_, _, Some(id)) => format!(
                "{}: rule `{id}` cannot be evaluated, and what is not clear is denied until the \
                 rule is mended or removed",
                asked("may not")
            ),
            (_, None, None) => format!("{}: no rule permits it", asked("may not")),
        };
        let missing = known.filter(|_| unsaid).map(|known| missing(known, question));
        Explanation { allowed, sentence, rules, missing }
    }

    fn unknown(&self, permission: &str) -> String {
        let shown: String = permission.chars().take(130).collect();
        let hint = match permission.split_once('.') {
            Some((source, _)) if self.has_catalogue(source) => {
                format!("`{source}` has published none of that name")
            }
            Some(_) => "nobody of that name has published permissions".to_owned(),
            None => "it should look like `forum.addUsers`".to_owned(),
        };
        format!("there is no permission `{shown}`: {hint}")
    }
}

fn missing(known: &Known, question: &Question) -> String {
    let Question { permission, resource, .. } = question;
    let service = permission.split_once('.').map_or("", |(service, _)| service);
    let groups = [
        (format!("service:{service}"), format!("{service}.*")),
        ("role:owner".to_owned(), "owner".to_owned()),
        ("role:operator".to_owned(), "operator".to_owned()),
    ];
    let wider = groups.iter().filter(|(group, _)| known.is_in(group));
    let wider: Vec<String> = wider.map(|(_, given)| format!("or `{given}`")).collect();
    let wider = if wider.is_empty() { String::new() } else { format!(" ({})", wider.join(", ")) };
    let above = match resource {
        Resource::Instance(..) => " or the account it is in",
        _ => "",
    };
    let (who, place) =
        (words::short_principal(question.principal), words::short_resource(resource));
    format!("a grant of `{permission}`{wider} to `{who}` on `{place}`{above}")
}
