//! The pages of the set-up.

use std::collections::BTreeMap;

use api::{
    configurator::{InstanceState, Setup, SetupField},
    jobs::JobState,
    manifest::FieldKind,
};
use maud::{Markup, html};

use super::{layout, sentence};

/// What is to be filled in, and what was.
pub(crate) struct SetupForm<'a> {
    /// As the configurator tells it.
    pub(crate) setup: &'a Setup,
    /// Where the form is sent; `None` without a set-up key.
    pub(crate) action: Option<String>,
    /// What was filled in before, without passwords.
    pub(crate) values: BTreeMap<String, String>,
}

/// The page to fill in.
pub(crate) fn setup_form(form: &SetupForm<'_>) -> Markup {
    let failed = form.setup.state == InstanceState::Failed;
    let content = html! {
        section.narrow {
            h1 { @if failed { "The set-up failed" } @else { "Set up your instance" } }
            @if let Some(problem) = &form.setup.problem {
                p.notice.bad role="alert" { (sentence(problem)) }
            }
            @if failed { div.card { (steps(form.setup)) } }
            @match &form.action {
                None => p.soft.centred {
                    "Open the set-up link that was shown with the order; it contains the key."
                },
                Some(action) => form.card method="post" action=(action) {
                    @if let Some(path) = &form.setup.path {
                        p { "The application asks for what it needs on a page of its own." }
                        p { a href=(path) target="_blank" { "Open that page" } }
                        p { "When you have done what it asks for, let everybody else in." }
                    }
                    @for field in &form.setup.fields {
                        (input(field, form.values.get(&field.name).map(String::as_str)))
                    }
                    button { @if form.setup.path.is_some() { "It is set up" } @else { "Set up" } }
                }
            }
        }
    };
    layout("Set up", false, &content)
}

fn input(field: &SetupField, value: Option<&str>) -> Markup {
    let SetupField { name, field, problem } = field;
    let kind = match field.kind {
        FieldKind::Email => "email",
        FieldKind::Password => "password",
        FieldKind::Text | FieldKind::Choice => "text",
    };
    let id = format!("field-{name}");
    let invalid = problem.as_ref().map(|_| "true");
    let shown = value.or(field.default.as_deref());
    let required = field.default.is_none();
    html! {
        label.field for=(id) {
            span { (field.label) }
            @if field.kind == FieldKind::Choice {
                select id=(id) name=(name) required[required] aria-invalid=[invalid] {
                    @for option in &field.options {
                        option value=(option) selected[shown == Some(option.as_str())] { (option) }
                    }
                }
            } @else if field.kind == FieldKind::Password {
                input id=(id) name=(name) type=(kind) required[required] aria-invalid=[invalid]
                    autocomplete="new-password" maxlength="500";
            } @else {
                input id=(id) name=(name) type=(kind) required[required] aria-invalid=[invalid]
                    value=(shown.unwrap_or_default()) maxlength="500";
            }
            @if let Some(problem) = problem { strong.wrong { (sentence(problem)) } }
            @if !field.help.is_empty() { small { (field.help) } }
        }
    }
}

/// The page that shows how far it is, and looks again by itself.
pub(crate) fn progress(setup: &Setup) -> Markup {
    let content = html! {
        section.narrow {
            h1 { "Setting up" }
            p.soft.centred { "This page shows the progress, and takes you to your instance when \
                              it is open." }
            div.card { (steps(setup)) }
        }
    };
    layout("Setting up", true, &content)
}

fn steps(setup: &Setup) -> Markup {
    html! {
        ol.rows {
            @for step in &setup.steps {
                @let (class, words) = match step.state {
                    JobState::Running => ("chip busy", "runs"),
                    JobState::Succeeded => ("chip good", "done"),
                    state if state.has_ended() => ("chip bad", "failed"),
                    _ => ("chip", "waits"),
                };
                li {
                    div {
                        (step.name)
                        @if let Some(what) = &step.waits_for {
                            div.soft.small { "It waits for " (what) "." }
                        }
                        @if !step.output.is_empty() { pre tabindex="0" { (step.output) } }
                    }
                    span class=(class) { (words) }
                }
            }
        }
    }
}
