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
        let made = tokio::task::spawn_blocking(move || private(&ways, &path)).await;
        made.unwrap_or_else(|cause| Err(io::Error::other(cause))).map_err(sqlx::Error::from)?;
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

    pub(crate) fn url(&self, name: &str) -> Secret {
        // A host is empty, then comes an absolute path: four slashes, as SQLAlchemy and Django's
        // `dj-database-url` read it; with three they take it for a relative one.
        Secret::new(format!("sqlite:///{}", self.path(name).display()))
    }
}

/// The file, for its owner only: SQLite gives its journals the same mode, and their owner the file's.
/// Others may pass through `ways`, and read nothing there.
fn private(ways: &[PathBuf], path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
    let private = |path: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    for way in ways {
        private(way)?;
        std::fs::set_permissions(way, std::fs::Permissions::from_mode(0o711))?;
    }
    path.parent().map_or(Ok(()), private)?;
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path).map(drop)
}
