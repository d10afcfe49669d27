//! Billing knows what was ordered, also after its database was lost or restored.
//!
//! Complete orders are compared with what billing has, a page at a time, all the time: a database
//! that is an earlier one looks like any other, so nothing less would notice. A page is two reads of
//! a bounded size, and after a whole round there is a pause.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use api::{
    billing::{CheckSubscriptions, PutSubscription},
    provider::Order,
};
use chassis::{Next, Room};
use types::Timestamp;

use crate::{Error, State, model::orders::subscription, store::complete::complete_orders};

/// How many orders are compared at a time; billing takes no more.
const PAGE: i64 = 100;
const BETWEEN_PAGES: Duration = Duration::from_secs(5);
const BETWEEN_ROUNDS: Duration = Duration::from_mins(1);

/// How far the round is. It begins anew with the process.
struct Round(Mutex<Progress>);

struct Progress {
    /// The last order that was compared.
    after: String,
    /// When the next page is due.
    due: Timestamp,
}

impl Round {
    fn begin() -> Self {
        Self(Mutex::new(Progress { after: String::new(), due: Timestamp::from_micros(i64::MIN) }))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// After which order to go on, if it is time.
    fn due(&self, now: Timestamp) -> Option<String> {
        let progress = self.progress();
        (progress.due <= now).then(|| progress.after.clone())
    }

    fn go_on(&self, last: Option<&Order>, now: Timestamp) {
        let pause = if last.is_some() { BETWEEN_PAGES } else { BETWEEN_ROUNDS };
        let after = last.map_or_else(String::new, |last| last.order.to_string());
        *self.progress() = Progress { after, due: now.plus(pause) };
    }
}

type Looking = Pin<Box<dyn Future<Output = Result<Next, Error>> + Send>>;

/// The step that keeps it so.
pub(crate) fn keeper() -> impl Fn(Room<State>) -> Looking {
    let round = Arc::new(Round::begin());
    move |room| {
        let round = Arc::clone(&round);
        Box::pin(async move { step(&room, &round).await })
    }
}

/// Compares the next page, and puts again what billing lacks.
async fn step(room: &Room<State>, round: &Round) -> Result<Next, Error> {
    let Some(after) = round.due(room.now()) else { return Ok(Next::Idle) };
    let orders = complete_orders(room.db(), &after, PAGE).await?;
    if !orders.is_empty() {
        put_again(room, &orders).await?;
    }
    let last = orders.last().filter(|_| orders.len() as u64 == PAGE.unsigned_abs());
    round.go_on(last, room.now());
    Ok(Next::Idle)
}

async fn put_again(room: &Room<State>, orders: &[Order]) -> Result<(), Error> {
    let wishes: Vec<PutSubscription> = orders.iter().map(subscription).collect();
    let check = CheckSubscriptions { wishes: wishes.clone() };
    let lacking = room.peers().call(check).await?.lacking;
    for wish in lacking.into_iter().filter_map(|place| wishes.get(place as usize)) {
        let instance = wish.instance;
        match room.peers().call(wish.clone()).await {
            Ok(_) => tracing::warn!(%instance, "billing had lost what was ordered; it knows again"),
            Err(problem) if problem.is_transient() => return Err(problem.into()),
            Err(problem) => {
                tracing::error!(%instance, %problem, "billing does not know what was ordered");
            }
        }
    }
    Ok(())
}
