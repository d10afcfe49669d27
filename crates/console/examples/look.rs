//! The console over a small made-up platform, to look at its pages: `cargo run -p console@0.0.0
//! --example look`. Sign in as `ada@bakery.example` or `operator@localhost` with the password
//! `correct horse battery`; every page says the same on each start.

#[path = "../tests/console/world/mod.rs"]
#[expect(dead_code, reason = "the stories also tell it to refuse, and ask what it was told")]
#[expect(clippy::unwrap_used, reason = "its documents are constants of the tests")]
mod world;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, world::World::new().console()).await
}
