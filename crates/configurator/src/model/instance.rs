//! What an instance may become.

use api::{
    configurator::{InstanceState, PutInstance, Route},
    manifest::Manifest,
};

use crate::{Error, store::Stored};

/// An instance stays whose and what it is, and where.
pub(crate) fn check_same(known: &Stored, op: &PutInstance) -> Result<(), Error> {
    let same = (known.account, &known.service, &known.host) == (op.account, &op.service, &op.host);
    if same { Ok(()) } else { Err(Error::Fixed) }
}

/// Whether it is told what it is already: that stays done, whatever the service has become.
pub(crate) fn is_already(known: &Stored, op: &PutInstance) -> bool {
    (&known.modules, &known.size) == (&op.modules, &op.size)
}

/// Whether the service has such an instance.
pub(crate) fn check_offered(manifest: &Manifest, op: &PutInstance) -> Result<(), Error> {
    if !manifest.sizes.contains_key(&op.size) {
        return Err(Error::Size { service: op.service.clone(), size: op.size.clone() });
    }
    manifest.check_modules(&op.modules).map_err(Error::Modules)
}

/// Whether a set-up that is sent now is taken; one that was sent twice changes nothing.
pub(crate) const fn takes_setup(state: InstanceState) -> Result<bool, Error> {
    match state {
        InstanceState::Creating => Err(Error::Creating),
        InstanceState::AwaitingSetup | InstanceState::Failed => Ok(true),
        InstanceState::SettingUp | InstanceState::Open => Ok(false),
    }
}

/// Whether the application asks for its set-up itself now: its jobs are done, and nobody has said
/// yet that the rest is.
pub(crate) fn asks_itself(stored: &Stored) -> bool {
    stored.state == InstanceState::AwaitingSetup && stored.settings.is_some()
}

/// What a gateway must know.
pub(crate) fn route(stored: &Stored) -> Route {
    Route {
        instance: stored.instance,
        account: stored.account,
        service: stored.service.clone(),
        host: stored.host.clone(),
        modules: stored.modules.clone(),
        size: stored.size.clone(),
        state: stored.state,
        suspended: stored.suspended.clone(),
        maintenance: stored.maintenance.clone(),
        setup_key: stored.setup_digest.clone().filter(|_| asks_itself(stored)),
        rotations: stored.rotations,
    }
}
