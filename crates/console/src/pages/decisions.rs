//! Asking whether somebody may do something, and why.

use api::{
    Problem,
    access::{CheckPermission, Decision},
};
use maud::{Markup, html};
use serde::Deserialize;
use types::{AccountId, Resource};

use crate::{
    access::{Access, permission_options, who_field, whom},
    failure,
    names::{Ids, Names},
    visitor::Person,
    words,
};

/// What somebody wants to know: whether a user may do something here.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Question {
    #[serde(default)]
    principal: String,
    #[serde(default)]
    permission: String,
}

/// What was answered, with the names of whom it names.
pub(crate) struct Answered {
    decision: Result<Decision, Problem>,
    names: Names,
}

/// The answer, if anything was asked.
pub(crate) async fn ask(
    person: &Person,
    account: AccountId,
    on: &Resource,
    question: &Question,
) -> Option<Answered> {
    if question.principal.is_empty() && question.permission.is_empty() {
        return None;
    }
    let decision = decided(person, account, on, question).await;
    let mut ids = Ids::default();
    for text in decision.iter().flat_map(texts) {
        ids.text(text);
    }
    Some(Answered { decision, names: Names::of(person, ids).await })
}

async fn decided(
    person: &Person,
    account: AccountId,
    on: &Resource,
    question: &Question,
) -> Result<Decision, Problem> {
    let wrong = |cause: types::WhoError| Problem::invalid("question", cause.to_string());
    let principal = whom(person, account, question.principal.trim()).await?;
    let permission = question.permission.parse().map_err(wrong)?;
    let operation = CheckPermission { account, principal, permission, on: on.clone() };
    person.client.call(operation).await
}

/// All that is said in an answer.
fn texts(decision: &Decision) -> impl Iterator<Item = &String> {
    let notes = decision.rules.iter().map(|rule| &rule.note);
    notes.chain([&decision.sentence]).chain(&decision.missing)
}

pub(crate) fn question_form(access: &Access, path: &str, question: &Question) -> Markup {
    html! {
        form method="get" action={ (path) "#may" } {
            div.line {
                (who_field(&question.principal))
                label.field { span { "To do" }
                    select name="permission" required {
                        (permission_options(access, &question.permission, false))
                    }
                }
            }
            button.quiet { "Ask" }
        }
    }
}

pub(crate) fn answer(answered: Option<&Answered>) -> Markup {
    let Some(Answered { decision, names }) = answered else { return html! {} };
    let said = |text: &str| words::sentence(&names.in_text(text));
    html! {
        @match decision {
            Err(problem) => (failure::notice(problem)),
            Ok(decision) => {
                div.notice.good[decision.allowed].bad[!decision.allowed] role="status" {
                    p { strong { @if decision.allowed { "Yes. " } @else { "No. " } }
                        (said(&decision.sentence)) }
                    @if !decision.rules.is_empty() {
                        ul { @for rule in &decision.rules {
                            li { (said(&rule.note)) " " code.small { (rule.rule) } }
                        } }
                    }
                    @if let Some(missing) = &decision.missing {
                        p { "Missing: " (said(missing)) }
                    }
                }
            }
        }
    }
}
