//! Jobs: one by itself, one by request, and one that fails and is replayed; and the agent, which is
//! stopped and started while visitors notice nothing.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    BAKERY, Demo, PRESS, orders,
    person::{items, text},
    platform::Agent,
    services,
};
use crate::process::until;

/// How long a job may take from being queued to its end.
const JOB_LONGEST: Duration = Duration::from_secs(30);
/// How long it is until the next minute begins, and a job of it has ended.
const MINUTE_LONGEST: Duration = Duration::from_secs(90);
/// How long the machine is without its agent.
const AWAY: Duration = Duration::from_secs(2);
/// How long it may take until the agent that was started anew is heard of.
const BACK_LONGEST: Duration = Duration::from_secs(30);

/// A print shop, which has nothing to set up, opens by itself.
pub(crate) async fn open_the_press(demo: &Demo) -> anyhow::Result<()> {
    services::published(demo, "xtask/src/demo", "press", 0).await?;
    orders::join(demo, &demo.mia, "The Mill").await?;
    orders::take(demo, &demo.mia, "order place press --size small --host", PRESS).await?;
    let open = until(JOB_LONGEST, async || {
        let page = demo.browser(PRESS).get("/").await?;
        Ok((page.status == 200).then_some(page))
    });
    open.await?.with_context(|| format!("{PRESS} does not open"))?.shows("Print shop")?;
    demo.story.done(format!("{PRESS} asks for no set-up and is open"));
    Ok(())
}

/// One by request, one from the dead letters, and the one that the clock asks for.
pub(crate) async fn show(demo: &Demo) -> anyhow::Result<()> {
    by_request(demo).await?;
    from_the_dead_letters(demo).await?;
    by_itself(demo).await
}

/// The manifest turns the request into a job; the application never sees it.
async fn by_request(demo: &Demo) -> anyhow::Result<()> {
    let order = json!({ "text": "Opening times\u{c}Prices" });
    let visitor = demo.browser(PRESS);
    let answer = visitor.post("/orders", &order, None).await?.is(202)?.json()?;
    let (job, address) = (text(&answer, "/job")?, text(&answer, "/address")?);
    let done = ended(demo, job).await?;
    ensure!(done["state"] == "succeeded", "`print` did not succeed: {done}");
    let printed = text(&done, "/output")?;
    ensure!(printed.contains("Prices"), "`print` printed something else: {printed}");
    let told = visitor.get(address).await?.is(200)?;
    told.hides("running")?;
    demo.story.done(format!("POST /orders is answered 202 and becomes the job {job}: 2 pages"));
    Ok(())
}

/// A job that fails for good is kept, and can be tried again when its reason has gone.
async fn from_the_dead_letters(demo: &Demo) -> anyhow::Result<()> {
    let house = TcpListener::bind("127.0.0.1:0")?;
    let address = house.local_addr()?;
    drop(house);
    let payload = demo.data.join("deliver.json");
    std::fs::write(&payload, json!({ "to": address.to_string() }).to_string())?;
    let line = format!("job run {PRESS} deliver --payload {}", payload.display());
    let queued = demo.mia.ask(&line).await?;
    let job = text(&queued, "/job")?;
    let failed = ended(demo, job).await?;
    ensure!(failed["state"] == "failed", "`deliver` should find nobody in: {failed}");
    let queue = demo.operator.read("queue show press").await?;
    ensure!(queue.contains("deliver"), "the queue does not count what has failed: {queue}");
    demo.story.done("`mandate job run … deliver` fails for good, and the queue counts it");
    let house = TcpListener::bind(address).context("the port has been taken meanwhile")?;
    demo.mia.ask(&format!("job replay {job} --of {PRESS}")).await?;
    let delivered = ended(demo, job).await?;
    ensure!(delivered["state"] == "succeeded", "`deliver` failed again: {delivered}");
    drop(house);
    demo.story.done("somebody is in now: `mandate job replay` tries it again, and it succeeds");
    Ok(())
}

async fn ended(demo: &Demo, job: &str) -> anyhow::Result<Value> {
    let end = until(JOB_LONGEST, async || {
        let job = demo.mia.ask(&format!("job show {job} --of {PRESS}")).await?;
        Ok(["succeeded", "failed"].contains(&text(&job, "/state")?).then_some(job))
    });
    end.await?.with_context(|| format!("the job {job} does not end"))
}

/// The schedule says each minute.
async fn by_itself(demo: &Demo) -> anyhow::Result<()> {
    let line = format!("job list {PRESS} --state succeeded");
    let proof = until(MINUTE_LONGEST, async || {
        let jobs = demo.mia.ask(&line).await?;
        Ok(items(&jobs)?.iter().find(|job| job["name"] == "proof").cloned())
    });
    let proof = proof.await?.context("nothing came of the schedule within a minute")?;
    let said = text(&proof, "/output")?.trim().to_owned();
    demo.story.done(format!("the schedule queued `proof` by itself: “{said}”"));
    Ok(())
}

/// How often each replica was started, in earlier runs too.
fn starts(nodes: &Value) -> anyhow::Result<BTreeMap<String, Option<i64>>> {
    let replicas = nodes.pointer("/items/0/replicas").and_then(Value::as_array);
    let replicas = replicas.context("the node tells of no replicas")?;
    let count =
        |replica: &Value| Ok((text(replica, "/replica")?.to_owned(), replica["starts"].as_i64()));
    replicas.iter().map(count).collect()
}

/// What the agent has started goes on without it.
pub(crate) async fn without_the_agent(demo: &Demo, agent: &mut Agent) -> anyhow::Result<()> {
    let heard_of = async || {
        let nodes = demo.operator.ask("node list").await?;
        anyhow::Ok(text(&nodes, "/items/0/seen")?.to_owned())
    };
    let before = starts(&demo.operator.ask("node list").await?)?;
    agent.stop()?;
    let (last, stopped) = (heard_of().await?, Instant::now());
    let mut looks = 0_u32;
    while stopped.elapsed() < AWAY {
        looks += look(demo).await?;
    }
    demo.story.done(format!("the agent is stopped, and {looks} requests are answered as ever"));
    agent.start_again(demo.port)?;
    let back = until(BACK_LONGEST, async || {
        looks += look(demo).await?;
        Ok((heard_of().await? > last).then_some(()))
    });
    back.await?.context("the agent that was started again is not heard of")?;
    let after = starts(&demo.operator.ask("node list").await?)?;
    ensure!(after == before, "a replica was started again: {before:?} became {after:?}");
    demo.story.done(format!(
        "the agent is back and goes on with the same {} replicas; of {looks} requests none failed",
        after.len()
    ));
    Ok(())
}

async fn look(demo: &Demo) -> anyhow::Result<u32> {
    for host in [BAKERY, PRESS] {
        demo.browser(host).get("/").await?.is(200)?;
    }
    Ok(2)
}
