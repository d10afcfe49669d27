//! Who may do what: granting and revoking.

use api::{
    Kind, Problem,
    access::{CreateGrant, RevokeGrant},
};
use axum::{
    extract::Path,
    response::{IntoResponse, Redirect},
};
use types::{AccountId, GrantId, Resource};

use crate::{
    access::whom,
    answer::Answer,
    form::Fields,
    pages::{instance, users},
    paths,
    visitor::Person,
};

pub(crate) async fn create(
    person: Person,
    Path(account): Path<AccountId>,
    fields: Fields,
) -> Answer {
    let page = page_of(account, &fields)?;
    let asked = match wanted(&person, account, &fields).await {
        Ok((operation, once)) => person.client.call_once(operation, once).await.map(drop),
        Err(problem) => Err(problem),
    };
    settled(&person, page, fields, asked).await
}

async fn wanted<'f>(
    person: &Person,
    account: AccountId,
    fields: &'f Fields,
) -> Result<(CreateGrant, &'f str), Problem> {
    let wrong = |cause: types::WhoError| Problem::invalid("grant", cause.to_string());
    let operation = CreateGrant {
        account,
        principal: whom(person, account, fields.get("principal")).await?,
        given: fields.get("given").parse().map_err(wrong)?,
        on: fields.get("on").parse().map_err(wrong)?,
    };
    Ok((operation, fields.once()?))
}

pub(crate) async fn revoke(
    person: Person,
    Path((account, grant)): Path<(AccountId, GrantId)>,
    fields: Fields,
) -> Answer {
    let page = page_of(account, &fields)?;
    let asked = person.client.call(RevokeGrant { account, grant }).await.map(drop);
    settled(&person, page, fields, asked).await
}

/// The page on which the form stood: that of the account's users, or of an instance.
fn page_of(account: AccountId, fields: &Fields) -> Result<Resource, Problem> {
    match fields.get("page").parse() {
        Ok(page @ Resource::Instance(of, _)) if of == account => Ok(page),
        Ok(page @ Resource::Account(of)) if of == account => Ok(page),
        _ => Err(Problem::invalid("page", "the form was not complete; load the page again")),
    }
}

async fn settled(
    person: &Person,
    page: Resource,
    fields: Fields,
    asked: Result<(), Problem>,
) -> Answer {
    let path = match page {
        Resource::Instance(account, id) => format!("{}#access", paths::instance(account, id)),
        Resource::Account(account) => format!("{}#access", paths::of(account, "users")),
        _ => "/".into(),
    };
    match (asked, page) {
        (Ok(()), _) => Ok(Redirect::to(&path).into_response()),
        (Err(problem), _) if problem.kind == Kind::Unauthenticated => Err(problem.into()),
        (Err(problem), Resource::Instance(account, id)) => {
            instance::refused(person, (account, id), fields, problem).await
        }
        (Err(problem), Resource::Account(account)) => {
            users::refused(person, account, fields, problem).await
        }
        (Err(problem), _) => Err(problem.into()),
    }
}
