//! Databases for the tests of stores.

use types::Secret;

use crate::{Db, Engine, Migration};

/// A database of each engine with a component's tables; `name` is the test's own.
///
/// # Panics
///
/// Without `MANDATE_TEST_POSTGRES`, the address of a server for tests, or if it does not answer.
pub async fn databases(name: &str, migrations: &[&[Migration]]) -> Vec<Db> {
    let name = format!("{name}_{}", std::process::id());
    let folder = std::env::temp_dir().join(format!("mandate-{name}"));
    let server = std::env::var("MANDATE_TEST_POSTGRES").expect(
        "set MANDATE_TEST_POSTGRES to a server for tests, such as \
         postgres://admin@127.0.0.1:5432/postgres, or run `./x test`",
    );
    let postgres = Engine::postgres(&server).expect("MANDATE_TEST_POSTGRES is an address");
    let mut databases = Vec::new();
    for engine in [Engine::sqlite(folder), postgres] {
        let opened = engine.open(&name, &Secret::new("a password"), migrations).await;
        databases.push(opened.expect("the engine makes a database"));
    }
    databases
}
