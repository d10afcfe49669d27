//! The list of topics, a topic with its posts, and writing.

use axum::{
    Router,
    extract::{Path, Query},
    http::StatusCode,
    response::Response,
    routing::{delete, get, post},
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    error::{Error, Problem},
    pages::{self, page},
    secrets,
    store::topics::{self, Draft, Position, Post, Topic},
    text,
    visit::{App, Fields, Visit, see},
};

const TOPICS_A_PAGE: usize = 25;
const POSTS_A_PAGE: usize = 50;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(list))
        .route("/topics", post(open))
        .route("/topics/new", get(new))
        .route("/topics/{topic}", get(show).delete(remove))
        .route("/topics/{topic}/posts", post(reply))
        .route("/topics/{topic}/posts/{post}", delete(remove_post))
}

/// Where a page begins: after the position that ended the one before.
#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

impl After {
    fn position(&self, start: i64) -> Result<Position, Error> {
        let Some(text) = &self.after else { return Ok((start, String::new())) };
        text.split_once('.')
            .and_then(|(moment, id)| Some((moment.parse().ok()?, id.to_owned())))
            .ok_or(Error::NotFound)
    }
}

/// Cuts what is more than a page off `items`; whether there was more.
fn cut<T>(items: &mut Vec<T>, size: usize) -> bool {
    let more = items.len() > size;
    items.truncate(size);
    more
}

fn limit(size: usize) -> i64 {
    i64::try_from(size + 1).expect("a page is small")
}

async fn list(visit: Visit, Query(after): Query<After>) -> Result<Response, Error> {
    let position = after.position(i64::MAX)?;
    let mut found = topics::latest(&visit.db, position, limit(TOPICS_A_PAGE)).await?;
    let more = cut(&mut found, TOPICS_A_PAGE);
    let content = html! {
        div.heading {
            h1 { "Topics" }
            a.button href="/topics/new" { "New topic" }
        }
        @if found.is_empty() {
            div.card.empty { p { "Nobody has written anything yet. Be the first!" } }
        } @else {
            ul.rows.card {
                @for topic in &found { (row(&visit, topic)) }
            }
        }
        @if let Some(last) = found.last().filter(|_| more) {
            p.more {
                a href={ "/?after=" (last.active_at.micros()) "." (last.id) } { "Older topics" }
            }
        }
    };
    Ok(page(&visit, "Topics", &content))
}

fn row(visit: &Visit, topic: &Topic) -> Markup {
    html! {
        li {
            (pages::avatar(topic.author.as_deref()))
            div.main {
                a.title href={ "/topics/" (topic.id) } { (topic.title) }
                div.meta {
                    "by " (pages::author(topic.author.as_deref()))
                    ", " (pages::ago(topic.created_at, visit.now))
                }
            }
            div.side {
                span.count { (pages::counted(topic.posts, "post")) }
                span.meta { (pages::ago(topic.active_at, visit.now)) }
            }
        }
    }
}

async fn show(
    visit: Visit,
    Path(id): Path<String>,
    Query(after): Query<After>,
) -> Result<Response, Error> {
    let topic = topics::by_id(&visit.db, &id).await?.ok_or(Error::NotFound)?;
    let (posts, more) = posts(&visit, &id, &after).await?;
    let content = shown(&visit, &topic, &posts, more, ("", None));
    Ok(page(&visit, &topic.title, &content))
}

async fn posts(visit: &Visit, topic: &str, after: &After) -> Result<(Vec<Post>, bool), Error> {
    let position = after.position(i64::MIN)?;
    let mut posts = topics::posts(&visit.db, topic, position, limit(POSTS_A_PAGE)).await?;
    let more = cut(&mut posts, POSTS_A_PAGE);
    Ok((posts, more))
}

/// A topic's page; `draft` is what stands in the box for the next post, and what is wrong with it.
fn shown(
    visit: &Visit,
    topic: &Topic,
    posts: &[Post],
    more: bool,
    draft: (&str, Option<&str>),
) -> Markup {
    html! {
        p.crumbs { a href="/" { "Topics" } }
        h1 { (topic.title) }
        @for post in posts {
            article.card.post id=(post.id) {
                (pages::avatar(post.author.as_deref()))
                div.main {
                    div.meta {
                        (pages::author(post.author.as_deref()))
                        " · " (pages::ago(post.created_at, visit.now))
                    }
                    div.prose { (pages::prose(&post.body)) }
                }
            }
        }
        @if let Some(last) = posts.last().filter(|_| more) {
            p.more {
                a href={ "?after=" (last.created_at.micros()) "." (last.id) } { "Later posts" }
            }
        }
        @if visit.member.is_some() {
            form.card method="post" action={ "/topics/" (topic.id) "/posts" } {
                h2 { "Your answer" }
                (pages::problem(draft.1))
                (writing(draft.0))
                p.actions { button { "Post" } }
            }
        } @else {
            div.card.invite {
                p { "Join the conversation: it is open to everyone." }
                p.actions {
                    a.button href="/join" { "Join" }
                    a.button.quiet href="/login" { "Sign in" }
                }
            }
        }
    }
}

fn writing(body: &str) -> Markup {
    html! {
        label {
            span { "Text" }
            textarea name="body" rows="7" maxlength=(text::BODY_MAX) required { (body) }
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Written {
    title: String,
    body: String,
}

async fn new(visit: Visit) -> Result<Response, Error> {
    visit.member()?;
    Ok(page(&visit, "New topic", &opening(&Written::default(), None)))
}

fn opening(written: &Written, problem: Option<&str>) -> Markup {
    html! {
        p.crumbs { a href="/" { "Topics" } }
        h1 { "New topic" }
        form.card method="post" action="/topics" {
            (pages::problem(problem))
            label {
                span { "Title" }
                input name="title" value=(written.title) maxlength="120" required autofocus;
            }
            (writing(&written.body))
            p.actions { button { "Open topic" } a.button.quiet href="/" { "Cancel" } }
        }
    }
}

async fn open(visit: Visit, Fields(written): Fields<Written>) -> Result<Response, Error> {
    let author = &visit.member()?.id;
    let checked = text::line(&written.title, "a title", 3, 120)
        .and_then(|title| Ok((title, text::body(&written.body)?)));
    let (title, body) = match checked {
        Err(Error::Invalid(why)) => {
            return Ok(pages::refused(&visit, "New topic", &opening(&written, Some(&why))));
        }
        other => other?,
    };
    let topic = secrets::id();
    let draft = Draft { topic: &topic, post: secrets::id(), author, body: &body, now: visit.now };
    visit.db.together(draft.open(&title)).await?;
    Ok(see(&format!("/topics/{topic}")))
}

async fn reply(
    visit: Visit,
    Path(id): Path<String>,
    Fields(written): Fields<Written>,
) -> Result<Response, Error> {
    let author = &visit.member()?.id;
    let topic = topics::by_id(&visit.db, &id).await?.ok_or(Error::NotFound)?;
    let body = match text::body(&written.body) {
        Err(Error::Invalid(why)) => {
            let (posts, more) = posts(&visit, &id, &After { after: None }).await?;
            let content = shown(&visit, &topic, &posts, more, (&written.body, Some(&why)));
            return Ok(pages::refused(&visit, &topic.title, &content));
        }
        other => other?,
    };
    let draft = Draft { topic: &id, post: secrets::id(), author, body: &body, now: visit.now };
    visit.db.together(draft.reply()).await?;
    // The page that the new post is on begins just before it, if the topic is long.
    let place = visit.now.micros() - 1;
    let anchor = &draft.post;
    Ok(see(&match usize::try_from(topic.posts) {
        Ok(posts) if posts < POSTS_A_PAGE => format!("/topics/{id}#{anchor}"),
        _ => format!("/topics/{id}?after={place}.#{anchor}"),
    }))
}

/// For whoever keeps order; the app leaves it to what stands in front of it to say who that is.
async fn remove(
    visit: Result<Visit, Error>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let visit = visit?;
    topics::by_id(&visit.db, &id).await?.ok_or(Error::NotFound)?;
    topics::remove(&visit.db, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_post(
    visit: Result<Visit, Error>,
    Path((topic, post)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    if topics::remove_post(&visit?.db, &topic, &post).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::NotFound.into())
    }
}
