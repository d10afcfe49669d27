//! Databases that are files.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use types::Secret;

use crate::{
    Db, Error,
    database::{Pools, is_free},
};

const READERS_MAX: u32 = 4;
const IDLE: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    folder: PathBuf,
    /// Whether each file has a folder for itself.
    apart: bool,
}

impl Sqlite {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder: std::path::absolute(&folder).unwrap_or(folder), apart: false }
    }

    pub(crate) fn with_folders(self) -> Self {
        Self { apart: true, ..self }
    }

    fn path(&self, name: &str) -> PathBuf {
        let among_others = self.folder.join(format!("{name}.db"));
        if !self.apart || among_others.exists() {
            return among_others;
        }
        self.folder.join("instances").join(name).join("database.db")
    }

    /// Makes it as large as that at least.
    #[cfg(feature = "testing")]
    pub(crate) async fn fill(&self, name: &str, mib: u32) -> Result<(), Error> {
        let mut inside = Self::options(&self.path(name)).connect().await?;
        for statement in [
            "create table filling (part blob)".to_owned(),
            format!("insert into filling values (zeroblob({mib} * 1048576))"),
            "pragma wal_checkpoint(truncate)".to_owned(),
        ] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut inside).await?;
        }
        Ok(inside.close().await?)
    }

    /// A copy of a database is beside it; the database itself is number 0.
    pub(crate) fn copied(&self, name: &str, copy: u32) -> PathBuf {
        let path = self.path(name);
        if copy == 0 { path } else { path.with_extension(format!("{copy}.db")) }
    }

    /// The folders that lead to a file.
    fn ways(&self) -> Vec<PathBuf> {
        let instances = self.apart.then(|| self.folder.join("instances"));
        [self.folder.clone()].into_iter().chain(instances).collect()
    }

    /// A commit is on the disk when it returns (`synchronous = full`), as on PostgreSQL: what one
    /// component has acknowledged to another must not be undone by a power cut.
    fn options(path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging()
    }

    pub(crate) async fn create(&self, name: &str) -> Result<(), Error> {
        let (ways, path) = (self.ways(), self.path(name));
        blocking(move || private(&ways, &path)).await?;
        let connection = Self::options(&self.path(name)).connect().await?;
        Ok(connection.close().await?)
    }

    #[cfg(feature = "testing")]
    pub(crate) async fn remove_all(&self) -> Result<(), Error> {
        match tokio::fs::remove_dir_all(&self.folder).await {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(sqlx::Error::from(cause).into())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn open(&self, name: &str) -> Db {
        let pool = |count: u32, least: u32| {
            SqlitePoolOptions::new()
                .max_connections(count)
                .min_connections(least)
                .acquire_timeout(PATIENCE)
                .idle_timeout(IDLE)
                .test_before_acquire(false)
                .after_release(is_free)
        };
        let options = Self::options(&self.path(name));
        let reading = options.clone().pragma("query_only", "on");
        Db::new(Pools::Sqlite {
            writer: pool(1, 1).connect_lazy_with(options),
            readers: pool(READERS_MAX, 1).connect_lazy_with(reading),
        })
    }

    pub(crate) fn url(&self, name: &str, copy: u32) -> Secret {
        // A host is empty, then comes an absolute path: four slashes, as SQLAlchemy and Django's
        // `dj-database-url` read it; with three they take it for a relative one.
        Secret::new(format!("sqlite:///{}", self.copied(name, copy).display()))
    }

    /// With what was not written into the file yet.
    pub(crate) async fn size(&self, name: &str, copy: u32) -> Result<u64, Error> {
        let path = self.copied(name, copy);
        blocking(move || {
            let log = companion(&path, "-wal");
            let log = std::fs::metadata(log).map_or(0, |about| about.len());
            Ok(std::fs::metadata(&path)?.len() + log)
        })
        .await
    }

    pub(crate) async fn free(&self) -> Result<u64, Error> {
        let folder = self.folder.clone();
        blocking(move || {
            let about = rustix::fs::statvfs(&folder)?;
            Ok(about.f_bavail.saturating_mul(about.f_frsize))
        })
        .await
    }

    /// The engine copies it, as one statement that reads: whoever opened and closed the file by other
    /// means would take this process's locks from it.
    pub(crate) async fn copy(&self, name: &str, (from, to): (u32, u32)) -> Result<(), Error> {
        self.remove(name, to).await?;
        let (from, to) = (self.copied(name, from), self.copied(name, to));
        let original = Self::options(&from).create_if_missing(false);
        let mut connection = original.connect().await?;
        let path = to.clone();
        blocking(move || empty(&path)).await?;
        let copied = sqlx::query("vacuum into $1")
            .bind(to.to_string_lossy().into_owned())
            .execute(&mut connection)
            .await;
        connection.close().await?;
        copied?;
        // It keeps a log from now on, like the original.
        Self::options(&to).connect().await?.close().await?;
        blocking(move || settle(&from, &to)).await
    }

    /// Of one among others an empty file stays, which says that its copies are there too.
    pub(crate) async fn remove(&self, name: &str, copy: u32) -> Result<(), Error> {
        let path = self.copied(name, copy);
        let stays =
            (self.apart && copy == 0 && path.parent() == Some(&*self.folder)).then(|| path.clone());
        let all = ["-wal", "-shm", "-journal"].map(|suffix| companion(&path, suffix));
        blocking(move || {
            for path in [path].iter().chain(&all) {
                match std::fs::remove_file(path) {
                    Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                    _ => {}
                }
            }
            stays.map_or(Ok(()), |path| empty(&path))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|cause| Err(io::Error::other(cause)));
    Ok(done.map_err(sqlx::Error::from)?)
}

/// What the engine keeps beside a file.
fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A copy is its original's owner's, and is on the disk: the engine does not see to that.
fn settle(original: &Path, copy: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (owner, ours) = (std::fs::metadata(original)?, std::fs::metadata(copy)?);
    if (owner.uid(), owner.gid()) != (ours.uid(), ours.gid()) {
        std::os::unix::fs::chown(copy, Some(owner.uid()), Some(owner.gid()))?;
    }
    std::fs::File::open(copy)?.sync_all()?;
    copy.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

fn empty(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path).map(drop)
}

/// The file, for its owner only: SQLite gives its journals the same mode, and their owner the file's.
/// Others may pass through `ways`, and read nothing there.
fn private(ways: &[PathBuf], path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let private = |path: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    for way in ways {
        private(way)?;
        std::fs::set_permissions(way, std::fs::Permissions::from_mode(0o711))?;
    }
    path.parent().map_or(Ok(()), private)?;
    empty(path)
}
