//! Asking whether somebody may do something, and why.

use api::{
    Problem,
    access::{CheckPermission, Decision},
};
use maud::{Markup, html};
use serde::Deserialize;
use types::{AccountId, Resource};

use crate::{
    access::{Access, permission_options, user_options},
    failure,
    names::Names,
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

/// The answer, if anything was asked.
pub(crate) async fn ask(
    person: &Person,
    account: AccountId,
    on: &Resource,
    question: &Question,
) -> Option<Result<Decision, Problem>> {
    if question.principal.is_empty() && question.permission.is_empty() {
        return None;
    }
    let wrong = |cause: types::WhoError| Problem::invalid("question", cause.to_string());
    let operation = || {
        let principal = question.principal.parse().map_err(wrong)?;
        let permission = question.permission.parse().map_err(wrong)?;
        Ok(CheckPermission { account, principal, permission, on: on.clone() })
    };
    match operation() {
        Ok(operation) => Some(person.client.call(operation).await),
        Err(problem) => Some(Err(problem)),
    }
}

pub(crate) fn question_form(access: &Access, path: &str, question: &Question) -> Markup {
    html! {
        form method="get" action={ (path) "#may" } {
            div.line {
                label.field { span { "Who" } (user_options(access, &question.principal)) }
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

pub(crate) fn answer(names: &Names, decision: Option<&Result<Decision, Problem>>) -> Markup {
    html! {
        @match decision {
            None => {}
            Some(Err(problem)) => (failure::notice(problem)),
            Some(Ok(decision)) => {
                div.notice.good[decision.allowed].bad[!decision.allowed] role="status" {
                    p { strong { @if decision.allowed { "Yes. " } @else { "No. " } }
                        (words::sentence(&names.in_text(&decision.sentence))) }
                    @if !decision.rules.is_empty() {
                        ul { @for rule in &decision.rules {
                            li { (words::sentence(&names.in_text(&rule.note))) " " code.small { (rule.rule) } }
                        } }
                    }
                    @if let Some(missing) = &decision.missing {
                        p { "Missing: " (words::sentence(&names.in_text(missing))) }
                    }
                }
            }
        }
    }
}
