//! The README's steps by hand, run by a shell as they are written. What comes from outside is what
//! keeps them apart from the reader's own platform: folders by the environment, and the port.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::world::{Browser, free_port, processes_of, signal, until, workspace};

const PASSWORD: &str = "correct horse battery";

/// A reader's machine: three terminals share its folder and its port.
struct Machine {
    folder: PathBuf,
    port: u16,
}

pub(crate) async fn story() {
    let name = format!("mandate-by-hand-{}", &chassis::random_secret().reveal()[..12]);
    let machine = Machine { folder: std::env::temp_dir().join(name), port: free_port() };
    fs::create_dir(&machine.folder).unwrap();
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let blocks = blocks(&readme, "## By hand");
    let [platform, operator, customer] = blocks.as_slice() else { panic!("{blocks:#?}") };

    let log = fs::File::create(machine.folder.join("up.log")).unwrap();
    let mut up = machine.terminal(platform, "");
    let mut up = up.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    machine.is_up(&mut up).await;
    let file = fs::read_to_string(machine.folder.join("data/operator.txt")).unwrap();
    let password = file.lines().find_map(|line| line.strip_prefix("password: ")).unwrap();
    let done = machine.follows(operator, password).await;
    assert!(done.contains("sha256:"), "{done}");
    let done = machine.follows(customer, PASSWORD).await;
    for words in ["Northlight Goods", "401 Unauthorized", "store.viewOrders", "TOTAL", "agree"] {
        assert!(done.contains(words), "`{words}` is not in {done}");
    }
    // The operator is signed in still.
    let whoami = "export PATH=\"$PWD/target/debug:$PATH\"\nmandate whoami\n";
    let done = machine.follows(whoami, "").await;
    assert!(done.contains("operator@localhost"), "{done}");

    let group = Pid::from_raw(up.id().unwrap().cast_signed()).unwrap();
    kill_process_group(group, Signal::TERM).unwrap();
    up.wait().await.unwrap();
    until("nothing is left behind", async || processes_of(&machine.folder).is_empty()).await;
    fs::remove_dir_all(&machine.folder).unwrap();
}

impl Machine {
    /// A shell in the workspace's folder that reads `block` line by line, shows each line, and
    /// ends at the first that fails.
    fn terminal(&self, block: &str, password: &str) -> Command {
        let up = format!("mandate up --port {} ", self.port);
        let script = block.replace("mandate up ", &up).replace("8080", &self.port.to_string());
        let home = |name: &str, usual: &str| {
            let usual = || Path::new(&std::env::var_os("HOME").unwrap()).join(usual);
            std::env::var_os(name).map_or_else(usual, PathBuf::from)
        };
        let mut command = Command::new("sh");
        command.args(["-ev", "-c", &script]).current_dir(workspace()).stdin(Stdio::null());
        command.env("CARGO_HOME", home("CARGO_HOME", ".cargo"));
        command.env("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup"));
        command.env("HOME", &self.folder).env("MANDATE_DATA", self.folder.join("data"));
        command.env("MANDATE_URL", format!("http://127.0.0.1:{}", self.port));
        command.env("MANDATE_PASSWORD", password).env("NO_COLOR", "1");
        command.env_remove("MANDATE_HOME").env_remove("MANDATE_TOKEN");
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Runs a block to its end; what was shown.
    async fn follows(&self, block: &str, password: &str) -> String {
        let done = self.terminal(block, password).output().await.unwrap();
        let Output { status, stdout, stderr } = done;
        let out = String::from_utf8_lossy(&stdout).into_owned();
        assert!(status.success(), "{status}\n{out}\n{}", String::from_utf8_lossy(&stderr));
        out
    }

    /// The first line builds, which may take a while on a machine that has not.
    async fn is_up(&self, shell: &mut Child) {
        while !self.folder.join("data/operator.txt").exists() {
            let ended = shell.try_wait().unwrap();
            assert_eq!(ended, None, "{:?}", fs::read_to_string(self.folder.join("up.log")));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let console = Browser::new(self.port, "console.localhost");
        until("the platform answers", async || {
            let answer = console.try_send(http::Method::GET, "/", None).await;
            answer.is_some_and(|answer| answer.status < 400)
        })
        .await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for pid in processes_of(&self.folder) {
            signal(pid, Signal::KILL);
        }
    }
}

/// The blocks for a shell in the section under `heading`.
fn blocks(text: &str, heading: &str) -> Vec<String> {
    let (_, section) = text.split_once(&format!("{heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}
