//! The releases on a node: each has a task that fetches, checks, unpacks and builds it, and tries
//! again until it is ready. A folder without its mark is half made, and is made anew.

mod fetch;
mod marks;
pub(crate) mod package;
mod share;
pub(crate) mod unpack;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use api::{
    manifest::Manifest,
    releases::{DesiredRelease, ReleaseReport, ReleaseState},
};
use tokio::{sync::Semaphore, task::AbortHandle};
use types::{Digest, Name, NodeId, Timestamp};

use crate::{
    Error, Node, environment,
    folder::{Scratch, remove_file, seal, write_lasting},
    hold::{self, Bounds, Launch, Limit, Output, remove_log},
    host::ObservedRelease,
};
use marks::Mark;
use package::{Hope, PackageError};
pub(crate) use share::{Open, Sharing, serve};

/// So many build hooks run side by side.
const BUILDS_MAX: usize = 4;

/// The releases of a node. Clones are the same releases.
#[derive(Clone)]
pub(crate) struct Releases(Arc<Shelf>);

struct Shelf {
    node: Arc<Node>,
    held: Mutex<BTreeMap<Digest, Held>>,
    current: Mutex<BTreeMap<Name, Digest>>,
    /// One package at a time is fetched and unpacked: side by side none would be there sooner.
    unpacking: Semaphore,
    /// Build hooks take long and are others' programs: one that hangs holds up nobody else.
    building: Semaphore,
}

struct Held {
    service: Name,
    engine: String,
    since: Timestamp,
    state: ReleaseState,
    output: Output,
    /// Why it failed.
    problem: String,
    ready: Option<Arc<Ready>>,
    /// Its package is here, for other nodes.
    shared: bool,
    task: Option<AbortHandle>,
}

/// A release that can be run. Whoever runs it holds this, and it is not removed.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Where it is: the real folder and no link, since interpreters remember where they were.
    pub(crate) folder: PathBuf,
    /// What it is, as its publisher signed it.
    pub(crate) manifest: Manifest,
    /// The engine that it was made ready for.
    pub(crate) engine: String,
}

impl Releases {
    /// What an earlier agent made ready. What it left half made is removed.
    pub(crate) async fn open(node: Arc<Node>) -> Result<Self, Error> {
        let folder = node.folder.releases();
        marks::end_builds(&folder).await;
        let whole = marks::whole_releases(&node).map_err(Error::folder(&folder))?;
        let held = whole.into_iter().map(|(digest, mark)| {
            let folder = node.folder.release(&digest);
            let shared = node.sharing.is_some() && node.folder.package(&digest).exists();
            (digest, Held { shared, ..Held::whole(mark, folder) })
        });
        let held = held.collect();
        let current = marks::current_releases(&node);
        let shelf = Shelf {
            node,
            held: Mutex::new(held),
            current: Mutex::new(current),
            unpacking: Semaphore::new(1),
            building: Semaphore::new(BUILDS_MAX),
        };
        Ok(Self(Arc::new(shelf)))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Digest, Held>> {
        self.0.held.lock().expect("nobody panics while holding it")
    }

    /// The release, if it can be run.
    pub(crate) fn ready(&self, digest: &Digest) -> Option<Arc<Ready>> {
        self.held().get(digest)?.ready.clone()
    }

    /// The digests of all releases that can be run.
    pub(crate) fn all_ready(&self) -> Vec<Digest> {
        let held = self.held();
        let ready = held.iter().filter(|(_, release)| release.ready.is_some());
        ready.map(|(digest, _)| digest.clone()).collect()
    }

    /// Whether the package of the release is given to other nodes.
    pub(crate) fn shares(&self, digest: &Digest) -> bool {
        self.held().get(digest).is_some_and(|release| release.shared)
    }

    /// How all of them are.
    pub(crate) fn observe(&self) -> Vec<ObservedRelease> {
        let held = self.held();
        held.iter().map(|(digest, release)| release.observe(digest)).collect()
    }

    /// The release that each service runs.
    pub(crate) fn current(&self) -> BTreeMap<Name, Digest> {
        self.0.current.lock().expect("nobody panics while holding it").clone()
    }

    /// Begins to make a release ready.
    pub(crate) fn install(&self, release: DesiredRelease, engine: String) {
        let mut held = self.held();
        let std::collections::btree_map::Entry::Vacant(place) = held.entry(release.digest.clone())
        else {
            return;
        };
        let fresh = place.insert(Held {
            service: release.service.clone(),
            engine: engine.clone(),
            since: self.0.node.clock.now(),
            state: ReleaseState::Fetching,
            output: Output::default(),
            problem: String::new(),
            ready: None,
            shared: false,
            task: None,
        });
        let this = self.clone();
        let task = tokio::spawn(async move { this.keep_trying(&release, &engine).await });
        fresh.task = Some(task.abort_handle());
        self.0.node.changes.tell();
    }

    /// Tries until the release is ready, or known never to be, with pauses that grow.
    async fn keep_trying(&self, release: &DesiredRelease, engine: &str) {
        let pace = self.0.node.pace;
        let (mut pauses, mut long_pauses) = (pace.pauses(), pace.long_pauses());
        let mut asked = BTreeSet::new();
        while let Err(problem) = self.make_ready(release, engine, &mut asked).await {
            if problem.lacks_room() || self.0.node.folder.is_full() {
                self.make_room();
            }
            let (service, digest) = (&release.service, release.digest.short());
            tracing::warn!(%service, digest, %problem, "a release is not ready");
            self.change(&release.digest, |held| {
                held.state = ReleaseState::Failed;
                held.problem = problem.to_string();
            });
            let pause = match problem.hope() {
                Hope::Soon => pauses.take(),
                Hope::Later => long_pauses.take(),
                Hope::Never => return,
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn change(&self, digest: &Digest, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.held().get_mut(digest) {
            change(held);
        }
        self.0.node.changes.tell();
    }

    /// Removes what other nodes can have from the platform as well.
    fn make_room(&self) {
        let mut held = self.held();
        for (digest, release) in held.iter_mut().filter(|(_, release)| release.shared) {
            release.shared = remove_file(&self.0.node.folder.package(digest)).is_err();
        }
    }

    async fn make_ready(
        &self,
        release: &DesiredRelease,
        engine: &str,
        asked: &mut BTreeSet<NodeId>,
    ) -> Result<(), PackageError> {
        let digest = &release.digest;
        let manifest = self.unpack(release, asked).await?;
        if let Some(hook) = &manifest.run.build {
            let _turn = self.0.building.acquire().await.map_err(io::Error::other)?;
            self.build(release, hook, engine).await?;
        }
        let since = self.0.node.clock.now();
        let mark =
            Mark { service: release.service.clone(), engine: engine.into(), since, manifest };
        self.mark(digest, &mark).await?;
        let folder = self.0.node.folder.release(digest);
        let ready = Arc::new(Ready { folder, manifest: mark.manifest, engine: mark.engine });
        self.change(digest, |held| {
            (held.state, held.since, held.ready) = (ReleaseState::Ready, since, Some(ready));
            held.problem.clear();
            held.shared = self.0.node.sharing.is_some();
        });
        tracing::info!(service = %release.service, digest = digest.short(), "a release is ready");
        Ok(())
    }

    /// Fetches the package, as far as it is not there, and unpacks it.
    async fn unpack(
        &self,
        release: &DesiredRelease,
        asked: &mut BTreeSet<NodeId>,
    ) -> Result<Manifest, PackageError> {
        let _turn = self.0.unpacking.acquire().await.map_err(io::Error::other)?;
        package::verify(release)?;
        let place = self.0.node.folder.release(&release.digest);
        self.change(&release.digest, |held| held.state = ReleaseState::Fetching);
        // What a build hook left takes room.
        let left = give_away(&place)?;
        blocking(move || {
            drop(left);
            Ok(())
        })
        .await?;
        let package = self.0.node.folder.package(&release.digest);
        fetch::fetch(&self.0.node, &release.digest, &package, asked).await?;
        let (release, beside) = (release.clone(), place.clone());
        let unpacked = blocking(move || {
            let content = io::BufReader::new(fs::File::open(&package)?);
            package::unpack_beside(&release, content, &beside).inspect_err(|problem| {
                if problem.hope() == Hope::Never {
                    // Nobody unpacks it again. What stays is removed with the release.
                    drop(remove_file(&package));
                }
            })
        });
        let (manifest, scratch) = unpacked.await?;
        // Here and not on the other thread, which goes on even if this task was ended meanwhile.
        scratch.keep_as(&place)?;
        Ok(manifest)
    }

    async fn build(
        &self,
        release: &DesiredRelease,
        hook: &[String],
        engine: &str,
    ) -> Result<(), PackageError> {
        let (node, digest) = (&self.0.node, &release.digest);
        let place = node.folder.release(digest);
        let log = place.with_extension("log");
        remove_log(&log)?;
        self.change(digest, |held| {
            held.state = ReleaseState::Building;
            held.output = Output::hiding(log.clone(), Vec::new());
        });
        let scratch = Scratch::new(place.with_extension("build"))?;
        let user = node.users.of_builds(&release.service)?;
        if let Some(user) = user {
            let place = place.clone();
            blocking(move || Ok(user.take_over(&place)?)).await?;
        }
        let mut variables = environment::basis(scratch.path(), user)?;
        variables.extend(environment::of_build(engine));
        let most = node.pace.build;
        let why = format!("was stopped: it took longer than {} s", most.as_secs());
        let launch = Launch {
            command: hook,
            variables,
            user,
            bounds: Bounds::new(node, None),
            log: Some(log),
            limit: Some(Limit::after(most, why)),
            ..Launch::new(node, &place)
        };
        // What is held ends with this task, or with the agent.
        let exit = hold::launch(scratch.path(), launch).await?.ended().await;
        if exit.is_success() {
            return Ok(());
        }
        Err(PackageError::Build(format!("{}{}", exit.in_words(), node.folder.remark())))
    }

    /// From now on nobody changes the release. The mark reaches the disk after everything that it
    /// vouches for.
    async fn mark(&self, digest: &Digest, mark: &Mark) -> Result<(), PackageError> {
        let folder = &self.0.node.folder;
        let (place, path) = (folder.release(digest), folder.mark(digest));
        if self.0.node.sharing.is_none() {
            remove_file(&folder.package(digest))?;
        }
        let text = serde_json::to_string(mark).map_err(io::Error::other)?;
        let builder = self.0.node.users.of_builds(&mark.service)?;
        blocking(move || {
            if let Some(builder) = builder {
                builder.check_all(&place)?;
            }
            seal(&place, builder.map(|builder| builder.group))?;
            rustix::fs::syncfs(fs::File::open(place)?).map_err(io::Error::from)?;
            Ok(write_lasting(&path, &text)?)
        })
        .await
    }

    /// Removes a release that nothing runs from.
    pub(crate) fn remove(&self, digest: &Digest) {
        let mut held = self.held();
        let Some(release) = held.get(digest).filter(|release| !release.in_use()) else { return };
        let folder = &self.0.node.folder;
        // Its name is given away before anything is removed, so that it can be installed again at
        // once; without its mark it is nothing any more.
        let place = folder.release(digest);
        let gone = remove_file(&folder.mark(digest))
            .and_then(|()| remove_file(&folder.package(digest)))
            .and_then(|()| give_away(&place));
        match gone {
            Ok(scratch) => remove_later(scratch),
            Err(cause) => {
                tracing::warn!(%cause, digest = digest.short(), "a release cannot be removed");
                return;
            }
        }
        if let Some(task) = &release.task {
            task.abort();
        }
        held.remove(digest);
        drop(held);
        self.0.node.changes.tell();
    }

    /// Leads `current/{service}` to a release, atomically.
    pub(crate) fn promote(&self, service: &Name, digest: &Digest) {
        let folder = &self.0.node.folder;
        let link = folder.current_of(service);
        let fresh = link.with_extension("new");
        let flipped = remove_file(&fresh)
            .and_then(|()| symlink(folder.release(digest), &fresh))
            .and_then(|()| fs::rename(&fresh, &link));
        if let Err(cause) = flipped {
            tracing::warn!(%cause, link = %link.display(), "cannot be led to the current release");
            return;
        }
        let mut current = self.0.current.lock().expect("nobody panics while holding it");
        current.insert(service.clone(), digest.clone());
        drop(current);
        self.0.node.changes.tell();
    }

    /// Stops what is being made. What a build hook started ends with its task.
    pub(crate) fn stop(&self) {
        for release in self.held().values() {
            release.task.iter().for_each(AbortHandle::abort);
        }
    }
}

impl Held {
    fn whole(mark: Mark, folder: PathBuf) -> Self {
        Self {
            service: mark.service,
            engine: mark.engine.clone(),
            since: mark.since,
            state: ReleaseState::Ready,
            output: Output::default(),
            problem: String::new(),
            ready: Some(Arc::new(Ready { folder, manifest: mark.manifest, engine: mark.engine })),
            shared: false,
            task: None,
        }
    }

    fn in_use(&self) -> bool {
        self.ready.as_ref().is_some_and(|ready| Arc::strong_count(ready) > 1)
    }

    fn observe(&self, digest: &Digest) -> ObservedRelease {
        let log = match self.state {
            ReleaseState::Failed => self.output.tail_with(&self.problem),
            _ => self.output.tail(),
        };
        let (service, state) = (self.service.clone(), self.state);
        ObservedRelease {
            report: ReleaseReport { digest: digest.clone(), service, state, log },
            engine: self.engine.clone(),
            since: self.since,
            in_use: self.in_use(),
            shared: self.shared,
        }
    }
}

/// Gives a folder a name that nobody looks for; it is removed with what is given back.
fn give_away(place: &Path) -> io::Result<Option<Scratch>> {
    if !place.exists() {
        return Ok(None);
    }
    Scratch::moved(place).map(Some)
}

fn remove_later(scratch: Option<Scratch>) {
    tokio::task::spawn_blocking(move || drop(scratch));
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackageError> + Send + 'static,
) -> Result<T, PackageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|cause| Err(io::Error::other(cause).into()))
}
