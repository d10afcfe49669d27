//! Why: the decision with the rules behind it and the grant that is missing, and in words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Principal, Resource};

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

/// What an explanation calls those that a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Who acts: `ada@bakery.example`.
    pub who: String,
    /// What they would do: `add members`.
    pub act: String,
    /// Where: `at bakery-forum.localhost`.
    pub place: String,
}

impl Words {
    /// For whoever has asked for themselves, and knows of what.
    pub fn for_the_asker(question: &Question) -> Self {
        let who = match question.principal {
            Principal::User(_) | Principal::Visitor => "you".to_owned(),
            other => format!("`{other}`"),
        };
        let shown: String = question.permission.chars().take(130).collect();
        let place = format!("on {}", words::near(question.resource));
        Self { who, act: format!("do `{shown}`"), place }
    }
}

impl Policies {
    /// Decides as [`Policies::decide`] does, and says why in these words.
    pub fn explain(&self, question: &Question, words: &Words) -> Explanation {
        let Decision { allowed, rules, failed } = self.decide(question);
        let known = self.known(question.permission);
        let reason = |id: String| Reason { note: self.note(&id).to_owned(), id };
        let rules: Vec<Reason> = rules.into_iter().map(reason).collect();
        let unsaid = !allowed && rules.is_empty() && failed.is_empty();
        let Words { who, act, place } = words;
        let may = if allowed { "may" } else { "may not" };
        let because = |why: &str| format!("{who} {may} {act} {place}, because {why}");
        let sentence = match (known, rules.first(), failed.first()) {
            (None, ..) => self.unknown(question.permission),
            (_, Some(rule), _) => because(&rule.note),
            (_, _, Some(id)) => because(&format!(
                "rule `{id}` cannot be evaluated, and what is not clear is denied until the rule \
                 is mended or removed"
            )),
            (_, None, None) => because("nobody has granted it"),
        };
        let missing = known.filter(|_| unsaid).map(|known| missing(known, question, words));
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

fn missing(known: &Known, question: &Question, words: &Words) -> String {
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
        Resource::Instance(..) => ", or on the account it is in",
        _ => "",
    };
    let Words { who, place, .. } = words;
    format!("a grant of `{permission}`{wider} to {who} {place}{above}")
}
