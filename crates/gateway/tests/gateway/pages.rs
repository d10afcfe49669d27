//! The gateway's own pages: set-up and sign-in.

use crate::world::{Answer, FORUM, World};
use api::configurator::InstanceState;
use types::{Digest, Principal, SessionId, UserId};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const SETUP: &str = "/.mandate/setup?key=right";

async fn waiting() -> World {
    let world = World::start().await;
    world.publish(FORUM).await;
    let mut route = world.instance("forum.localhost");
    route.state = InstanceState::AwaitingSetup;
    world.put(&route).await;
    world
}

async fn send(world: &World, target: &str, body: &str) -> Answer {
    world.ask(&format!("POST {target}"), "forum.localhost", &[FORM], body).await
}

#[tokio::test]
async fn an_instance_is_set_up_once_and_leads_to_itself() {
    let world = waiting().await;
    let page = world.get(SETUP).await;
    assert_eq!(page.status, 200);
    for field in
        ["name=\"admin_email\"", "type=\"email\"", "type=\"password\"", "/.mandate/setup?key=right"]
    {
        assert!(page.body.contains(field), "{field}: {}", page.body);
    }
    assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
    let bare = world.get("/.mandate/setup").await;
    assert!(!bare.body.contains("<form"), "{bare:?}");

    let filled = "name=Ada%27s+%3Cforum%3E&admin_email=ada%40example.com&secret=hunter2hunter2";
    for key in ["/.mandate/setup", "/.mandate/setup?key=wrong"] {
        let answer = send(&world, key, filled).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "setup_key"));
    }
    let line = format!("POST {SETUP}");
    for origin in ["http://evil.localhost", "null"] {
        let foreign = [FORM, ("Origin", origin)];
        let answer = world.ask(&line, "forum.localhost", &foreign, filled).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "foreign_origin"), "{origin}");
    }
    for _ in 0..2 {
        let answer = send(&world, SETUP, filled).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/.mandate/setup?key=right"))
        );
    }
    assert_eq!(world.peers.setup.lock().unwrap().submitted.len(), 1);

    let mut route = world.instance("forum.localhost");
    route.state = InstanceState::SettingUp;
    world.put(&route).await;
    let page = world.get(SETUP).await;
    for part in ["http-equiv=\"refresh\"", "12 &lt;tables&gt; made", "migrate", "runs"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    route.state = InstanceState::Open;
    world.put(&route).await;
    world.peers.setup.lock().unwrap().state = InstanceState::Open;
    let answer = world.get(SETUP).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
}

#[tokio::test]
async fn what_is_wrong_is_said_beside_the_field_and_what_was_written_stays() {
    let world = waiting().await;
    let answer =
        send(&world, SETUP, "name=%22%3E%3Cscript%3E&admin_email=ada&secret=hunter2hunter2").await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("is not an e-mail address"), "{}", answer.body);
    assert!(answer.body.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{}", answer.body);
    assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    assert!(answer.body.contains("aria-invalid=\"true\""));
    assert!(world.peers.setup.lock().unwrap().submitted.is_empty());
}

/// The pages that anybody can meet, by what is asked.
async fn pages() -> Vec<String> {
    let world = waiting().await;
    let mut pages = vec![world.get(SETUP).await.body, world.get("/.mandate/setup").await.body];
    pages.push(send(&world, SETUP, "admin_email=ada").await.body);
    let filled = "name=Ada&admin_email=ada%40example.com&secret=hunter2hunter2";
    assert_eq!(send(&world, SETUP, filled).await.status, 303);
    let follows = world.get(SETUP).await.body;
    assert!(follows.contains("Setting up"), "{follows}");
    pages.push(follows);
    let page = ("Accept", "text/html");
    let mut route = world.instance("forum.localhost");
    for state in [InstanceState::AwaitingSetup, InstanceState::SettingUp, InstanceState::Open] {
        route.state = state;
        world.put(&route).await;
        for line in ["GET /", "GET /.mandate/setup", "GET /.mandate/sign-out", "GET /.mandate/x"] {
            pages.push(world.ask(line, "forum.localhost", &[page], "").await.body);
        }
    }
    pages.push(world.ask("GET /", "nowhere.localhost", &[page], "").await.body);
    pages.retain(|page| page.contains("<body>"));
    pages
}

#[tokio::test]
async fn pages_use_only_what_the_sheet_that_they_share_with_the_console_has() {
    let pages = pages().await;
    assert!(pages.len() > 8, "{}", pages.len());
    for page in pages {
        let (sheet, body) = page.split_once("</style>").unwrap();
        for classes in body.split("class=\"").skip(1) {
            for class in classes.split('"').next().unwrap().split(' ') {
                let is_known = |after: &str| !after.starts_with(|c: char| c.is_alphanumeric());
                let dotted = format!(".{class}");
                assert!(sheet.split(&dotted).skip(1).any(is_known), "{dotted}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_is_told_as_whom_and_where() {
    let (world, _upstream) = World::with_forum().await;
    let cookie = format!("mandate_session={}", world.session_at("forum.localhost", "ada"));
    let headers = [("Cookie", cookie.as_str()), ("Accept", "text/html")];
    let page = world.ask("GET /admin", "forum.localhost", &headers, "").await;
    assert_eq!(page.status, 403);
    for said in ["ada@bakery.example", "forum.localhost", "http://console.localhost:8080/mine"] {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    for hidden in ["user_", "inst_"] {
        assert!(!page.body.contains(hidden), "{hidden}: {}", page.body);
    }
}

#[tokio::test]
async fn what_is_not_asked_for_is_refused_on_the_page() {
    let world = waiting().await;
    let filled = "name=Ada&admin_email=ada%40example.com&secret=hunter2hunter2&nonsense=3";
    let answer = send(&world, SETUP, filled).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("here is no field <code>nonsense</code>"), "{}", answer.body);
    assert!(answer.body.contains("value=\"Ada\""), "what was written stays: {}", answer.body);
    assert!(world.peers.setup.lock().unwrap().submitted.is_empty());
}

#[tokio::test]
async fn a_form_is_a_form_of_decent_size() {
    let world = waiting().await;
    let line = format!("POST {SETUP}");
    let answer =
        world.ask(&line, "forum.localhost", &[("Content-Type", "application/json")], "{}").await;
    assert_eq!(answer.status, 415);
    assert_eq!(send(&world, SETUP, &"a".repeat(70 << 10)).await.status, 413);
    assert_eq!(send(&world, SETUP, &"a=1&".repeat(200)).await.status, 400);
    let answer = world.ask("DELETE /.mandate/setup", "forum.localhost", &[], "").await;
    assert_eq!(answer.status, 405);
    assert_eq!(world.get("/.mandate/other").await.status, 404);
}

/// The cookies that an answer sets, by name.
fn cookies(answer: &Answer) -> Vec<(&str, &str)> {
    let lines = answer.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    lines.filter_map(|line| line.split_once('=')).collect()
}

#[tokio::test]
async fn the_password_is_asked_at_the_console_and_a_code_comes_back() {
    let (world, _upstream) = World::with_forum().await;
    let (user, _) = world.user("ada");
    world.grant(user, "forum.seeAdmin", &world.instance("forum.localhost")).await;
    let token = world.session_at("forum.localhost", "ada");
    world.peers.token.lock().unwrap().clone_from(&token);

    let away = world.get("/.mandate/sign-in?next=%2Fadmin%3Fa%3D1").await;
    let console = "http://console.localhost:8080/enter?host=forum.localhost&browser=";
    let browser = away.header("location").and_then(|to| to.strip_prefix(console)).unwrap();
    assert_eq!((away.status, browser.len()), (303, 64));
    let (name, way) = cookies(&away)[0];
    let (way, attributes) = way.split_once(';').unwrap();
    assert_eq!((name, attributes.contains("httponly")), ("mandate_way", true));
    assert!(!way.contains(browser), "the console cannot know what the browser has");

    // What is read above is in small letters; the way itself is not.
    let way = world.way("/.mandate/sign-in?next=%2Fadmin%3Fa%3D1").await;
    let (cookie, browser) = (("Cookie", way.cookie.as_str()), way.browser.as_str());
    let enter = |code: &str| format!("GET /.mandate/enter?code={code}&browser={browser}");
    for (line, cookies) in [
        (enter("good"), vec![]),
        (enter("good"), vec![("Cookie", "mandate_way=other.L2FkbWlu")]),
        (enter("bad"), vec![cookie]),
        ("GET /.mandate/enter".to_owned(), vec![cookie]),
    ] {
        let refused = world.ask(&line, "forum.localhost", &cookies, "").await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "sign_in"), "{line}");
        assert!(!refused.head.contains("mandate_session"), "{refused:?}");
    }
    assert!(world.peers.redeemed.lock().unwrap().is_empty());
    let planted = [("Cookie", "mandate_way=planted.L2V2aWw"), cookie];
    let answer = world.ask(&enter("good"), "forum.localhost", &planted, "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/admin?a=1")));
    let set = cookies(&answer);
    assert_eq!((set[0].0, set[1].0), ("mandate_session", "mandate_way"));
    for part in ["httponly", "samesite=lax", "path=/"] {
        assert!(set[0].1.contains(part), "{part}: {set:?}");
    }
    let seconds: u64 = set[0].1.split_once("max-age=").unwrap().1.parse().unwrap();
    assert!((540..=600).contains(&seconds), "as long as the session: {set:?}");
    assert!(set[1].1.contains("max-age=0"), "{set:?}");
    assert_eq!(world.peers.redeemed.lock().unwrap()[0].hex(), browser);
}

#[tokio::test]
async fn a_session_is_for_one_host_and_ends_there() {
    let (world, _upstream) = World::with_forum().await;
    let (user, _) = world.user("ada");
    world.put(&world.instance("other.localhost")).await;
    world.grant(user, "forum.seeAdmin", &world.instance("forum.localhost")).await;
    let token = world.session_at("forum.localhost", "ada");
    let (cookie, bearer) = (format!("mandate_session={token}"), format!("Bearer {token}"));
    let cookie = ("Cookie", cookie.as_str());
    assert_eq!(world.ask("GET /admin", "forum.localhost", &[cookie], "").await.status, 200);
    assert_eq!(world.ask("GET /admin", "other.localhost", &[cookie], "").await.status, 401);
    let bearer = [("Authorization", bearer.as_str())];
    assert_eq!(world.ask("GET /admin", "forum.localhost", &bearer, "").await.status, 401);

    let answer = world.ask("POST /.mandate/sign-out", "forum.localhost", &[cookie], "").await;
    assert_eq!(answer.status, 403, "not from a page of ours");
    let own = ("Sec-Fetch-Site", "same-origin");
    let answer = world.ask("POST /.mandate/sign-out", "forum.localhost", &[cookie, own], "").await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("set-cookie").unwrap().contains("max-age=0"));
    assert_eq!(*world.peers.signed_out.lock().unwrap(), [(user, SessionId::named(&["ada"]))]);
}

#[tokio::test]
async fn no_page_of_ours_asks_for_a_password() {
    let (world, _upstream) = World::with_forum().await;
    for path in ["/.mandate/sign-in", "/.mandate/sign-in?next=/x", "/.mandate/sign-out"] {
        let page = world.get(path).await;
        assert!(!page.body.contains("type=\"password\""), "{page:?}");
    }
    let typed = "email=ada%40example.com&password=correct+horse+battery";
    assert_eq!(send(&world, "/.mandate/sign-in", typed).await.status, 405);
}

#[tokio::test]
async fn a_session_that_was_ended_is_none() {
    let (world, _upstream) = World::with_forum().await;
    let session = SessionId::named(&["ada"]);
    let user = UserId::named(&["ada"]);
    let token = world.token(Principal::User(user), Some(session), 600);
    world.grant(user, "forum.seeAdmin", &world.instance("forum.localhost")).await;
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    assert_eq!(world.ask("GET /admin", "forum.localhost", &headers, "").await.status, 200);
    world.end_session("ada").await;
    assert_eq!(world.ask("GET /admin", "forum.localhost", &headers, "").await.status, 401);
}

/// The application's own set-up page is let through to whoever has shown the key, and nothing else.
#[tokio::test]
async fn an_application_serves_its_set_up_page_itself() {
    let (world, upstream) = World::with_forum().await;
    let (before, rest) = FORUM.split_once("[setup.name]").unwrap();
    let (_, after) = rest.split_once("[modules.polls]").unwrap();
    let own = "[setup]\npath = \"/topics\"\n\n[modules.polls]";
    world.publish(&format!("{before}{own}{after}")).await;
    let mut route = world.instance("forum.localhost");
    route.state = InstanceState::AwaitingSetup;
    route.setup_key = Some(Digest::of(b"right"));
    world.put(&route).await;

    let wrong = world.get("/.mandate/setup?key=wrong").await;
    assert_eq!(wrong.header("set-cookie"), None);
    let cookie = world.get(SETUP).await.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("mandate_setup=right; path=/; httponly"), "{cookie}");
    let ask = async |line: &str, key: &str| {
        let cookie = format!("mandate_setup={key}; own=1");
        world.ask(line, "forum.localhost", &[("Cookie", &cookie)], "").await.status
    };
    assert_eq!(ask("GET /topics", "right").await, 200);
    assert_eq!(ask("GET /topics/1", "right").await, 200);
    assert_eq!(ask("POST /topics/1/posts", "right").await, 200);
    let hits = upstream.hits();
    for (line, key) in [
        ("GET /topics", "wrong"),
        ("GET /topics", ""),
        ("GET /", "right"),
        ("GET /topicsandmore", "right"),
        ("GET /topics/../files", "right"),
        ("POST /users", "right"),
    ] {
        assert_eq!(ask(line, key).await, 503, "{line} {key}");
    }
    assert_eq!(world.get("/topics").await.status, 503);
    assert_eq!(upstream.hits(), hits, "nothing of it has come through");
    route.maintenance = Some("new shelves".into());
    world.put(&route).await;
    assert_eq!(ask("GET /topics", "right").await, 503);
    route = world.instance("forum.localhost");
    route.state = InstanceState::AwaitingSetup;
    world.put(&route).await;
    assert_eq!(ask("GET /topics", "right").await, 503, "its key is not known");
}
