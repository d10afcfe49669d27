//! The threads that answer: each takes connections from the same listener, and what it has taken
//! stays with it.

use std::{io, rc::Rc, sync::Arc};

use tokio::{
    net::TcpListener,
    runtime,
    sync::{oneshot, watch},
    task::LocalSet,
};

use super::{limits::Limits, listener};
use crate::{phases::worker::Worker, state::State};

/// What the threads are called.
const NAME: &str = "gateway";

/// The threads, until they have ended.
pub(crate) struct Threads {
    ending: watch::Sender<bool>,
    ended: Vec<oneshot::Receiver<()>>,
}

impl Threads {
    /// Has `count` threads serve what comes to `listener`. They break everything off when this is
    /// dropped.
    pub(crate) fn start(
        state: &Arc<State>,
        listener: TcpListener,
        count: usize,
    ) -> io::Result<Self> {
        let listener = listener.into_std()?;
        let (ending, _) = watch::channel(false);
        let limits = Limits::new(state.proxies.clone());
        let mut ended = Vec::new();
        for _ in 0..count.max(1) {
            let (state, listener, limits) =
                (Arc::clone(state), listener.try_clone()?, limits.clone());
            let (ending, (end, has_ended)) = (ending.subscribe(), oneshot::channel());
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let work = move || {
                let serving = async move {
                    let listener = TcpListener::from_std(listener)?;
                    let worker = Rc::new(Worker::new(state));
                    listener::serve(&worker, listener, &limits, ending).await;
                    io::Result::Ok(())
                };
                if let Err(cause) = LocalSet::new().block_on(&runtime, serving) {
                    tracing::error!(%cause, "a thread of the gateway cannot listen");
                }
                let _ = end.send(());
            };
            std::thread::Builder::new().name(NAME.to_owned()).spawn(work)?;
            ended.push(has_ended);
        }
        Ok(Self { ending, ended })
    }

    /// Takes nothing new; returns when what is under way is done, or has been given up.
    pub(crate) async fn end(self) {
        self.ending.send_replace(true);
        for ended in self.ended {
            // A thread that panicked has ended, too.
            let _ = ended.await;
        }
    }
}
