//! The rules, apart from whatever is read, asked or written.

pub(crate) mod changes;
pub(crate) mod hosts;
pub(crate) mod offers;
pub(crate) mod orders;
