//! Orders, and how far each is.

use api::{
    configurator::{GetInstance, GetSetup},
    provider::{GetOrder, ListOrders, Order},
};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::{AccountId, OrderId};

use crate::{
    answer::{Page, Shown},
    layout,
    paging::{Paging, ROWS},
    paths,
    progress::Progress,
    states,
    titles::Titles,
    visitor::Person,
    words,
};

pub(crate) async fn list(
    person: Person,
    Path(account): Path<AccountId>,
    Query(Paging { after }): Query<Paging>,
) -> Shown {
    let page = person.client.call(ListOrders { account, after, limit: ROWS }).await?;
    let services = page.items.iter().map(|order| order.service.clone()).collect();
    let titles = Titles::of(&person.client, services).await;
    let body = html! {
        header.title { h1 { "Orders" } }
        @if page.items.is_empty() { (layout::nothing("Nothing has been ordered yet.")) } @else {
            div.wide tabindex="0" { table {
                thead {
                    tr {
                        th { "Ordered" } th { "Service" } th { "Host" } th { "Taken" }
                        th { "State" }
                    }
                }
                tbody { @for order in &page.items { (row(order, &titles)) } }
            } }
        }
        (layout::more(&paths::of(account, "orders"), page.next.as_deref()))
    };
    Ok(Page::new("Orders", body))
}

fn row(order: &Order, titles: &Titles) -> Markup {
    html! {
        tr {
            td {
                a href=(paths::order(order.account, order.order)) { (words::moment(order.created)) }
            }
            td { (titles.service(&order.service)) }
            td { (order.host) }
            td { (titles.taken(order)) }
            td { (states::chip(&order.phase)) }
        }
    }
}

pub(crate) async fn show(
    person: Person,
    Path((account, order)): Path<(AccountId, OrderId)>,
) -> Shown {
    let order = person.client.call(GetOrder { account, order }).await?;
    let instance = order.instance;
    let (made, setup, titles) = tokio::join!(
        person.client.call(GetInstance { account, instance }),
        person.client.call(GetSetup { account, instance }),
        Titles::of(&person.client, [order.service.clone()].into()),
    );
    // The instance is not there at first, and an operator does not see its set-up.
    let (made, setup) = (made.ok(), setup.ok());
    let progress = Progress { order: &order, instance: made.as_ref(), setup: setup.as_ref() };
    let is_going = progress.is_going();
    let setup_problem = setup.as_ref().and_then(|setup| setup.problem.as_deref());
    let made_problem = made.as_ref().and_then(|made| made.problem.as_deref());
    let problem = order.problem.as_deref().or(made_problem).or(setup_problem);
    let content = html! {
        (layout::back(&paths::of(account, "orders"), "Orders"))
        header.title {
            h1 { (order.host) }
            p.lead { (titles.service(&order.service)) " · " (titles.taken(&order)) }
        }
        @if let Some(problem) = problem {
            div.notice.bad role="alert" { p { strong { (words::sentence(problem)) } } }
        }
        div.card { (progress.steps()) }
        @if let Some(made) = &made {
            p { a href=(paths::instance(account, instance)) { "All about " (made.host) } }
        }
    };
    let path = paths::order(account, order.order);
    let body = layout::live(&path, is_going, content);
    Ok(Page::new(format!("Order of {}", order.host), body).going(is_going))
}
