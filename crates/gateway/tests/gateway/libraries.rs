//! Protocols as libraries speak them that share no code with us: clients and applications from
//! Python's index.

use crate::world::{FORUM, World, python::Python};

#[tokio::test]
async fn web_sockets_and_http_2_are_what_others_take_for_them() {
    let (world, upstream) = World::with_forum().await;
    let packages = ["websockets>=15", "aiohttp>=3.11", "httpx[http2]>=0.28", "grpcio>=1.70"];
    let python = Python::with(&world.folder, &packages).await;
    let port = world.address.port().to_string();
    assert_eq!(python.runs("http2_client.py", &[&port]).await, "all answered\n");
    drop(upstream);

    let app = python.serves("websocket_app.py", &[]).await;
    world.replica("one", app.address, None).await;
    assert_eq!(python.runs("websocket_clients.py", &[&port]).await, "all said\n");

    world.publish(&FORUM.replace("[run]", "[run]\nprotocol = \"h2c\"")).await;
    let app = python.serves("grpc_app.py", &[]).await;
    world.replica("one", app.address, None).await;
    assert_eq!(python.runs("grpc_client.py", &[&port]).await, "all called\n");
}
