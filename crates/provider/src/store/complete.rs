//! Orders that were fulfilled.

use api::provider::{Order, OrderPhase};
use db::On;

use super::read_order;

/// Complete orders after `order`, in their order.
pub(crate) async fn complete_orders(
    on: impl On,
    order: &str,
    limit: i64,
) -> Result<Vec<Order>, db::Error> {
    db::query("select * from customer_order where phase = ? and id > ? order by id limit ?")
        .bind_json(&OrderPhase::Complete)
        .bind(order)
        .bind(limit)
        .all(on, read_order)
        .await
}
