//! The module `polls`: a question, a few choices, one vote for each member.

use axum::{
    Router,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    error::Error,
    pages::{self, page},
    secrets,
    store::polls::{self, Choice, Poll},
    text,
    visit::{App, Fields, Visit, see},
};

const MODULE: &str = "polls";
const POLLS_SHOWN: i64 = 100;
const CHOICES_MAX: usize = 10;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/polls", get(list).post(open))
        .route("/polls/new", get(new))
        .route("/polls/{poll}", get(show))
        .route("/polls/{poll}/votes", post(vote))
}

async fn list(visit: Visit) -> Result<Response, Error> {
    visit.needs(MODULE)?;
    let found = polls::newest(&visit.db, POLLS_SHOWN).await?;
    let content = html! {
        div.heading {
            h1 { "Polls" }
            a.button href="/polls/new" { "New poll" }
        }
        @if found.is_empty() {
            div.card.empty { p { "No questions yet. What would you like to know?" } }
        } @else {
            ul.rows.card {
                @for poll in &found {
                    li {
                        (pages::avatar(poll.author.as_deref()))
                        div.main {
                            a.title href={ "/polls/" (poll.id) } { (poll.question) }
                            (byline(&visit, poll))
                        }
                        div.side { span.count { (pages::counted(poll.votes, "vote")) } }
                    }
                }
            }
        }
    };
    Ok(page(&visit, "Polls", &content))
}

fn byline(visit: &Visit, poll: &Poll) -> Markup {
    html! {
        div.meta {
            "by " (pages::author(poll.author.as_deref()))
            ", " (pages::ago(poll.created_at, visit.now))
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    question: String,
    /// One on each line.
    choices: String,
}

async fn new(visit: Visit) -> Result<Response, Error> {
    visit.needs(MODULE)?;
    visit.member()?;
    Ok(page(&visit, "New poll", &asking(&Asked::default(), None)))
}

fn asking(asked: &Asked, problem: Option<&str>) -> Markup {
    html! {
        p.crumbs { a href="/polls" { "Polls" } }
        h1 { "New poll" }
        form.card method="post" action="/polls" {
            (pages::problem(problem))
            label {
                span { "Question" }
                input name="question" value=(asked.question) maxlength="160" required autofocus;
            }
            label {
                span { "Choices" }
                textarea name="choices" rows="6" required { (asked.choices) }
                small { "One on each line, 2 to 10 of them." }
            }
            p.actions { button { "Ask" } a.button.quiet href="/polls" { "Cancel" } }
        }
    }
}

impl Asked {
    fn checked(&self) -> Result<(String, Vec<(String, String)>), Error> {
        let question = text::line(&self.question, "a question", 3, 160)?;
        let lines = self.choices.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut choices: Vec<(String, String)> = Vec::new();
        for line in lines.take(CHOICES_MAX + 1) {
            let label = text::line(line, "each choice", 1, 80)?;
            if choices.iter().any(|(_, known)| *known == label) {
                return Err(Error::Invalid(format!("“{label}” is there twice.")));
            }
            choices.push((secrets::id(), label));
        }
        if (2..=CHOICES_MAX).contains(&choices.len()) {
            Ok((question, choices))
        } else {
            Err(Error::Invalid(format!(
                "Please give 2 to {CHOICES_MAX} choices, one on each line."
            )))
        }
    }
}

async fn open(visit: Visit, Fields(asked): Fields<Asked>) -> Result<Response, Error> {
    visit.needs(MODULE)?;
    let author = &visit.member()?.id;
    let (question, choices) = match asked.checked() {
        Err(Error::Invalid(why)) => {
            return Ok(pages::refused(&visit, "New poll", &asking(&asked, Some(&why))));
        }
        other => other?,
    };
    let id = secrets::id();
    polls::open(&visit.db, &id, &question, author, &choices, visit.now).await?;
    Ok(see(&format!("/polls/{id}")))
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Error> {
    visit.needs(MODULE)?;
    let poll = polls::by_id(&visit.db, &id).await?.ok_or(Error::NotFound)?;
    let choices = polls::choices(&visit.db, &id).await?;
    let chosen = match &visit.member {
        Some(member) => polls::chosen(&visit.db, &id, &member.id).await?,
        None => None,
    };
    let content = html! {
        p.crumbs { a href="/polls" { "Polls" } }
        h1 { (poll.question) }
        (byline(&visit, &poll))
        form.card.poll method="post" action={ "/polls/" (id) "/votes" } {
            @for choice in &choices {
                (bar(&visit, choice, poll.votes, chosen.as_deref() == Some(choice.id.as_str())))
            }
            p.actions {
                @if visit.member.is_none() {
                    a.button href="/login" { "Sign in to vote" }
                } @else if chosen.is_some() {
                    button { "Change my vote" }
                } @else {
                    button { "Vote" }
                }
                span.meta { (pages::counted(poll.votes, "vote")) }
            }
        }
    };
    Ok(page(&visit, &poll.question, &content))
}

fn bar(visit: &Visit, choice: &Choice, total: i64, chosen: bool) -> Markup {
    let percent = if total == 0 { 0 } else { (choice.votes * 200 + total) / (total * 2) };
    html! {
        label.choice {
            span.label {
                @if visit.member.is_some() {
                    input type="radio" name="choice" value=(choice.id) checked[chosen] required;
                }
                span { (choice.label) }
            }
            progress max="100" value=(percent) {}
            span.percent title=(pages::counted(choice.votes, "vote")) { (percent) " %" }
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Vote {
    choice: String,
}

async fn vote(
    visit: Visit,
    Path(id): Path<String>,
    Fields(vote): Fields<Vote>,
) -> Result<Response, Error> {
    visit.needs(MODULE)?;
    let member = visit.member()?;
    if polls::vote(&visit.db, &id, &member.id, &vote.choice).await? {
        Ok(see(&format!("/polls/{id}")))
    } else {
        polls::by_id(&visit.db, &id).await?.ok_or(Error::NotFound)?;
        Err(Error::Invalid("Please pick one of the poll's choices.".into()))
    }
}
