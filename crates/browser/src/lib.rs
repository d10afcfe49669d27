//! Chromium without a window, driven over `WebDriver`: what tests and pictures look at pages with.

use std::{net::Ipv4Addr, process::Stdio, time::Duration};

use anyhow::Context as _;
use fantoccini::ClientBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::sleep,
};

pub use fantoccini::{Client, Locator};

/// How often it is looked whether the driver listens, and how long between two looks.
const LOOKS: (u32, Duration) = (1_800, Duration::from_millis(50));
/// What is asked of a page may take so long, on a machine that does much else; in milliseconds.
const SCRIPT_MILLIS: u32 = 120_000;
/// A process of root has no sandbox, and a container little shared memory.
const ARGUMENTS: [&str; 3] = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"];

/// A window of Chromium, and what drives it; both end with this.
pub struct Chromium {
    /// What asks it.
    pub client: Client,
    _driver: Child,
}

impl Chromium {
    /// Starts it with these arguments beside those that it always needs. Debian's package
    /// `chromium-driver` must be installed.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("`chromedriver` cannot be started: install `chromium-driver`")?;
        for _ in 0..LOOKS.0 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
                break;
            }
            sleep(LOOKS.1).await;
        }
        let arguments = [&ARGUMENTS, arguments].concat();
        let options = json!({
            "goog:chromeOptions": { "args": arguments },
            "timeouts": { "script": SCRIPT_MILLIS },
        });
        let Value::Object(wanted) = options else { anyhow::bail!("it is an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let url = format!("http://127.0.0.1:{port}");
        let client = builder.capabilities(wanted).connect(&url).await;
        Ok(Self { client: client.context("Chromium does not start")?, _driver: driver })
    }
}
