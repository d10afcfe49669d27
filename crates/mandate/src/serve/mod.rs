//! `mandate up` and `mandate agent`: the rooms in one process, or some of them.

mod agent;
mod arguments;
mod house;
mod lock;
mod machine;
mod private;
mod up;

pub(crate) use agent::agent;
pub(crate) use arguments::{AgentArgs, UpArgs, is_reached_from_elsewhere};
pub(crate) use up::up;

use std::io::IsTerminal as _;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Logs go to stderr, so that stdout is for programs.
fn log() {
    let filter = EnvFilter::try_from_env("MANDATE_LOG");
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,hyper=warn"));
    // A file or another program has no use for colours.
    let logging = tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Whoever has set a subscriber before us keeps it.
    let _ = logging.try_init();
}

/// Turns true once somebody asks the process to end.
fn ending() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (end, ended) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
        // Nobody may be listening any more.
        let _ = end.send(true);
        end.closed().await;
    });
    Ok(ended)
}

/// Returns once `ending` is true.
async fn ended(mut ending: watch::Receiver<bool>) {
    // A sender that is gone has nothing more to say: the process is ending.
    let _ = ending.wait_for(|end| *end).await;
}
