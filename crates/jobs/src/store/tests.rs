//! What the indexes are for, on both engines.

use db::{Query, Rows, row, testing::on_both};
use types::Timestamp;

use super::*;

/// The statement is answered from these indexes, without reading or sorting what they leave out.
async fn uses(database: &db::Db, asked: Query, indexes: &[&str], scanned: &str) {
    let plan = asked.plan(database).await.unwrap();
    for index in indexes {
        assert!(plan.contains(index), "{index}: {plan}");
    }
    assert!(!plan.contains(&format!("Seq Scan on {scanned}")), "{plan}");
    assert!(!plan.contains(&format!("SCAN {scanned}\n")), "{plan}");
    let sorts = plan.contains("Sort Key") || plan.contains("TEMP B-TREE");
    assert!(!sorts, "{plan}");
}

#[tokio::test]
async fn a_claim_looks_at_what_it_hands_out_and_at_nothing_else() {
    let now = Timestamp::from_micros(1);
    on_both("claims", &[crate::MIGRATIONS], async |database| {
        let lanes = db::query(LANES).bind(7_i64).bind(10_u32);
        uses(&database, lanes, &["lane_waiting"], "lane").await;
        let top = db::query(TOP).bind(10_u32).bind(Rows::of(&["lane"], [7_i64]));
        uses(&database, top, &["job_ready"], "job").await;
        let services = Rows::of(&["service"], ["forum"]);
        let plan = db::query(WITH_WORK).bind(services).plan(&database).await.unwrap();
        assert!(plan.contains("lane_waiting"), "{plan}");
        let mut rows = Rows::new(&["id", "state"]);
        rows.push(row!["job_1", "ready"]);
        let update = "update job set state = r.state from {rows} as r where job.id = r.id";
        let plan = db::query(update).bind(rows).plan(&database).await.unwrap();
        assert!(!plan.contains("Seq Scan on job") && !plan.contains("SCAN job\n"), "{plan}");
        let expired = db::query(EXPIRED).bind(now).bind(5_u32);
        uses(&database, expired, &["job_running"], "job").await;
        let due = db::query(DUE).bind(now).bind(5_u32);
        uses(&database, due, &["job_delayed"], "job").await;
    })
    .await;
}

#[tokio::test]
async fn what_is_parked_is_found_by_its_lane_and_what_is_old_by_its_age() {
    on_both("parked", &[crate::MIGRATIONS], async |database| {
        // What has failed is found by another index too, and an empty table has no better one.
        for state in ["held", "blocked", "delayed"] {
            let text = PARKED.replace("WORD", &format!("'{state}'"));
            let asked = db::query(&format!("select id {text}")).bind(7_i64).bind(5_u32);
            uses(&database, asked, &["job_parked"], "job").await;
        }
        let old = db::query("select id from job where forget <= ? order by forget limit ?");
        let asked = old.bind(Timestamp::from_micros(1)).bind(5_u32);
        uses(&database, asked, &["job_forget"], "job").await;
    })
    .await;
}

#[tokio::test]
async fn what_recurs_is_looked_at_when_it_is_due_and_not_before() {
    on_both("recurring", &[crate::MIGRATIONS], async |database| {
        let due = db::query(SCHEDULES_DUE).bind(Timestamp::from_micros(1)).bind(5_u32);
        uses(&database, due, &["schedule_due"], "schedule").await;
        uses(&database, db::query(SCHEDULE_NEXT), &["schedule_due"], "schedule").await;
    })
    .await;
}
