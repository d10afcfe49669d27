//! What is asked at a click is answered from an index, however much there is.

use db::{Db, Query, query, testing::on_both};

use super::{NEWEST, OF_ACCOUNT, OF_INSTANCE, UNTIL};
use crate::MIGRATIONS;

async fn fill(db: &Db) {
    let fill = "with recursive n(k) as (select 1 union all select k + 1 from n where k < 20000)
         insert into usage_event (source, epoch, sequence, account, revision, instance, meter,
         used_at, quantity, event, note)
         select 'gateway', 1, k, case when k % 2 = 0 then 'ada' else 'bob' end, 1,
         case when k % 50 = 0 then 'rare' else 'busy' end,
         case when k % 100 = 0 then 'posts' else 'requests' end, k, 1, 'event', '' from n";
    query(fill).run(db).await.unwrap();
    query("analyze").run(db).await.unwrap();
}

#[tokio::test]
async fn what_is_asked_at_a_click_has_an_index() {
    on_both("clicks", &[MIGRATIONS], async |db| {
        fill(&db).await;
        let of_ada = |text: &str| query(text).bind("ada");
        let after = |asked: Query| asked.bind(0_i64).bind("gateway").bind(0_i64).bind(0_i64);
        let page = |asked: Query| after(asked).bind(100_i64);
        let list = page(of_ada(OF_ACCOUNT)).plan(&db).await.unwrap();
        let only = page(of_ada(OF_INSTANCE).bind("rare")).plan(&db).await.unwrap();
        let newest = of_ada(NEWEST).bind("rare").bind("posts").bind(0_i64).bind(30_000_i64);
        let newest = newest.bind(100_i64).plan(&db).await.unwrap();
        let until = page(of_ada(UNTIL).bind(30_000_i64).bind(1_i64)).plan(&db).await.unwrap();
        for (plan, index) in [
            (&list, "usage_event_by_time"),
            (&only, "usage_event_by_instance"),
            (&newest, "usage_event_by_meter"),
            (&until, "usage_event_by_time"),
        ] {
            assert!(plan.contains(index), "{index}: {plan}");
        }
        // Pages come in the order of their index: nothing is sorted, so nothing else is read.
        for plan in [list, only, newest, until] {
            assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    })
    .await;
}
