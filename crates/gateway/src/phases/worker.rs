//! What the requests on one thread share.

use std::{rc::Rc, sync::Arc};

use super::streams::Streams;
use crate::{access_log::Lines, state::State, upstream::pool::Pool, usage::batch::Batches};

/// A thread that answers requests, with connections to endpoints of its own.
pub(crate) struct Worker {
    pub(crate) state: Arc<State>,
    pub(super) pool: Rc<Pool>,
    pub(super) batches: Batches,
    pub(super) streams: Rc<Streams>,
    pub(super) lines: Rc<Lines>,
}

impl Worker {
    pub(crate) fn new(state: Arc<State>) -> Self {
        let (batches, streams) = (Batches::new(&state.journal), Streams::new(&state));
        let lines = Lines::new(state.access_log.as_ref());
        Self { state, pool: Pool::new(), batches, streams, lines }
    }
}
