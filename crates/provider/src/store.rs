//! The tables.

pub(crate) mod complete;

use api::provider::{Offer, Order, OrderPhase};
use db::On;
use types::{AccountId, Cursor, Host, InstanceId, Name, OrderId};

type Stored<T> = Result<T, db::Error>;

pub(crate) async fn put_offer(tx: &mut db::Tx, offer: &Offer) -> Stored<()> {
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

fn read_offer(row: &db::Row) -> Stored<Offer> {
    Ok(Offer {
        service: row.get("service")?,
        release: row.get("release")?,
        manifest: row.json("manifest")?,
        plans: row.json("plans")?,
    })
}

pub(crate) async fn offer(on: impl On, service: &Name) -> Stored<Option<Offer>> {
    db::query("select * from offer where service = ?").bind(service).optional(on, read_offer).await
}

pub(crate) async fn offers(on: impl On, cursor: &Cursor) -> Stored<Vec<Offer>> {
    db::query("select * from offer where service > ? order by service limit ?")
        .bind(cursor.key())
        .bind(cursor.rows())
        .all(on, read_offer)
        .await
}

pub(crate) async fn take_host(tx: &mut db::Tx, host: &Host, instance: InstanceId) -> Stored<()> {
    db::query("insert into taken_host (host, instance) values (?, ?)")
        .bind(host)
        .bind(instance)
        .run(tx)
        .await
        .map(drop)
}

/// Lets go of an order's host if the order was the instance's first.
pub(crate) async fn release_host(tx: &mut db::Tx, order: &Order) -> Stored<()> {
    db::query(
        "delete from taken_host where instance = ? and not exists
         (select 1 from customer_order where instance = ? and id < ?)",
    )
    .bind(order.instance)
    .bind(order.instance)
    .bind(order.order)
    .run(tx)
    .await
    .map(drop)
}

pub(crate) async fn insert_order(tx: &mut db::Tx, order: &Order) -> Stored<()> {
    db::query(
        "insert into customer_order
         (id, account, instance, service, plan, modules, size, host, phase, problem, created)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .run(tx)
    .await
    .map(drop)
}

fn read_order(row: &db::Row) -> Stored<Order> {
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

pub(crate) async fn order(on: impl On, account: AccountId, id: OrderId) -> Stored<Option<Order>> {
    db::query("select * from customer_order where id = ? and account = ?")
        .bind(id)
        .bind(account)
        .optional(on, read_order)
        .await
}

/// Newest first.
pub(crate) async fn orders(on: impl On, account: AccountId, cursor: &Cursor) -> Stored<Vec<Order>> {
    let before = cursor.after.as_deref().unwrap_or("ordr_~");
    db::query("select * from customer_order where account = ? and id < ? order by id desc limit ?")
        .bind(account)
        .bind(before)
        .bind(cursor.rows())
        .all(on, read_order)
        .await
}

/// The latest wish for an instance.
pub(crate) async fn latest_order(
    on: impl On,
    account: AccountId,
    instance: InstanceId,
) -> Stored<Option<Order>> {
    db::query(
        "select * from customer_order where instance = ? and account = ? order by id desc limit 1",
    )
    .bind(instance)
    .bind(account)
    .optional(on, read_order)
    .await
}

/// At most 100, the oldest first.
pub(crate) async fn orders_under_way(on: impl On) -> Stored<Vec<Order>> {
    db::query("select * from customer_order where phase in (?, ?) order by id limit 100")
        .bind_json(&OrderPhase::Placed)
        .bind_json(&OrderPhase::Configured)
        .all(on, read_order)
        .await
}

pub(crate) async fn set_phase(
    tx: &mut db::Tx,
    order: OrderId,
    phase: OrderPhase,
    problem: Option<&str>,
) -> Stored<()> {
    db::query("update customer_order set phase = ?, problem = ? where id = ?")
        .bind_json(&phase)
        .bind(problem)
        .bind(order)
        .run(tx)
        .await
        .map(drop)
}
