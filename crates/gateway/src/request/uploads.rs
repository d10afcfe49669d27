//! How many bodies may be on their way to one instance.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use api::Problem;
use types::InstanceId;

/// So many requests of one instance may be sending a body at once. Who sends slowly to one must
/// not keep visitors from all others.
const UPLOADS_MAX_TO_ONE: usize = 256;

/// The bodies on their way.
#[derive(Clone, Default)]
pub(crate) struct Uploads(Arc<Mutex<HashMap<InstanceId, usize>>>);

/// One of them, until it is dropped.
pub(crate) struct Upload {
    instance: InstanceId,
    all: Uploads,
}

impl Uploads {
    /// Counts a body, unless there are enough of them.
    pub(crate) fn begin(&self, instance: InstanceId) -> Result<Upload, Problem> {
        let mut all = self.0.lock().expect("nobody panics while holding it");
        let count = all.entry(instance).or_default();
        if *count >= UPLOADS_MAX_TO_ONE {
            let detail = "too many requests send a body to this instance; try again in a moment";
            return Err(Problem::unavailable(detail, 2));
        }
        *count += 1;
        Ok(Upload { instance, all: self.clone() })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().expect("nobody panics while holding it");
        if let Some(count) = all.get_mut(&self.instance) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.instance);
            }
        }
    }
}
