//! `./x demo`: the whole main job, done as a stranger would: over the public HTTP
//! interfaces and the command line alone. Each step checks what it says.

mod bills;
pub(crate) mod browser;
mod jobs;
mod orders;
mod permissions;
pub(crate) mod person;
pub(crate) mod platform;
mod refusals;
mod services;
mod story;
mod updates;
mod visitors;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};

use crate::{machine, programs};
use browser::Browser;
use person::Person;
use platform::{Agent, Platform, WITHOUT_AGENT};
use story::Story;

/// The bakery's forum, with polls and search.
const BAKERY: &str = "bakery-forum.localhost";
/// The chess club's forum, without modules.
const CLUB: &str = "club-forum.localhost";
/// The chess club's store.
const CLUB_STORE: &str = "club-store.localhost";
/// The mill's print shop.
const PRESS: &str = "mill-press.localhost";
/// Everybody's, except the operator's: it opens nothing but a demonstration on this machine.
const PASSWORD: &str = "flour-and-water";

/// Runs the whole main job.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// End after the last step instead of staying up
    #[arg(long)]
    exit: bool,
    /// Where the platform keeps its data; a second run goes on with what is there
    #[arg(long, value_name = "DIR", default_value = ".mandate/demo")]
    data: PathBuf,
    /// On which port; 8080, or the next one that is free, if absent
    #[arg(long, value_name = "N")]
    port: Option<u16>,
}

impl Options {
    /// The same, wherever the program goes.
    pub(crate) fn absolute(self) -> anyhow::Result<Self> {
        Ok(Self { data: std::path::absolute(self.data)?, ..self })
    }
}

/// Who and what takes part.
struct Demo {
    story: Story,
    port: u16,
    data: PathBuf,
    operator: Person,
    /// Owns the bakery.
    ada: Person,
    /// Works there.
    ben: Person,
    /// Runs the chess club.
    eva: Person,
    /// Runs the mill.
    mia: Person,
}

impl Demo {
    fn new(data: PathBuf, port: u16) -> anyhow::Result<Self> {
        let url = format!("http://127.0.0.1:{port}");
        let person = |name, email, password| Person::new(&data, &url, name, email, password);
        let operator = platform::operator(&data)?;
        Ok(Self {
            operator: person("operator", &operator.email, &operator.password),
            ada: person("ada", "ada@bakery.example", PASSWORD),
            ben: person("ben", "ben@bakery.example", PASSWORD),
            eva: person("eva", "eva@club.example", PASSWORD),
            mia: person("mia", "mia@mill.example", PASSWORD),
            story: Story::begin(),
            data,
            port,
        })
    }

    /// Somebody with a browser of their own, at a host.
    fn browser(&self, host: &str) -> Browser {
        Browser::new(self.port, host)
    }
}

/// Runs every step, then stays up unless it shall not.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    machine::ensure(&[&machine::COMPILER, &machine::PYTHON, &machine::PYTHON_VENV]).await?;
    let story = Story::begin();
    story::chapter("The programs");
    programs::build(&["build", "--package", "mandate"]).await?;
    story.done("built `mandate` and the forum");
    story::chapter("1  The platform starts");
    // The agent is stopped and started again in a chapter of its own.
    let without_agent = ["--only", WITHOUT_AGENT];
    let mut platform = Platform::start(&options.data, options.port, &without_agent).await?;
    story.done(format!("`mandate up` is ready at http://127.0.0.1:{}", platform.port));
    let demo = Demo::new(options.data.clone(), platform.port)?;
    let shown = chapters(&demo).await;
    let shown = shown.inspect_err(|_| {
        eprintln!("\nThe end of {}:\n{}", platform.log.display(), platform.last_words());
    });
    let mut agent = shown.context("the demo ends at the first step that fails")?;
    println!("\nEverything was shown in {:.1} s.", story.total().as_secs_f64());
    if options.exit {
        let story = Story::begin();
        agent.stop()?;
        let status = platform.stop().context("`mandate up` cannot be waited for")?;
        ensure!(status.success(), "`mandate up` did not stop as it should ({status})");
        story.done(format!("`mandate up` stopped ({status})"));
        return Ok(ExitCode::SUCCESS);
    }
    invite(&demo, &platform);
    platform.ended().await
}

/// Every chapter; the agent goes on, for who wants to look around.
async fn chapters(demo: &Demo) -> anyhow::Result<Agent> {
    platform::first_start(demo).await?;
    let mut agent = Agent::start(demo).await?;
    demo.story.done("`mandate agent` joins this machine as a node");
    story::chapter("2  Services are published");
    jobs::open_the_press(demo).await?;
    services::publish(demo).await?;
    story::chapter("3, 4, 5  A customer takes a forum and sets it up");
    orders::bakery(demo).await?;
    story::chapter("6  Visitors come, and another customer");
    let before = bills::posts(demo).await?;
    visitors::bakery(demo).await?;
    orders::club(demo).await?;
    visitors::apart(demo).await?;
    story::chapter("7  Permissions");
    permissions::show(demo).await?;
    story::chapter("8  The bill");
    bills::show(demo, before + 1).await?;
    story::chapter("9  What is refused, and how");
    refusals::hosts(demo).await?;
    refusals::orders(demo).await?;
    refusals::manifests(demo).await?;
    story::chapter("10  Jobs, and a machine without its agent");
    jobs::show(demo).await?;
    jobs::without_the_agent(demo, &mut agent).await?;
    story::chapter("11  A new version goes out, and one comes back");
    updates::show(demo).await?;
    Ok(agent)
}

/// What to try by hand.
fn invite(demo: &Demo, platform: &Platform) {
    let at = |host: &str| format!("http://{host}:{}/", demo.port);
    let rows = [
        ("console", at("console.localhost"), demo.ada.sign_in()),
        ("the bakery's forum", at(BAKERY), format!("{} / {PASSWORD}", visitors::VERA)),
        ("the club's forum", at(CLUB), String::new()),
        ("the club's store", at(CLUB_STORE), String::new()),
        ("the club's owner", at("console.localhost"), demo.eva.sign_in()),
        ("the operator", at("console.localhost"), demo.operator.sign_in()),
        ("the mill's print shop", at(PRESS), demo.mia.sign_in()),
        ("API", format!("{}billing/v1/openapi.json", at("api.localhost")), String::new()),
    ];
    println!("\nIt stays up; try it by hand, and end it with Ctrl-C.\n");
    for (what, url, sign_in) in rows {
        println!("  {what:<20}{url:<50}{sign_in}");
    }
    println!("\n  export MANDATE_URL=http://127.0.0.1:{}", demo.port);
    println!("  {} sign-in {}", person::PROGRAM, demo.ada.email);
    println!("  log: {}", platform.log.display());
}
