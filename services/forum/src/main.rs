//! A forum: topics, posts, members; with polls, search and badges for who wants them.
//!
//! One process serves many forums, each with a database of its own, told apart by the host name of
//! the request. `serve` does that; `migrate`, `seed` and `digest` each work on the one forum that
//! their environment describes, and may be run as often as one likes.

mod badges;
mod chores;
mod error;
mod layout;
mod members;
mod pages;
mod polls;
mod router;
mod search;
mod secrets;
mod store;
mod text;
mod topics;
mod users;
mod visit;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use tenancy::{Clock as _, SystemClock, Tenant, Tenants};

const USAGE: &str = "\
usage: forum <command>

  serve    answer requests on HOST (127.0.0.1) and PORT (8080)
  migrate  bring the database to this release's shape
  seed     write what a new forum begins with
  digest   sum up the last day's posts

The database is DATABASE_URL, such as `sqlite:forum.db` or `postgres://…`.
PUBLIC_URL, MODULES and SETUP_<FIELD> describe the forum. See README.md.";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new(
            std::env::var("RUST_LOG").unwrap_or_else(|_| "info,sqlx=warn".into()),
        ))
        .init();
    let command = std::env::args().nth(1).unwrap_or_default();
    match run(&command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forum {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: &str) -> anyhow::Result<()> {
    match command {
        "serve" => {
            let host = std::env::var("HOST").unwrap_or_else(|_| "127.0.0.1".into());
            let port = std::env::var("PORT").unwrap_or_else(|_| "8080".into());
            let port: u16 = port.parse().with_context(|| {
                format!("`{port}` in `PORT` is not a port: use a number from 0 to 65535")
            })?;
            router::serve(Tenants::from_env()?, Arc::new(SystemClock), &host, port).await
        }
        "migrate" | "seed" | "digest" => {
            let tenant = Tenant::from_env()?;
            let db = store::Db::open(tenant.database_url.reveal(), command == "migrate")?;
            let now = SystemClock.now();
            let report = match command {
                "migrate" => chores::migrate(&db, now).await?,
                "seed" => chores::seed(&db, &tenant, now).await?,
                _ => chores::digest(&db, now).await?,
            };
            println!("{report}");
            Ok(())
        }
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        _ => anyhow::bail!("say what to do\n\n{USAGE}"),
    }
}
