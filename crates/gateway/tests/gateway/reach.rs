//! New replicas: each gateway asks them, and says which answer.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::releases::ReplicaAddress;
use axum::{Router, extract::Request};
use http::{StatusCode, header};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::world::{FORUM, World};

/// An application that is not well for a while, and writes down how it is asked.
struct Application {
    address: SocketAddr,
    told: Arc<Mutex<(StatusCode, Vec<String>)>>,
    _serving: JoinHandle<()>,
}

impl Application {
    async fn start() -> Self {
        let told = Arc::new(Mutex::new((StatusCode::SERVICE_UNAVAILABLE, Vec::new())));
        let seen = Arc::clone(&told);
        let app = Router::new().fallback(async move |request: Request| {
            let mut told = seen.lock().unwrap();
            let host = request.headers()[header::HOST].to_str().unwrap();
            told.1.push(format!("{} {host}{}", request.method(), request.uri()));
            told.0
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, told, _serving: serving }
    }

    fn is_well(&self) {
        self.told.lock().unwrap().0 = StatusCode::NO_CONTENT;
    }

    fn asked(&self) -> Vec<String> {
        self.told.lock().unwrap().1.clone()
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.expect(what);
}

fn is_named(world: &World, replica: &ReplicaAddress) -> bool {
    let reached = world.peers.reached.lock().unwrap();
    reached.get(&replica.replica) == Some(&replica.address)
}

#[tokio::test]
async fn a_new_replica_is_asked_as_its_node_asks_it_and_named_as_soon_as_it_answers() {
    let world = World::start().await;
    world.publish(FORUM).await;
    let bakery = world.instance("bakery.localhost");
    world.put(&bakery).await;
    let application = Application::start().await;
    let new = world.new_replica("new", application.address, Some(bakery.instance)).await;
    // Nothing listens at port 1.
    let away = world.new_replica("away", ([127, 0, 0, 1], 1).into(), None).await;
    until("it is asked again", || application.asked().len() > 1).await;
    assert_eq!(application.asked()[0], "GET bakery.localhost:8080/healthz");
    assert!(!is_named(&world, &new));
    application.is_well();
    until("it is named", || is_named(&world, &new)).await;
    // Whoever has forgotten it hears of it again, and it is not asked again for that.
    let asked = application.asked().len();
    world.peers.reached.lock().unwrap().clear();
    until("it is named again", || is_named(&world, &new)).await;
    assert_eq!(application.asked().len(), asked);
    // Once it is proven nobody names it. Elsewhere it is another one.
    world.tell(&ReplicaAddress { unproven: false, ..new.clone() }).await;
    let elsewhere = Application::start().await;
    elsewhere.is_well();
    world.peers.reached.lock().unwrap().clear();
    let moved = ReplicaAddress { address: elsewhere.address.to_string(), ..new };
    world.tell(&moved).await;
    until("it is named there", || is_named(&world, &moved)).await;
    assert_eq!(elsewhere.asked(), ["GET bakery.localhost:8080/healthz"]);
    assert!(!is_named(&world, &away));
}
