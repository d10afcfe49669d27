//! Members as a program adds and removes them.
//!
//! The forum asks nobody for a permission here: who may call these routes is the matter of what
//! stands in front of it.

use axum::{
    Json, Router,
    body::Bytes,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{delete, post},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    error::{Error, Problem},
    secrets,
    store::members::{self, Member},
    text,
    visit::{App, Visit},
};

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/users", post(add)).route("/users/{name}", delete(remove))
}

#[derive(Deserialize)]
struct User {
    name: String,
    email: String,
}

/// Adds a member, who chooses a password at the `invitation` in the answer. Asked again for the
/// same name and address it is harmless, and renews an invitation that was not taken up.
async fn add(
    visit: Result<Visit, Error>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    let visit = visit?;
    let body = body.map_err(|_| Error::TooLarge)?;
    let user: User = serde_json::from_slice(&body).map_err(|error| {
        Error::Invalid(format!(
            "The body is not a user: send JSON such as \
             {{\"name\": \"ada\", \"email\": \"ada@example.com\"}} ({error})."
        ))
    })?;
    let token = secrets::token();
    let member = Member {
        id: secrets::id(),
        name: text::name(&user.name)?,
        email: text::email(&user.email)?,
        password: None,
        joined_at: visit.now,
    };
    let kept = secrets::hash_token(&token);
    let added = members::insert(&member, Some(kept.clone())).run(&visit.db).await? > 0;
    if added {
        return Ok(answer(StatusCode::CREATED, &visit, &member, Some(&token)));
    }
    let known = members::by_name(&visit.db, &member.name).await?.ok_or(Error::NotReady)?;
    if known.email != member.email {
        let why = format!("{} is a member with another e-mail address.", known.name);
        return Err(Error::Taken(why).into());
    }
    let renewed = members::invite_again(&visit.db, &known.id, kept).await? > 0;
    Ok(answer(StatusCode::OK, &visit, &known, renewed.then_some(token.as_str())))
}

fn answer(status: StatusCode, visit: &Visit, member: &Member, token: Option<&str>) -> Response {
    let mut user = json!({ "name": member.name, "email": member.email });
    if let Some(token) = token {
        user["invitation"] = json!(format!("{}/invitations/{token}", visit.tenant.public_url));
    }
    (status, Json(user)).into_response()
}

async fn remove(
    visit: Result<Visit, Error>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let visit = visit?;
    let member = members::by_name(&visit.db, &name).await?.ok_or(Error::NotFound)?;
    members::remove(&visit.db, &member.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
