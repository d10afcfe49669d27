//! Which engine the installation has, and the making of databases on it.

use std::{fmt, path::PathBuf, str::FromStr};

use types::Secret;

use crate::{Db, Error, Migration, crash, migrate::migrate, postgres::Postgres, sqlite::Sqlite};

/// The engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// A file for each database, in this process.
    Sqlite,
    /// A server.
    Postgres,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

impl FromStr for EngineKind {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            _ => Err(Error::Configuration(format!(
                "`{text}` is not a database engine: use `sqlite` or `postgres`"
            ))),
        }
    }
}

/// Makes and opens databases, each with a user of its own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(pub(crate) Host);

#[derive(Debug, Clone)]
pub(crate) enum Host {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Engine {
    /// Databases are files in `folder`, which is made if it is not there.
    pub fn sqlite(folder: impl Into<PathBuf>) -> Self {
        Self(Host::Sqlite(Sqlite::new(folder.into())))
    }

    /// Databases are on the server at `url`, which names a user who may create databases and
    /// roles; their names begin with `mandate_`.
    pub fn postgres(url: &str) -> Result<Self, Error> {
        Postgres::new(url, "mandate").map(|server| Self(Host::Postgres(Box::new(server))))
    }

    /// A file of `SQLite` has a folder for itself, named like the database, so that both can be given
    /// to whoever uses it. One that was made before stays where it is.
    #[must_use]
    pub fn with_folders(self) -> Self {
        match self.0 {
            Host::Sqlite(files) => Self(Host::Sqlite(files.with_folders())),
            server @ Host::Postgres(_) => Self(server),
        }
    }

    /// The same server, but names begin with `prefix` and `_`, so that several installations can
    /// share it. On SQLite the folder already keeps them apart, and nothing changes.
    pub fn with_prefix(self, prefix: &str) -> Result<Self, Error> {
        match self.0 {
            Host::Postgres(server) => {
                Ok(Self(Host::Postgres(Box::new(server.with_prefix(prefix)?))))
            }
            Host::Sqlite(_) => Ok(self),
        }
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        match self.0 {
            Host::Sqlite(_) => EngineKind::Sqlite,
            Host::Postgres(_) => EngineKind::Postgres,
        }
    }

    /// Makes the database `name` and its user, who alone may use it. Making it again changes
    /// nothing but the user's password.
    ///
    /// `name` is one of ours: lower-case letters, digits and `_`; anything else is refused.
    pub async fn create(&self, name: &str, password: &Secret) -> Result<(), Error> {
        let plain =
            |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
            let problem = format!("`{name}` cannot be a database's name");
            return Err(Error::Configuration(problem));
        }
        match &self.0 {
            Host::Sqlite(files) => files.create(name).await?,
            Host::Postgres(server) => server.create(name, password).await?,
        }
        crash::step();
        Ok(())
    }

    /// Where the database `name` is, or a copy of it, for the program that uses it.
    pub fn url(&self, name: &str, copy: u32, password: &Secret) -> Secret {
        match &self.0 {
            Host::Sqlite(files) => files.url(name, copy),
            Host::Postgres(server) => server.url(name, copy, password),
        }
    }

    /// How much is in a database, or in a copy of it, in bytes.
    pub async fn size(&self, name: &str, copy: u32) -> Result<u64, Error> {
        match &self.0 {
            Host::Sqlite(files) => files.size(name, copy).await,
            Host::Postgres(server) => server.size(name, copy).await,
        }
    }

    /// How much more has room, in bytes; `None` where that cannot be asked: a server of PostgreSQL
    /// does not tell.
    pub async fn free(&self) -> Result<Option<u64>, Error> {
        match &self.0 {
            Host::Sqlite(files) => files.free().await.map(Some),
            Host::Postgres(_) => Ok(None),
        }
    }

    /// Has nobody use a database, or a copy of it, any more: on PostgreSQL connections are ended and
    /// no more are taken. A file of `SQLite` cannot be kept from whoever has it open.
    pub async fn shut(&self, name: &str, copy: u32) -> Result<(), Error> {
        if let Host::Postgres(server) = &self.0 {
            server.shut(name, copy).await?;
        }
        crash::step();
        Ok(())
    }

    /// Lets a database that was shut, or a copy of it, be used again.
    pub async fn reopen(&self, name: &str, copy: u32) -> Result<(), Error> {
        if let Host::Postgres(server) = &self.0 {
            server.reopen(name, copy).await?;
        }
        crash::step();
        Ok(())
    }

    /// Copies a database, or a copy of it, as it is now, for the same user. Nobody else may use it
    /// meanwhile. What an earlier attempt has left under the new number goes first.
    ///
    /// INVARIANT: the original is not changed.
    pub async fn copy(&self, name: &str, (from, to): (u32, u32)) -> Result<(), Error> {
        match &self.0 {
            Host::Sqlite(files) => files.copy(name, (from, to)).await?,
            Host::Postgres(server) => server.copy(name, (from, to)).await?,
        }
        crash::step();
        Ok(())
    }

    /// Removes a database, or a copy of it, with what is in it; its user stays. Removing what is not
    /// there changes nothing.
    pub async fn remove(&self, name: &str, copy: u32) -> Result<(), Error> {
        match &self.0 {
            Host::Sqlite(files) => files.remove(name, copy).await?,
            Host::Postgres(server) => server.remove(name, copy).await?,
        }
        crash::step();
        Ok(())
    }

    /// Opens the database `name`, which is made first if it is not there, and brings it to the
    /// shape that `migrations` give, in their order.
    pub async fn open(
        &self,
        name: &str,
        password: &Secret,
        migrations: &[&[Migration]],
    ) -> Result<Db, Error> {
        self.create(name, password).await?;
        let db = match &self.0 {
            Host::Sqlite(files) => files.open(name),
            Host::Postgres(server) => server.open(name, password),
        };
        migrate(&db, migrations).await?;
        Ok(db)
    }

    /// Removes every database that was made here, with its user: a test leaves nothing behind.
    #[cfg(feature = "testing")]
    pub async fn remove_all(&self) -> Result<(), Error> {
        match &self.0 {
            Host::Sqlite(files) => files.remove_all().await,
            Host::Postgres(server) => server.remove_all().await,
        }
    }
}
