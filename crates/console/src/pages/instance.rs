//! An instance: what it is, what it has, who may do what with it, and closing it for a while.

use api::{
    Kind, Operation as _, Problem,
    billing::GetPriceBook,
    configurator::{GetInstance, Instance, InstanceState, RotateSecret, SetMaintenance},
    jobs::RunCommand,
    prices::PriceBook,
    provider::{
        ChangeSubscription, GetOffer, ListOrders, Offer, Order, OrderPhase, SuspendInstance,
    },
    releases::{GetUpdate, InstanceUpdate},
};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse, Redirect},
};
use maud::{Markup, html};
use types::{AccountId, InstanceId, Resource, Timestamp};

use crate::{
    access::{self, Access},
    answer::{Answer, Page, Shown},
    choices,
    choices::Choices,
    failure,
    form::{Draft, Fields, form},
    layout,
    pages::{
        commands,
        decisions::{self, Question},
        instance_jobs, secrets, updates,
    },
    paging::ALL,
    paths,
    prices::Prices,
    progress::host_link,
    rights::Rights,
    states,
    visitor::Person,
    words,
};

type Which = (AccountId, InstanceId);

/// An instance with what the platform tells about it; a part that it does not tell is said so in
/// its place.
struct Whole {
    instance: Instance,
    offer: Result<Offer, Problem>,
    book: Option<PriceBook>,
    /// The newest order for it.
    order: Option<Order>,
    access: Access,
    rights: Rights,
    jobs: Markup,
    update: Result<InstanceUpdate, Problem>,
}

pub(crate) async fn show(
    person: Person,
    Path(which): Path<Which>,
    Query(question): Query<Question>,
) -> Shown {
    draw(&person, which, &question, &Draft::default()).await
}

pub(crate) async fn draw(
    person: &Person,
    which: Which,
    question: &Question,
    draft: &Draft,
) -> Shown {
    let whole = load(person, which).await?;
    let Instance { account, instance: id, .. } = whole.instance;
    let on = Resource::Instance(account, id);
    let decision = decisions::ask(person, account, &on, question).await;
    let path = paths::instance(account, id);
    let body = html! {
        (layout::back(&paths::of(account, "instances"), "Instances"))
        (heading(&whole))
        @if let Some(problem) = &draft.problem { (failure::notice(problem)) }
        (standing(&whole, person.now))
        div.beside {
            div {
                section.card #change {
                    h2 { "Size and modules" } (change_form(person, &whole, draft))
                }
                section.card #jobs { h2 { "Jobs" } (whole.jobs) }
                (by_itself(&whole, person.now))
                (tools(person, &whole, draft))
            }
            div {
                section.card #access {
                    h2 { "Who may do what" }
                    (access::section(person, &whole.access, &on, draft))
                }
                section.card #may {
                    h2 { "May they?" }
                    (decisions::question_form(&whole.access, &path, question))
                    (decisions::answer(decision.as_ref()))
                }
                section.card #maintenance {
                    h2 { "Maintenance" } (maintenance_form(person, &whole, draft))
                }
                @if person.is_operator() {
                    section.card #suspension {
                        h2 { "Suspension" } (suspension_form(person, &whole, draft))
                    }
                }
            }
        }
    };
    let page = Page::new(whole.instance.host.to_string(), body);
    Ok(page.refused(draft.problem.as_ref()))
}

async fn load(person: &Person, (account, instance): Which) -> Result<Whole, Problem> {
    let client = &person.client;
    let instance = client.call(GetInstance { account, instance }).await?;
    let service = instance.service.clone();
    let (offer, book, orders, access, rights, jobs, update) = tokio::join!(
        client.call(GetOffer { service: service.clone() }),
        client.call(GetPriceBook { service }),
        client.call(ListOrders { account, after: None, limit: ALL }),
        Access::load(person, account, Some(&instance.service)),
        Rights::of_person(person),
        instance_jobs::section(person, account, instance.instance),
        client.call(GetUpdate { account, instance: instance.instance }),
    );
    let orders = orders.map(|orders| orders.items).unwrap_or_default();
    let order = orders
        .into_iter()
        .find(|order| order.instance == instance.instance && order.phase != OrderPhase::Failed);
    let jobs = jobs.unwrap_or_else(|problem| failure::missing_part(&problem));
    Ok(Whole { offer, book: book.ok(), order, access, rights, jobs, update, instance })
}

fn heading(whole: &Whole) -> Markup {
    let Whole { instance, offer, .. } = whole;
    let title = offer
        .as_ref()
        .map_or(instance.service.as_str(), |offer| offer.manifest.service.title.as_str());
    html! {
        header.title {
            div.heading { h1 { (instance.host) } (states::chip(instance)) }
            p.lead {
                (title) " · " (host_link(instance)) " · since " (words::moment(instance.created))
                " · " code.small { (instance.instance) }
            }
        }
    }
}

/// What it does without being asked.
fn by_itself(whole: &Whole, now: Timestamp) -> Markup {
    let Instance { state, suspended, .. } = &whole.instance;
    let runs = *state == InstanceState::Open && suspended.is_none();
    let manifest = whole.offer.as_ref().ok().map(|offer| &offer.manifest);
    let schedules = manifest.and_then(|it| instance_jobs::schedules(it, runs.then_some(now)));
    html! {
        @if let Some(schedules) = schedules {
            section.card #schedules { h2 { "By itself" } (schedules) }
        }
    }
}

/// What can be done with the application itself, as far as the person may.
fn tools(person: &Person, whole: &Whole, draft: &Draft) -> Markup {
    let Whole { instance, offer, rights, .. } = whole;
    let may = |permission| rights.may_on_instance(permission, instance);
    html! {
        @if let Ok(Offer { manifest, .. }) = offer {
            @if may(RunCommand::PERMISSION) {
                (commands::section(person, instance, manifest, draft))
            }
            @if may(RotateSecret::PERMISSION) { (secrets::section(person, instance, manifest)) }
        }
    }
}

/// What keeps it from being used, if anything does.
fn standing(whole: &Whole, now: Timestamp) -> Markup {
    let Instance { suspended, maintenance, problem, state, .. } = &whole.instance;
    html! {
        @if let Some(reason) = suspended {
            div.notice.bad { p { strong { "Suspended. " } (words::sentence(reason)) } }
        }
        @if let Some(reason) = maintenance {
            div.notice { p { strong { "Closed for maintenance. " } (words::sentence(reason)) } }
        }
        @if let Some(problem) = problem {
            div.notice.bad { p { strong { (words::sentence(problem)) } } }
        }
        (updates::notices(&whole.instance, &whole.update, now))
        @if *state != InstanceState::Open && let Some(order) = &whole.order {
            div.notice {
                p { strong { "Not open yet. " } "The order’s page shows how far it is." }
                p {
                    a.button href=(paths::order(order.account, order.order)) { "See the progress" }
                }
            }
        }
    }
}

fn change_form(person: &Person, whole: &Whole, draft: &Draft) -> Markup {
    let Whole { instance, offer, book, order, .. } = whole;
    let offer = match offer {
        Ok(offer) => offer,
        Err(problem) => return failure::missing_part(problem),
    };
    let plan = order.as_ref().map_or("", |order| order.plan.as_str());
    let prices = book.as_ref().and_then(|book| Prices::of(book, plan));
    let is_drafted = !draft.fields.get("size").is_empty();
    let drafted = choices::modules(&draft.fields);
    let choices = Choices {
        manifest: &offer.manifest,
        prices,
        size: if is_drafted { draft.fields.get("size") } else { &instance.size },
        modules: if is_drafted { &drafted } else { &instance.modules },
    };
    let action = format!("{}/subscription", paths::instance(instance.account, instance.instance));
    let content = html! {
        (choices.fieldsets())
        @if let Some(order) = order { input type="hidden" name="builds_on" value=(order.order); }
        @if person.is_operator() { p.soft { "Only the customer changes what they take." } }
        @else {
            button { "Change" }
            p.soft.small { "It counts from now on, also on the bill." }
        }
    };
    form(&person.form_token, &action, content)
}

fn maintenance_form(person: &Person, whole: &Whole, draft: &Draft) -> Markup {
    let Instance { account, instance, maintenance, .. } = whole.instance.clone();
    let action = format!("{}/maintenance", paths::instance(account, instance));
    let content = html! {
        @if maintenance.is_some() { button { "Open it again" } } @else {
            label.field { span { "What visitors read" }
                input name="maintenance_reason" required maxlength="500"
                    value=(draft.fields.get("maintenance_reason"))
                    placeholder="We are back at three o’clock.";
            }
            button.quiet { "Close for maintenance" }
        }
    };
    form(&person.form_token, &action, content)
}

fn suspension_form(person: &Person, whole: &Whole, draft: &Draft) -> Markup {
    let Instance { account, instance, suspended, .. } = whole.instance.clone();
    let action = format!("{}/suspension", paths::instance(account, instance));
    let content = html! {
        @if suspended.is_some() { button { "Resume" } } @else {
            label.field { span { "What visitors read" }
                input name="suspension_reason" required maxlength="500"
                    value=(draft.fields.get("suspension_reason"))
                        placeholder="The bill of May is open.";
            }
            button.danger { "Suspend" }
        }
    };
    form(&person.form_token, &action, content)
}

pub(crate) async fn change(
    person: Person,
    Path((account, instance)): Path<Which>,
    fields: Fields,
) -> Answer {
    let modules = choices::modules(&fields);
    let size = fields.get("size").to_owned();
    let builds_on = fields.get("builds_on").parse().ok();
    let (modules, size) = (Some(modules), Some(size));
    let operation = ChangeSubscription { account, instance, modules, size, builds_on };
    match person.client.call(operation).await {
        Ok(order) => Ok(Redirect::to(&paths::order(account, order.order)).into_response()),
        Err(problem) => refused(&person, (account, instance), fields, problem).await,
    }
}

pub(crate) async fn maintain(
    person: Person,
    Path((account, instance)): Path<Which>,
    fields: Fields,
) -> Answer {
    let reason = reason(&fields, "maintenance_reason");
    let asked = person.client.call(SetMaintenance { account, instance, reason }).await;
    settled(&person, (account, instance), fields, asked.map(drop)).await
}

pub(crate) async fn suspend(
    person: Person,
    Path((account, instance)): Path<Which>,
    fields: Fields,
) -> Answer {
    let reason = reason(&fields, "suspension_reason");
    let asked = person.client.call(SuspendInstance { account, instance, reason }).await;
    settled(&person, (account, instance), fields, asked.map(drop)).await
}

pub(crate) async fn rotate(
    person: Person,
    Path((account, instance, secret)): Path<(AccountId, InstanceId, String)>,
    fields: Fields,
) -> Answer {
    let asked = person.client.call(RotateSecret { account, instance, secret }).await;
    settled(&person, (account, instance), fields, asked.map(drop)).await
}

/// Leads to the job that it is.
pub(crate) async fn run(
    person: Person,
    Path((account, instance)): Path<Which>,
    fields: Fields,
) -> Answer {
    let asked = async {
        let operation = RunCommand { account, instance, command: commands::words(&fields) };
        let queued = person.client.call_once(operation, fields.once()?).await?;
        queued.jobs.first().copied().ok_or_else(Problem::internal)
    };
    match asked.await {
        Ok(job) => {
            let page = format!("{}/jobs/{job}", paths::instance(account, instance));
            Ok(Redirect::to(&page).into_response())
        }
        Err(problem) => refused(&person, (account, instance), fields, problem).await,
    }
}

/// The form that opens asks for no reason; one that is empty is for the platform to refuse.
fn reason(fields: &Fields, name: &str) -> Option<String> {
    fields.all(name).next().map(|reason| reason.trim().to_owned())
}

async fn settled(
    person: &Person,
    which: Which,
    fields: Fields,
    asked: Result<(), Problem>,
) -> Answer {
    match asked {
        Ok(()) => Ok(Redirect::to(&paths::instance(which.0, which.1)).into_response()),
        Err(problem) => refused(person, which, fields, problem).await,
    }
}

/// The page again, with what was filled in and why it was refused.
pub(crate) async fn refused(
    person: &Person,
    which: Which,
    fields: Fields,
    problem: Problem,
) -> Answer {
    if problem.kind == Kind::Unauthenticated {
        return Err(problem.into());
    }
    let draft = Draft::refused(fields, problem);
    Ok(draw(person, which, &Question::default(), &draft).await?.into_response())
}
