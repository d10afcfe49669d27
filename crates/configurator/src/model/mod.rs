//! The rules, apart from whatever is read, asked or written.

pub(crate) mod environment;
pub(crate) mod instance;
pub(crate) mod moves;
pub(crate) mod secret;
pub(crate) mod setup;
