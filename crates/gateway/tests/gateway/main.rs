//! A real gateway with real applications behind it, told as stories.

mod access_log;
mod careless;
mod django;
mod early;
mod frames;
mod hostile;
mod http2;
mod jobs;
mod libraries;
mod moves;
mod pages;
mod proxied;
mod reach;
mod replicas;
mod requests;
mod streams;
mod tls;
mod tunnels;
mod usage;
#[expect(clippy::unwrap_used, reason = "what stands here is called by tests only")]
mod world;
