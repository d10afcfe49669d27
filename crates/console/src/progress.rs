//! How far an order is on its way to an open instance.

use api::{
    configurator::{Instance, InstanceState, Setup, SetupStep},
    jobs::JobState,
    provider::{Order, OrderPhase},
};
use maud::{Markup, html};

use crate::{states, words};

const MADE: &str = "A database of its own, its host name and modules.";
const BILLED: &str = "From the moment of the order, by the second.";

/// What is known of an order and of what it makes.
pub(crate) struct Progress<'a> {
    pub(crate) order: &'a Order,
    /// Absent until the configurator has been told.
    pub(crate) instance: Option<&'a Instance>,
    /// Absent for whoever may not set it up.
    pub(crate) setup: Option<&'a Setup>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Done,
    Now,
    Later,
    Failed,
}

impl Stage {
    const fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Later => "later",
            Self::Failed => "failed",
        }
    }
}

impl Progress<'_> {
    /// Whether something happens by itself, so that it is worth looking again. A set-up page waits
    /// for somebody to fill it in, which may be tomorrow.
    pub(crate) fn is_going(&self) -> bool {
        let state = self.instance.map(|instance| instance.state);
        match self.order.phase {
            OrderPhase::Failed => false,
            OrderPhase::Placed | OrderPhase::Agreed | OrderPhase::Undoing => true,
            OrderPhase::Complete => {
                matches!(state, None | Some(InstanceState::Creating | InstanceState::SettingUp))
            }
        }
    }

    /// The steps, those that are done and those to come.
    pub(crate) fn steps(&self) -> Markup {
        let state = self.instance.map(|instance| instance.state);
        html! {
            ol.steps {
                (step(Stage::Done, "Ordered", html! { (words::moment(self.order.created)) }))
                (step(self.billed(), "Billing begins", html! { (BILLED) }))
                (step(self.made(state), "Database and settings", html! { (MADE) }))
                (step(self.set_up(state), "Set-up", self.set_up_detail(state)))
                (step(opened(state), "Open", self.open_detail(state)))
            }
        }
    }

    fn made(&self, state: Option<InstanceState>) -> Stage {
        match (self.order.phase, state) {
            (OrderPhase::Placed | OrderPhase::Undoing | OrderPhase::Failed, None) => Stage::Later,
            (_, None | Some(InstanceState::Creating)) => Stage::Now,
            _ => Stage::Done,
        }
    }

    fn billed(&self) -> Stage {
        match self.order.phase {
            OrderPhase::Agreed | OrderPhase::Complete => Stage::Done,
            OrderPhase::Placed => Stage::Now,
            OrderPhase::Undoing | OrderPhase::Failed => Stage::Failed,
        }
    }

    fn set_up(&self, state: Option<InstanceState>) -> Stage {
        match state {
            _ if self.order.phase == OrderPhase::Failed => Stage::Later,
            None | Some(InstanceState::Creating) => Stage::Later,
            Some(InstanceState::AwaitingSetup | InstanceState::SettingUp) => Stage::Now,
            Some(InstanceState::Open) => Stage::Done,
            Some(InstanceState::Failed) => Stage::Failed,
        }
    }

    fn set_up_detail(&self, state: Option<InstanceState>) -> Markup {
        let link = self.instance.and_then(|instance| instance.setup_url.as_deref());
        let jobs = self.setup.map(|setup| setup.steps.as_slice()).unwrap_or_default();
        html! {
            @match (state, link.filter(|link| is_web(link))) {
                (Some(InstanceState::AwaitingSetup), Some(link)) => {
                    p { "It is ready to be set up. Anybody who has this link can do it, once." }
                    p {
                        a.button href=(link) target="_blank" rel="noopener noreferrer" {
                            "Set it up"
                        }
                    }
                }
                _ if jobs.is_empty() => { "A few questions on its own set-up page." }
                _ => {}
            }
            @if !jobs.is_empty() {
                div.jobs { @for job in jobs { (set_up_job(job, self.instance)) } }
            }
        }
    }

    fn open_detail(&self, state: Option<InstanceState>) -> Markup {
        html! {
            @match (state, self.instance) {
                (Some(InstanceState::Open), Some(instance)) if is_web(&instance.url) => {
                    p { "It is there, at " (host_link(instance)) "." }
                    p {
                        a.button href=(instance.url) target="_blank" rel="noopener noreferrer" {
                            "Visit it"
                        }
                    }
                }
                _ => { "It answers at " code { (self.order.host) } "." }
            }
        }
    }
}

fn opened(state: Option<InstanceState>) -> Stage {
    if state == Some(InstanceState::Open) { Stage::Done } else { Stage::Later }
}

fn step(stage: Stage, title: &str, detail: Markup) -> Markup {
    html! {
        li class=(stage.class()) aria-current=[(stage == Stage::Now).then_some("step")] {
            h2 { (title) }
            div.soft { (detail) }
        }
    }
}

/// What it printed is shown once somebody has to read it: why it failed, or, when the instance is
/// open, how to begin.
fn set_up_job(job: &SetupStep, instance: Option<&Instance>) -> Markup {
    let url = instance.map_or("", |instance| instance.url.as_str());
    let is_open = instance.is_some_and(|instance| instance.state == InstanceState::Open);
    let is_to_read = is_open && !job.output.trim().is_empty();
    html! {
        details id=(job.job) open[is_to_read || job.state == JobState::Failed] {
            summary { code { (job.name) } (states::chip(&job.state)) }
            @if let Some(what) = &job.waits_for { p.soft { "It waits for " (what) "." } }
            (words::printed(&job.output, Some(url).filter(|url| is_web(url))))
        }
    }
}

/// An instance's host, as a link to it.
pub(crate) fn host_link(instance: &Instance) -> Markup {
    html! {
        @if is_web(&instance.url) {
            a href=(instance.url) target="_blank" rel="noopener noreferrer" { (instance.host) }
        } @else {
            code { (instance.host) }
        }
    }
}

/// Whether an address leads to a page and runs nothing.
fn is_web(address: &str) -> bool {
    address.starts_with("http://") || address.starts_with("https://")
}
