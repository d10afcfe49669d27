//! Rows a second: `db` on both engines beside sqlx itself with the same settings, in turns.

mod ours;
mod plain;

use std::{future::Future, path::Path, time::Instant};

use anyhow::{Context as _, ensure};
use db::Engine;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use types::Secret;

use crate::figures::{Series, Table, short};
use ours::Ours;
use plain::{PlainPostgres, PlainSqlite};

const ROUNDS: u32 = 9;
/// How often each is done in a round.
const SINGLES: u32 = 100;
const BATCHES: u32 = 2;
const KEYS: u32 = 500;
const LISTS: u32 = 10;
/// How many rows are written in one transaction and read by one statement.
const MANY: u32 = 1_000;

const PASSWORD: &str = "0123456789abcdef";
const TABLE: db::Migration = db::Migration {
    name: "item_0001",
    sql: "create table item (
        key text primary key,
        owner text not null,
        size bigint not null,
        done boolean not null,
        note text
    );",
};

/// What is written and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    key: String,
    owner: String,
    size: i64,
    done: bool,
    note: Option<String>,
}

impl Item {
    fn number(number: u32) -> Self {
        Self {
            key: format!("item_{number:026}"),
            owner: format!("acct_{:026}", number % 100),
            size: i64::from(number),
            done: number.is_multiple_of(2),
            note: Some("POST /topics/*/posts, some words that are as long as a note is".into()),
        }
    }
}

/// Somebody who writes and reads items.
pub(crate) trait Items {
    /// Writes one, which stays.
    fn insert(&self, item: Item) -> impl Future<Output = anyhow::Result<()>>;
    /// Writes all in one transaction.
    fn insert_all(&self, items: Vec<Item>) -> impl Future<Output = anyhow::Result<()>>;
    /// Reads one.
    fn get(&self, key: &str) -> impl Future<Output = anyhow::Result<Item>>;
    /// Reads the first so many.
    fn list(&self, count: u32) -> impl Future<Output = anyhow::Result<Vec<Item>>>;
    /// Ends its connections.
    fn close(&self) -> impl Future<Output = ()>;
}

const WHAT: [&str; 4] = [
    "written, each in a transaction",
    "written, 1,000 in a transaction",
    "read by key",
    "read, 1,000 by a statement",
];

pub(crate) async fn measure(folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let server = std::env::var("MANDATE_TEST_POSTGRES").context(
        "set MANDATE_TEST_POSTGRES to a server for tests, such as \
         postgres://admin@127.0.0.1:5432/postgres, or run `./x bench ground`",
    )?;
    let prefix = format!("ground{}", std::process::id());
    let files = Engine::sqlite(folder);
    let (ours, theirs) = (Ours::open(&files).await?, PlainSqlite::open(&files).await?);
    compare(&ours, &theirs, "SQLite (WAL, synchronous = full)", table).await?;
    let databases = Engine::postgres(&server)?.with_prefix(&prefix)?;
    let (ours, theirs) = (Ours::open(&databases).await?, PlainPostgres::open(&databases).await?);
    let settings = settings(&server).await?;
    let compared = compare(&ours, &theirs, &format!("PostgreSQL ({settings})"), table).await;
    remove(&server, &prefix).await?;
    compared
}

async fn compare(
    ours: &impl Items,
    theirs: &impl Items,
    title: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut speeds: [[Series; 2]; WHAT.len()] = Default::default();
    for round in 0..=ROUNDS {
        for (place, both) in speeds.iter_mut().enumerate() {
            // Each is the first as often as the other.
            let (our_speed, their_speed) = if round.is_multiple_of(2) {
                (speed(ours, place, round).await?, speed(theirs, place, round).await?)
            } else {
                let their_speed = speed(theirs, place, round).await?;
                (speed(ours, place, round).await?, their_speed)
            };
            // The first round is there to warm up.
            if round > 0 {
                both[0].push(our_speed);
                both[1].push(their_speed);
            }
        }
    }
    ours.close().await;
    theirs.close().await;
    table.head(
        &format!("Rows a second, {title}"),
        ["db", "p10 – p90 of it", "sqlx", "db / sqlx (p10 – p90)"],
    );
    for (what, [our_speed, their_speed]) in WHAT.iter().zip(&speeds) {
        let ratio = our_speed.ratio_to(their_speed);
        let beside = format!("{} ({})", short(ratio.median()), ratio.spread());
        let cells =
            [short(our_speed.median()), our_speed.spread(), short(their_speed.median()), beside];
        table.row(*what, cells);
    }
    Ok(())
}

/// How many rows a second one of [`WHAT`] does.
async fn speed(items: &impl Items, what: usize, round: u32) -> anyhow::Result<f64> {
    let first = round * (SINGLES + BATCHES * MANY);
    let begun = Instant::now();
    let rows = match what {
        0 => {
            for number in 0..SINGLES {
                items.insert(Item::number(first + number)).await?;
            }
            SINGLES
        }
        1 => {
            for batch in 0..BATCHES {
                let first = first + SINGLES + batch * MANY;
                items.insert_all((first..first + MANY).map(Item::number).collect()).await?;
            }
            BATCHES * MANY
        }
        2 => {
            for number in 0..KEYS {
                let expected = Item::number(first + number.wrapping_mul(7_919) % (SINGLES + MANY));
                ensure!(items.get(&expected.key).await? == expected, "another item was read");
            }
            KEYS
        }
        _ => {
            for _ in 0..LISTS {
                let found = items.list(MANY).await?;
                ensure!(found.len() == MANY as usize, "{} items were read", found.len());
            }
            LISTS * MANY
        }
    };
    Ok(f64::from(rows) / begun.elapsed().as_secs_f64())
}

/// What the server does for a transaction that has ended.
async fn settings(server: &str) -> anyhow::Result<String> {
    let mut admin = PgConnection::connect(server).await?;
    let mut settings = Vec::new();
    for name in ["fsync", "synchronous_commit"] {
        let (value,): (String,) =
            sqlx::query_as("select current_setting($1)").bind(name).fetch_one(&mut admin).await?;
        settings.push(format!("{name} = {value}"));
    }
    admin.close().await?;
    Ok(settings.join(", "))
}

/// Leaves nothing behind.
async fn remove(server: &str, prefix: &str) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(server).await?;
    for name in ["ours", "plain"] {
        for what in ["database", "role"] {
            let statement = format!("drop {what} if exists \"{prefix}_{name}\"");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await?;
        }
    }
    admin.close().await?;
    Ok(())
}

/// Makes the database `name` with its table, and says where it is.
async fn made(engine: &Engine, name: &str) -> anyhow::Result<Secret> {
    let password = Secret::new(PASSWORD);
    engine.open(name, &password, &[&[TABLE]]).await?.close().await;
    Ok(engine.url(name, 0, &password))
}
