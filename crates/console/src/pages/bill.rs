//! The bill of a month.

use api::{
    Kind, Problem,
    billing::{
        Bill, BillLine, BillVerification, GetBill, GetVerification, Verification, VerifiedLine,
        VerifyBill, reading,
    },
    identity::{Account, GetAccount},
};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use serde::Deserialize;
use std::time::Duration;
use types::{AccountId, Money};

use crate::{
    answer::{Answer, Page, Shown},
    failure,
    form::{Fields, form},
    layout, paths,
    visitor::Person,
    words,
};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    /// `2026-11`; the present month if absent.
    #[serde(default)]
    pub(crate) month: String,
}

pub(crate) async fn show(
    person: Person,
    Path(account): Path<AccountId>,
    Query(asked): Query<Asked>,
) -> Shown {
    let client = &person.client;
    let month = words::month_of(&asked.month);
    let (bill, customer, verification) = tokio::join!(
        client.call(GetBill { account, month }),
        client.call(GetAccount { account }),
        client.call(GetVerification { account, month }),
    );
    let bill = bill?;
    let is_going = verification.as_ref().is_ok_and(|known| known.result.is_none());
    let title = format!("Bill for {}", words::month(bill.period.starts()));
    let body = html! {
        header.title {
            div.heading { h1 { (title) } @if bill.draft { span.chip.busy { "draft" } } }
            (months(&bill, customer.ok().as_ref()))
        }
        (summary(&bill, &person.form_token))
        (layout::live(&path_of(&bill), is_going, last(&verification, &bill)))
        @if bill.lines.is_empty() { (layout::nothing("Nothing was taken in this month.")) }
        @for lines in bill.lines.chunk_by(|line, next| line.instance == next.instance) {
            (of_instance(&bill, lines))
        }
    };
    Ok(Page::new(title, body).going(is_going))
}

/// Asks for the bill to be recomputed; its page shows how far that is.
pub(crate) async fn verify(
    person: Person,
    Path(account): Path<AccountId>,
    fields: Fields,
) -> Answer {
    let month = words::month_of(fields.get("month"));
    let begun = person.client.call(VerifyBill { account, month }).await?;
    let month = words::month_key(begun.month);
    let bill = paths::with_query(&paths::of(account, "bill"), &[("month", &month)]);
    Ok(Redirect::to(&bill).into_response())
}

fn path_of(bill: &Bill) -> String {
    let month = words::month_key(bill.period.starts());
    paths::with_query(&paths::of(bill.account, "bill"), &[("month", &month)])
}

fn months(bill: &Bill, customer: Option<&Account>) -> Markup {
    let path = paths::of(bill.account, "bill");
    let month = |key: String| paths::with_query(&path, &[("month", &key)]);
    let before = bill.period.starts().minus(Duration::from_secs(1));
    let is_first = customer.is_some_and(|customer| before < customer.created);
    html! {
        nav.months aria-label="Months" {
            @if !is_first {
                a href=(month(words::month_key(before))) rel="prev" { "← " (words::month(before)) }
            }
            @if !bill.draft {
                a href=(month(words::month_key(bill.period.ends()))) rel="next" {
                    (words::month(bill.period.ends())) " →"
                }
            }
        }
    }
}

fn summary(bill: &Bill, token: &str) -> Markup {
    let action = format!("{}/verification", paths::of(bill.account, "bill"));
    let content = html! {
        input type="hidden" name="month" value=(words::month_key(bill.period.starts()));
        button.quiet { "Verify" }
        p.soft.small { "Computes it again from raw usage, by other code." }
    };
    html! {
        section.card.total {
            div {
                @if bill.totals.is_empty() { p.owed { "Nothing to pay" } }
                @for total in &bill.totals { p.owed { (words::money(*total)) } }
                p.soft {
                    @if bill.draft {
                        "So far, with all that was used until " (words::moment(bill.until)) "."
                    }
                    @else { "For the whole month." }
                }
            }
            (form(token, &action, content))
        }
    }
}

/// What is known of the latest verification, if there was one.
fn last(verification: &Result<BillVerification, Problem>, bill: &Bill) -> Markup {
    let known = match verification {
        Ok(known) => known,
        Err(problem) if problem.kind == Kind::NotFound => return html! {},
        Err(problem) => return failure::notice(problem),
    };
    match (&known.result, &known.problem) {
        (Some(result), _) => verified(result, bill),
        (None, Some(problem)) => html! {
            div.notice.bad role="status" { p { (words::sentence(problem)) } }
        },
        (None, None) => html! {
            div.notice role="status" {
                p {
                    strong { "The bill is being computed again." } " "
                    (words::number(known.events)) " of "
                    (words::counted(known.events_total, "usage event")) " were read so far."
                }
            }
        },
    }
}

fn verified(verification: &Verification, bill: &Bill) -> Markup {
    let differing: Vec<_> = verification.lines.iter().filter(|line| !line.agrees).collect();
    html! {
        div.notice.good[verification.agrees].bad[!verification.agrees] role="status" {
            p {
                strong {
                    @if verification.agrees { "Verified: the two computations agree to the cent." }
                    @else { "The two computations do not agree. Show this to the operator." }
                }
                " " (words::counted(verification.events, "usage event")) " were read again, until "
                (words::moment(verification.until)) "."
            }
            @if verification.set_aside > 0 {
                p {
                    (words::counted(verification.set_aside, "usage event"))
                    " cannot be billed as they came and are on no bill. The operator can see why."
                }
            }
            @if !differing.is_empty() { (differences(&differing, bill)) }
            @for total in &verification.totals {
                p.soft {
                    "Billed " (words::money(total.billed)) ", recomputed "
                    (words::money(total.recomputed)) "."
                }
            }
        }
    }
}

fn differences(lines: &[&VerifiedLine], bill: &Bill) -> Markup {
    let title = |line: &str| {
        let found = bill.lines.iter().find(|known| known.line == line);
        found.map_or(line.to_owned(), |known| known.title.clone())
    };
    let said = |money: Option<Money>| money.map_or_else(|| "absent".to_owned(), words::money);
    html! {
        div.wide tabindex="0" { table {
            thead { tr { th { "Line" } th.number { "Billed" } th.number { "Recomputed" } } }
            tbody { @for line in lines { tr {
                td { (title(&line.line)) }
                td.number { (said(line.billed)) }
                td.number { (said(line.recomputed)) }
            } } }
        } }
    }
}

/// The lines of one instance, and what they are together.
fn of_instance(bill: &Bill, lines: &[BillLine]) -> Markup {
    let Some((BillLine { instance, host, service, amount: first, .. }, rest)) = lines.split_first()
    else {
        return html! {};
    };
    let together = rest.iter().try_fold(*first, |sum, line| sum.plus(line.amount));
    html! {
        section.card.flush {
            h2.heading {
                a href=(paths::instance(bill.account, *instance)) { (host) }
                span.soft { (service) }
            }
            @for line in lines { (line_row(bill, line)) }
            @if let Ok(sum) = together {
                p.line-sum { span { "Total" } span { (words::money(sum)) } }
            }
        }
    }
}

fn line_row(bill: &Bill, line: &BillLine) -> Markup {
    let month = words::month_key(bill.period.starts());
    let path = paths::line(bill.account, &line.line, &month);
    html! {
        details.line data-load=(path) {
            summary {
                span.what {
                    (line.title)
                    span.soft.small {
                        span title=(line.quantity) {
                            (reading::quantity_text(line.quantity, &line.unit))
                        }
                    }
                }
                span.amount {
                    @if line.problem.is_some() { "?" } @else { (words::money(line.amount)) }
                }
            }
            @if let Some(problem) = &line.problem { p.notice.bad { (words::sentence(problem)) } }
            div.unfolded data-place="" { p { a href=(path) { "Explain this line" } } }
        }
    }
}
