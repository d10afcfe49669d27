//! The platform is killed again and again while visitors come. What they were answered must be on
//! the bill, by the requests' ids: nothing is lost and nothing counts twice.

use std::{
    cell::{Cell, RefCell},
    net::Ipv4Addr,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{
    databases::{Databases, Engine},
    ledger::Seen,
};
use crate::{
    demo::{
        browser::Browser,
        person::{Person, items},
        platform::{Platform, operator},
    },
    machine,
    process::{Remains, until},
    programs,
};

/// Kills the platform again and again while visitors come.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often it is killed
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=500))]
    kills: u32,
    /// How many visitors come at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    visitors: u32,
    /// On which databases
    #[arg(long, value_enum, default_value = "sqlite")]
    engine: Engine,
}

const HOST: &str = "soak.localhost";
/// Usage that was on its way arrives within this time.
const ARRIVES_LONGEST: Duration = Duration::from_mins(2);
/// An instance opens, or opens again, within this time.
const OPENS_LONGEST: Duration = Duration::from_mins(2);
/// Between two kills, once it serves again: from nearly none to long enough for everything.
const LIVES: [u64; 7] = [2_500, 300, 1_200, 50, 3_000, 700, 150];
/// More events than this are not compared.
const EVENTS_MAX: u32 = 100_000;

/// Runs it.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER]).await?;
    programs::build(&["build", "--package", "mandate"]).await?;
    let data = std::env::temp_dir().join(format!("mandate-soak-{}", std::process::id()));
    let _remains = Remains(data.clone());
    let databases = Databases::start(options.engine, Ipv4Addr::LOCALHOST).await?;
    let databases = databases.options();
    let databases: Vec<&str> = databases.iter().map(String::as_str).collect();
    let platform = Platform::start(&data, None, &databases).await?;
    println!("killed {} times at http://127.0.0.1:{}", options.kills, platform.port);
    let done = killed(options, &data, platform, &databases).await;
    match &done {
        Ok(_) => std::fs::remove_dir_all(&data)?,
        Err(_) => eprintln!("what is left of it is in {}", data.display()),
    }
    done
}

async fn killed(
    options: &Options,
    data: &Path,
    first: Platform,
    databases: &[&str],
) -> anyhow::Result<ExitCode> {
    let port = first.port;
    let url = format!("http://127.0.0.1:{port}");
    let owner = Person::new(data, &url, "ada", "ada@bakery.example", "flour-and-water");
    prepare(data, &url, &owner).await?;
    let (seen, over) = (RefCell::new(Seen::default()), Cell::new(false));
    let visitors = (0..options.visitors).map(|_| visit(port, &seen, &over));
    let killing = async {
        let last = kill_again_and_again(options.kills, (data, databases), first, &seen).await;
        over.set(true);
        last
    };
    let (platform, _) = tokio::join!(killing, join_all(visitors));
    let platform = platform?;
    let verdict = compare(&owner, &seen.into_inner()).await;
    let stopped = platform.stop().context("`mandate up` cannot be waited for")?;
    ensure!(stopped.success(), "`mandate up` did not end by itself when it was asked ({stopped})");
    verdict
}

/// A forum that is open.
async fn prepare(data: &Path, url: &str, owner: &Person) -> anyhow::Result<()> {
    let found = operator(data)?;
    let operator = Person::new(data, url, "operator", &found.email, &found.password);
    operator.ask(&format!("sign-in {}", found.email)).await?;
    operator.ask("service publish services/forum").await?;
    owner.ask(&format!("register Soak --email {}", owner.email)).await?;
    owner.ask(&format!("order place forum --size small --host {HOST} --wait")).await?;
    let line = format!("instance setup {HOST} admin_email={} --wait", owner.email);
    owner.ask(&line).await?;
    Ok(())
}

/// Comes again and again until it is over.
async fn visit(port: u16, seen: &RefCell<Seen>, over: &Cell<bool>) {
    let browser = Browser::new(port, HOST);
    while !over.get() {
        if let Ok(answer) = browser.get("/").await {
            seen.borrow_mut().note(answer.status, answer.header("x-request-id").ok());
        } else {
            seen.borrow_mut().unanswered += 1;
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Kills it, starts it, waits until it serves, lets it live for a while; the last one lives on.
async fn kill_again_and_again(
    kills: u32,
    (data, databases): (&Path, &[&str]),
    mut platform: Platform,
    seen: &RefCell<Seen>,
) -> anyhow::Result<Platform> {
    let port = platform.port;
    for (kill, life) in (1..=kills).zip(LIVES.into_iter().cycle()) {
        serves(seen).await.with_context(|| platform.last_words())?;
        sleep(Duration::from_millis(life)).await;
        let killed = Instant::now();
        platform.kill().context("it cannot be waited for")?;
        platform = Platform::start(data, Some(port), databases).await?;
        println!("kill {kill}: ready again after {:.1} s", killed.elapsed().as_secs_f64());
    }
    serves(seen).await.with_context(|| platform.last_words())?;
    Ok(platform)
}

/// Until a visitor is answered.
async fn serves(seen: &RefCell<Seen>) -> anyhow::Result<()> {
    let before = seen.borrow().answered.len();
    let served =
        until(OPENS_LONGEST, async || Ok((seen.borrow().answered.len() > before).then_some(())));
    served.await?.context("the instance does not open again")?;
    Ok(())
}

async fn compare(owner: &Person, seen: &Seen) -> anyhow::Result<ExitCode> {
    ensure!(seen.answered.len() < EVENTS_MAX as usize / 2, "more was answered than is compared");
    let arrived = until(ARRIVES_LONGEST, async || {
        let counted = counted(owner).await?;
        let all = seen.compare(&counted).lost.is_empty();
        Ok(all.then_some(counted))
    });
    let counted = match arrived.await? {
        Some(counted) => counted,
        None => counted(owner).await?,
    };
    let comparison = seen.compare(&counted);
    println!("\nanswered by the application   {:>8}", seen.answered.len());
    for (status, times) in &seen.refused {
        println!("answered by the platform, {status} {times:>8}");
    }
    println!("without an answer             {:>8}", seen.unanswered);
    println!("counted                       {:>8}", counted.len());
    println!("answered and not counted      {:>8}", comparison.lost.len());
    println!("counted twice                 {:>8}", comparison.twice.len());
    println!("counted and not heard         {:>8}", comparison.unheard);
    for id in comparison.lost.iter().chain(&comparison.twice).take(20) {
        println!("  {id}");
    }
    let right = comparison.is_right(seen);
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The ids of the requests that were counted.
async fn counted(owner: &Person) -> anyhow::Result<Vec<String>> {
    let usage = owner.ask(&format!("bill usage --instance {HOST} --limit {EVENTS_MAX}")).await?;
    let requests = items(&usage)?.iter().filter(|event| event["meter"] == "requests");
    let ids = requests.filter_map(|event| event["event"].as_str().map(str::to_owned));
    Ok(ids.collect())
}
