//! Who has something to look at anew, of those who look after instances on their way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::Notify;
use types::InstanceId;

/// What one of them does is nothing to the others, so they are not woken by every change.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// Whoever looks for those that nobody looks after yet.
    pub(super) more: Notify,
    driven: Mutex<HashMap<InstanceId, Arc<Notify>>>,
}

impl Wakes {
    fn driven(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Notify>>> {
        self.driven.lock().expect("nobody panics while holding it")
    }

    /// What wakes the one who looks after an instance from now on.
    pub(super) fn listen(&self, instance: InstanceId) -> Arc<Notify> {
        Arc::clone(self.driven().entry(instance).or_default())
    }

    /// Nobody looks after it any more.
    pub(super) fn forget(&self, instance: InstanceId) {
        self.driven().remove(&instance);
    }

    /// Something else is known of an instance. It is not missed by who looks at it at this moment.
    pub(crate) fn wake(&self, instance: InstanceId) {
        if let Some(one) = self.driven().get(&instance) {
            one.notify_one();
        }
    }

    /// Something else is known of many, or there are others to look after.
    pub(crate) fn wake_all(&self) {
        self.more.notify_one();
        for one in self.driven().values() {
            one.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::Timestamp;

    use super::*;

    #[tokio::test]
    async fn whoever_looks_after_an_instance_misses_nothing_of_it_and_hears_of_no_other() {
        let [one, other] = [1, 2].map(|at| InstanceId::new(Timestamp::from_micros(at)));
        let wakes = Wakes::default();
        let woken = wakes.listen(one);
        let is_woken =
            async || tokio::time::timeout(Duration::ZERO, woken.notified()).await.is_ok();
        assert!(!is_woken().await);
        wakes.wake(other);
        assert!(!is_woken().await);
        // Told while it is looked at: it is looked at once more, and not twice.
        wakes.wake(one);
        assert!(is_woken().await);
        wakes.wake_all();
        wakes.wake(one);
        assert!(is_woken().await && !is_woken().await);
        wakes.forget(one);
        wakes.wake(one);
        assert!(!is_woken().await);
    }
}
