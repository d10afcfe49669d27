//! What a service's instances need.

use api::{
    Empty,
    configurator::{DropService, PromoteService, PutService},
    manifest::Engine,
};
use chassis::Write;
use db::EngineKind;

use crate::{Error, State, setup, store};

pub(crate) async fn put_service(cx: &mut Write<State>, op: PutService) -> Result<Empty, Error> {
    let here = cx.state().engine.kind();
    if let Some(database) = &op.manifest.database {
        let name = |engine: &Engine| match engine {
            Engine::Postgres => EngineKind::Postgres,
            Engine::Sqlite => EngineKind::Sqlite,
        };
        let engines: Vec<EngineKind> = database.engines.iter().map(name).collect();
        if !engines.contains(&here) {
            let engines: Vec<String> = engines.iter().map(ToString::to_string).collect();
            let engines = engines.join(", ");
            return Err(Error::Engine { service: op.service, here, engines });
        }
    }
    setup::check_fields(cx.tx(), &op).await?;
    if let Some(current) = store::service(cx.tx(), &op.service).await? {
        let (now, next) = (current.manifest.schema(), op.manifest.schema());
        // A release without a database reads none; one that was promoted before is known to fit.
        let falls = (1..now).contains(&next);
        if falls && !cx.was_promoted(&op.service, &op.release).await? {
            return Err(Error::SchemaFalls { now, next });
        }
    }
    cx.propose(&op.service, &op.release, &op).await?;
    Ok(Empty {})
}

pub(crate) async fn promote_service(
    cx: &mut Write<State>,
    op: PromoteService,
) -> Result<Empty, Error> {
    let promoted = cx.promote(&op.service, &op.release, op.turn).await?;
    if let Some(service) = promoted {
        store::put_service(cx.tx(), &service).await?;
        cx.then(|state| state.wakes.wake_all());
    }
    Ok(Empty {})
}

pub(crate) async fn drop_service(cx: &mut Write<State>, op: DropService) -> Result<Empty, Error> {
    cx.withdraw(&op.service, &op.release).await?;
    Ok(Empty {})
}
