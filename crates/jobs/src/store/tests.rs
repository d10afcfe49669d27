//! What the indexes are for, on both engines.

use db::{
    Engine, List, Query, Rows, row,
    testing::{on_both, postgres},
};
use types::{AccountId, Digest, InstanceId, JobId, NodeId, Secret, Timestamp};

use super::*;
use crate::model::State;

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
        let lanes = db::query(LANES).bind(7_i64).bind(List::of(["a"])).bind(10_u32);
        uses(&database, lanes, &["lane_waiting"], "lane").await;
        let left = db::query(HAS_JOBS).bind(7_i64).bind("a");
        uses(&database, left, &["lane_with_jobs"], "lane").await;
        let top = db::query(TOP).bind(10_u32).bind(Rows::of(&["lane"], [7_i64]));
        uses(&database, top, &["ready_in_order"], "ready").await;
        let jobs = List::of(["job_1"]);
        uses(&database, db::query(TAKE).bind(jobs.clone()), &["ready_by_job"], "ready").await;
        let services = List::of(["forum"]);
        let plan = db::query(WITH_WORK).bind(services).plan(&database).await.unwrap();
        assert!(plan.contains("lane_waiting"), "{plan}");
        let mut rows = Rows::new(&["id", "state"]);
        rows.push(row!["job_1", "ready"]);
        let states = db::query(SET_STATES).bind(rows).bind(jobs.clone());
        let plan = states.plan(&database).await.unwrap();
        assert!(!plan.contains("Seq Scan on job") && !plan.contains("SCAN job\n"), "{plan}");
        let ended = db::query(END_LEASES).bind(jobs).bind("node_1").bind(1_i64);
        let plan = ended.plan(&database).await.unwrap();
        assert!(plan.contains("lease_pkey") || plan.contains("lease_1"), "{plan}");
        let expired = db::query(EXPIRED).bind(now).bind(5_u32);
        uses(&database, expired, &["lease_expires"], "lease").await;
        let due = db::query(DUE).bind(now).bind(5_u32);
        uses(&database, due, &["job_delayed"], "job").await;
    })
    .await;
}

/// A queue is empty when PostgreSQL counts it.
#[tokio::test]
async fn the_lanes_of_some_are_found_without_those_of_others() {
    on_both("served", &[crate::MIGRATIONS], async |database| {
        db::query("analyze").run(&database).await.unwrap();
        let some = List::of(["inst_1", "inst_2"]);
        let these = db::query(LANES_OF_THESE).bind(some.clone()).bind(7_i64);
        let these = these.bind(List::of(["a"])).bind(5_u32);
        for asked in [these, db::query(LOCK_LANES_OF).bind(some)] {
            let plan = asked.plan(&database).await.unwrap();
            assert!(plan.contains("lane_by_instance"), "{plan}");
        }
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
        for (table, key, index) in
            [("job", "id", "job_forget"), ("success", "job", "success_forget")]
        {
            let asked = db::query(&old(table, key)).bind(Timestamp::from_micros(1)).bind(5_u32);
            uses(&database, asked, &[index], table).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_recurs_is_looked_at_when_it_is_due_and_not_before() {
    on_both("recurring", &[crate::MIGRATIONS], async |database| {
        let mut rows = Rows::new(&["instance", "due"]);
        for number in 0..10_000_i64 {
            rows.push(row![format!("inst_{number}"), 1_000 + number]);
        }
        let insert =
            "insert into schedule (instance, name, account, service, plan, last, due, is_open)
            select instance, 'digest', 'acct', 'forum', '{}', 0, due, true from {rows} as r";
        db::query(insert).bind(rows).run(&database).await.unwrap();
        db::query("analyze").run(&database).await.unwrap();
        let due = db::query(SCHEDULES_DUE).bind(Timestamp::from_micros(1)).bind(5_u32);
        uses(&database, due, &["schedule_due"], "schedule").await;
        uses(&database, db::query(SCHEDULE_NEXT), &["schedule_due"], "schedule").await;
    })
    .await;
}

/// A job in each state, as it was kept when all was one row.
async fn insert_whole_rows(database: &db::Db) {
    let jobs: Vec<(JobId, State)> =
        State::ALL.iter().map(|state| (JobId::named(&[state.word()]), *state)).collect();
    let mut rows = Rows::new(&["id", "state", "account", "instance", "node", "release"]);
    for (job, state) in &jobs {
        let (account, instance) = (AccountId::named(&["ada"]), InstanceId::named(&["one"]));
        let node = NodeId::named(&["node"]);
        rows.push(row![*job, state.word(), account, instance, node, &Digest::of(b"release")]);
    }
    db::query(
        "insert into job (id, account, instance, service, lane, class, name, version, priority,
         payload, attempts_max, state, blocked_by, is_awaited, not_before, attempts, lost, token,
         node, release, lease_expires, cancelled, output, created, started, ended, forget)
         select id, account, instance, 'forum', 7, 'default', 'work', 1, 5, '{}', 3, state, 0,
         false, 0, 2, 0, 4, node, release, 9, false, 'said', 0, 1, 2, 3 from {rows} as r",
    )
    .bind(rows)
    .run(database)
    .await
    .unwrap();
}

/// Opens databases as they were before a migration, has them filled, and looks at them afterwards.
async fn across(migration: &str, fill: impl AsyncFn(&db::Db), look: impl AsyncFn(&mut db::Tx)) {
    let prefix = format!("{migration}{}", std::process::id());
    let prefix = prefix.replace("jobs_", "");
    let folder = std::env::temp_dir().join(format!("mandate-{prefix}"));
    for engine in [Engine::sqlite(folder), postgres(&prefix)] {
        let password = Secret::new("a password");
        let place = crate::MIGRATIONS.iter().position(|one| one.name == migration).unwrap();
        let before = &crate::MIGRATIONS[..place];
        let database = engine.open("tables", &password, &[before]).await.unwrap();
        fill(&database).await;
        database.close().await;
        let database = engine.open("tables", &password, &[crate::MIGRATIONS]).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        look(&mut tx).await;
        drop(tx);
        database.close().await;
        engine.remove_all().await.unwrap();
    }
}

#[tokio::test]
async fn jobs_that_were_one_row_stand_where_they_stood() {
    across("jobs_leases", insert_whole_rows, async |tx| {
        let entries = entries(tx, State::ALL.map(|state| JobId::named(&[state.word()]))).await;
        let entries = entries.unwrap();
        assert_eq!(entries.len(), State::ALL.len());
        for entry in entries {
            assert_eq!(entry.job, JobId::named(&[entry.state.word()]), "{entry:?}");
            assert_eq!((entry.token, entry.attempts), (4, 2), "{entry:?}");
            let runs = entry.state == State::Running;
            assert_eq!(entry.lease_expires, runs.then_some(Timestamp::from_micros(9)));
            let shown = job(&mut *tx, entry.job).await.unwrap().unwrap();
            assert_eq!((shown.state, &*shown.output), (entry.state.shown(false), "said"));
        }
        let ready = candidates(tx, &[7], 9).await.unwrap();
        let ready: Vec<(JobId, i32)> = ready.iter().map(|one| (one.job, one.rank)).collect();
        assert_eq!(ready, [(JobId::named(&["ready"]), -5)]);
    })
    .await;
}

/// Three jobs run: one holds a key until it has ended, one a key for a time, and for one others
/// wait. A lane is left of which nobody knows whose it was.
async fn insert_leases_without_what_follows(database: &db::Db) {
    let (account, instance) = (AccountId::named(&["ada"]), InstanceId::named(&["one"]));
    let run = async |sql: &str| {
        let sql = sql.replace("ADA", &account.to_string()).replace("ONE", &instance.to_string());
        let sql = ["ended", "seconds", "awaited", "next"].iter().fold(sql, |sql, name| {
            sql.replace(&format!("J_{name}"), &JobId::named(&[name]).to_string())
        });
        let node = NodeId::named(&["node"]).to_string();
        let sql = sql.replace("NODE", &node).replace("DIGEST", &Digest::of(b"it").to_string());
        db::query(&sql).run(database).await.unwrap();
    };
    run("insert into kind values (1, 'forum', 'default', 'work', 1, false)").await;
    for lane in ["7, 1, 'ONE'", "8, 1, 'somebody'"] {
        run(&format!("insert into lane values ({lane}, false, 9, 0, 0, 0, 0, 0, 3, 0)")).await;
    }
    for job in ["J_ended", "J_seconds", "J_awaited"] {
        run(&format!(
            "insert into job (id, account, instance, service, lane, class, name, version, priority,
             payload, attempts_max, state, blocked_by, is_awaited, not_before, attempts, lost,
             token, output, created) values ('{job}', 'ADA', 'ONE', 'forum', 7, 'default', 'work',
             1, 0, 'null', 3, 'ready', 0, false, 0, 0, 0, 0, '', 0)"
        ))
        .await;
        run(&format!(
            "insert into lease (job, lane, node, token, attempts, release, started, expires,
             cancelled, output) values ('{job}', 7, 'NODE', 1, 1, 'DIGEST', 1, 9, false, '')"
        ))
        .await;
    }
    run("insert into unique_key values ('ONE', 'work', 'a', 'J_ended', null)").await;
    run("insert into unique_key values ('ONE', 'work', 'b', 'J_seconds', 99)").await;
    run("insert into awaited values ('J_awaited', 'J_next')").await;
}

#[tokio::test]
async fn what_ran_when_leases_were_to_say_what_follows_ends_as_others_do() {
    across("jobs_lanes_say_whose", insert_leases_without_what_follows, async |tx| {
        let jobs = ["ended", "seconds", "awaited"].map(|name| JobId::named(&[name]));
        let leases = jobs.map(|job| (job, 1));
        let (ended, lanes) = end_leases(tx, NodeId::named(&["node"]), &leases).await.unwrap();
        let follows = ended.iter().map(|one| (one.job, (one.has_key, one.is_awaited)));
        let follows: std::collections::BTreeMap<_, _> = follows.collect();
        let told = jobs.map(|job| follows[&job]);
        assert_eq!(told, [(true, false), (false, false), (false, true)]);
        let whose = &lanes[&7];
        let (account, instance) = (AccountId::named(&["ada"]), InstanceId::named(&["one"]));
        assert_eq!((whose.account, whose.instance), (account, instance));
        assert_eq!((&*whose.kind.name, whose.kind.version), ("work", 1));
        let lanes = lanes_of(tx, instance).await.unwrap();
        assert_eq!(lanes, [7]);
    })
    .await;
}
