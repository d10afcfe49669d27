//! Step 7: a grant, its explanation, and its end.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{
    BAKERY, Demo,
    person::{items, text},
    story,
};

const WHAT: &str = "forum.addUsers";

/// Ben may not, may, and may not.
pub(crate) async fn show(demo: &Demo) -> anyhow::Result<()> {
    let token = hire(demo).await?;
    let problem = add_member(demo, &token).await?.is(403)?;
    ensure!(
        problem.header("content-type")? == "application/problem+json",
        "it is no problem document"
    );
    let detail = text(&problem.json()?, "/detail")?.to_owned();
    ensure!(detail.contains(WHAT), "the problem does not name `{WHAT}`: {detail}");
    demo.story.done(format!("POST /users by {} is answered 403: “{detail}”", demo.ben.email));
    let line = format!("grant {} {WHAT} --on {BAKERY}", demo.ben.email);
    let granted = demo.ada.ask(&line).await?;
    let grant = text(&granted, "/grant")?;
    let added = add_member(demo, &token).await?;
    ensure!(
        matches!(added.status, 200 | 201),
        "after the grant it is {}: {}",
        added.status,
        added.text
    );
    demo.story.done(format!("`mandate {line}`: POST /users is answered {}", added.status));
    let (may, why) = can(demo).await?;
    ensure!(may && why.contains(grant), "`can` does not name {grant}: {why}");
    demo.story.done("`mandate can … --explain` names the grant:");
    story::quote(&why);
    demo.ada.ask(&format!("revoke {grant}")).await?;
    add_member(demo, &token).await?.is(403)?;
    demo.story.done("when `mandate revoke` has returned, POST /users is answered 403 again");
    let (may, why) = can(demo).await?;
    ensure!(!may && why.contains("mandate grant"), "`can` does not say what is missing: {why}");
    demo.story.done("`mandate can … --explain` says what is missing:");
    story::quote(&why);
    Ok(())
}

/// Adds a user without any permission to the bakery; their token.
async fn hire(demo: &Demo) -> anyhow::Result<String> {
    let output = demo.ada.run(&format!("user add --email {}", demo.ben.email)).await?;
    let added = match output.status.code() {
        Some(0) => "is added to the bakery",
        Some(5) => "was added in an earlier run",
        _ => bail!("`mandate user add` failed: {}", String::from_utf8_lossy(&output.stderr)),
    };
    withdraw(demo).await?;
    let api = demo.browser("api.localhost");
    let signed_in =
        api.post("/identity/v1/sessions", &demo.ben.credentials(), None).await?.json()?;
    demo.story.done(format!("{} {added} and signs in over HTTP", demo.ben.email));
    Ok(text(&signed_in, "/token")?.to_owned())
}

/// Takes back what an earlier run that was interrupted may have granted.
async fn withdraw(demo: &Demo) -> anyhow::Result<()> {
    let users = demo.ada.ask("user list").await?;
    let ben = items(&users)?.iter().find(|user| user["email"] == demo.ben.email);
    let ben = format!("user/{}", text(ben.context("the bakery has no such user")?, "/user")?);
    let grants = demo.ada.ask("grants").await?;
    for grant in items(&grants)?.iter().filter(|grant| grant["principal"] == ben) {
        demo.ada.ask(&format!("revoke {}", text(grant, "/grant")?)).await?;
    }
    Ok(())
}

async fn add_member(demo: &Demo, token: &str) -> anyhow::Result<super::browser::Answer> {
    let member: Value = json!({ "name": "Rosa", "email": "rosa@example.com" });
    demo.browser(BAKERY).post("/users", &member, Some(token)).await
}

async fn can(demo: &Demo) -> anyhow::Result<(bool, String)> {
    let line = format!("can {} {WHAT} --on {BAKERY} --explain", demo.ben.email);
    let output = demo.ada.run(&line).await?;
    let why = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Ok((true, why)),
        Some(7) => Ok((false, why)),
        _ => bail!("`mandate {line}` failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
