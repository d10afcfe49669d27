//! Why a database did not do what it was asked.

/// What went wrong. No message holds a statement's values or a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused, or could not be reached.
    #[error("the database failed")]
    Engine(#[from] sqlx::Error),
    /// A value does not have the form that its column or document should have.
    #[error("`{what}` cannot be read or written: {cause}")]
    Encode {
        /// The column or document.
        what: String,
        /// Why.
        cause: String,
    },
    /// A statement of the transaction has failed, so the whole of it is undone.
    #[error("the transaction is undone, since a statement in it failed")]
    Undone,
    /// A number is beyond what a BIGINT holds.
    #[error("a number is larger than the database can hold")]
    Range,
    /// A migration that was applied reads differently now.
    #[error("the migration `{0}` was changed after it was applied: restore it, and add a new one")]
    Changed(String),
    /// The address of a server, or what its databases are to be called, is not one.
    #[error("{0}")]
    Configuration(String),
}

impl Error {
    /// A value of `what` does not have the form that it should have.
    pub fn encode(what: &str, cause: impl std::fmt::Display) -> Self {
        Self::Encode { what: what.to_owned(), cause: cause.to_string() }
    }

    /// Whether there is such a row already: a primary key or a unique index refused.
    pub fn is_unique(&self) -> bool {
        matches!(self, Self::Engine(sqlx::Error::Database(cause)) if cause.is_unique_violation())
    }

    /// Whether the same may succeed later: the engine is away, busy or full. What is wrong with a
    /// statement, a row or a document stays wrong.
    pub fn may_pass(&self) -> bool {
        let Self::Engine(cause) = self else { return false };
        match cause {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => true,
            sqlx::Error::Database(cause) => cause.code().is_some_and(|code| is_passing(&code)),
            _ => false,
        }
    }
}

/// `PostgreSQL`'s classes of errors (connection, rollback, resources, use by others, lock,
/// intervention, system), or `SQLite`'s result codes, whose low byte is busy, locked, out of memory, an
/// IO error, full or cannot open.
fn is_passing(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5..=7 | 10 | 13 | 14),
        _ => ["08", "40", "53", "55006", "55P03", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_stays_wrong() {
        // SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_WRITE, SQLITE_FULL; PostgreSQL's.
        for code in ["5", "517", "778", "13", "08006", "40001", "53100", "55006", "57P01"] {
            assert!(is_passing(code), "{code}");
        }
        // SQLITE_ERROR, SQLITE_CONSTRAINT_UNIQUE, SQLITE_CORRUPT; a column that is not there.
        for code in ["1", "2067", "11", "23505", "42703", "22003", ""] {
            assert!(!is_passing(code), "{code}");
        }
        assert!(!Error::Range.may_pass());
        assert!(!Error::Engine(sqlx::Error::RowNotFound).may_pass());
    }
}
