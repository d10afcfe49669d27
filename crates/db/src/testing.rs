//! Databases for tests: on both engines, and gone when their test is.

use types::Secret;

pub use crate::crash::{kill_after, kill_never};
use crate::{Db, Engine, Error, Migration, engine::Host};

/// The address of the PostgreSQL server that tests may use.
///
/// # Panics
///
/// Without `MANDATE_TEST_POSTGRES`.
pub fn server() -> String {
    std::env::var("MANDATE_TEST_POSTGRES").expect(
        "set MANDATE_TEST_POSTGRES to a server for tests, such as \
         postgres://admin@127.0.0.1:5432/postgres, or run `./x test`",
    )
}

/// That server, where the names of a test's databases begin with `prefix`.
///
/// # Panics
///
/// Without `MANDATE_TEST_POSTGRES`, or if a name cannot begin so.
pub fn postgres(prefix: &str) -> Engine {
    let server = Engine::postgres(&server()).expect("MANDATE_TEST_POSTGRES is an address");
    server.with_prefix(prefix).expect("it can begin a name")
}

/// Tells a test on a database of each engine that has a component's tables; `name` is the test's
/// own, of at most 12 letters.
///
/// # Panics
///
/// Without `MANDATE_TEST_POSTGRES`, or if an engine makes or removes no database.
pub async fn on_both(name: &str, migrations: &[&[Migration]], test: impl AsyncFn(Db)) {
    let prefix = format!("{name}{}", std::process::id());
    let folder = std::env::temp_dir().join(format!("mandate-{prefix}"));
    for engine in [Engine::sqlite(folder), postgres(&prefix)] {
        let opened = engine.open("tables", &Secret::new("a password"), migrations).await;
        let database = opened.expect("the engine makes a database");
        test(database.clone()).await;
        database.close().await;
        engine.remove_all().await.expect("what was made can be removed");
    }
}

/// What stands where a copy of a database is to come, so that none can be made or removed there.
#[derive(Debug)]
pub struct Obstacle<'a>(&'a Engine, &'a str, u32);

impl<'a> Obstacle<'a> {
    /// Puts one in the way of the copy `copy` of the database `name`.
    pub async fn put(engine: &'a Engine, name: &'a str, copy: u32) -> Result<Self, Error> {
        match &engine.0 {
            Host::Sqlite(files) => std::fs::create_dir(files.copied(name, copy))
                .map_err(|cause| Error::Engine(cause.into()))?,
            Host::Postgres(server) => server.obstruct(name, copy).await?,
        }
        Ok(Self(engine, name, copy))
    }

    /// Takes it away.
    pub async fn remove(self) -> Result<(), Error> {
        let Self(engine, name, copy) = self;
        match &engine.0 {
            Host::Sqlite(files) => std::fs::remove_dir(files.copied(name, copy))
                .map_err(|cause| Error::Engine(cause.into())),
            Host::Postgres(server) => server.clear(name, copy).await,
        }
    }
}

/// Makes a database so large at least, in MiB.
pub async fn fill(engine: &Engine, name: &str, mib: u32) -> Result<(), Error> {
    match &engine.0 {
        Host::Sqlite(files) => files.fill(name, mib).await,
        Host::Postgres(server) => server.fill(name, mib).await,
    }
}
