//! What PostgreSQL does with a table of jobs and nothing else: the ground that any queue stands on.

use std::time::Instant;

use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

const BATCH: i64 = 1_000;
const CLIENTS: usize = 4;

/// Claims and completes in batches of a thousand, by four clients.
pub(crate) async fn jobs_per_second(server: &str, jobs: usize) -> f64 {
    let pool = PgPoolOptions::new().max_connections(5).connect(server).await.unwrap();
    let name = format!("bare_job_{}", std::process::id());
    run(
        &pool,
        format!(
            "create table {name} (id bigint primary key, state bigint not null,
         token bigint not null, payload text not null)"
        ),
    )
    .await;
    run(&pool, format!("create index {name}_ready on {name} (id) where state = 0")).await;
    run(
        &pool,
        format!("insert into {name} select id, 0, 0, '{{}}' from generate_series(1, {jobs}) as id"),
    )
    .await;
    run(&pool, format!("analyze {name}")).await;
    let begun = Instant::now();
    let clients = (0..CLIENTS).map(|_| claim_and_complete(&pool, &name));
    futures_util::future::join_all(clients).await;
    let rate = crate::a_second(jobs, begun.elapsed());
    run(&pool, format!("drop table {name}")).await;
    rate
}

async fn claim_and_complete(pool: &PgPool, name: &str) {
    let claim = format!(
        "update {name} as job set state = 1, token = token + 1 where id in
         (select id from {name} where state = 0 order by id limit $1 for update skip locked)
         returning id, token, payload"
    );
    // Planned as for a few, and without a word of states: or else all of the table is read, by
    // statistics from a time when everything was waiting.
    let complete = format!(
        "update {name} as job set state = 2
         from unnest((select $1::bigint[]), (select $2::bigint[])) as done (id, token)
         where job.id = done.id and job.token = done.token"
    );
    loop {
        let claimed: Vec<(i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(claim.clone())).bind(BATCH).fetch_all(pool).await.unwrap();
        if claimed.is_empty() {
            return;
        }
        let (ids, tokens): (Vec<i64>, Vec<i64>) =
            claimed.into_iter().map(|(id, token, _)| (id, token)).unzip();
        sqlx::query(AssertSqlSafe(complete.clone()))
            .bind(ids)
            .bind(tokens)
            .execute(pool)
            .await
            .unwrap();
    }
}

async fn run(pool: &PgPool, statement: String) {
    sqlx::query(AssertSqlSafe(statement)).execute(pool).await.unwrap();
}
