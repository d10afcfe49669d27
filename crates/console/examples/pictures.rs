//! The pictures of the guide, made anew: `cargo run -p console@0.0.0 --example pictures FOLDER`.
//!
//! They show the console over the same small made-up platform as `look`, as Chromium draws it, so
//! that they differ only where the pages do. What they weigh is the browser's matter.

use std::path::Path;

use browser::{Chromium, Client, Locator};
use tokio::net::TcpListener;

#[path = "../tests/console/world/mod.rs"]
#[expect(dead_code, reason = "the stories also tell it to refuse, and ask what it was told")]
#[expect(clippy::unwrap_used, reason = "its documents are constants of the tests")]
mod world;

use world::data;

/// How wide the window is.
const WIDTH: u32 = 900;

/// A page, and what is shown of it.
struct Shown {
    who: &'static str,
    path: String,
    /// The whole page, or a part of it.
    part: Option<&'static str>,
    /// How high the window is.
    height: u32,
    name: &'static str,
}

fn pages() -> [Shown; 6] {
    let account = format!("/accounts/{}", data::account());
    let forum = format!("{account}/instances/{}", data::instance_id("forum"));
    let job = format!("/operate/work/{}", data::jobs()[0].job);
    let queue = "/operate/queues/forum/default".to_owned();
    let page = |who, path, name| Shown { who, path, part: None, height: 700, name };
    let (ada, operator) = ("ada@bakery.example", data::OPERATOR);
    [
        Shown { part: Some("#jobs"), ..page(ada, forum, "instance") },
        page(ada, format!("{account}/bill"), "bill"),
        Shown { part: Some("main [data-live]"), height: 955, ..page(operator, queue, "queue") },
        page(operator, job, "job"),
        Shown { height: 1_000, ..page(operator, "/operate/services/forum".to_owned(), "release") },
        page(operator, "/operate/nodes".to_owned(), "nodes"),
    ]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("say into which folder")?;
    std::fs::create_dir_all(&folder)?;
    let console = TcpListener::bind("127.0.0.1:0").await?;
    let here = format!("http://{}", console.local_addr()?);
    tokio::spawn(async { axum::serve(console, world::World::new().console()).await });
    let chromium = Chromium::start(&["--hide-scrollbars"]).await?;
    let client = chromium.client.clone();
    let mut seen_by = "";
    for Shown { who, path, part, height, name } in pages() {
        if seen_by != who {
            sign_in(&client, &here, who).await?;
            seen_by = who;
        }
        client.goto(&format!("{here}{path}")).await?;
        client.set_window_size(WIDTH, height).await?;
        let file = Path::new(&folder).join(format!("{name}.png"));
        let picture = match part {
            None => client.screenshot().await?,
            Some(part) => client.find(Locator::Css(part)).await?.screenshot().await?,
        };
        std::fs::write(&file, picture)?;
        println!("{}", file.display());
    }
    client.close().await?;
    Ok(())
}

async fn sign_in(client: &Client, here: &str, who: &str) -> Result<(), Box<dyn std::error::Error>> {
    client.delete_all_cookies().await?;
    client.goto(&format!("{here}/sign-in")).await?;
    client.find(Locator::Css("input[name=email]")).await?.send_keys(who).await?;
    client.find(Locator::Css("input[name=password]")).await?.send_keys(data::PASSWORD).await?;
    client.find(Locator::Css("main button")).await?.click().await?;
    client.wait().for_element(Locator::Css(".who form")).await?;
    Ok(())
}
