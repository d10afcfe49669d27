//! Queues: shown, paused, gated, drained and limited.

use std::time::Duration;

use api::jobs::{
    Counts, Drain, DrainState, Gate, GetQueue, ListQueues, Queue, QueueDetail, SETUP_CLASS,
    SetQueue,
};
use chassis::{Call, Write};
use types::{Page, Timestamp};

use crate::{
    Error, State as Memory,
    store::{self, StoredQueue},
};

const DRAIN_SECONDS_MAX: u32 = 86_400;

fn shown(queue: StoredQueue, jobs: Counts, now: Timestamp) -> Queue {
    // What is held waits for the gate, which opens when the rest is done.
    let left = jobs.waiting() - jobs.held + jobs.running;
    let drain = queue.drain.map(|(began, deadline)| Drain {
        began,
        deadline,
        left,
        state: match left {
            0 => DrainState::Empty,
            _ if now >= deadline => DrainState::Overdue,
            _ => DrainState::Draining,
        },
    });
    Queue {
        service: queue.service,
        class: queue.class,
        paused: queue.paused,
        gate: queue.gate,
        concurrency: queue.concurrency,
        drain,
        jobs,
    }
}

pub(crate) async fn list_queues(cx: Call<Memory>, op: ListQueues) -> Result<Page<Queue>, Error> {
    let cursor = op.cursor();
    let queues = store::queues(cx.db(), &cursor).await?;
    let key = |queue: &StoredQueue| format!("{}/{}", queue.service, queue.class);
    let page = Page::cut(queues, &cursor, key);
    let mut items = Vec::new();
    for queue in page.items {
        let jobs = store::counts(cx.db(), &queue.service, &queue.class).await?;
        items.push(shown(queue, jobs, cx.now()));
    }
    Ok(Page { items, next: page.next })
}

pub(crate) async fn get_queue(cx: Call<Memory>, op: GetQueue) -> Result<QueueDetail, Error> {
    let queue = store::queue_shown(cx.db(), &op.service, &op.class).await?;
    let none = || Error::NoQueue { service: op.service.clone(), class: op.class.clone() };
    let queue = queue.ok_or_else(none)?;
    let jobs = store::counts(cx.db(), &op.service, &op.class).await?;
    let kinds = store::counts_by_kind(cx.db(), &op.service, &op.class).await?;
    Ok(QueueDetail { queue: shown(queue, jobs, cx.now()), kinds })
}

pub(crate) async fn set_queue(cx: &mut Write<Memory>, op: SetQueue) -> Result<Queue, Error> {
    let queue = store::queue(cx.tx(), &op.service, &op.class).await?;
    let none = || Error::NoQueue { service: op.service.clone(), class: op.class.clone() };
    let queue = changed(queue.ok_or_else(none)?, &op, cx.now())?;
    store::update_queue(cx.tx(), &queue).await?;
    let jobs = store::counts(cx.tx(), &op.service, &op.class).await?;
    Ok(shown(queue, jobs, cx.now()))
}

fn changed(queue: StoredQueue, op: &SetQueue, now: Timestamp) -> Result<StoredQueue, Error> {
    if op.gate.is_some_and(|gate| gate != Gate::Open) && queue.class == SETUP_CLASS {
        return Err(Error::SetupGate);
    }
    let gate = op.gate.unwrap_or(queue.gate);
    let drain = match op.drain_seconds {
        Some(_) if gate == Gate::Open => return Err(Error::OpenDrain),
        Some(seconds) if !(1..=DRAIN_SECONDS_MAX).contains(&seconds) => {
            return Err(Error::DrainSeconds);
        }
        Some(seconds) => Some((now, now.plus(Duration::from_secs(seconds.into())))),
        None => queue.drain.filter(|_| gate != Gate::Open),
    };
    let concurrency = match op.concurrency {
        Some(0) => None,
        Some(most) => Some(most),
        None => queue.concurrency,
    };
    let paused = op.paused.unwrap_or(queue.paused);
    Ok(StoredQueue { paused, gate, drain, concurrency, ..queue })
}
