//! Why a line of a bill is what it is: from the amount to rates, quantities and usage.

use api::billing::{ExplainLine, LineExplanation, LinePart, LineUsage, reading};
use axum::extract::{Path, Query};
use maud::{Markup, html};
use types::{AccountId, Currency};

use crate::{
    answer::{Page, Shown},
    pages::bill::Asked,
    paths,
    visitor::Person,
    words,
};

pub(crate) async fn show(
    person: Person,
    Path((account, line)): Path<(AccountId, String)>,
    Query(asked): Query<Asked>,
) -> Shown {
    let month = words::month_of(&asked.month);
    let explanation = person.client.call(ExplainLine { account, line, month }).await?;
    let bill = paths::with_query(&paths::of(account, "bill"), &[("month", &asked.month)]);
    let body = html! {
        div.explained {
            p.back.alone { a href=(bill) { "← The bill" } }
            h1.alone { (explanation.line.title) }
            p.soft.alone { code { (explanation.line.line) } }
            (sum_table(&explanation))
            (usage_table(&explanation))
        }
    };
    Ok(Page::new(explanation.line.title, body))
}

fn sum_table(explanation: &LineExplanation) -> Markup {
    let line = &explanation.line;
    let currency = line.amount.currency;
    html! {
        div.wide tabindex="0" { table.sums {
            thead {
                tr {
                    th { "What" } th.number { "Quantity" } th.number { "Price" }
                    th.number { "Amount" }
                }
            }
            tbody {
                @for part in &explanation.parts { (part_row(part, &line.unit, currency)) }
                tr.result {
                    td colspan="3" {
                        "Total"
                        div.soft.small { (words::sentence(&explanation.rounding)) }
                    }
                    td.number {
                        @if line.problem.is_some() { "?" }
                        @else { strong { (words::money(line.amount)) } }
                    }
                }
            }
        } }
    }
}

fn part_row(part: &LinePart, unit: &str, currency: Currency) -> Markup {
    html! {
        tr {
            td { (part.note) div.soft.small { "price since " (words::moment(part.effective)) } }
            td.number title=(part.quantity) { (reading::quantity_text(part.quantity, unit)) }
            td.number { (reading::price(part.rate, unit, currency)) }
            td.number title=(part.amount) { (reading::money(part.amount, currency)) " " (currency) }
        }
    }
}

fn usage_table(explanation: &LineExplanation) -> Markup {
    let LineExplanation { usage, usage_count, line, .. } = explanation;
    let shown = u64::try_from(usage.len()).unwrap_or(u64::MAX);
    html! {
        h2 { "Where it comes from" }
        @if usage.is_empty() { p.soft { "No usage lies under this line." } } @else {
            p.soft.small {
                (words::counted(*usage_count, "usage record"))
                @if shown < *usage_count { ", the newest " (words::number(shown)) " of them below" }
            }
            div.wide.tall tabindex="0" { table.small {
                thead { tr { th { "When" } th { "What" } th.number { "How much" } } }
                tbody { @for piece in usage { (usage_row(piece, &line.unit)) } }
            } }
        }
    }
}

fn usage_row(piece: &LineUsage, unit: &str) -> Markup {
    html! {
        tr {
            td {
                (words::second(piece.at))
                @if let Some(until) = piece.until { " – " (words::second(until)) }
            }
            td { (piece.note) div.soft { code { (piece.event) } } }
            td.number title=(piece.quantity) { (reading::quantity_text(piece.quantity, unit)) }
        }
    }
}
