//! Step 6: people use an instance, and nothing of one shows in another.

use anyhow::{Context as _, ensure};

use super::{
    BAKERY, CLUB, CLUB_STORE, Demo, PASSWORD,
    browser::Browser,
    person::{items, text},
};

/// A visitor of the bakery's forum.
pub(crate) const VERA: &str = "Vera";
const TOPIC: &str = "Which flour for a light rye?";
const ANSWER: &str = "Half rye 1150, half wheat 550, and patience.";

/// Somebody joins the bakery's forum, asks, answers, finds.
pub(crate) async fn bakery(demo: &Demo) -> anyhow::Result<()> {
    let vera = demo.browser(BAKERY);
    enter(&vera).await?;
    demo.story.done(format!("{VERA} joins {BAKERY}"));
    let fields = [("title", TOPIC), ("body", "Mine comes out like a brick.")];
    let topic = vera.send("/topics", &fields).await?.is(200)?.shows(TOPIC)?;
    let posts = format!("{}/posts", topic.path);
    vera.send(&posts, &[("body", ANSWER)]).await?.is(200)?.shows(ANSWER)?;
    demo.browser(BAKERY).get("/").await?.is(200)?.shows(TOPIC)?;
    demo.story.done(format!("{VERA} posts “{TOPIC}” and an answer; everybody can read it"));
    vera.get("/search?q=patience").await?.is(200)?.shows(TOPIC)?;
    vera.get("/polls").await?.is(200)?.shows("Polls")?;
    vera.get("/badges").await?.is(404)?.shows("module")?;
    demo.story
        .done("search and polls are there; badges, which the bakery did not take, answers 404");
    Ok(())
}

/// Joins, or signs in if an earlier run did.
async fn enter(visitor: &Browser) -> anyhow::Result<()> {
    let fields = [("name", VERA), ("email", "vera@example.com"), ("password", PASSWORD)];
    let joined = visitor.send("/join", &fields).await?;
    if joined.status != 200 {
        let fields = [("name", VERA), ("password", PASSWORD)];
        visitor.send("/login", &fields).await?.is(200)?;
    }
    visitor.get("/").await?.is(200)?.shows("Sign out")?;
    Ok(())
}

/// Tries to see something of the bakery as a customer and as a visitor of the club.
pub(crate) async fn apart(demo: &Demo) -> anyhow::Result<()> {
    let vera = demo.browser(BAKERY);
    enter(&vera).await?;
    let topics = vera.get("/").await?.is(200)?.shows(TOPIC)?;
    let topic = link_to(&topics.text, TOPIC).context("nothing leads to the topic")?;
    vera.get(topic).await?.is(200)?;
    let visitor = demo.browser(CLUB);
    visitor.get("/").await?.is(200)?.shows("Club Talk")?.hides(TOPIC)?.hides("Bakery")?;
    visitor.get(topic).await?.is(404)?;
    visitor.get("/members").await?.is(200)?.hides(VERA)?;
    vera.carried_to(CLUB).get("/").await?.is(200)?.hides("Sign out")?;
    let stranger = [("name", VERA), ("password", PASSWORD)];
    let refused = visitor.send("/login", &stranger).await?;
    refused.is(422)?.shows("do not belong together")?;
    visitor.get("/").await?.is(200)?.hides("Sign out")?;
    demo.story
        .done("the club's forum has none of it: no topic, no member, and no use for her cookie");
    demo.browser(CLUB_STORE).get("/").await?.is(200)?.shows("Rook and Pawn")?.hides("Bakery")?;
    customers_apart(demo).await
}

/// The address of the link that has these words.
fn link_to<'a>(page: &'a str, words: &str) -> Option<&'a str> {
    let (before, _) = page.split_once(words)?;
    let (_, address) = before.rsplit_once("href=\"")?;
    address.split('"').next()
}

async fn customers_apart(demo: &Demo) -> anyhow::Result<()> {
    let bakery = demo.ada.ask(&format!("instance show {BAKERY}")).await?;
    let (account, instance) = (text(&bakery, "/account")?, text(&bakery, "/instance")?);
    let own = demo.eva.ask("instance list").await?;
    let foreign = items(&own)?.iter().any(|found| found["account"] == account);
    ensure!(!foreign, "the club's list has an instance of the bakery: {own}");
    let questions = [
        format!("instance show {instance} --account {account}"),
        format!("instance list --account {account}"),
        format!("bill show --account {account}"),
        format!("order place forum --size small --host stolen.localhost --account {account}"),
    ];
    for question in questions {
        let code = demo.eva.run(&question).await?.status.code();
        ensure!(
            matches!(code, Some(3 | 4)),
            "`mandate {question}` by a stranger ends with {code:?}"
        );
    }
    demo.story
        .done("the club's owner is refused the bakery's instances, its bill, and an order for it");
    Ok(())
}
