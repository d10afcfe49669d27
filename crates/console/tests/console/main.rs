//! The console as a browser sees it, in front of a small platform.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails them where it breaks")]

mod browser;
mod choosing;
mod jobs;
mod names;
mod pages;
mod stories;
mod updates;
mod world;
