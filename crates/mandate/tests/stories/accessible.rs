//! Every page that people meet, in a real browser: axe-core finds nothing on it, by day and by
//! night, and it is no wider than a telephone.
//!
//! `MANDATE_PICTURES=FOLDER` keeps a picture of each, to look at.

use std::path::{Path, PathBuf};

use api::{
    access::{CreateGrant, Grant},
    configurator::Instance,
    identity::{ListAccounts, ListUsers},
    jobs::{Job, JobState, ListJobs},
    provider::ListOrders,
};
use serde_json::{Value, json};
use types::{Principal, Resource};

use crate::{
    calendar::runs,
    chromium::{Chromium, diary_is_on_offer},
    world::{PASSWORD, Person, World, until},
};

/// What `pip` fetches: axe-core, packed for Python, which is there already.
const AXE: &str = "axe-playwright-python==0.1.8";
const DIARY: &str = "gil-diary.localhost";
const WAITS: &str = "gil-waits.localhost";

/// Asks axe; answers what it found, a sentence each.
const ASK: &str = "
    const [options, done] = arguments;
    const said = (rule, node) => `${rule.id} at ${node.target}: ${node.failureSummary}`;
    axe.run(document, { resultTypes: ['violations'], ...options }).then(
        ({ violations }) => done(violations.flatMap((r) => r.nodes.map((node) => said(r, node)))),
        (cause) => done([String(cause)]),
    );";
/// As whoever prefers dark pages sees it.
const NIGHT: &str = "
    for (const sheet of document.styleSheets)
        for (const rule of sheet.cssRules)
            if (rule instanceof CSSMediaRule && rule.conditionText.includes('dark'))
                rule.media.mediaText = 'all';";
const TOO_WIDE: &str = "return document.documentElement.scrollWidth > innerWidth";

/// Somebody who looks at pages with axe.
struct Reader {
    chromium: Chromium,
    axe: String,
    console: String,
    pictures: Option<PathBuf>,
    faults: Vec<String>,
}

impl Reader {
    /// Looks at pages of the console.
    async fn reads_all(&mut self, who: &str, paths: &[&str]) {
        for path in paths {
            let url = format!("{}{path}", self.console);
            self.chromium.opens(&url).await;
            self.looks(who).await;
        }
    }

    /// Looks at the page that is there.
    async fn looks(&mut self, who: &str) {
        let client = &self.chromium.client;
        let url = client.current_url().await.unwrap();
        let page = format!("{who} at {url}");
        client.execute(&self.axe, vec![]).await.unwrap();
        let mut found = self.asks(json!({})).await;
        self.keeps(&page, "wide").await;
        self.is_as_wide_as(390).await;
        if client.execute(TOO_WIDE, vec![]).await.unwrap() == true {
            found.push("it is too wide for a telephone".into());
        }
        found.extend(self.asks(json!({})).await);
        self.keeps(&page, "narrow").await;
        self.is_as_wide_as(1280).await;
        client.execute(NIGHT, vec![]).await.unwrap();
        let contrast = json!({ "runOnly": ["color-contrast"] });
        let dark = self.asks(contrast).await;
        found.extend(dark.into_iter().map(|fault| format!("by night: {fault}")));
        self.faults.extend(found.into_iter().map(|fault| format!("{page}: {fault}")));
    }

    async fn is_as_wide_as(&self, width: u32) {
        let client = &self.chromium.client;
        client.set_window_size(width, 1000).await.unwrap();
        let is_so = async || client.execute("return innerWidth", vec![]).await.unwrap() == width;
        until("the window has its width", is_so).await;
    }

    async fn asks(&self, options: Value) -> Vec<String> {
        let found = self.chromium.client.execute_async(ASK, vec![options]).await.unwrap();
        serde_json::from_value(found).unwrap()
    }

    async fn keeps(&self, page: &str, width: &str) {
        let Some(folder) = &self.pictures else { return };
        let name: String =
            page.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let picture = self.chromium.client.screenshot().await.unwrap();
        let name: String = name.chars().take(150).collect();
        std::fs::write(folder.join(format!("{name}-{width}.png")), picture).unwrap();
    }

    async fn signs_in(&self, email: &str, password: &str) {
        self.chromium.opens(&format!("{}/sign-in", self.console)).await;
        self.chromium.types("input[name=email]", email).await;
        self.chromium.types("input[name=password]", password).await;
        self.chromium.presses("main button").await;
    }

    async fn signs_out(&self) {
        self.chromium.presses(".who form button").await;
        self.chromium.is_at(&format!("{}/sign-in", self.console)).await;
    }
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page() {
    let (world, operator, gil) = diary_is_on_offer().await;
    let diary = gil.takes_diary(DIARY).await;
    let waits = gil.takes_diary(WAITS).await;
    let mut reader = Reader {
        chromium: Chromium::start(&world.folder().join("chromium")).await,
        axe: axe().await,
        console: format!("http://console.localhost:{}", world.port()),
        pictures: std::env::var_os("MANDATE_PICTURES").map(Into::into),
        faults: Vec::new(),
    };
    reader.is_as_wide_as(1280).await;
    a_visitor_looks(&mut reader, &world).await;
    instances_are_set_up(&mut reader, &world, &gil, (&diary, &waits)).await;
    the_customer_looks(&mut reader, &gil, &diary).await;
    somebody_with_one_grant_lands_on_it(&mut reader, &world, &gil, &diary).await;
    the_operator_looks(&mut reader, &world, &operator, &gil).await;
    assert!(reader.faults.is_empty(), "{}", reader.faults.join("\n"));
    reader.chromium.client.close().await.unwrap();
    world.end().await;
}

async fn a_visitor_looks(reader: &mut Reader, world: &World) {
    let pages = [
        "/catalogue",
        "/catalogue/diary?size=small&modules=stickers",
        "/sign-in",
        "/register",
        "/forgot-password",
        "/reset-password?token=x",
        "/problems",
        "/problems/host_already_taken",
        "/nowhere",
        "/catalogue/nothing",
    ];
    reader.reads_all("a visitor", &pages).await;
    let nobody = format!("http://nobody.localhost:{}/", world.port());
    reader.chromium.opens(&nobody).await;
    reader.looks("a visitor").await;
    what_is_chosen_shows_its_price(reader).await;
}

/// The script puts the sum of what is chosen in its place.
async fn what_is_chosen_shows_its_price(reader: &Reader) {
    let chromium = &reader.chromium;
    chromium.opens(&format!("{}/catalogue/diary", reader.console)).await;
    // 1.00 a month and 0.01 for each of 730 hours.
    assert!(chromium.reads("#total").await.contains("8.30 USD a month"));
    chromium.clicks("input[name=modules]").await;
    until("the sum follows", async || chromium.reads("#total").await.contains("10.30 USD")).await;
}

async fn instances_are_set_up(
    reader: &mut Reader,
    world: &World,
    gil: &Person,
    (diary, waits): (&Instance, &Instance),
) {
    for url in [&waits.url, waits.setup_url.as_ref().unwrap()] {
        reader.chromium.opens(url).await;
        reader.looks("a visitor").await;
    }
    reader.chromium.opens(diary.setup_url.as_ref().unwrap()).await;
    reader.chromium.client.execute("document.forms[0].submit()", vec![]).await.unwrap();
    // The page follows along and leads to the instance by itself.
    let front = format!("{}/", diary.url);
    until("it is led to the instance", async || {
        reader.chromium.client.current_url().await.is_ok_and(|here| here.as_str() == front)
    })
    .await;
    let browser = world.browser(DIARY);
    until("visitors are answered", async || browser.get("/").await.status == 200).await;
    for path in ["/.mandate/sign-out", "/.mandate/nothing"] {
        reader.chromium.opens(&format!("{}{path}", diary.url)).await;
        reader.looks("a visitor").await;
    }
    let _: Value = gil.does(&["user", "add", "--email", "hal@example.com"]).await;
}

/// One runs, one has failed for good, and one is not due yet.
async fn jobs_of_the_diary(gil: &Person) -> Vec<Job> {
    let run = async |name: &str, more: &[&str]| -> Job {
        gil.does(&[&["job", "run", DIARY, name], more].concat()).await
    };
    let (bind, burn) = (run("bind", &[]).await, run("burn", &[]).await);
    let jobs = vec![bind, burn, run("burn", &["--delay", "1h"]).await];
    let state = async |job: &Job| -> JobState {
        let shown: Job = gil.does(&["job", "show", &job.job.to_string(), "--of", DIARY]).await;
        shown.state
    };
    until("the jobs have come so far", async || {
        state(&jobs[0]).await == JobState::Running
            && state(&jobs[1]).await == JobState::Failed
            && state(&jobs[2]).await == JobState::Delayed
    })
    .await;
    jobs
}

async fn the_customer_looks(reader: &mut Reader, gil: &Person, diary: &Instance) {
    reader.signs_in(&gil.email, PASSWORD).await;
    let jobs = jobs_of_the_diary(gil).await;
    let (account, id) = (gil.account(), diary.instance);
    let list = ListOrders { account, after: None, limit: None };
    let orders = gil.asks(list).await.unwrap().items;
    let of_account = |page: &str| format!("/accounts/{account}/{page}");
    let mut pages = vec![
        "/catalogue/diary".to_owned(),
        "/mine".into(),
        "/password".into(),
        "/operate/services".into(),
        of_account(&format!("instances/{id}")),
        of_account(&format!("instances/{id}?principal=x&permission=y")),
    ];
    pages.extend(["instances", "orders", "users", "bill", "audit"].map(of_account));
    pages.extend(orders.iter().map(|order| of_account(&format!("orders/{}", order.order))));
    pages.push(of_account(&format!("bill/lines/{DIARY}.plan.basic")));
    pages.push(of_account(&format!("instances/{id}/jobs")));
    pages.push(of_account(&format!("instances/{id}/jobs?state=failed")));
    pages.extend(jobs.iter().map(|job| of_account(&format!("instances/{id}/jobs/{}", job.job))));
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    reader.reads_all("gil", &pages).await;
    what_the_seed_printed_is_shown(reader, &orders, diary).await;
    reader.signs_out().await;
}

async fn what_the_seed_printed_is_shown(
    reader: &Reader,
    orders: &[api::provider::Order],
    diary: &Instance,
) {
    let order = orders.iter().find(|order| order.instance == diary.instance).unwrap();
    let page = format!("{}/accounts/{}/orders/{}", reader.console, order.account, order.order);
    reader.chromium.opens(&page).await;
    let first = format!("{}/pages", diary.url);
    assert_eq!(reader.chromium.reads("pre a").await, first);
    assert!(reader.chromium.reads("main").await.contains("Visit it"));
}

async fn somebody_with_one_grant_lands_on_it(
    reader: &mut Reader,
    world: &World,
    gil: &Person,
    diary: &Instance,
) {
    let hal = "hal@example.com";
    reader.signs_in(hal, PASSWORD).await;
    reader.chromium.is_at(&format!("{}/mine", reader.console)).await;
    reader.looks("hal, with nothing,").await;
    // Signed in at the host, and known there, but not granted anything.
    reader.chromium.opens(&format!("{}/pages", diary.url)).await;
    reader.looks("hal").await;
    reader.chromium.presses("main button").await;
    let refused = reader.chromium.reads("main").await;
    assert!(refused.contains(hal) && refused.contains(DIARY), "{refused}");
    reader.looks("hal").await;

    let (account, on) = (gil.account(), Resource::Instance(gil.account(), diary.instance));
    let users = ListUsers { account, after: None, limit: None };
    let users = gil.asks(users).await.unwrap().items;
    let user = users.iter().find(|user| user.email == hal).unwrap().user;
    let given = "diary.write".parse().unwrap();
    let grant = CreateGrant { account, principal: Principal::User(user), given, on };
    let _: Grant = gil.asks(grant).await.unwrap();
    reader.reads_all("hal", &["/mine", "/"]).await;
    let may = reader.chromium.reads("main").await;
    assert!(may.contains(DIARY) && may.contains("Write"), "{may}");
    // Signing out at the console ends what was begun from there.
    reader.chromium.opens(&format!("{}/pages", diary.url)).await;
    reader.chromium.is_at(&format!("{}/pages", diary.url)).await;
    reader.chromium.opens(&reader.console).await;
    reader.signs_out().await;
    reader.chromium.opens(&format!("{}/pages", diary.url)).await;
    reader.chromium.is_at(&format!("http://console.localhost:{}/sign-in", world.port())).await;
}

async fn the_operator_looks(reader: &mut Reader, world: &World, operator: &Person, gil: &Person) {
    let file = std::fs::read_to_string(world.data().join("operator.txt")).unwrap();
    let password = file.lines().find_map(|line| line.strip_prefix("password: ")).unwrap();
    reader.signs_in(&operator.email, password).await;
    assert_eq!(operator.asks(ListAccounts::default()).await.unwrap().items.len(), 1);
    let jobs = operator.asks(ListJobs::default()).await.unwrap().items;
    let mut pages = ["services", "services/diary", "nodes", "queues", "work", "accounts", "grants"]
        .map(|page| format!("/operate/{page}"))
        .to_vec();
    pages.extend(jobs.first().map(|job| format!("/operate/work/{}", job.job)));
    let account = gil.account();
    pages.extend(["instances", "bill", "users"].map(|page| format!("/accounts/{account}/{page}")));
    pages.push("/catalogue/diary".into());
    pages.extend(["", "/1"].map(|page| format!("/operate/services/diary/rollouts{page}")));
    pages.push("/operate/queues/diary/default".into());
    pages.push("/operate/work?state=failed".into());
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    reader.reads_all("the operator", &pages).await;
    let bind = jobs.iter().find(|job| job.name == "bind").unwrap();
    a_queue_is_followed_and_looked_after(reader, bind).await;
    reader.chromium.opens(&format!("{}/operate/work", reader.console)).await;
    let work = reader.chromium.reads("main").await;
    assert!(work.contains(DIARY) && !work.contains("inst_"), "{work}");
}

/// What runs and what has failed is dealt with on the pages.
async fn a_queue_is_followed_and_looked_after(reader: &Reader, runs: &Job) {
    let chromium = &reader.chromium;
    chromium.opens(&format!("{}/operate/queues/diary/default", reader.console)).await;
    let queue = chromium.reads("main").await;
    for said in ["page 2 of 5", "Try burn again"] {
        assert!(queue.contains(said), "{said}: {queue}");
    }
    chromium.presses("#failed form button").await;
    chromium.opens(&format!("{}/operate/work/{}", reader.console, runs.job)).await;
    assert!(chromium.reads("main").await.contains("page 2 of 5"));
    chromium.presses("main form button").await;
    // The page follows along until the node has stopped it.
    until("it is cancelled", async || chromium.reads("h1 + .chip").await == "cancelled").await;
}

/// The program of axe, from a folder that is kept from run to run.
async fn axe() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(AXE);
    let program = folder.join("axe_playwright_python/axe.min.js");
    if !program.exists() {
        let folder = folder.to_str().unwrap();
        let python = Path::new("python3");
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, AXE];
        assert!(runs(python, &pip).await, "`pip install {AXE}`");
    }
    std::fs::read_to_string(program).unwrap()
}
