//! Libraries from Python's index, in a folder of their own.

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/python");

pub(crate) struct Python(std::path::PathBuf);

/// A program that answers.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    _process: Child,
}

impl Python {
    /// Installs `packages`.
    pub(crate) async fn with(folder: &Path, packages: &[&str]) -> Self {
        let folder = folder.join("python");
        runs(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await;
        let pip = ["install", "--quiet", "--disable-pip-version-check"];
        runs(Command::new(folder.join("bin/pip")).args(pip).args(packages)).await;
        Self(folder.join("bin/python"))
    }

    /// Runs a script to its end.
    pub(crate) async fn runs(&self, script: &str, arguments: &[&str]) -> String {
        runs(Command::new(&self.0).arg(format!("{SCRIPTS}/{script}")).args(arguments)).await
    }

    /// Starts a script, which prints its port once it listens.
    pub(crate) async fn serves(&self, script: &str, arguments: &[&str]) -> Program {
        let mut process = Command::new(&self.0)
            .arg(format!("{SCRIPTS}/{script}"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port: u16 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        Program { address: ([127, 0, 0, 1], port).into(), _process: process }
    }
}

async fn runs(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
