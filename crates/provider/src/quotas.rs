//! How much an account may have.

use std::time::Duration;

use api::{
    Empty,
    provider::{GetQuota, Quota, SetQuota},
};
use chassis::{Call, Write};
use types::{AccountId, Timestamp};

use crate::{Error, State, store};

/// What every account may have, unless an operator says otherwise.
const INSTANCES: u32 = 100;
const ORDERS_AN_HOUR: u32 = 100;
const HOUR: Duration = Duration::from_hours(1);

pub(crate) async fn get_quota(cx: Call<State>, op: GetQuota) -> Result<Quota, Error> {
    quota(cx.db(), op.account).await
}

pub(crate) async fn set_quota(cx: &mut Write<State>, op: SetQuota) -> Result<Empty, Error> {
    let SetQuota { account, instances, orders_an_hour } = op;
    let before = quota(cx.tx(), account).await?;
    let quota = Quota {
        instances: instances.unwrap_or(before.instances),
        orders_an_hour: orders_an_hour.unwrap_or(before.orders_an_hour),
    };
    store::put_quota(cx.tx(), account, &quota).await?;
    Ok(Empty {})
}

async fn quota(on: impl db::On, account: AccountId) -> Result<Quota, Error> {
    let default = Quota { instances: INSTANCES, orders_an_hour: ORDERS_AN_HOUR };
    Ok(store::quota(on, account).await?.unwrap_or(default))
}

/// Whether the account may have one instance more.
pub(crate) async fn check_instances(tx: &mut db::Tx, account: AccountId) -> Result<(), Error> {
    let Quota { instances, .. } = quota(&mut *tx, account).await?;
    if store::count_hosts(tx, account).await? < instances {
        return Ok(());
    }
    Err(Error::Instances(instances))
}

/// Whether the account may place one more order now.
pub(crate) async fn check_orders(
    tx: &mut db::Tx,
    account: AccountId,
    now: Timestamp,
) -> Result<(), Error> {
    let Quota { orders_an_hour, .. } = quota(&mut *tx, account).await?;
    if store::count_orders(tx, account, now.minus(HOUR)).await? < orders_an_hour {
        return Ok(());
    }
    Err(Error::Orders(orders_an_hour))
}
