//! What the requests on one thread share.

use std::{rc::Rc, sync::Arc};

use crate::{state::State, upstream::pool::Pool, usage::batch::Batches};

/// A thread that answers requests, with connections to endpoints of its own.
pub(crate) struct Worker {
    pub(crate) state: Arc<State>,
    pub(super) pool: Rc<Pool>,
    pub(super) batches: Batches,
}

impl Worker {
    pub(crate) fn new(state: Arc<State>) -> Self {
        let batches = Batches::new(&state.journal);
        Self { state, pool: Pool::new(), batches }
    }
}
