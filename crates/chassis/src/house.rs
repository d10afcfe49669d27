//! A process with the components that stand in it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

use api::{Client, Problem, http::openapi};
use axum::{Json, Router, routing::get};
use tokio::{sync::Notify, task::JoinSet};
use types::{Clock, Secret};

use crate::{
    Component, Directory, Guard, KeyRing, Room, Seal, Signer,
    call::Inner,
    component::Task,
    door::{self, Door},
    feed::{self, Followers, LEASE_MAX},
    lease::Lease,
    process,
    seal::key_file,
    store,
};

/// What a house is built from.
#[derive(Clone)]
pub struct HouseConfig {
    /// The process's name among those of the platform: its copies of feeds are known by it.
    pub name: String,
    /// Where the master key and the components' keys are.
    pub data: PathBuf,
    /// Makes the components' databases.
    pub engine: db::Engine,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A process with the components that stand in it.
pub struct House {
    config: HouseConfig,
    master: Secret,
    keys: KeyRing,
    guard: Guard,
    directory: Directory,
    waiting: Mutex<Vec<Task>>,
    databases: Mutex<Vec<db::Db>>,
}

impl Drop for House {
    /// The directory leads to components that hold the directory: what nobody can ask any more goes.
    fn drop(&mut self) {
        self.directory.clear();
    }
}

pub(crate) const FEED: [db::Migration; 4] = [
    db::Migration { name: "chassis_0001", sql: include_str!("../migrations/0001_chassis.sql") },
    db::Migration { name: "chassis_0002", sql: include_str!("../migrations/0002_replays.sql") },
    db::Migration { name: "chassis_0003", sql: include_str!("../migrations/0003_owner.sql") },
    db::Migration { name: "chassis_0004", sql: include_str!("../migrations/0004_seal.sql") },
];

/// What the master key of a component's database opens.
const CHECK: &str = "seal_check";

/// Why a component cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Its database does not do what it is asked, or cannot be reached.
    #[error("{component} cannot use its database")]
    Database {
        /// Which component.
        component: &'static str,
        /// Why.
        source: db::Error,
    },
    /// Its database was made with another master key.
    #[error(
        "the database of {component} was made with another `master.key`: put that one back from a \
         backup"
    )]
    OtherKey {
        /// Which component.
        component: &'static str,
    },
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] crate::SealError),
    /// It says itself why.
    #[error("{component} cannot start: {problem}")]
    Refused {
        /// Which component.
        component: &'static str,
        /// Why.
        problem: Problem,
    },
}

impl House {
    /// Opens the house; the first time, its master key is made.
    pub fn open(config: HouseConfig) -> Result<Self, crate::SealError> {
        let (master, keys) = (config.data.join("master.key"), config.data.join("keys"));
        // The keys are looked for first: another process that starts makes the master key before them.
        if keys.exists() && !master.exists() {
            return Err(crate::SealError::Lost(master));
        }
        let master = key_file(&master)?;
        let keys = KeyRing::open(&keys)?;
        let guard = Guard::new(keys.clone(), Arc::clone(&config.clock));
        Ok(Self {
            config,
            master: Secret::new(master),
            keys,
            guard,
            directory: Directory::default(),
            waiting: Mutex::default(),
            databases: Mutex::default(),
        })
    }

    /// Where things are kept.
    pub fn data(&self) -> &Path {
        &self.config.data
    }

    /// The time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.config.clock)
    }

    /// Decides in this process.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Where the components are.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The process's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The key of one who speaks for the platform.
    pub fn signer(&self, name: &'static str) -> Result<Signer, crate::SealError> {
        self.keys.signer(name, self.clock())
    }

    /// A client that asks as `name`.
    pub fn client(&self, name: &'static str) -> Result<Client, crate::SealError> {
        Ok(Client::new(Arc::new(self.directory.clone()), Arc::new(self.signer(name)?)))
    }

    /// A client that asks as nobody.
    pub fn visitor(&self) -> Client {
        let nobody: Option<Arc<str>> = None;
        Client::new(Arc::new(self.directory.clone()), Arc::new(nobody))
    }

    /// The password of a component's database user; it follows from the master key.
    pub fn database_password(&self, component: &str) -> Secret {
        Seal::derive(&self.master, "databases").password(component)
    }

    /// Opens the component's database and gives it its place.
    ///
    /// # Errors
    ///
    /// If the database cannot be used, is another process's, or was made with another master key.
    pub async fn mount<S: Send + Sync + 'static>(
        &self,
        component: Component<S>,
    ) -> Result<Room<S>, MountError> {
        let name = component.name;
        let missing = component.missing();
        assert!(missing.is_empty(), "nobody answers {missing:?}");
        let failed = |source| MountError::Database { component: name, source };
        let refused = |problem| MountError::Refused { component: name, problem };
        let password = self.database_password(name);
        let migrations = [FEED.as_slice(), component.migrations];
        let db = self.config.engine.open(name, &password, &migrations).await.map_err(failed)?;
        self.databases.lock().expect("nobody panics while holding it").push(db.clone());
        let seal = Seal::derive(&self.master, name);
        let check = seal.seal(&Secret::new(CHECK), CHECK);
        let sealed = store::seal_check(&db, &check).await.map_err(failed)?;
        seal.open(&sealed, CHECK).map_err(|_| MountError::OtherKey { component: name })?;
        let lease = Lease::take(&db, name, process::this()).await.map_err(refused)?;
        let known = feed::living_followers(&db).await.map_err(failed)?;
        let head = feed::head(&db).await.map_err(failed)?;
        let peers = self.client(name)?;
        let room = Room::new(Inner {
            name,
            state: component.state,
            db,
            clock: self.clock(),
            peers,
            seal,
            guard: self.guard.clone(),
            followers: Followers::new(head, known, LEASE_MAX),
            lease: lease.clone(),
            changed: Notify::new(),
        });
        if let Some(opening) = component.opening {
            opening(room.clone()).await.map_err(refused)?;
        }
        let door = Arc::new(Door { room: room.clone() });
        let routes = component.routes.into_iter();
        let answering = routes.fold(document(name), |router, route| route(router, &door));
        let answering = door::answer_the_rest(answering, &door);
        self.directory.add_local(name, answering);
        let house = self.config.name.as_str();
        let loops = component.loops.into_iter().map(|start| start(room.clone(), house));
        let mut waiting = self.waiting.lock().expect("nobody panics while holding it");
        waiting.extend(loops);
        let (db, followers) = (room.db().clone(), room.clone());
        waiting.push(Box::pin(lease.keep(db, name, process::this())));
        waiting.push(Box::pin(async move {
            feed::forget_the_gone(followers.db(), &followers.inner().followers).await;
        }));
        drop(waiting);
        Ok(room)
    }

    /// Starts the loops of everything mounted so far, and keeps this process's copies of grants
    /// and sessions, asking as the principal `name`. What it returns stops them when dropped.
    pub fn start(&self, name: &'static str) -> Result<JoinSet<()>, crate::SealError> {
        let mut tasks = JoinSet::new();
        for task in self.waiting.lock().expect("nobody panics while holding it").drain(..) {
            tasks.spawn(task);
        }
        let (guard, client, house) =
            (self.guard.clone(), self.client(name)?, self.config.name.clone());
        tasks.spawn(async move { guard.keep_up(client, &house).await });
        Ok(tasks)
    }

    /// Closes the databases, once nothing is asked of them any more.
    pub async fn close(&self) {
        let databases =
            std::mem::take(&mut *self.databases.lock().expect("nobody panics while holding it"));
        for database in databases {
            // Whoever comes next need not find out that this process has ended.
            if let Err(cause) = store::give_back(&database, process::this()).await {
                tracing::warn!(%cause, "a database's lease was not given back");
            }
            database.close().await;
        }
    }
}

/// What anybody may read of a component: that it is there, and what it can be asked.
fn document(name: &'static str) -> Router {
    // Made when it is first read: most that start a platform never do.
    let document = Arc::new(LazyLock::new(move || {
        let listings = api::listings().into_iter().filter(|listing| listing.component == name);
        openapi(name, &listings.collect::<Vec<_>>())
    }));
    let read = move || {
        let document = Arc::clone(&document);
        async move { Json(serde_json::Value::clone(&document)) }
    };
    Router::new()
        .route(&format!("/{name}/v1/openapi.json"), get(read))
        .route(&format!("/{name}/healthz"), get(|| async { "ok\n" }))
}
