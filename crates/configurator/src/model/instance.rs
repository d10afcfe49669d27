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
        release: stored.release.clone(),
        state: stored.state,
        suspended: stored.suspended.clone(),
        maintenance: stored.maintenance.clone(),
        setup_key: stored.setup_digest.clone().filter(|_| asks_itself(stored)),
        rotations: stored.rotations,
        schema: stored.schema.0,
        frozen_until: stored.frozen_until,
        moving: stored
            .moving
            .as_ref()
            .and_then(|it| it.needs.moving(it.step, &stored.release, &it.to)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::setup::tests::manifest;
    use types::{AccountId, Digest, InstanceId, Timestamp};

    /// What is told of an instance.
    fn told(size: &str, modules: &[&str]) -> PutInstance {
        PutInstance {
            account: AccountId::named(&["ada"]),
            instance: InstanceId::named(&["bakery"]),
            service: "forum".parse().unwrap(),
            host: "bakery.localhost".parse().unwrap(),
            modules: modules.iter().map(ToString::to_string).collect(),
            size: size.into(),
        }
    }

    /// A small instance, as it is kept.
    pub(crate) fn kept(state: InstanceState) -> Stored {
        let PutInstance { account, instance, service, host, modules, size } = told("small", &[]);
        Stored {
            instance,
            account,
            service,
            host,
            modules,
            size,
            release: Digest::of(b"release"),
            state,
            suspended: None,
            maintenance: None,
            problem: None,
            setup_key: String::new(),
            setup_digest: None,
            rotations: 0,
            schema: (1, 1),
            copy: (0, 0),
            frozen_until: None,
            moving: None,
            settings: None,
            attempt: 0,
            has_database: true,
            created: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn an_instance_stays_whose_and_what_it_is_and_where() {
        let known = kept(InstanceState::Open);
        let same = told("large", &["polls"]);
        assert!(check_same(&known, &same).is_ok());
        let others = [
            PutInstance { account: AccountId::named(&["eve"]), ..same.clone() },
            PutInstance { service: "store".parse().unwrap(), ..same.clone() },
            PutInstance { host: "other.localhost".parse().unwrap(), ..same.clone() },
        ];
        for other in others {
            assert!(matches!(check_same(&known, &other), Err(Error::Fixed)), "{other:?}");
        }
        assert!(is_already(&known, &told("small", &[])) && !is_already(&known, &same));
    }

    #[test]
    fn the_service_must_have_such_an_instance() {
        let modules = "[modules]\npolls = { title = \"Polls\", routes = [\"/polls\"] }\n";
        let manifest = manifest(modules);
        let check = |size, modules: &[&str]| check_offered(&manifest, &told(size, modules));
        assert!(check("small", &["polls"]).is_ok());
        assert!(matches!(check("huge", &[]), Err(Error::Size { .. })));
        assert!(matches!(check("small", &["chess"]), Err(Error::Modules(_))));
    }

    #[test]
    fn a_set_up_is_taken_once_the_database_is_there_and_until_one_is_under_way() {
        assert!(matches!(takes_setup(InstanceState::Creating), Err(Error::Creating)));
        for (state, takes) in [
            (InstanceState::AwaitingSetup, true),
            (InstanceState::Failed, true),
            (InstanceState::SettingUp, false),
            (InstanceState::Open, false),
        ] {
            assert_eq!(takes_setup(state).unwrap(), takes, "{state:?}");
        }
    }

    #[test]
    fn gateways_are_told_why_an_instance_is_closed() {
        let reason = || Some("unpaid".to_owned());
        let suspended = Stored { suspended: reason(), ..kept(InstanceState::Open) };
        assert_eq!(route(&suspended).suspended, reason());
        let maintained = Stored { maintenance: reason(), ..kept(InstanceState::Open) };
        assert_eq!(route(&maintained).maintenance, reason());
    }
}
