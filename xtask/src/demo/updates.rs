//! A new version of the store, with a change of its database, goes out while visitors buy; one that
//! fails comes back by itself; and a job is done by the version that it was asked for.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::{
    CLUB_STORE, Demo,
    person::{number, text},
    story,
};

/// How long visitors rest between two looks.
const REST: Duration = Duration::from_millis(50);
/// Every so often one of them buys something.
const LOOKS_FOR_AN_ORDER: u32 = 8;
/// Until the version is out that does not accept it.
const OLD_JOB_WAITS: &str = "15s";
const OLD_JOB_ENDS: Duration = Duration::from_mins(2);

/// Where the store's newest release is: what an earlier run of the demo has left, or the service itself.
pub(crate) fn newest(demo: &Demo) -> PathBuf {
    let left = folder(demo).join("store");
    if left.exists() { folder(demo) } else { PathBuf::from("services") }
}

fn folder(demo: &Demo) -> PathBuf {
    demo.data.join("update")
}

/// Shows all three.
pub(crate) async fn show(demo: &Demo) -> anyhow::Result<()> {
    let shape = next(demo)?;
    let store = folder(demo).join("store");
    let words = format!("the shape {shape}");
    let buyers = Buyers::new(demo);
    let publish = format!("service publish {} --promote --wait", store.display());
    let update = buyers.buy_while(async { demo.operator.ask(&publish).await });
    update.await.context("the new version does not go out")?;
    demo.browser(CLUB_STORE).get("/").await?.is(200)?.shows(&words)?;
    buyers.find_their_orders().await?;
    let seen = demo.eva.ask(&format!("instance show {CLUB_STORE}")).await?;
    ensure!(seen["last_move"]["problem"].is_null(), "it was not moved: {seen}");
    let waited = number(&seen, "/last_move/held_millis")?;
    demo.story.done(format!(
        "version {shape} of the store goes out with a change of the database; its requests waited for \
         {:.1} s, and of {} none failed",
        Duration::from_millis(waited.unsigned_abs()).as_secs_f64(),
        buyers.looks.get()
    ));
    come_back(demo, &store, shape, &words).await?;
    is_done_by_the_old(demo, &store).await
}

/// A change that does harm and then fails.
async fn come_back(demo: &Demo, store: &Path, shape: u32, words: &str) -> anyhow::Result<()> {
    let bad = demo.data.join("update-bad").join("store");
    copy(store, &bad)?;
    let harm = "op.drop_table('reviews')\n    op.execute('SELECT nothing FROM nowhere')";
    change(&bad, shape + 1, harm)?;
    let buyers = Buyers::new(demo);
    let publish = format!("service publish {} --promote --wait", bad.display());
    let code = buyers.buy_while(async { Ok(demo.operator.run(&publish).await?.status.code()) });
    let code = code.await?;
    ensure!(code == Some(5), "a version that cannot go out ends with {code:?}");
    let status = demo.operator.read("release status store").await?;
    let row = status.lines().find(|line| line.starts_with(CLUB_STORE));
    let row = row.with_context(|| format!("nothing says why: {status}"))?;
    ensure!(row.contains("`migrate` failed"), "it says another reason: {row}");
    demo.browser(CLUB_STORE).get("/").await?.is(200)?.shows(words)?;
    buyers.find_their_orders().await?;
    demo.story.done("a version whose migration drops all reviews and fails comes back by itself:");
    story::quote(row);
    let back = demo.operator.ask("release rollback store").await?;
    text(&back, "/digest")?;
    demo.story.done(format!(
        "of {} requests none failed, no order was lost; `mandate release rollback store`",
        buyers.looks.get()
    ));
    Ok(())
}

/// A version of other code only, which does not accept jobs of the one before: that one does them, though
/// nobody is on it any more.
async fn is_done_by_the_old(demo: &Demo, store: &Path) -> anyhow::Result<()> {
    let manifest = fs::read_to_string(store.join("mandate.toml"))?;
    let own = |version: u32| format!("{REPORT}version = {version}\n");
    let version = (1..=RUNS_MAX).find(|version| manifest.contains(&own(*version)));
    let version = version.context("the store's manifest has no report")?;
    let manifest = manifest.replacen(&own(version), &own(version + 1), 1);
    fs::write(store.join("mandate.toml"), manifest)?;
    demo.operator.ask(&format!("service publish {} --wait", store.display())).await?;
    let ask = format!("job run {CLUB_STORE} report --version {version} --delay {OLD_JOB_WAITS}");
    let job = demo.eva.ask(&ask).await?;
    let job = text(&job, "/job")?;
    demo.operator.ask("release promote store").await?;
    let current = demo.eva.ask(&format!("instance show {CLUB_STORE}")).await?;
    let current = text(&current, "/release")?;
    let look = async || demo.eva.ask(&format!("job show {job} --of {CLUB_STORE}")).await;
    let seen = look().await?;
    ensure!(text(&seen, "/state")? == "delayed", "it was done before the new version came: {seen}");
    let deadline = Instant::now() + OLD_JOB_ENDS;
    loop {
        let seen = look().await?;
        match text(&seen, "/state")? {
            "succeeded" => {
                ensure!(text(&seen, "/release")? != current, "the new version has done it: {seen}");
                demo.story.done(
                    "a report that was asked for before a new version is done by the code of that time, \
                     which was kept for it",
                );
                return Ok(());
            }
            "failed" | "cancelled" | "dropped" | "set_aside" => bail!("it is not done: {seen}"),
            _ => ensure!(Instant::now() < deadline, "it waits for ever: {seen}"),
        }
        sleep(REST * 4).await;
    }
}

/// So often the demo finds its way with the same data.
const RUNS_MAX: u32 = 10_000;
const REPORT: &str = "[jobs.report]\ncommand = [\"./run\", \"report\"]\n";

/// Writes the store with another shape of its database; answers which.
fn next(demo: &Demo) -> anyhow::Result<u32> {
    let store = folder(demo).join("store");
    let shape = if store.exists() { shape_of(&store)? + 1 } else { 2 };
    if shape == 2 {
        copy(Path::new("services/store"), &store)?;
    }
    let add = "op.add_column('orders', sa.Column('noteSHAPE', sa.Text(), nullable=True))";
    change(&store, shape, &add.replace("SHAPE", &shape.to_string()))?;
    Ok(shape)
}

fn shape_of(store: &Path) -> anyhow::Result<u32> {
    let manifest = fs::read_to_string(store.join("mandate.toml"))?;
    let shape = manifest.lines().find_map(|line| line.strip_prefix("schema = "));
    shape.map_or(Ok(1), |shape| shape.trim().parse()).context("the shape is not a number")
}

/// The store as it comes from its folder, with one more change of its database, and a word of it at the
/// foot of each page.
fn change(store: &Path, shape: u32, statement: &str) -> anyhow::Result<()> {
    let before = shape - 1;
    let migration = format!(
        "import sqlalchemy as sa\nfrom alembic import op\n\nrevision = '{shape:04}'\n\
         down_revision = '{before:04}'\n\n\ndef upgrade():\n    {statement}\n"
    );
    fs::write(store.join(format!("migrations/versions/{shape:04}_demo.py")), migration)?;
    let replace = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(store.join(file))?;
        ensure!(text.contains(from), "`{file}` has no `{from}`");
        Ok(fs::write(store.join(file), text.replacen(from, to, 1))?)
    };
    let foot = "<span>© {{ name }}";
    if before == 1 {
        replace("mandate.toml", "[database]\n", &format!("[database]\nschema = {shape}\n"))?;
        return replace(FOOT, foot, &format!("{foot}, the shape {shape}"));
    }
    replace("mandate.toml", &format!("schema = {before}"), &format!("schema = {shape}"))?;
    replace(FOOT, &format!("the shape {before}"), &format!("the shape {shape}"))
}

const FOOT: &str = "store/templates/layout.html";

/// What is there of an earlier copy goes first.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Visitors of the store, some of whom buy.
struct Buyers<'d> {
    demo: &'d Demo,
    looks: Cell<u32>,
    /// Where their orders are to be seen.
    orders: RefCell<Vec<String>>,
}

impl<'d> Buyers<'d> {
    fn new(demo: &'d Demo) -> Self {
        Self { demo, looks: Cell::default(), orders: RefCell::default() }
    }

    /// Looks and buys until something is done; each request must be answered well.
    async fn buy_while<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            fails = self.buy() => Err(fails.err().context("nobody buys any more")?),
        }
    }

    async fn buy(&self) -> anyhow::Result<()> {
        let visitor = self.demo.browser(CLUB_STORE);
        loop {
            visitor.get("/").await?.is(200)?.shows("Rook and Pawn")?;
            self.looks.set(self.looks.get() + 1);
            if self.looks.get().is_multiple_of(LOOKS_FOR_AN_ORDER) {
                self.order().await?;
            }
            sleep(REST).await;
        }
    }

    /// What is sold out is not asked for.
    async fn order(&self) -> anyhow::Result<()> {
        let visitor = self.demo.browser(CLUB_STORE);
        let products = visitor.read("/api/products").await?.is(200)?.json()?;
        let products = products["products"].as_array().context("there are no products")?;
        let Some(product) = products.iter().find(|product| product["stock"].as_i64() > Some(0))
        else {
            return Ok(());
        };
        let order = json!({
            "name": "Vera",
            "email": "vera@visitors.example",
            "address": "1 Rook Street",
            "items": [{ "product": product["id"], "quantity": 1 }],
        });
        let order = visitor.post("/api/orders", &order, None).await?.is(201)?.json()?;
        self.orders.borrow_mut().push(text(&order, "/url")?.to_owned());
        Ok(())
    }

    async fn find_their_orders(&self) -> anyhow::Result<()> {
        let visitor = self.demo.browser(CLUB_STORE);
        let orders = self.orders.take();
        for order in &orders {
            visitor.get(&visitor.local(order)?).await?.is(200)?;
        }
        Ok(())
    }
}
