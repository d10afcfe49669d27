//! The tables.

pub(crate) mod complete;

use api::provider::{Offer, Order, OrderPhase, Quota};
use db::On;
use types::{AccountId, Cursor, Host, InstanceId, Name, OrderId, Timestamp};

use crate::model::changes::Changes;

type Kept<T> = Result<T, db::Error>;

/// An order that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) order: Order,
    /// What it changes; an order that makes an instance changes nothing.
    pub(crate) changes: Option<Changes>,
    /// How often its next step was tried in vain.
    pub(crate) tries: u32,
}

pub(crate) async fn put_offer(tx: &mut db::Tx, offer: &Offer) -> Kept<()> {
    db::query(
        "insert into offer (service, release, manifest, plans) values (?, ?, ?, ?)
         on conflict (service) do update set release = excluded.release,
         manifest = excluded.manifest, plans = excluded.plans",
    )
    .bind(&offer.service)
    .bind(&offer.release)
    .bind_json(&offer.manifest)
    .bind_json(&offer.plans)
    .run(tx)
    .await
    .map(drop)
}

fn read_offer(row: &db::Row) -> Kept<Offer> {
    Ok(Offer {
        service: row.get("service")?,
        release: row.get("release")?,
        manifest: row.json("manifest")?,
        plans: row.json("plans")?,
    })
}

pub(crate) async fn offer(on: impl On, service: &Name) -> Kept<Option<Offer>> {
    db::query("select * from offer where service = ?").bind(service).optional(on, read_offer).await
}

pub(crate) async fn offers(on: impl On, cursor: &Cursor) -> Kept<Vec<Offer>> {
    db::query("select * from offer where service > ? order by service limit ?")
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_offer)
        .await
}

/// Waits until nobody else takes a host or changes an instance, until the transaction ends.
pub(crate) async fn take_turn(tx: &mut db::Tx) -> Kept<()> {
    db::query("select only_row from turn /*for update*/")
        .one(tx, |row| row.get::<i64>("only_row"))
        .await
        .map(drop)
}

/// Answers whether it was free.
pub(crate) async fn take_host(
    tx: &mut db::Tx,
    host: &Host,
    labels: &str,
    account: AccountId,
    instance: InstanceId,
) -> Kept<bool> {
    db::query(
        "insert into taken_host (host, labels, account, instance) values (?, ?, ?, ?)
         on conflict (host) do nothing",
    )
    .bind(host)
    .bind(labels)
    .bind(account)
    .bind(instance)
    .run(tx)
    .await
    .map(|taken| taken == 1)
}

pub(crate) async fn owner_of_host(tx: &mut db::Tx, host: &str) -> Kept<Option<AccountId>> {
    db::query("select account from taken_host where host = ?")
        .bind(host)
        .optional(tx, |row| row.get("account"))
        .await
}

/// Whether a host of another account lies below these labels.
pub(crate) async fn is_above_anothers(
    tx: &mut db::Tx,
    labels: &str,
    account: AccountId,
) -> Kept<bool> {
    // `/` comes after `.`, so this is where names that begin so end.
    let end = format!("{}/", labels.trim_end_matches('.'));
    db::query(
        "select host from taken_host where labels > ? and labels < ? and account <> ? limit 1",
    )
    .bind(labels)
    .bind(end)
    .bind(account)
    .optional(tx, |_| Ok(()))
    .await
    .map(|found| found.is_some())
}

pub(crate) async fn hosts_without_labels(on: impl On) -> Kept<Vec<Host>> {
    db::query("select host from taken_host where labels = ''").all(on, |row| row.get("host")).await
}

pub(crate) async fn set_labels(on: impl On, host: &Host, labels: &str) -> Kept<()> {
    db::query("update taken_host set labels = ? where host = ?")
        .bind(labels)
        .bind(host)
        .run(on)
        .await
        .map(drop)
}

/// How many instances an account has or is about to have: each has its host.
pub(crate) async fn count_hosts(tx: &mut db::Tx, account: AccountId) -> Kept<u32> {
    db::query("select count(*) as count from taken_host where account = ?")
        .bind(account)
        .one(tx, |row| row.get("count"))
        .await
}

pub(crate) async fn count_orders(
    tx: &mut db::Tx,
    account: AccountId,
    since: Timestamp,
) -> Kept<u32> {
    db::query("select count(*) as count from customer_order where account = ? and created > ?")
        .bind(account)
        .bind(since)
        .one(tx, |row| row.get("count"))
        .await
}

pub(crate) async fn quota(on: impl On, account: AccountId) -> Kept<Option<Quota>> {
    db::query("select instances, orders_an_hour from quota where account = ?")
        .bind(account)
        .optional(on, |row| {
            let (instances, orders_an_hour) = (row.get("instances")?, row.get("orders_an_hour")?);
            Ok(Quota { instances, orders_an_hour })
        })
        .await
}

pub(crate) async fn put_quota(tx: &mut db::Tx, account: AccountId, quota: &Quota) -> Kept<()> {
    db::query(
        "insert into quota (account, instances, orders_an_hour) values (?, ?, ?)
         on conflict (account) do update set instances = excluded.instances,
         orders_an_hour = excluded.orders_an_hour",
    )
    .bind(account)
    .bind(quota.instances)
    .bind(quota.orders_an_hour)
    .run(tx)
    .await
    .map(drop)
}

/// Lets go of an order's host if there is no instance there.
pub(crate) async fn release_host(tx: &mut db::Tx, order: &Order) -> Kept<()> {
    db::query(
        "delete from taken_host where instance = ? and not exists
         (select 1 from customer_order where instance = ? and phase = ?)",
    )
    .bind(order.instance)
    .bind(order.instance)
    .bind_json(&OrderPhase::Complete)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn insert_order(
    tx: &mut db::Tx,
    order: &Order,
    changes: Option<&Changes>,
) -> Kept<()> {
    db::query(
        "insert into customer_order
         (id, account, instance, service, plan, modules, size, host, phase, problem, created, changes)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(order.order)
    .bind(order.account)
    .bind(order.instance)
    .bind(&order.service)
    .bind(&order.plan)
    .bind_json(&order.modules)
    .bind(&order.size)
    .bind(&order.host)
    .bind_json(&order.phase)
    .bind(order.problem.as_deref())
    .bind(order.created)
    .bind_json(&changes)
    .run(tx)
    .await
    .map(drop)
}

fn read_order(row: &db::Row) -> Kept<Order> {
    Ok(Order {
        order: row.get("id")?,
        account: row.get("account")?,
        instance: row.get("instance")?,
        service: row.get("service")?,
        plan: row.get("plan")?,
        modules: row.json("modules")?,
        size: row.get("size")?,
        host: row.get("host")?,
        phase: row.json("phase")?,
        problem: row.get("problem")?,
        created: row.get("created")?,
    })
}

pub(crate) async fn order(on: impl On, account: AccountId, id: OrderId) -> Kept<Option<Order>> {
    db::query("select * from customer_order where id = ? and account = ?")
        .bind(id)
        .bind(account)
        .optional(on, read_order)
        .await
}

/// Newest first.
pub(crate) async fn orders(on: impl On, account: AccountId, cursor: &Cursor) -> Kept<Vec<Order>> {
    let before = cursor.after.as_deref().unwrap_or("ordr_~");
    db::query("select * from customer_order where account = ? and id < ? order by id desc limit ?")
        .bind(account)
        .bind(before)
        .bind(cursor.rows())
        .all(on, read_order)
        .await
}

/// The latest wish for an instance that was not refused.
pub(crate) async fn latest_order(
    on: impl On,
    account: AccountId,
    instance: InstanceId,
) -> Kept<Option<Order>> {
    db::query(
        "select * from customer_order where instance = ? and account = ? and phase not in (?, ?)
         order by created desc limit 1",
    )
    .bind(instance)
    .bind(account)
    .bind_json(&OrderPhase::Undoing)
    .bind_json(&OrderPhase::Failed)
    .optional(on, read_order)
    .await
}

/// The latest wish that was fulfilled.
pub(crate) async fn order_in_force(on: impl On, instance: InstanceId) -> Kept<Option<Order>> {
    db::query(
        "select * from customer_order where instance = ? and phase = ?
         order by created desc limit 1",
    )
    .bind(instance)
    .bind_json(&OrderPhase::Complete)
    .optional(on, read_order)
    .await
}

/// As the index says it.
const UNDER_WAY: &str = "phase in ('\"placed\"', '\"agreed\"', '\"undoing\"')";

/// Of an instance's orders only the first one can be due: the next has its turn when that is done.
fn in_turn(columns: &str) -> String {
    format!(
        "select {columns} from customer_order where {UNDER_WAY} and not exists
         (select 1 from customer_order earlier where earlier.instance = customer_order.instance
         and earlier.created < customer_order.created and earlier.{UNDER_WAY})"
    )
}

/// Orders whose next step is due, the one that has waited longest first; a new one is due at once.
pub(crate) async fn orders_due(on: impl On, now: Timestamp, limit: u32) -> Kept<Vec<Stored>> {
    db::query(&format!("{} and due <= ? order by due, created limit ?", in_turn("*")))
        .bind(now)
        .bind(limit)
        .all(on, |row| {
            let changes = row.get::<Option<String>>("changes")?;
            let changes = changes.map(|text| serde_json::from_str(&text));
            Ok(Stored {
                order: read_order(row)?,
                changes: changes
                    .transpose()
                    .map_err(|cause| db::Error::encode("changes", cause))?
                    .flatten(),
                tries: row.get("tries")?,
            })
        })
        .await
}

/// When the next one is due.
pub(crate) async fn next_due(on: impl On) -> Kept<Option<Timestamp>> {
    db::query(&format!("{} order by due limit 1", in_turn("due")))
        .optional(on, |row| row.get("due"))
        .await
}

pub(crate) async fn try_later(on: impl On, order: OrderId, due: Timestamp) -> Kept<()> {
    db::query("update customer_order set due = ?, tries = tries + 1 where id = ?")
        .bind(due)
        .bind(order)
        .run(on)
        .await
        .map(drop)
}

/// Keeps all that can change of an order; its next step is due at once.
pub(crate) async fn update_order(tx: &mut db::Tx, order: &Order) -> Kept<()> {
    db::query(
        "update customer_order set modules = ?, size = ?, phase = ?, problem = ?, tries = 0
         where id = ?",
    )
    .bind_json(&order.modules)
    .bind(&order.size)
    .bind_json(&order.phase)
    .bind(order.problem.as_deref())
    .bind(order.order)
    .run(tx)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use db::testing::on_both;

    use super::*;
    use crate::model::orders::tests::placed;

    #[tokio::test]
    async fn who_stands_behind_another_is_not_due_before_it() {
        on_both("orders", &[crate::MIGRATIONS], async |database| {
            let (first, second) = (placed(1), placed(2));
            let mut tx = database.begin().await.unwrap();
            insert_order(&mut tx, &first, None).await.unwrap();
            insert_order(&mut tx, &second, None).await.unwrap();
            tx.commit().await.unwrap();
            let now = Timestamp::from_micros(10);
            let due = |database: db::Db| async move {
                let due = orders_due(&database, now, 100).await.unwrap();
                due.into_iter().map(|stored| stored.order.order).collect::<Vec<_>>()
            };
            assert_eq!(due(database.clone()).await, [first.order]);
            let later = now.plus(Duration::from_secs(1));
            try_later(&database, first.order, later).await.unwrap();
            assert_eq!(due(database.clone()).await, []);
            assert_eq!(next_due(&database).await.unwrap(), Some(later));
            let mut tx = database.begin().await.unwrap();
            let failed = Order { phase: OrderPhase::Failed, ..first };
            update_order(&mut tx, &failed).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(due(database.clone()).await, [second.order]);
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_due_is_found_by_its_index_however_many_orders_there_were() {
        on_both("orders_due", &[crate::MIGRATIONS], async |database| {
            let due = format!("{} and due <= ? order by due limit ?", in_turn("*"));
            let plan = db::query(&due).bind(1_u64).bind(1_u64).plan(&database).await.unwrap();
            assert!(plan.contains("customer_order_due"), "{plan}");
            assert!(!plan.contains("Seq Scan on customer_order\n"), "{plan}");
        })
        .await;
    }
}
