//! Steps 3 to 5: an account, an order, the set-up page, an open instance.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{
    BAKERY, CLUB, CLUB_STORE, Demo,
    person::{Person, items, text},
};
use crate::process::until;

/// How long an instance may take from its set-up to its first page.
const OPEN_LONGEST: Duration = Duration::from_mins(2);

/// The bakery registers, and takes a forum with two modules.
pub(crate) async fn bakery(demo: &Demo) -> anyhow::Result<()> {
    join(demo, &demo.ada, "The Bakery").await?;
    let order = "order place forum --modules polls,search --size small --host";
    take(demo, &demo.ada, order, BAKERY).await?;
    let fields = [
        ("forum_name", "The Bakery Forum"),
        ("admin_email", "ada@bakery.example"),
        ("welcome", "yes"),
    ];
    open(demo, &demo.ada, BAKERY, &fields, "The Bakery Forum").await
}

/// The chess club registers, and takes a forum and a store.
pub(crate) async fn club(demo: &Demo) -> anyhow::Result<()> {
    join(demo, &demo.eva, "The Chess Club").await?;
    take(demo, &demo.eva, "order place forum --size small --host", CLUB).await?;
    let fields =
        [("forum_name", "Club Talk"), ("admin_email", "eva@club.example"), ("welcome", "yes")];
    open(demo, &demo.eva, CLUB, &fields, "Club Talk").await?;
    let order = "order place store --plan basic --modules coupons,reviews --size small --host";
    take(demo, &demo.eva, order, CLUB_STORE).await?;
    let fields = [
        ("shop_name", "Rook and Pawn"),
        ("contact_email", "eva@club.example"),
        ("currency", "USD"),
        ("sample", "home"),
    ];
    open(demo, &demo.eva, CLUB_STORE, &fields, "Rook and Pawn").await
}

/// Registers, or finds the account of an earlier run, and signs in.
pub(crate) async fn join(demo: &Demo, person: &Person, title: &str) -> anyhow::Result<()> {
    let output = person.run(&format!("register '{title}' --email {}", person.email)).await?;
    let how = match output.status.code() {
        Some(0) => "registered",
        // The e-mail address is taken: by whom, signing in will show.
        Some(5) => "registered in an earlier run",
        _ => bail!("`mandate register` failed: {}", String::from_utf8_lossy(&output.stderr)),
    };
    let signed_in = person.ask(&format!("sign-in {}", person.email)).await?;
    text(&signed_in, "/user/account")?;
    demo.story.done(format!("{title} is {how}; {} signs in", person.email));
    Ok(())
}

/// Places the order, or finds the one of an earlier run, and waits until it is complete.
pub(crate) async fn take(
    demo: &Demo,
    person: &Person,
    order: &str,
    host: &str,
) -> anyhow::Result<()> {
    let orders = person.ask("order list").await?;
    let known =
        items(&orders)?.iter().find(|order| order["host"] == host && order["phase"] != "failed");
    let line = match known {
        Some(known) => format!("order show {} --wait", text(known, "/order")?),
        None => format!("{order} {host} --wait"),
    };
    let instance = person.ask(&line).await?;
    text(&instance, "/instance")?;
    let how = if known.is_some() { "was ordered in an earlier run" } else { "is ordered" };
    let who = &person.email;
    demo.story.done(format!("{host} {how} by {who}: database made, a billing cycle began"));
    Ok(())
}

/// Fills in the set-up page, twice, and waits for the instance's first page.
async fn open(
    demo: &Demo,
    person: &Person,
    host: &str,
    fields: &[(&str, &str)],
    shows: &str,
) -> anyhow::Result<()> {
    let instance = person.ask(&format!("instance show {host}")).await?;
    if let Ok(address) = text(&instance, "/setup_url") {
        set_up(demo, host, address, fields, shows).await?;
    }
    reopen(demo, person, host, &instance).await?;
    let visitor = demo.browser(host);
    let opened = until(OPEN_LONGEST, async || {
        let instance = person.ask(&format!("instance show {host}")).await?;
        if text(&instance, "/state")? == "failed" {
            bail!(
                "{host} could not be set up: {}",
                person.read(&format!("instance setup {host}")).await?
            );
        }
        let page = visitor.get("/").await?;
        Ok((page.status == 200).then_some(page))
    });
    opened.await?.with_context(|| format!("{host} does not open"))?.shows(shows)?;
    let jobs = person.ask(&format!("instance jobs {host}")).await?;
    // The first two; what came later are changes of the database.
    let first: Vec<(&Value, &Value)> =
        items(&jobs)?.iter().rev().take(2).map(|job| (&job["name"], &job["state"])).collect();
    let seeds = items(&jobs)?.iter().filter(|job| job["name"] == "seed").count();
    let is_so = first.iter().all(|(_, state)| *state == "succeeded")
        && first.iter().map(|(name, _)| *name).eq(["migrate", "seed"]);
    ensure!(is_so && seeds == 1, "`migrate` and `seed` of {host} did not run once: {jobs}");
    demo.story.done(format!("{host} is open and shows “{shows}”; migrate and seed ran once each"));
    Ok(())
}

/// Opens what an earlier run that was interrupted may have left closed.
async fn reopen(demo: &Demo, person: &Person, host: &str, instance: &Value) -> anyhow::Result<()> {
    if instance["suspended"].is_string() {
        let account = text(instance, "/account")?;
        demo.operator.ask(&format!("instance resume {host} --account {account}")).await?;
    }
    if instance["maintenance"].is_string() {
        person.ask(&format!("instance maintenance {host} --end")).await?;
    }
    Ok(())
}

async fn set_up(
    demo: &Demo,
    host: &str,
    address: &str,
    fields: &[(&str, &str)],
    shows: &str,
) -> anyhow::Result<()> {
    let owner = demo.browser(host);
    let page = owner.get(&owner.local(address)?).await?.is(200)?;
    for (name, _) in fields {
        ensure!(
            page.text.contains(&format!("name=\"{name}\"")),
            "the set-up page has no field `{name}`"
        );
    }
    demo.story
        .done(format!("{host} shows its set-up page: {} fields of the manifest", fields.len()));
    let form = [&page.hidden()[..], fields].concat();
    owner.send(&page.path, &form).await?;
    let progress = owner.send(&page.path, &form).await?.is(200)?;
    // What was done meanwhile shows the instance itself.
    if !progress.text.contains(shows) {
        progress.shows("migrate")?.shows("seed")?;
    }
    demo.story.done("the set-up is sent, twice: the second time it shows how far the first is");
    Ok(())
}
