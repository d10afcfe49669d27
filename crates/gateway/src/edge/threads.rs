//! The threads that answer: each takes connections from the same listener, and what it has taken
//! stays with it.

use std::{io, rc::Rc, sync::Arc};

use tokio::{
    net::TcpListener,
    runtime,
    sync::{oneshot, watch},
    task::LocalSet,
};

use super::{
    limits::Limits,
    listener::{self, Listener},
};
use crate::{phases::worker::Worker, state::State};

/// What the threads are called.
const NAME: &str = "gateway";

/// The threads, until they have ended.
pub(crate) struct Threads {
    ending: watch::Sender<bool>,
    ended: Vec<oneshot::Receiver<()>>,
}

impl Threads {
    /// Has `count` threads serve what comes to `listeners`. They break everything off when this is
    /// dropped.
    pub(crate) fn start(
        state: &Arc<State>,
        listeners: Vec<Listener>,
        count: usize,
    ) -> io::Result<Self> {
        let listeners = listeners.into_iter().map(|(it, tls)| Ok((it.into_std()?, tls)));
        let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
        let (ending, _) = watch::channel(false);
        let limits = Limits::new(state.proxies.clone());
        let mut ended = Vec::new();
        for _ in 0..count.max(1) {
            let own = listeners.iter().map(|(it, tls)| Ok((it.try_clone()?, tls.clone())));
            let own = own.collect::<io::Result<Vec<_>>>()?;
            let (state, limits) = (Arc::clone(state), limits.clone());
            let (ending, (end, has_ended)) = (ending.subscribe(), oneshot::channel());
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let work = move || {
                let serving = async move {
                    let own =
                        own.into_iter().map(|(it, tls)| Ok((TcpListener::from_std(it)?, tls)));
                    let own = own.collect::<io::Result<Vec<_>>>()?;
                    let worker = Rc::new(Worker::new(state));
                    listener::serve(&worker, own, &limits, ending).await;
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
