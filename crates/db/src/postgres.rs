//! Databases on a PostgreSQL server.

use std::{fmt, str::FromStr as _, time::Duration};

#[cfg(feature = "testing")]
use sqlx::Connection as _;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use types::Secret;

use crate::{
    Db, Error,
    admin::Admin,
    database::{Pools, is_free},
};

/// Seven components and the gateway share a server that allows a hundred by default.
const CONNECTIONS_MAX: u32 = 5;
const IDLE: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// Statements are answered from their indexes, in the order of these, as SQLite does. Without being
/// told, the server reads a table whole that was small when a statement was planned, and goes on so on
/// that connection until it has counted the table anew: for a minute or more after it has grown. It
/// also collects and sorts what an index would give in order. What has no index is read whole all the
/// same; such a plan is so dear to the planner that it would compile it, for longer than it runs.
const BY_INDEX: [(&str, &str); 3] =
    [("enable_seqscan", "off"), ("enable_bitmapscan", "off"), ("jit", "off")];
/// What PostgreSQL says when the role is there already.
const ROLE_EXISTS: &str = "42710";
/// Those who make or remove one database take turns. PostgreSQL fails two that change a role at once, and
/// goes on with what somebody has told it who is not there any more: what it makes then would come after
/// whoever removes it. The lock ends with the connection, or when that is given back.
const TURN: &str = "select pg_advisory_lock(7206104, hashtext($1))";

#[derive(Clone)]
pub(crate) struct Postgres {
    admin: Admin,
    prefix: String,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postgres({}…)", self.prefix)
    }
}

impl Postgres {
    pub(crate) fn new(url: &str, prefix: &str) -> Result<Self, Error> {
        // The cause may quote the address, which may hold a password.
        let admin = PgConnectOptions::from_str(url).map_err(|_| {
            let example = "postgres://admin:password@127.0.0.1:5432/postgres";
            Error::Configuration(format!(
                "the database's address cannot be read: write `{example}`"
            ))
        })?;
        let admin = Admin::new(admin.disable_statement_logging());
        Self { admin, prefix: String::new() }.with_prefix(prefix)
    }

    pub(crate) fn with_prefix(mut self, prefix: &str) -> Result<Self, Error> {
        let plain =
            |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
        if prefix.is_empty() || prefix.len() > 20 || !prefix.bytes().all(plain) {
            let problem = format!(
                "`{prefix}` cannot begin a database's name: use 1 to 20 of a-z, 0-9 and `_`"
            );
            return Err(Error::Configuration(problem));
        }
        prefix.clone_into(&mut self.prefix);
        Ok(self)
    }

    /// The name of a database and of its user.
    fn full(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    fn options(&self, name: &str, password: &Secret) -> PgConnectOptions {
        let name = self.full(name);
        let options = self.admin.options.clone().options(BY_INDEX);
        options.database(&name).username(&name).password(password.reveal())
    }

    pub(crate) async fn create(&self, name: &str, password: &Secret) -> Result<(), Error> {
        let mut admin = self.admin.connect().await?;
        self.create_on(&mut admin, name, password).await?;
        self.admin.give_back(admin).await;
        Ok(())
    }

    async fn create_on(
        &self,
        admin: &mut PgConnection,
        name: &str,
        password: &Secret,
    ) -> Result<(), Error> {
        let full = self.full(name);
        take_turn(admin, &full).await?;
        let (there,): (bool,) =
            sqlx::query_as("select exists (select from pg_database where datname = $1)")
                .bind(&full)
                .fetch_one(&mut *admin)
                .await?;
        create_role(admin, &full).await?;
        // The engine's passwords are hexadecimal digits; what is not is quoted all the same.
        let secret = password.reveal().replace('\'', "''");
        run(admin, format!("alter role \"{full}\" login password '{secret}'")).await?;
        if !there {
            // Who makes a database for another must be a member of it, unless a superuser.
            run(admin, format!("grant \"{full}\" to current_user")).await?;
            // Keys are compared byte by byte, as SQLite does, so that pages are the same everywhere.
            let database = format!(
                "create database \"{full}\" owner \"{full}\" template template0
                 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
            );
            run(admin, database).await?;
        }
        // Also where the database was there: a crash may have come between the two.
        run(admin, format!("revoke all on database \"{full}\" from public")).await
    }

    /// Also what somebody is still connected to.
    #[cfg(feature = "testing")]
    pub(crate) async fn remove_all(&self) -> Result<(), Error> {
        let mut admin = self.admin.options.connect().await?;
        // The server goes on with what it was told, also when who told it has gone: a database that
        // is being made would come after the list of them.
        let at_work = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity \
            where pid <> pg_backend_pid() and position($1 in query) > 0";
        sqlx::query(at_work).bind(self.full("")).execute(&mut admin).await?;
        let databases =
            "select datname::text from pg_database where starts_with(datname::text, $1)";
        let databases: Vec<(String,)> =
            sqlx::query_as(databases).bind(self.full("")).fetch_all(&mut admin).await?;
        for (name,) in databases {
            run(&mut admin, format!("drop database \"{name}\" with (force)")).await?;
        }
        let roles = "select rolname::text from pg_roles where starts_with(rolname::text, $1)";
        let roles: Vec<(String,)> =
            sqlx::query_as(roles).bind(self.full("")).fetch_all(&mut admin).await?;
        for (name,) in roles {
            run(&mut admin, format!("drop role \"{name}\"")).await?;
        }
        Ok(admin.close().await?)
    }

    /// Makes something under the name of a copy that can be neither used nor removed.
    #[cfg(feature = "testing")]
    pub(crate) async fn obstruct(&self, name: &str, copy: u32) -> Result<(), Error> {
        let full = self.copied(name, copy);
        let mut admin = self.admin.options.connect().await?;
        run(&mut admin, format!("create database \"{full}\"")).await?;
        let mut inside = self.admin.options.clone().database(&full).connect().await?;
        let subscribed = "create subscription obstacle connection 'host=nowhere' \
            publication none with (connect = false, slot_name = none)";
        run(&mut inside, subscribed.to_owned()).await?;
        Ok(inside.close().await?)
    }

    /// From then on it can be removed, which whoever copies does first.
    #[cfg(feature = "testing")]
    pub(crate) async fn clear(&self, name: &str, copy: u32) -> Result<(), Error> {
        let full = self.copied(name, copy);
        let mut inside = self.admin.options.clone().database(&full).connect().await?;
        run(&mut inside, "drop subscription obstacle".to_owned()).await?;
        Ok(inside.close().await?)
    }

    /// Makes it as large as that at least.
    #[cfg(feature = "testing")]
    pub(crate) async fn fill(&self, name: &str, mib: u32) -> Result<(), Error> {
        let mut inside = self.admin.options.clone().database(&self.full(name)).connect().await?;
        run(&mut inside, "create table filling (part bytea)".to_owned()).await?;
        run(&mut inside, "alter table filling alter part set storage external".to_owned()).await?;
        let parts = format!(
            "insert into filling select convert_to(repeat('x', 1048576), 'UTF8')
             from generate_series(1, {mib})"
        );
        run(&mut inside, parts).await?;
        Ok(inside.close().await?)
    }

    pub(crate) fn open(&self, name: &str, password: &Secret) -> Db {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(PATIENCE)
            .idle_timeout(IDLE)
            .after_release(is_free);
        Db::new(Pools::Postgres(pool.connect_lazy_with(self.options(name, password))))
    }

    pub(crate) fn url(&self, name: &str, copy: u32, password: &Secret) -> Secret {
        let (user, database) = (self.full(name), self.copied(name, copy));
        let (host, port) = (self.admin.options.get_host(), self.admin.options.get_port());
        Secret::new(format!("postgresql://{user}:{}@{host}:{port}/{database}", password.reveal()))
    }

    /// The name of a copy of a database; the database itself is number 0.
    fn copied(&self, name: &str, copy: u32) -> String {
        let full = self.full(name);
        if copy == 0 { full } else { format!("{full}_{copy}") }
    }

    pub(crate) async fn size(&self, name: &str, copy: u32) -> Result<u64, Error> {
        let mut admin = self.admin.connect().await?;
        let (size,): (i64,) = sqlx::query_as("select pg_database_size($1)")
            .bind(self.copied(name, copy))
            .fetch_one(&mut admin)
            .await?;
        self.admin.give_back(admin).await;
        u64::try_from(size).map_err(|_| Error::Range)
    }

    pub(crate) async fn shut(&self, name: &str, copy: u32) -> Result<(), Error> {
        let database = self.copied(name, copy);
        let mut admin = self.admin.connect().await?;
        run(&mut admin, format!("alter database \"{database}\" allow_connections false")).await?;
        sqlx::query(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where datname = $1 and pid <> pg_backend_pid()",
        )
        .bind(&database)
        .execute(&mut admin)
        .await?;
        self.admin.give_back(admin).await;
        Ok(())
    }

    pub(crate) async fn reopen(&self, name: &str, copy: u32) -> Result<(), Error> {
        let database = self.copied(name, copy);
        let mut admin = self.admin.connect().await?;
        run(&mut admin, format!("alter database \"{database}\" allow_connections true")).await?;
        self.admin.give_back(admin).await;
        Ok(())
    }

    /// By way of the log: the other way has the server write down every file there is.
    pub(crate) async fn copy(&self, name: &str, (from, to): (u32, u32)) -> Result<(), Error> {
        let (owner, from, to) = (self.full(name), self.copied(name, from), self.copied(name, to));
        let mut admin = self.admin.connect().await?;
        take_turn(&mut admin, &to).await?;
        run(&mut admin, format!("drop database if exists \"{to}\" with (force)")).await?;
        let copy = format!(
            "create database \"{to}\" owner \"{owner}\" template \"{from}\" strategy wal_log"
        );
        run(&mut admin, copy).await?;
        run(&mut admin, format!("revoke all on database \"{to}\" from public")).await?;
        self.admin.give_back(admin).await;
        Ok(())
    }

    pub(crate) async fn remove(&self, name: &str, copy: u32) -> Result<(), Error> {
        let database = self.copied(name, copy);
        let mut admin = self.admin.connect().await?;
        take_turn(&mut admin, &database).await?;
        run(&mut admin, format!("drop database if exists \"{database}\" with (force)")).await?;
        self.admin.give_back(admin).await;
        Ok(())
    }
}

async fn run(admin: &mut PgConnection, statement: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await?;
    Ok(())
}

/// Waits until nobody else makes or removes the database.
async fn take_turn(admin: &mut PgConnection, database: &str) -> Result<(), Error> {
    sqlx::query(TURN).bind(database).execute(admin).await?;
    Ok(())
}

async fn create_role(admin: &mut PgConnection, role: &str) -> Result<(), Error> {
    match run(admin, format!("create role \"{role}\" login")).await {
        Err(Error::Engine(sqlx::Error::Database(cause)))
            if cause.code().as_deref() == Some(ROLE_EXISTS) =>
        {
            Ok(())
        }
        other => other,
    }
}
