//! Which gateways have nothing under way for which instance.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
};

use api::{Empty, configurator::PutQuiet};
use chassis::{Call, Room};
use types::InstanceId;

use crate::{Error, State};

/// What gateways have said of instances whose requests wait. They say it again as long as those wait,
/// so it can be lost.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<HashMap<InstanceId, HashSet<String>>>);

impl Quiet {
    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceId, HashSet<String>>> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// What was said before counts no more.
    pub(super) fn begin(&self, instance: InstanceId) {
        self.lock().insert(instance, HashSet::new());
    }

    /// It is listened to, also by a process that began when requests waited already.
    fn listen(&self, instance: InstanceId) {
        self.lock().entry(instance).or_default();
    }

    pub(super) fn end(&self, instance: InstanceId) {
        self.lock().remove(&instance);
    }

    fn has_all(&self, instance: InstanceId, gateways: &[String]) -> bool {
        let said = self.lock();
        gateways.iter().all(|it| said.get(&instance).is_some_and(|said| said.contains(it)))
    }
}

/// Nothing of it is kept that nobody waits for.
pub(crate) async fn put_quiet(cx: Call<State>, op: PutQuiet) -> Result<Empty, Error> {
    let quiet = &cx.state().quiet;
    for instance in &op.instances {
        if let Some(said) = quiet.lock().get_mut(instance)
            && said.insert(op.gateway.clone())
        {
            cx.state().wakes.wake(*instance);
        }
    }
    Ok(Empty {})
}

/// Whether every gateway that is alive knows that the instance's requests are to wait, and has none of
/// them under way.
pub(super) async fn is_quiet(room: &Room<State>, instance: InstanceId) -> Result<bool, Error> {
    room.state().quiet.listen(instance);
    room.copies_have_all().await?;
    // One that comes now begins with what is committed.
    Ok(room.state().quiet.has_all(instance, &room.gateways()))
}
