//! An instance that is closed for a while.

use api::configurator::{Instance, SetMaintenance};

use crate::world::{Browser, Person, Process, World, until};

const HOST: &str = "library-forum.localhost";

pub(crate) async fn story(world: &World, second: &Process) {
    let lea = world.registers("lea").await;
    let forum = lea.opens_forum(world, HOST).await;
    let doors = [world.port(), second.port()].map(|port| world.browser(HOST).by(port));
    until("the second gateway knows the forum", async || doors[1].get("/").await.status == 200)
        .await;
    by_command(&lea, &doors).await;
    however_often_it_is_tried(&lea, &forum, &doors).await;
    nobody_else_may(world).await;
}

async fn by_command(lea: &Person, doors: &[Browser]) {
    let close = ["instance", "maintenance", HOST, "--reason", "new shelves"];
    lea.runs(&close).await.good();
    for door in doors {
        let page = door.get("/").await.is(503).shows("new shelves");
        assert_eq!(page.header("retry-after"), "30");
        assert!(page.header("content-type").starts_with("text/html"));
    }
    let instance: Instance = lea.does(&["instance", "show", HOST]).await;
    assert_eq!(instance.maintenance.as_deref(), Some("new shelves"));
    lea.runs(&["instance", "maintenance", HOST, "--end"]).await.good();
    for door in doors {
        door.get("/").await.is(200);
    }
}

async fn however_often_it_is_tried(lea: &Person, forum: &Instance, doors: &[Browser]) {
    let (account, instance) = (lea.account(), forum.instance);
    for _ in 0..10 {
        let reason = Some("new shelves".to_owned());
        lea.asks(SetMaintenance { account, instance, reason }).await.unwrap();
        for door in doors {
            door.get("/").await.is(503);
        }
        lea.asks(SetMaintenance { account, instance, reason: None }).await.unwrap();
        for door in doors {
            door.get("/").await.is(200);
        }
    }
}

async fn nobody_else_may(world: &World) {
    let max = world.registers("max").await;
    let refused = max.runs(&["instance", "maintenance", HOST]).await.refused(4);
    assert!(refused.contains(HOST), "{refused}");
}
