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
    /// A number is beyond what a BIGINT holds.
    #[error("a number is larger than the database can hold")]
    Range,
    /// A migration that was applied reads differently now.
    #[error("the migration `{0}` was changed after it was applied: put it back, and add a new one")]
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
}
