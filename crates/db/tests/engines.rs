//! One text, two engines: every story is told on both.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::{collections::BTreeMap, time::Duration};

use db::{Db, Engine, Error, Migration, query};
use types::{AccountId, Amount, Secret, Timestamp};

const THINGS: Migration = Migration {
    name: "things_0001",
    sql: "create table thing (id text primary key, count bigint, truth boolean, content bytea,
          document text, moment bigint);
          create unique index thing_by_count on thing (count) where count is not null;",
};

/// A folder for this test, and a name that no other test's databases begin with.
fn place(test: &str) -> (std::path::PathBuf, String) {
    let pid = std::process::id();
    (std::env::temp_dir().join(format!("mandate-db-{test}-{pid}")), format!("t{pid}_{test}"))
}

fn engines(test: &str) -> [Engine; 2] {
    let (folder, prefix) = place(test);
    let server = std::env::var("MANDATE_TEST_POSTGRES").expect(
        "set MANDATE_TEST_POSTGRES to a server for tests, such as \
         postgres://admin@127.0.0.1:5432/postgres, or run `./x test`",
    );
    let postgres = Engine::postgres(&server).unwrap().with_prefix(&prefix).unwrap();
    [Engine::sqlite(folder), postgres]
}

fn password() -> Secret {
    Secret::new("0123456789abcdef")
}

async fn open(engine: &Engine) -> Db {
    engine.open("things", &password(), &[&[THINGS]]).await.unwrap()
}

async fn insert(on: impl db::On, id: &str, count: Option<u64>) -> Result<u64, Error> {
    query("insert into thing (id, count, truth, content) values (?, ?, ?, ?)")
        .bind(id)
        .bind(count)
        .bind(true)
        .bind(&b"\0\xff"[..])
        .run(on)
        .await
}

async fn ids(db: &Db) -> Vec<String> {
    query("select id from thing order by id").all(db, |row| row.get("id")).await.unwrap()
}

#[tokio::test]
async fn what_is_written_reads_back() {
    for engine in engines("values") {
        let db = open(&engine).await;
        let now = Timestamp::from_micros(1_700_000_000_123_456);
        let account = AccountId::new(now);
        let document = BTreeMap::from([("price".to_owned(), "1/3".parse::<Amount>().unwrap())]);
        query("insert into thing (id, count, truth, content, document, moment) values (?, ?, ?, ?, ?, ?)")
            .bind(account)
            .bind(u64::from(u32::MAX) + 1)
            .bind(false)
            .bind(vec![0_u8, 255])
            .bind_json(&document)
            .bind(now)
            .run(&db)
            .await
            .unwrap();
        let seen = query("select * from thing where id = ? and truth = ?")
            .bind(account)
            .bind(false)
            .one(&db, |row| {
                assert_eq!(row.get::<AccountId>("id")?, account);
                assert_eq!(row.get::<u64>("count")?, 4_294_967_296);
                assert_eq!(row.get::<Vec<u8>>("content")?, [0, 255]);
                assert_eq!(row.json::<BTreeMap<String, Amount>>("document")?, document);
                assert!(row.get::<u32>("count").is_err(), "what does not fit is not cut");
                assert!(row.get::<AccountId>("document").is_err());
                row.get::<Option<Timestamp>>("moment")
            })
            .await;
        assert_eq!(seen.unwrap(), Some(now));
        let count: u64 = query("select cast(sum(count) as bigint) as total from thing")
            .one(&db, |row| row.get("total"))
            .await
            .unwrap();
        assert_eq!(count, 4_294_967_296);
        let too_large = query("update thing set count = ?").bind(u64::MAX).run(&db).await;
        assert!(matches!(too_large, Err(Error::Range)));
    }
}

#[tokio::test]
async fn the_same_key_twice_is_a_conflict_and_nothing_else_is() {
    for engine in engines("unique") {
        let db = open(&engine).await;
        insert(&db, "a", Some(1)).await.unwrap();
        assert!(insert(&db, "a", None).await.unwrap_err().is_unique());
        assert!(insert(&db, "b", Some(1)).await.unwrap_err().is_unique(), "a partial index counts");
        insert(&db, "c", None).await.unwrap();
        insert(&db, "d", None).await.unwrap();
        let wrong = query("insert into nowhere (id) values (?)").bind("a").run(&db).await;
        assert!(!wrong.unwrap_err().is_unique());
    }
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing() {
    for engine in engines("undone") {
        let db = open(&engine).await;
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, "lost", None).await.unwrap();
        drop(tx);
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, "kept", None).await.unwrap();
        assert!(!ids(&db).await.contains(&"kept".to_owned()), "others see it once it is committed");
        tx.commit().await.unwrap();
        assert_eq!(ids(&db).await, ["kept"]);
    }
}

/// SQLite undoes a transaction by itself when there is no room left, behind the back of whoever
/// counts transactions.
#[tokio::test]
async fn a_full_disk_is_over_once_there_is_room_again() {
    let [engine, _] = engines("full");
    let db = open(&engine).await;
    // It cannot be less than what is in use.
    let pages = room(&db, 1).await;
    let large = || query("insert into thing (id, content) values (?, ?)").bind("large");
    for _ in 0..3 {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, "before", None).await.unwrap();
        // A new connection has no such limit.
        room(&mut tx, pages).await;
        let full = large().bind(vec![7_u8; 1 << 20]).run(&mut tx).await.unwrap_err();
        assert!(matches!(&full, Error::Engine(cause) if cause.to_string().contains("full")));
        let after = insert(&mut tx, "after", None).await;
        assert!(matches!(after, Err(Error::Undone)), "{after:?}");
        assert!(matches!(tx.commit().await, Err(Error::Undone)));
    }
    room(&db, 1_000_000).await;
    assert!(ids(&db).await.is_empty(), "nothing of what was undone is kept");
    let mut tx = db.begin().await.unwrap();
    large().bind(vec![7_u8; 1 << 20]).run(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(&db).await, ["large"]);
}

/// Where the machine lets nobody mount a disk, nothing is shown.
#[tokio::test]
async fn a_disk_that_is_full_at_any_moment_loses_nothing() {
    let (folder, _) = place("disk");
    std::fs::create_dir_all(&folder).unwrap();
    let inside = |more: &str| {
        let script = format!("mount -t tmpfs -o size=1m tmpfs \"$0\"; {more}");
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-ec", &script]);
        command.arg(&folder).arg(std::env::current_exe().unwrap());
        command.env("SMALL_DISK", &folder).output().unwrap()
    };
    if !inside("true").status.success() {
        return eprintln!("no disk can be mounted here");
    }
    let done = inside("exec \"$1\" --ignored --exact --nocapture a_disk_fills_and_has_room_again");
    let (said, why) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && said.contains("1 passed"), "{said}{why}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Not a test of its own: what the one above does on a disk of its own.
#[tokio::test]
#[ignore = "it is run by `a_disk_that_is_full_at_any_moment_loses_nothing`"]
async fn a_disk_fills_and_has_room_again() {
    let disk = std::path::PathBuf::from(std::env::var("SMALL_DISK").unwrap());
    let filling = disk.join("filling");
    let db = open(&Engine::sqlite(disk.join("databases"))).await;
    let mut kept = Vec::new();
    for round in 0..8 {
        // Each round leaves a little more room, so that another step of a transaction is the one
        // that finds none: its first page, a later one, or the commit.
        let room = rustix::fs::statvfs(&disk).unwrap();
        let bytes = (room.f_bavail * room.f_frsize).saturating_sub(round * (16 << 10));
        std::fs::write(&filling, vec![0; usize::try_from(bytes).unwrap()]).unwrap();
        let mut failed = 0;
        for row in 0..12 {
            let id = format!("{round}-{row}");
            let written = async {
                let mut tx = db.begin().await?;
                insert(&mut tx, &id, None).await?;
                let content = query("update thing set content = ? where id = ?");
                content.bind(vec![7_u8; 8 << 10]).bind(&id).run(&mut tx).await?;
                tx.commit().await
            };
            match written.await {
                Ok(()) => kept.push(id),
                Err(cause) => {
                    assert!(cause.may_pass() || matches!(cause, Error::Undone), "{cause:?}");
                    failed += 1;
                }
            }
        }
        assert!(failed > 0, "round {round} finds the disk full");
        std::fs::remove_file(&filling).unwrap();
        let id = format!("{round}-after");
        insert(&db, &id, None).await.unwrap();
        kept.push(id);
        kept.sort();
        assert_eq!(ids(&db).await, kept, "what was answered is there, and nothing else");
        query("update thing set content = null").run(&db).await.unwrap();
        query("pragma wal_checkpoint(truncate)").optional(&db, |_| Ok(())).await.unwrap();
    }
}

/// Leaves room for so many pages; answers how many there can be.
async fn room(on: impl db::On, pages: i64) -> i64 {
    let limit = format!("pragma max_page_count = {pages}");
    query(&limit).one(on, |row| row.get("max_page_count")).await.unwrap()
}

#[tokio::test]
async fn a_transaction_in_which_something_failed_is_undone_whole() {
    for engine in engines("failed") {
        let db = open(&engine).await;
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, "a", None).await.unwrap();
        assert!(insert(&mut tx, "a", None).await.unwrap_err().is_unique());
        assert!(insert(&mut tx, "b", None).await.is_err());
        assert!(tx.commit().await.is_err(), "what says that it is kept is kept");
        assert!(ids(&db).await.is_empty());
    }
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nobody_in_its_transaction() {
    const REFERS: Migration = Migration {
        name: "things_0002",
        sql: "create table part (of_thing text not null references thing (id)
              deferrable initially deferred)",
    };
    for engine in engines("commit") {
        let things: &[Migration] = &[THINGS, REFERS];
        let db = engine.open("things", &password(), &[things]).await.unwrap();
        for _ in 0..6 {
            let mut tx = db.begin().await.unwrap();
            query("insert into part (of_thing) values (?)").bind("no").run(&mut tx).await.unwrap();
            assert!(tx.commit().await.is_err());
        }
        insert(&db, "a", None).await.unwrap();
        assert_eq!(ids(&db).await, ["a"]);
    }
}

#[tokio::test]
async fn writers_wait_for_each_other_and_none_is_lost() {
    for engine in engines("writers") {
        let db = open(&engine).await;
        insert(&db, "counter", Some(0)).await.unwrap();
        let writers = (0..20).map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await.unwrap();
                let count: u64 = query("select count from thing where id = ? /*for update*/")
                    .bind("counter")
                    .one(&mut tx, |row| row.get("count"))
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
                let write = query("update thing set count = ? where id = ?").bind(count + 1);
                write.bind("counter").run(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let count: u64 =
            query("select count from thing").one(&db, |row| row.get("count")).await.unwrap();
        assert_eq!(count, 20);
    }
}

#[tokio::test]
async fn what_another_has_locked_is_passed_over() {
    let [_, engine] = engines("skip");
    let db = open(&engine).await;
    insert(&db, "a", None).await.unwrap();
    insert(&db, "b", None).await.unwrap();
    let first = "select id from thing order by id limit 1 /*skip locked*/";
    let (mut one, mut two) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    let one: String = query(first).one(&mut one, |row| row.get("id")).await.unwrap();
    let two: String = query(first).one(&mut two, |row| row.get("id")).await.unwrap();
    assert_eq!((one.as_str(), two.as_str()), ("a", "b"));
}

#[tokio::test]
async fn what_is_read_by_itself_waits_for_nobody() {
    let [_, engine] = engines("alone");
    let db = open(&engine).await;
    insert(&db, "a", Some(1)).await.unwrap();
    let mut other = db.begin().await.unwrap();
    query("update thing set count = 2").run(&mut other).await.unwrap();
    for lock in ["/*for update*/", "/*for share*/", "/*skip locked*/"] {
        let read = query(&format!("select count from thing where id = ? {lock}")).bind("a");
        let read = read.one(&db, |row| row.get::<u64>("count"));
        let patience = std::time::Duration::from_secs(10);
        let count = tokio::time::timeout(patience, read).await.expect("nobody is waited for");
        assert_eq!(count.unwrap(), 1);
    }
}

#[tokio::test]
async fn keys_sort_byte_by_byte_on_both() {
    let mut orders = Vec::new();
    for engine in engines("order") {
        let db = open(&engine).await;
        for id in ["job_~", "job_0a", "job_Z", "job-a", "job_z", "ä"] {
            insert(&db, id, None).await.unwrap();
        }
        orders.push(ids(&db).await);
    }
    assert_eq!(orders[0], orders[1]);
    assert_eq!(orders[0], ["job-a", "job_0a", "job_Z", "job_z", "job_~", "ä"]);
}

#[tokio::test]
async fn a_migration_is_applied_once_and_never_edited() {
    for engine in engines("migrations") {
        let db = open(&engine).await;
        insert(&db, "a", None).await.unwrap();
        db.close().await;
        let more = Migration { name: "things_0002", sql: "alter table thing add column note text" };
        let db = engine.open("things", &password(), &[&[THINGS], &[more]]).await.unwrap();
        assert_eq!(ids(&db).await, ["a"], "opening again keeps what is there");
        let edited = Migration { sql: "create table other (id text primary key)", ..THINGS };
        let refused = engine.open("things", &password(), &[&[edited]]).await;
        assert!(matches!(refused, Err(Error::Changed(name)) if name == "things_0001"));
        let broken =
            Migration { name: "things_0003", sql: "create table half (id text); nonsense" };
        assert!(engine.open("things", &password(), &[&[THINGS, broken]]).await.is_err());
        let half = query("select id from half").all(&db, |row| row.get::<String>("id")).await;
        assert!(half.is_err(), "a migration that fails leaves nothing behind");
    }
}

#[tokio::test]
async fn two_that_start_at_once_make_one_database() {
    for engine in engines("twice") {
        let secret = password();
        let open = || engine.open("things", &secret, &[&[THINGS]]);
        let (one, two) = tokio::join!(open(), open());
        insert(&one.unwrap(), "a", None).await.unwrap();
        assert_eq!(ids(&two.unwrap()).await, ["a"]);
    }
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn what_is_still_being_made_is_removed_too() {
    let [_, postgres] = engines("leaves");
    for round in 0..40 {
        let password = password();
        let make = postgres.create("things", &password);
        let patience = std::time::Duration::from_millis(5 * round);
        let _ = tokio::time::timeout(patience, make).await;
        postgres.remove_all().await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_that_is_still_being_made_is_removed_too() {
    use sqlx::Connection as _;
    let [_, postgres] = engines("goes");
    let password = password();
    postgres.create("things", &password).await.unwrap();
    let url = postgres.url("things", 1, &password);
    let (_, copy) = url.reveal().rsplit_once('/').unwrap();
    let mut admin = sqlx::PgConnection::connect(&db::testing::server()).await.unwrap();
    for round in 0..20 {
        let make = postgres.copy("things", (0, 1));
        let patience = std::time::Duration::from_millis(5 * round);
        let _ = tokio::time::timeout(patience, make).await;
        postgres.remove("things", 1).await.unwrap();
        let at_work = "select count(*) from pg_stat_activity where pid <> pg_backend_pid()
            and state = 'active' and position($1 in query) > 0";
        let count = || sqlx::query_scalar::<_, i64>(at_work).bind(copy);
        while count().fetch_one(&mut admin).await.unwrap() > 0 {}
        let there = "select count(*) from pg_database where datname = $1";
        let there = sqlx::query_scalar::<_, i64>(there).bind(copy);
        assert_eq!(there.fetch_one(&mut admin).await.unwrap(), 0, "in round {round}");
    }
    postgres.remove_all().await.unwrap();
}

#[tokio::test]
async fn one_databases_user_cannot_use_another() {
    let [sqlite, postgres] = engines("walls");
    let url = postgres.url("mine", 0, &password());
    postgres.create("mine", &password()).await.unwrap();
    postgres.create("theirs", &password()).await.unwrap();
    let (server, database) = url.reveal().rsplit_once('/').unwrap();
    let theirs = format!("{server}/{}", database.replace("_mine", "_theirs"));
    let opened = Engine::postgres(&theirs).unwrap().create("x", &password()).await.unwrap_err();
    let Error::Engine(cause) = opened else { panic!("{opened}") };
    assert!(cause.to_string().contains("permission denied for database"), "{cause}");
    sqlite.create("mine", &password()).await.unwrap();
    let (folder, _) = place("walls");
    let mode = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    // Whoever may pass the folder to an instance's own does not see what is in it.
    assert_eq!((mode(&folder), mode(&folder.join("mine.db"))), (0o711, 0o600));
}

#[tokio::test]
async fn what_is_not_a_name_is_not_made() {
    for engine in engines("names") {
        for name in ["", "a b", "a\"; drop", "../a", "A", &"a".repeat(41)] {
            let refused = engine.create(name, &password()).await;
            assert!(matches!(refused, Err(Error::Configuration(_))), "{name}");
        }
    }
    assert!(Engine::postgres("nonsense").is_err());
    let error = Engine::postgres("postgres://admin:hunter2@[").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn where_a_database_is_stands_as_libraries_read_it() {
    let files = Engine::sqlite("data").url("mine", 0, &password());
    let path = files.reveal().strip_prefix("sqlite:///").unwrap().to_owned();
    assert!(path.starts_with('/') && path.ends_with("/data/mine.db"), "an absolute path: {path}");
    let server = Engine::postgres("postgres://admin:hunter2@db.example:5432/postgres").unwrap();
    let url = server.url("mine", 0, &password());
    assert!(url.reveal().starts_with("postgresql://mandate_mine:"), "{}", url.reveal());
    assert!(url.reveal().ends_with("@db.example:5432/mandate_mine"), "{}", url.reveal());
}

#[tokio::test]
async fn many_rows_are_written_and_changed_by_one_statement() {
    for engine in engines("rows") {
        let db = open(&engine).await;
        let mut rows = db::Rows::new(&["id", "count", "truth", "document"]);
        for place in 0..1_000_u32 {
            let text = (place % 2 == 0).then(|| format!("{{\"é\": \"\\u0041 '{place}\"}}"));
            rows.push(db::row![
                place.to_string(),
                i64::MAX - i64::from(place),
                place % 3 == 0,
                text
            ]);
        }
        let insert = "insert into thing (id, count, truth, document)
            select id, count, truth, document from {rows} as r";
        assert_eq!(query(insert).bind(rows).run(&db).await.unwrap(), 1_000);
        let ids = db::Rows::of(&["id"], ["0", "1", "missing"]);
        let changed: Vec<(String, i64, bool, Option<String>)> = query(
            "update thing set moment = ? from {rows} as r where thing.id = r.id and thing.count > ?
             returning thing.id, thing.count, thing.truth, thing.document",
        )
        .bind(7_i64)
        .bind(ids)
        .bind(0_i64)
        .all(&db, |row| {
            Ok((row.get("id")?, row.get("count")?, row.get("truth")?, row.get("document")?))
        })
        .await
        .unwrap();
        assert_eq!(changed.len(), 2);
        let text = "{\"é\": \"\\u0041 '0\"}".to_owned();
        assert!(changed.contains(&("0".into(), i64::MAX, true, Some(text))), "{changed:?}");
        let none = query("select id from {rows} as r").bind(db::Rows::new(&["id"]));
        assert!(none.all(&db, |_| Ok(())).await.is_err());
    }
}

#[tokio::test]
async fn what_is_listed_is_found_and_of_nothing_nothing() {
    for engine in engines("lists") {
        let db = open(&engine).await;
        for (id, count) in [("1", 1), ("two", 2), ("it's", 3)] {
            insert(&db, id, Some(count)).await.unwrap();
        }
        let found = async |column: &str, list: db::List| {
            let asked = format!("select id from thing where {column} in {{list}} order by count");
            query(&asked).bind(list).all(&db, |row| row.get::<String>("id")).await.unwrap()
        };
        assert_eq!(found("id", db::List::of(["it's", "1", "missing"])).await, ["1", "it's"]);
        assert_eq!(found("count", db::List::of([2_u32, 3, 4])).await, ["two", "it's"]);
        assert!(found("id", db::List::of([""; 0])).await.is_empty());
        assert!(found("count", db::List::of([0_i64; 0])).await.is_empty());
        let unfit = db::List::of([u64::MAX]);
        let asked = query("select id from thing where count in {list}").bind(unfit);
        assert!(asked.all(&db, |_| Ok(())).await.is_err());
        db.close().await;
        engine.remove_all().await.unwrap();
    }
}

#[tokio::test]
async fn many_rows_do_not_have_a_table_read_that_has_an_index() {
    let [_, engine] = engines("plans");
    let db = open(&engine).await;
    let mut rows = db::Rows::new(&["id", "count"]);
    for place in 0..20_000_u32 {
        rows.push(db::row![place.to_string(), place]);
    }
    let insert = "insert into thing (id, count) select id, count from {rows} as r";
    query(insert).bind(rows).run(&db).await.unwrap();
    query("analyze thing").run(&db).await.unwrap();
    let some = db::Rows::of(&["id"], (0..1_000).map(|place: u32| place.to_string()));
    let update = "explain update thing set moment = 1 from {rows} as r where thing.id = r.id";
    let plan: Vec<String> =
        query(update).bind(some).all(&db, |row| row.get("QUERY PLAN")).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("thing_pkey")), "{plan:#?}");
    db.close().await;
    engine.remove_all().await.unwrap();
}

#[tokio::test]
async fn what_was_planned_on_a_small_table_reads_no_large_one_whole() {
    let [_, engine] = engines("grown");
    let db = open(&engine).await;
    let mut tx = db.begin().await.unwrap();
    let find = async |tx: &mut db::Tx| {
        let some = db::List::of(["0", "1", "missing"]);
        let find = "select thing.id from thing where id in {list}";
        query(find).bind(some).all(tx, |_| Ok(())).await.unwrap().len()
    };
    // A statement has its plan for good on a connection after it has been asked five times.
    for _ in 0..10 {
        assert_eq!(find(&mut tx).await, 0);
    }
    for place in 0..1_000_u32 {
        insert(&mut tx, &place.to_string(), None).await.unwrap();
    }
    let read_whole = async |tx: &mut db::Tx| {
        query("select seq_tup_read from pg_stat_xact_user_tables where relname = 'thing'")
            .one(tx, |row| row.get::<i64>("seq_tup_read"))
            .await
            .unwrap()
    };
    assert_eq!(find(&mut tx).await, 2);
    assert_eq!(read_whole(&mut tx).await, 0);
    drop(tx);
    db.close().await;
    engine.remove_all().await.unwrap();
}

/// What a program finds there that was told this address; `None` if it is let in nowhere.
async fn found_at(url: &Secret) -> Option<i64> {
    use sqlx::{Connection as _, PgConnection, SqliteConnection};
    let count = "select count(*) from thing";
    let url = url.reveal();
    if let Some(path) = url.strip_prefix("sqlite:///") {
        let mut there = SqliteConnection::connect(&format!("sqlite:{path}")).await.ok()?;
        return sqlx::query_scalar(count).fetch_one(&mut there).await.ok();
    }
    let mut there = PgConnection::connect(url).await.ok()?;
    sqlx::query_scalar(count).fetch_one(&mut there).await.ok()
}

#[tokio::test]
async fn a_copy_is_made_while_nobody_may_change_the_original_and_goes_alone() {
    for engine in engines("copies").map(Engine::with_folders) {
        let db = open(&engine).await;
        insert(&db, "a", None).await.unwrap();
        let url = |copy| engine.url("things", copy, &password());
        assert!(engine.size("things", 0).await.unwrap() > 0);
        let is_server = engine.kind() == db::EngineKind::Postgres;
        assert_eq!(engine.free().await.unwrap().is_none(), is_server);
        // Somebody is connected, and is not any more.
        engine.shut("things", 0).await.unwrap();
        assert_eq!(found_at(&url(0)).await.is_none(), is_server);
        // Made twice, as after a crash, it is one.
        engine.copy("things", (0, 1)).await.unwrap();
        engine.copy("things", (0, 1)).await.unwrap();
        engine.reopen("things", 0).await.unwrap();
        insert(&db, "b", None).await.unwrap();
        assert_eq!((found_at(&url(0)).await, found_at(&url(1)).await), (Some(2), Some(1)));
        // A copy of a copy, when the original has gone.
        db.close().await;
        engine.remove("things", 0).await.unwrap();
        engine.copy("things", (1, 2)).await.unwrap();
        engine.remove("things", 1).await.unwrap();
        engine.remove("things", 1).await.unwrap();
        assert_eq!((found_at(&url(1)).await, found_at(&url(2)).await), (None, Some(1)));
        engine.remove_all().await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_is_as_private_as_its_original() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let [engine, _] = engines("privacy").map(Engine::with_folders);
    open(&engine).await.close().await;
    let original = engine.url("things", 0, &password());
    let original = original.reveal().strip_prefix("sqlite:///").unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(original, Some(54_321), Some(54_321)).unwrap();
    }
    engine.copy("things", (0, 1)).await.unwrap();
    let copy = engine.url("things", 1, &password());
    let copy = copy.reveal().strip_prefix("sqlite:///").unwrap();
    let about = |path: &str| {
        let about = std::fs::metadata(path).unwrap();
        (about.uid(), about.gid(), about.permissions().mode() & 0o777)
    };
    assert_eq!(about(copy), about(original));
    assert_eq!(about(copy).2, 0o600);
    engine.remove_all().await.unwrap();
}

#[tokio::test]
async fn the_copies_of_one_among_others_are_found_when_that_has_gone() {
    let [engine, _] = engines("among");
    open(&engine).await.close().await;
    // Since then each has a folder for itself.
    let engine = engine.with_folders();
    engine.copy("things", (0, 1)).await.unwrap();
    let url = engine.url("things", 1, &password());
    engine.remove("things", 0).await.unwrap();
    assert_eq!(engine.url("things", 1, &password()).reveal(), url.reveal());
    engine.copy("things", (1, 2)).await.unwrap();
    assert_eq!(found_at(&engine.url("things", 2, &password())).await, Some(0));
    engine.remove_all().await.unwrap();
}

#[tokio::test]
async fn one_connection_makes_and_removes_many_and_nobody_waits_for_it() {
    use sqlx::{Connection as _, PgConnection};
    let server = std::env::var("MANDATE_TEST_POSTGRES").unwrap();
    let (_, prefix) = place("kept");
    let named = |name: &str| {
        let address = format!("{server}?application_name={prefix}{name}");
        Engine::postgres(&address).unwrap().with_prefix(&prefix).unwrap()
    };
    let (engine, other) = (named("one"), named("other"));
    let mut watcher = PgConnection::connect(&server).await.unwrap();
    let mut connections = async |ask: &'static str| -> Vec<i32> {
        let ask = sqlx::query_scalar(ask).bind(format!("{prefix}one"));
        ask.fetch_all(&mut watcher).await.unwrap()
    };
    let all = "select pid from pg_stat_activity where application_name = $1";
    engine.create("things", &password()).await.unwrap();
    let first = connections(all).await;
    engine.copy("things", (0, 1)).await.unwrap();
    engine.remove("things", 1).await.unwrap();
    assert_eq!((connections(all).await, first.len()), (first, 1));
    // It is kept, and it keeps nobody from the same database.
    let removed = tokio::time::timeout(Duration::from_secs(8), other.remove("things", 1));
    removed.await.expect("nobody has a turn any more").unwrap();
    // One that the server has ended is not taken for a good one.
    let ended = "with kept as materialized
            (select pid from pg_stat_activity where application_name = $1)
        select 1 from kept where pg_terminate_backend(pid, 5000)";
    assert_eq!(connections(ended).await, [1]);
    assert!(engine.size("things", 0).await.unwrap() > 0);
    // One on which something has failed is not kept.
    assert!(engine.copy("missing", (0, 1)).await.is_err());
    let closed = async {
        while !connections(all).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(8), closed).await.unwrap();
    engine.remove_all().await.unwrap();
}
