//! Reading what processes print: whoever reads waits, the nodes that run them hear of the wish with
//! the answer to their heartbeat, and tell what is asked. Nothing of it is kept here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{
    Empty, Problem,
    manifest::Tenancy,
    releases::{
        LOG_BYTES_MAX, LOG_LINES_MAX, LogPart, LogPlace, LogWish, Logs, PutLogs, ReadInstanceLogs,
        ReadServiceLogs,
    },
};
use chassis::{Call, Room};
use tokio::sync::oneshot;
use types::{InstanceId, Name, NodeId, ReplicaId};

use crate::{Error, State, planning};

/// So many wishes wait at once.
const WISHES_MAX: usize = 64;
/// A node that does not answer for longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(8);
const LINES: u32 = 100;
/// More parts than this are not one instance's.
const PARTS_MAX: usize = 64;

/// Who waits for what is printed on which node.
#[derive(Default)]
pub(crate) struct Wishes(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    last: u64,
    wishes: HashMap<u64, Wish>,
}

struct Wish {
    node: NodeId,
    /// Until the node has heard of it.
    untold: Option<LogWish>,
    tell: oneshot::Sender<Vec<LogPart>>,
}

impl Wishes {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a node has not heard of yet.
    pub(crate) fn untold(&self, node: NodeId) -> Vec<LogWish> {
        let mut waiting = self.waiting();
        let wishes = waiting.wishes.values_mut().filter(|wish| wish.node == node);
        wishes.filter_map(|wish| wish.untold.take()).collect()
    }

    fn add(&self, node: NodeId, ask: &LogWish) -> Option<oneshot::Receiver<Vec<LogPart>>> {
        let mut waiting = self.waiting();
        // Whoever has given up waits no longer.
        waiting.wishes.retain(|_, wish| !wish.tell.is_closed());
        if waiting.wishes.len() >= WISHES_MAX {
            return None;
        }
        waiting.last += 1;
        let (tell, told) = oneshot::channel();
        let (number, untold) = (waiting.last, LogWish { wish: waiting.last, ..ask.clone() });
        waiting.wishes.insert(number, Wish { node, untold: Some(untold), tell });
        Some(told)
    }

    fn answer(&self, node: NodeId, number: u64, parts: Vec<LogPart>) {
        let mut waiting = self.waiting();
        if waiting.wishes.get(&number).is_some_and(|wish| wish.node == node)
            && let Some(wish) = waiting.wishes.remove(&number)
        {
            let _ = wish.tell.send(parts);
        }
    }
}

pub(crate) async fn read_instance_logs(
    cx: Call<State>,
    op: ReadInstanceLogs,
) -> Result<Logs, Error> {
    let route = cx.state().planning.route(op.instance)?;
    let route = route.filter(|route| route.account == op.account).ok_or(Error::NoInstance)?;
    let plan = planning::plan(&cx).await?;
    let current = plan.releases.get(&route.release);
    if current.is_some_and(|it| it.manifest.service.tenancy == Tenancy::Shared) {
        return Err(Error::SharedLogs(route.service.clone()));
    }
    let ask = wish(route.service.clone(), Some(op.instance), op.process, op.lines, op.after)?;
    read(&cx, ask).await
}

pub(crate) async fn read_service_logs(cx: Call<State>, op: ReadServiceLogs) -> Result<Logs, Error> {
    let ask = wish(op.service, None, op.process, op.lines, op.after)?;
    read(&cx, ask).await
}

fn wish(
    service: Name,
    instance: Option<InstanceId>,
    process: Option<String>,
    lines: Option<u32>,
    after: Option<String>,
) -> Result<LogWish, Error> {
    let lines = lines.unwrap_or(LINES);
    if lines > LOG_LINES_MAX {
        return Err(Error::Lines);
    }
    let after = match after {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(&text).map_err(|_| Error::After)?,
    };
    Ok(LogWish { wish: 0, service, instance, process, lines, after })
}

/// Asks every node that runs what is meant, and waits for those that live.
async fn read(room: &Room<State>, ask: LogWish) -> Result<Logs, Error> {
    let nodes = room.state().nodes.running(room.now(), |replica| {
        (&replica.service, replica.instance) == (&ask.service, ask.instance)
            && ask.process.as_ref().is_none_or(|process| *process == replica.process)
    });
    if nodes.is_empty() {
        return Err(Error::NothingRuns);
    }
    let mut told = Vec::with_capacity(nodes.len());
    for node in nodes {
        told.push(room.state().wishes.add(node, &ask).ok_or(Error::TooManyReaders)?);
    }
    room.state().planning.wake();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut all = Vec::new();
    let mut has_answered = false;
    for parts in told {
        if let Ok(Ok(parts)) = tokio::time::timeout_at(deadline, parts).await {
            has_answered = true;
            all.extend(parts);
        }
    }
    if !has_answered {
        return Err(Problem::unavailable("the node that runs it does not answer", 2).into());
    }
    all.sort_by(|a, b| (&a.process, a.index).cmp(&(&b.process, b.index)));
    let places = all.iter().map(|part| (part.replica, part.place));
    let after: BTreeMap<ReplicaId, LogPlace> = ask.after.into_iter().chain(places).collect();
    let next = serde_json::to_string(&after).unwrap_or_default();
    Ok(Logs { parts: all, next })
}

pub(crate) async fn put_logs(cx: Call<State>, op: PutLogs) -> Result<Empty, Error> {
    if op.parts.len() > PARTS_MAX || op.parts.iter().any(|part| part.text.len() > LOG_BYTES_MAX) {
        return Err(Error::Report);
    }
    cx.state().wishes.answer(op.node, op.wish, op.parts);
    Ok(Empty {})
}
