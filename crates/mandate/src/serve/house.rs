//! The bill of materials: which rooms stand in this process, and where the others are.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use chassis::{House, HouseConfig};
use types::{Site, SystemClock};

use super::arguments::{Part, UpArgs};

/// The engine that the arguments name.
pub(crate) fn engine(args: &UpArgs) -> anyhow::Result<db::Engine> {
    let engine = match args.database.as_str() {
        "sqlite" => db::Engine::sqlite(args.data.join("databases")),
        url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            db::Engine::postgres(url)?.with_prefix(&args.database_prefix)?
        }
        _ => anyhow::bail!("`--database` must be `sqlite` or begin with `postgres://`"),
    };
    Ok(engine)
}

/// Opens the house, with the addresses of the parts that are elsewhere.
pub(crate) fn open(args: &UpArgs, engine: db::Engine) -> anyhow::Result<House> {
    let config = HouseConfig {
        name: args.process_name(),
        data: args.data.clone(),
        engine,
        clock: Arc::new(SystemClock),
    };
    let house = House::open(config).context("the master key or the keys cannot be opened")?;
    for peer in &args.peers {
        house.directory().add_remote(peer.part.name(), &peer.url);
    }
    Ok(house)
}

/// Mounts the components that are to stand here, side by side.
pub(crate) async fn furnish(
    house: &House,
    parts: &BTreeSet<Part>,
    settings: Settings<'_>,
) -> anyhow::Result<()> {
    let Settings {
        data,
        packages,
        domain,
        site,
        engine,
        instance_mail,
        identity,
        access,
        move_after,
        snapshot_max,
    } = settings;
    let has = |part| parts.contains(&part);
    let people = async {
        if has(Part::Identity) {
            house.mount(identity::component(identity, house.signer("identity")?)).await?;
        }
        anyhow::Ok(())
    };
    let configurator = async {
        if has(Part::Configurator) {
            let engine = engine.clone().with_folders();
            let config = configurator::Config { engine, site, mail: instance_mail, snapshot_max };
            house.mount(configurator::component(config)).await?;
        }
        anyhow::Ok(())
    };
    let releases = async {
        if has(Part::Releases) {
            let packages = storage(packages, data)?;
            let engine = engine.kind();
            let config = releases::Config { packages, engine, move_after };
            house.mount(releases::component(config, house.signer("releases")?)).await?;
        }
        anyhow::Ok(())
    };
    let provider = async {
        if has(Part::Provider) {
            let config = provider::Config { domain: domain.to_owned() };
            house.mount(provider::component(config)).await?;
        }
        anyhow::Ok(())
    };
    let others = async {
        if has(Part::Access) {
            house.mount(access::component(access)).await?;
        }
        if has(Part::Billing) {
            house.mount(billing::component()).await?;
        }
        if has(Part::Jobs) {
            house.mount(jobs::component()).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(people, configurator, releases, provider, others)?;
    Ok(())
}

fn storage(packages: Option<&str>, data: &Path) -> anyhow::Result<releases::Storage> {
    match packages {
        Some(url) if url.contains("://") => {
            Ok(releases::Storage::bucket(url, data.join("uploads"))?)
        }
        Some(folder) => Ok(releases::Storage::folder(folder.into())),
        None => Ok(releases::Storage::folder(data.join("packages"))),
    }
}

/// What components are told.
pub(crate) struct Settings<'a> {
    pub(crate) data: &'a Path,
    /// Where packages lie, if that is said.
    pub(crate) packages: Option<&'a str>,
    pub(crate) domain: &'a str,
    pub(crate) site: Site,
    pub(crate) engine: &'a db::Engine,
    pub(crate) instance_mail: Option<configurator::Mail>,
    pub(crate) identity: identity::Config,
    pub(crate) access: access::Config,
    /// No larger database is copied before it is migrated.
    pub(crate) snapshot_max: Option<u64>,
    /// How long instances wait for a node that is silent.
    pub(crate) move_after: Option<Duration>,
}
