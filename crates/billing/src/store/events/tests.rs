//! What is asked at a click is answered from an index, however much there is.

use db::{Engine, query};
use types::Secret;

use super::{NEWEST, OF_ACCOUNT, OF_INSTANCE, UNTIL};
use crate::MIGRATIONS;

fn engines() -> [Engine; 2] {
    let pid = std::process::id();
    let server = std::env::var("MANDATE_TEST_POSTGRES").expect(
        "set MANDATE_TEST_POSTGRES to a server for tests, such as \
         postgres://admin@127.0.0.1:5432/postgres, or run `./x test`",
    );
    let postgres = Engine::postgres(&server).unwrap().with_prefix(&format!("b{pid}_plans"));
    let folder = std::env::temp_dir().join(format!("mandate-billing-{pid}-plans"));
    [Engine::sqlite(folder), postgres.unwrap()]
}

async fn filled(engine: &Engine) -> db::Db {
    let db = engine.open("billing", &Secret::new("0".to_owned()), &[MIGRATIONS]).await.unwrap();
    let fill = "with recursive n(k) as (select 1 union all select k + 1 from n where k < 20000)
         insert into usage_event (source, epoch, sequence, account, revision, instance, meter,
         used_at, quantity, event, note)
         select 'gateway', 1, k, case when k % 2 = 0 then 'ada' else 'bob' end, 1,
         case when k % 50 = 0 then 'rare' else 'busy' end,
         case when k % 100 = 0 then 'posts' else 'requests' end, k, 1, 'event', '' from n";
    query(fill).run(&db).await.unwrap();
    query("analyze").run(&db).await.unwrap();
    db
}

async fn plan(db: &db::Db, sqlite: bool, text: &str, values: &[&str], numbers: usize) -> String {
    let explain = if sqlite { "explain query plan " } else { "explain " };
    let mut asked = query(&format!("{explain}{text}"));
    for value in values {
        asked = match value.parse::<i64>() {
            Ok(number) => asked.bind(number),
            Err(_) => asked.bind(*value),
        };
    }
    for _ in 0..numbers {
        asked = asked.bind(100_i64);
    }
    let column = if sqlite { "detail" } else { "QUERY PLAN" };
    let lines = asked.all(db, |row| row.get::<String>(column)).await.unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn what_is_asked_at_a_click_has_an_index() {
    for (engine, sqlite) in engines().iter().zip([true, false]) {
        let db = filled(engine).await;
        let after = ["0", "gateway", "0", "0"];
        let list = plan(&db, sqlite, OF_ACCOUNT, &[&["ada"][..], &after].concat(), 1).await;
        let rare = [&["ada", "rare"][..], &after].concat();
        let only = plan(&db, sqlite, OF_INSTANCE, &rare, 1).await;
        let newest = plan(&db, sqlite, NEWEST, &["ada", "rare", "posts", "0", "30000"], 1).await;
        let until = [&["ada", "30000", "1"][..], &after].concat();
        let until = plan(&db, sqlite, UNTIL, &until, 1).await;
        for (plan, index) in [
            (&list, "usage_event_by_time"),
            (&only, "usage_event_by_instance"),
            (&newest, "usage_event_by_meter"),
            (&until, "usage_event_by_time"),
        ] {
            assert!(plan.contains(index), "{index}: {plan}");
        }
        // Pages come in the order of their index: nothing is sorted, so nothing else is read.
        for plan in [list, only, until] {
            assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        db.close().await;
    }
}
