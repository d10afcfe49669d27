//! The forum as visitors, members and programs see it: two forums in one process, on each engine.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod world;

use serde_json::json;
use world::{ENGINES, World};

#[tokio::test]
async fn a_visitor_joins_writes_and_is_read() {
    for engine in ENGINES {
        let world = World::start("story", engine).await;
        let mut visitor = world.browser("a");
        let page = visitor.get("/").await;
        assert!(page.body.contains("Forum of a") && page.body.contains("Welcome to Forum of a"));
        assert_eq!(visitor.get("/topics/new").await.status, 401);
        assert_eq!(visitor.post("/topics/welcome/posts", &[("body", "hi")]).await.status, 401);

        let mut ada = world.member("a", "Ada").await;
        let opened = ada.post("/topics", &[("title", "Rye"), ("body", "How long?\n\nAda")]).await;
        assert_eq!(opened.status, 303, "{}", opened.body);
        let topic = opened.location;
        let mut ben = world.member("a", "ben").await;
        let replied = ben.post(&format!("{topic}/posts"), &[("body", "Two days.")]).await;
        assert_eq!(replied.status, 303);
        let page = visitor.get(&topic).await.body;
        assert!(
            page.contains("<p>How long?</p><p>Ada</p>") && page.contains("Two days."),
            "{page}"
        );
        let list = visitor.get("/").await.body;
        assert!(
            list.find("Rye").unwrap() < list.find("Welcome to").unwrap(),
            "the latest is first"
        );
        assert!(visitor.get("/members").await.body.contains("Ada"));

        ada.post("/logout", &[]).await;
        assert_eq!(ada.get("/topics/new").await.status, 401);
        let wrong = ada.post("/login", &[("name", "ada"), ("password", "wrong horse")]).await;
        assert_eq!(wrong.status, 422);
        let right = ada.post("/login", &[("name", "ada"), ("password", "correct horse")]).await;
        assert_eq!(right.status, 303);
        assert_eq!(ada.get("/topics/new").await.status, 200);
        assert!(world.run("a", "digest").contains("3 posts, 3 new members"));
        assert!(world.terminate(), "it ends well when asked to");
    }
}

#[tokio::test]
async fn nothing_of_one_forum_shows_in_another() {
    for engine in ENGINES {
        let world = World::start("apart", engine).await;
        let mut ada = world.member("a", "ada").await;
        let topic = ada.post("/topics", &[("title", "Secret"), ("body", "of a")]).await.location;
        let asked = [("question", "Secret?"), ("choices", "yes\nno")];
        let poll = ada.post("/polls", &asked).await.location;
        let cookie = ada.cookie.clone();

        let mut ben = world.member("b", "ben").await;
        for path in [topic.as_str(), poll.as_str(), "/topics/welcome"] {
            assert_eq!(ben.get(path).await.status, 404, "{path}");
        }
        for path in ["/", "/members"] {
            let page = ben.get(path).await.body;
            assert!(!page.contains("Secret") && !page.contains("ada"), "{page}");
        }
        let reply = ben.post(&format!("{topic}/posts"), &[("body", "got in")]).await;
        assert_eq!(reply.status, 404);
        assert_eq!(ben.send("DELETE", &topic, &[], String::new()).await.status, 404);
        assert_eq!(ben.send("DELETE", "/users/ada", &[], String::new()).await.status, 404);
        assert_eq!(
            ben.post("/login", &[("name", "ada"), ("password", "correct horse")]).await.status,
            422
        );

        let mut thief = world.browser("b");
        thief.cookie = cookie;
        assert_eq!(thief.get("/topics/new").await.status, 401, "a session counts where it began");
        assert_eq!(thief.post("/topics", &[("title", "abc"), ("body", "x")]).await.status, 401);
        assert_eq!(ada.get(&topic).await.status, 200);
        assert!(!ada.get(&topic).await.body.contains("got in"));
        assert_eq!(ada.get("/topics/new").await.status, 200);
    }
}

#[tokio::test]
async fn modules_show_where_they_are_taken() {
    for engine in ENGINES {
        let world = World::start("modules", engine).await;
        let mut ada = world.member("a", "ada").await;
        let asked = [("question", "Rye or <b>wheat</b>?"), ("choices", "Rye\nWheat\n")];
        let poll = ada.post("/polls", &asked).await.location;
        let page = ada.get(&poll).await.body;
        assert!(page.contains("Rye or &lt;b&gt;wheat"), "{page}");
        let choice = page.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        for _ in 0..2 {
            let voted = ada.post(&format!("{poll}/votes"), &[("choice", &choice)]).await;
            assert_eq!(voted.status, 303);
        }
        let page = ada.get(&poll).await.body;
        assert!(page.contains("100 %") && page.contains("1 vote"), "one vote, cast twice: {page}");
        let stray = ada.post(&format!("{poll}/votes"), &[("choice", "of another poll")]).await;
        assert_eq!(stray.status, 422);
        assert!(ada.get("/members").await.body.contains("Voter"));
        assert_eq!(ada.get("/badges").await.status, 200);

        ada.post("/topics", &[("title", "Öfen"), ("body", "100% heiß_!")]).await;
        for (words, found) in
            [("%C3%B6FEN", true), ("100%25", true), ("i%C3%9F_", true), ("a_b", false)]
        {
            let page = ada.get(&format!("/search?q={words}")).await.body;
            assert_eq!(page.contains("heiß"), found, "{words}: {page}");
        }

        let mut ben = world.member("b", "ben").await;
        for path in ["/", "/members"] {
            let page = ben.get(path).await.body;
            for link in ["/polls", "/search", "/badges"] {
                assert!(!page.contains(link), "{path} links to {link}");
            }
        }
        for path in ["/polls", "/polls/new", "/search?q=abc", "/badges"] {
            assert_eq!(ben.get(path).await.status, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn programs_add_and_remove_members() {
    for engine in ENGINES {
        let world = World::start("users", engine).await;
        let mut program = world.browser("a");
        let ada = json!({ "name": "ada", "email": "ada@example.com" }).to_string();
        let added = program.send("POST", "/users", &[], ada.clone()).await;
        assert_eq!(added.status, 201, "{}", added.body);
        let again = program.send("POST", "/users", &[], ada.clone()).await;
        assert_eq!(again.status, 200);
        let invitation = again.json()["invitation"].as_str().unwrap().to_owned();
        let path = invitation.strip_prefix("http://a.localhost").unwrap();

        let mut invited = world.browser("a");
        assert!(invited.get(path).await.body.contains("Welcome, ada"));
        assert_eq!(invited.post(path, &[("password", "short")]).await.status, 422);
        assert_eq!(invited.post(path, &[("password", "correct horse")]).await.status, 303);
        assert_eq!(invited.get("/topics/new").await.status, 200);
        assert_eq!(invited.get(path).await.status, 404, "an invitation is good once");
        let known = program.send("POST", "/users", &[], ada).await.json();
        assert!(known.get("invitation").is_none(), "who has a password needs no invitation");

        let other = json!({ "name": "ADA", "email": "other@example.com" }).to_string();
        assert_eq!(program.send("POST", "/users", &[], other).await.status, 409);
        for wrong in ["", "[]", r#"{"name":"a b","email":"a@b"}"#, r#"{"name":"abc","email":"x"}"#]
        {
            let refused = program.send("POST", "/users", &[], wrong.into()).await;
            assert_eq!(refused.status, 422, "{wrong}");
            assert!(refused.json()["detail"].is_string());
        }
        let wrote = invited.post("/topics/welcome/posts", &[("body", "stays")]).await;
        assert_eq!(wrote.status, 303);
        assert_eq!(program.send("DELETE", "/users/Ada", &[], String::new()).await.status, 204);
        assert_eq!(program.send("DELETE", "/users/ada", &[], String::new()).await.status, 404);
        assert_eq!(
            invited.get("/topics/new").await.status,
            401,
            "the session ended with the member"
        );
        let page = program.get("/topics/welcome").await.body;
        assert!(page.contains("stays") && page.contains("former member"));
        assert_eq!(program.send("DELETE", "/topics/welcome", &[], String::new()).await.status, 204);
        assert_eq!(program.get("/topics/welcome").await.status, 404);
    }
}

#[tokio::test]
async fn what_is_sent_is_limited_and_escaped() {
    for engine in ENGINES {
        let world = World::start("limits", engine).await;
        let mut ada = world.member("a", "ada").await;
        let script = "<script>alert(1)</script>\"'&";
        let opened = ada.post("/topics", &[("title", script), ("body", script)]).await;
        for path in ["/", opened.location.as_str(), "/search?q=%3Cscript"] {
            let page = ada.get(path).await.body;
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        }
        let long = "x".repeat(10_001);
        let cases = [("ab", "text"), (long.as_str(), "text"), ("a\nb", "text"), ("title", "")];
        for (title, body) in cases.into_iter().chain([("title", long.as_str())]) {
            let refused = ada.post("/topics", &[("title", title), ("body", body)]).await;
            assert_eq!(refused.status, 422);
            assert!(refused.body.contains("Please") && refused.body.contains("<form"));
        }
        let huge = "x".repeat(70_000);
        assert_eq!(ada.post("/topics", &[("title", "title"), ("body", &huge)]).await.status, 413);
        assert_eq!(
            ada.post(
                "/join",
                &[("name", "ADA"), ("email", "a@b.c"), ("password", "correct horse")]
            )
            .await
            .status,
            422
        );
        assert_eq!(ada.post("/join", &[]).await.status, 422);
        let neighbour = [("sec-fetch-site", "same-site")];
        let forged = ada.send("POST", "/logout", &neighbour, String::new()).await;
        assert_eq!(forged.status, 403, "a neighbouring host's page acts for nobody");
        for path in ["/?after=x", "/?after=1.%00", "/topics/%00", "/nowhere", "/topics/a?after=1"] {
            let status = ada.get(path).await.status;
            assert!((200..500).contains(&status), "{path}: {status}");
        }
        assert_eq!(ada.send("PUT", "/", &[], String::new()).await.status, 404);
    }
}

#[tokio::test]
async fn hosts_that_are_nobodys_and_databases_that_are_not_ready_are_told() {
    for engine in ENGINES {
        let world = World::start("hosts", engine).await;
        let mut stranger = world.browser("nobody");
        let page = stranger.get("/").await;
        assert_eq!(page.status, 404);
        assert!(page.body.contains("no forum at this address"), "{}", page.body);
        assert_eq!(stranger.get("/healthz").await.status, 200);
        stranger.host = "c.localhost".into();
        let page = stranger.get("/").await;
        assert_eq!(page.status, 503, "{}", page.body);
        stranger.host = "bad_host/..".into();
        assert!((400..500).contains(&stranger.get("/").await.status));
    }
}

#[tokio::test]
async fn migrating_and_seeding_twice_is_migrating_and_seeding_once() {
    for engine in ENGINES {
        let world = World::start("twice", engine).await;
        let mut visitor = world.browser("a");
        let before = visitor.get("/members").await.body;
        assert_eq!(world.run("a", "migrate"), "nothing to migrate\n");
        assert_eq!(world.run("a", "seed"), "seeded before, nothing to do\n");
        assert_eq!(visitor.get("/members").await.body, before);
        assert_eq!(visitor.get("/").await.body.matches("Welcome to").count(), 1);
        assert_eq!(visitor.get("/topics/welcome").await.body.matches("<article").count(), 1);
    }
}

#[test]
fn the_manifest_and_the_price_book_name_the_same_things() {
    let read = |text: &str| text.parse::<toml::Table>().unwrap();
    let manifest = read(include_str!("../mandate.toml"));
    let prices = read(include_str!("../prices.toml"));
    for kind in ["modules", "sizes", "meters"] {
        let named: Vec<_> = manifest[kind].as_table().unwrap().keys().collect();
        let sold: Vec<_> = prices["plans"]["basic"][kind].as_table().unwrap().keys().collect();
        assert_eq!(named, sold, "{kind}");
    }
    for route in manifest["routes"].as_array().unwrap() {
        if let Some(permission) = route.get("permission") {
            assert!(manifest["permissions"].get(permission.as_str().unwrap()).is_some());
        }
    }
}
