//! The way from a machine to the platform, which can be cut: what was sent is then neither delivered
//! nor refused.

use std::net::Ipv4Addr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The way; it ends with this value.
pub(super) struct Relay {
    /// Where the machine finds the platform.
    pub(super) port: u16,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A way from an address to the platform's port.
    pub(super) async fn from(address: Ipv4Addr, platform: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let port = listener.local_addr()?.port();
        let (cut, is_cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((machine, _)) = listener.accept().await {
                connections.spawn(pass_on(machine, platform, is_cut.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, cut, task })
    }

    /// From now on nothing passes.
    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// From now on it does again; what was on its way is lost.
    pub(super) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(mut machine: TcpStream, platform: u16, mut cut: watch::Receiver<bool>) {
    let mut is_cut = cut.clone();
    let passing = async {
        let mut there = TcpStream::connect((Ipv4Addr::LOCALHOST, platform)).await?;
        copy_bidirectional(&mut machine, &mut there).await
    };
    tokio::select! {
        biased;
        _ = is_cut.wait_for(|is_cut| *is_cut) => {}
        // Whichever end has had enough.
        _ = passing => return,
    }
    let _ = cut.wait_for(|is_cut| !is_cut).await;
}
