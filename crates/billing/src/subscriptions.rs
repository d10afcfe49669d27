//! What instances have taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::{
    Empty,
    billing::{
        CheckSubscriptions, CheckedSubscriptions, PutReleasePrices, PutSubscription,
        WithdrawSubscription,
    },
};
use chassis::{Call, Write};
use types::{Host, InstanceId};

use crate::{
    Error, State,
    model::{Prices, Taken, Terms},
    store,
};

const MODULES_MAX: usize = 100;
const WISHES_MAX: usize = 100;
const TERMS_MAX: usize = 10_000;
const AHEAD_MAX: Duration = Duration::from_hours(24);

/// Terms may come in any order and more than once: what holds at a moment are the last that began
/// before it. Terms that change nothing at their moment add nothing.
pub(crate) async fn put_subscription(
    cx: &mut Write<State>,
    op: PutSubscription,
) -> Result<Empty, Error> {
    if op.since > cx.now().plus(AHEAD_MAX) {
        return Err(Error::Ahead(op.since));
    }
    if op.modules.len() > MODULES_MAX {
        return Err(Error::TooManyTerms);
    }
    put(cx.tx(), op).await?;
    Ok(Empty {})
}

/// For an order that could not be done: nobody pays for what they did not get.
pub(crate) async fn withdraw_subscription(
    cx: &mut Write<State>,
    op: WithdrawSubscription,
) -> Result<Empty, Error> {
    store::delete_terms(cx.tx(), op.account, op.instance, op.since).await?;
    Ok(Empty {})
}

async fn put(tx: &mut db::Tx, op: PutSubscription) -> Result<(), Error> {
    let host = begin(tx, &op).await?;
    let PutSubscription { instance, service, plan, size, modules, since, .. } = op;
    let terms = Terms { since, plan, size, modules };
    let known = store::terms(tx, instance).await?;
    if known.len() >= TERMS_MAX {
        return Err(Error::TooManyTerms);
    }
    let begun = known.first().is_some_and(|first| first.since <= since);
    let taken = Taken { instance, service, host, terms: known };
    let before = taken.at(since).filter(|_| begun);
    if before.is_some_and(|before| before.is_like(&terms)) {
        return Ok(());
    }
    if before.is_some_and(|before| before.since == since) {
        return Err(Error::OtherTerms { instance, since });
    }
    check_prices(tx, &taken, &terms).await?;
    store::insert_terms(tx, instance, &terms).await?;
    Ok(())
}

/// Which of the wishes are not known here. Whoever keeps wishes asks this from time to time, since a
/// database can be lost, or be an earlier one that was restored.
pub(crate) async fn check_subscriptions(
    cx: Call<State>,
    op: CheckSubscriptions,
) -> Result<CheckedSubscriptions, Error> {
    if op.wishes.len() > WISHES_MAX {
        return Err(Error::TooManyWishes);
    }
    let instances: BTreeSet<InstanceId> = op.wishes.iter().map(|wish| wish.instance).collect();
    let instances: Vec<InstanceId> = instances.into_iter().collect();
    let taken = store::taken_of(cx.db(), &instances).await?;
    let taken: BTreeMap<InstanceId, Taken> =
        taken.into_iter().map(|taken| (taken.instance, taken)).collect();
    let lacks = |wish: &PutSubscription| {
        let PutSubscription { plan, size, modules, since, .. } = wish.clone();
        let terms = Terms { since, plan, size, modules };
        let begun = taken.get(&wish.instance).filter(|taken| taken.terms[0].since <= since);
        !begun.and_then(|taken| taken.at(since)).is_some_and(|known| known.is_like(&terms))
    };
    let lacking = (0_u32..).zip(&op.wishes).filter(|(_, wish)| lacks(wish));
    Ok(CheckedSubscriptions { lacking: lacking.map(|(place, _)| place).collect() })
}

/// Begins the instance's cycle if it has not begun, and answers what its lines are named after.
async fn begin(tx: &mut db::Tx, op: &PutSubscription) -> Result<Host, Error> {
    let PutSubscription { account, instance, service, host, since, .. } = op;
    let none = || Error::NoPrices { service: service.clone(), at: *since };
    store::service_to_change(tx, service).await?.ok_or_else(none)?;
    let begun = store::insert_cycle(tx, *instance, *account, service, host).await;
    begun.map_err(|cause| {
        if cause.is_unique() { Error::HostNamesOther(host.clone()) } else { cause.into() }
    })?;
    match store::cycle(tx, *instance).await? {
        Some((of, what, host)) if (of, &what) == (*account, service) => Ok(host),
        _ => Err(Error::Fixed(*instance)),
    }
}

/// What is taken must have a price in the version that holds, and in those that will.
async fn check_prices(tx: &mut db::Tx, taken: &Taken, terms: &Terms) -> Result<(), Error> {
    let service = &taken.service;
    let prices = Prices(store::books(tx, service).await?);
    let holding = prices.at(terms.since).filter(|book| book.effective <= terms.since);
    let Some(holding) = holding else {
        return Err(Error::NoPrices { service: service.clone(), at: terms.since });
    };
    let later = prices.0.iter().filter(|book| book.effective > terms.since);
    // A release that was agreed to cannot be refused any more, so what it drops is not sold.
    let proposed = chassis::proposals::<PutReleasePrices>(tx, service).await?;
    let proposed = proposed.iter().map(|release| &release.book);
    for book in later.chain([holding]).chain(proposed) {
        if let Some((what, _)) = book.lacks(&terms.plan, &terms.size, &terms.modules) {
            return Err(Error::NotOnOffer { service: service.clone(), what });
        }
    }
    Ok(())
}
