//! Step 9: what is refused says why and what to do, and leaves nothing half-made.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::{
    BAKERY, CLUB_STORE, Demo,
    browser::Browser,
    person::{items, text},
    services::changed,
};
use crate::process::until;

/// How long the replica of an instance that goes on may take to begin.
const RESUMED_LONGEST: Duration = Duration::from_mins(1);

/// Hosts that nobody has, that are suspended, and that are closed for a while.
pub(crate) async fn hosts(demo: &Demo) -> anyhow::Result<()> {
    demo.browser("nobody.localhost").get("/").await?.is(404)?.shows("nobody.localhost")?;
    demo.story.done("an unknown host is answered with a page and 404");
    let store = demo.eva.ask(&format!("instance show {CLUB_STORE}")).await?;
    let which = format!("{CLUB_STORE} --account {}", text(&store, "/account")?);
    let visitor = demo.browser(CLUB_STORE);
    demo.operator.ask(&format!("instance suspend {which} --reason 'the card has expired'")).await?;
    visitor.get("/").await?.is(402)?.shows("the card has expired")?;
    demo.operator.ask(&format!("instance resume {which}")).await?;
    goes_on(&visitor).await?;
    demo.story.done("a suspended instance is answered with 402 and says why; then it goes on");
    let line = format!("instance maintenance {CLUB_STORE}");
    demo.eva.ask(&format!("{line} --reason 'we count the stock'")).await?;
    let closed = visitor.get("/").await?.is(503)?.shows("we count the stock")?;
    let seconds = closed.header("retry-after")?.to_owned();
    demo.eva.ask(&format!("{line} --end")).await?;
    goes_on(&visitor).await?;
    demo.story.done(format!(
        "maintenance is answered with 503 and Retry-After: {seconds}; then it is over"
    ));
    Ok(())
}

/// The store is open again. As long as no replica of it is healthy, 503 says when to try again.
async fn goes_on(visitor: &Browser) -> anyhow::Result<()> {
    let page = until(RESUMED_LONGEST, async || {
        let page = visitor.get("/").await?;
        if page.status == 503 {
            page.header("retry-after")?;
            return Ok(None);
        }
        Ok(Some(page))
    });
    let page = page.await?.with_context(|| format!("{CLUB_STORE} does not go on"))?;
    page.is(200)?.shows("Rook and Pawn")?;
    Ok(())
}

/// Orders that cannot be filled.
pub(crate) async fn orders(demo: &Demo) -> anyhow::Result<()> {
    let before = taken(demo).await?;
    let place = "order place forum --size small";
    let refusals = [
        (format!("{place} --host {BAKERY}"), "taken"),
        (format!("{place} --host knitting.localhost --modules pols"), "no module `pols`"),
        (format!("{place} --host knitting.localhost --modules badges"), "needs `polls`"),
        (format!("{place} --host console.localhost"), "is reserved for the platform"),
    ];
    for (line, words) in refusals {
        let sentence = demo.eva.refused(&line, 5, words).await?;
        demo.story.done(format!("refused: {sentence}"));
    }
    ensure!(taken(demo).await? == before, "a refused order left something behind");
    demo.browser("knitting.localhost").get("/").await?.is(404)?;
    demo.story.done("nothing was made by them: no order, no instance, no host");
    Ok(())
}

async fn taken(demo: &Demo) -> anyhow::Result<(usize, usize)> {
    let orders = items(&demo.eva.ask("order list").await?)?.len();
    Ok((orders, items(&demo.eva.ask("instance list").await?)?.len()))
}

/// Services that cannot be published.
pub(crate) async fn manifests(demo: &Demo) -> anyhow::Result<()> {
    let before = demo.operator.ask("service list").await?;
    let foreign = ("permission = \"viewOrders\"", "permission = \"forum.addUsers\"");
    let folder = spoilt(demo, "foreign", &[foreign], &[])?;
    refused(demo, &folder, "", 5, "`forum` is another namespace").await?;
    let platform = ("name = \"store\"", "name = \"billing\"");
    let folder =
        spoilt(demo, "platform", &[platform], &[("service = \"store\"", "service = \"billing\"")])?;
    refused(demo, &folder, "", 5, "`billing` is a part of the platform").await?;
    let unpaid = ("modules.reviews = { monthly = \"3.00\" }", "");
    let folder = spoilt(demo, "unpaid", &[], &[unpaid])?;
    refused(demo, &folder, "", 5, "reviews").await?;
    let key = demo.data.join("refused/stranger.key");
    let folder = PathBuf::from("services/store");
    let stranger = format!("--new-key --key {}", key.display());
    refused(demo, &folder, &stranger, 3, "does not trust the key").await?;
    ensure!(
        demo.operator.ask("service list").await? == before,
        "something was published after all"
    );
    demo.story.done("nothing was published by them");
    Ok(())
}

async fn refused(
    demo: &Demo,
    folder: &Path,
    option: &str,
    code: i32,
    words: &str,
) -> anyhow::Result<()> {
    let line = format!("service publish {} {option}", folder.display());
    let sentence = demo.operator.refused(&line, code, words).await?;
    demo.story.done(format!("refused: {sentence}"));
    Ok(())
}

fn spoilt(
    demo: &Demo,
    name: &str,
    manifest: &[(&str, &str)],
    prices: &[(&str, &str)],
) -> anyhow::Result<PathBuf> {
    let folder = demo.data.join("refused").join(name);
    changed("store", &folder, manifest, prices)?;
    Ok(folder)
}
