//! Ordinary requests: whose host, is it open, who asks, may they.

use std::time::Duration;

use crate::world::{Answer, FORUM, World, upstream::Upstream};
use api::{
    configurator::{InstanceState, Route},
    feed::Document as _,
};
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use types::{Principal, SessionId};

const PAGE: (&str, &str) = ("Accept", "text/html,*/*");

#[tokio::test]
async fn a_request_reaches_the_application_and_asks_no_component() {
    let (world, upstream) = World::with_forum().await;
    let (user, token) = world.user("ada");
    let route = world.instance("forum.localhost");
    world.grant(user, "forum.addUsers", &route).await;
    for _ in 0..20 {
        let answer = world.get("/topics/1?page=2").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.seen()["target"], "/topics/1?page=2");
        let bearer = format!("Bearer {token}");
        let answer =
            world.ask("POST /users", "forum.localhost", &[("Authorization", &bearer)], "{}").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(upstream.hits(), 40);
    assert_eq!(world.calls(), 0, "a request calls no other component");
}

#[tokio::test]
async fn hosts_lead_to_the_platform_to_an_instance_or_nowhere() {
    let (world, _upstream) = World::with_forum().await;
    for host in ["localhost", "console.localhost:8080", "API.localhost.", "127.0.0.1", "[::1]:8080"]
    {
        let answer = world.ask("GET /identity/v1/me?x=1", host, &[], "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "platform /identity/v1/me?x=1"),
            "{host}"
        );
    }
    let answer = world.ask("GET /", "FORUM.localhost.:8080", &[], "").await;
    assert_eq!(answer.status, 200);
    let seen = answer.seen().to_string();
    assert!(seen.contains(r#"["host","forum.localhost:8080"]"#), "{seen}");
    let answer = world.ask("GET /", "nobody.localhost", &[], "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_host"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let answer = world.ask("GET /", "nobody.localhost", &[PAGE], "").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("<code>nobody.localhost</code>"), "{}", answer.body);
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
}

/// A later platform may know more states than this gateway.
#[tokio::test]
async fn a_host_whose_route_cannot_be_read_is_nobodys() {
    let (world, _upstream) = World::with_forum().await;
    let host = "later.localhost";
    let route = world.instance(host);
    world.put(&route).await;
    assert_eq!(world.ask("GET /", host, &[], "").await.status, 200);
    let mut later = serde_json::to_value(&route).unwrap();
    later["state"] = "of_a_later_release".into();
    let feed = &world.peers.configurator;
    let revision = feed.change(Route::TOPIC, route.key(), Some(later));
    feed.acknowledged("test.gateway", revision).await;
    let answer = world.ask("GET /", host, &[], "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_host"));
    world.put(&route).await;
    assert_eq!(world.ask("GET /", host, &[], "").await.status, 200, "and back");
}

#[tokio::test]
async fn the_platform_hears_where_a_visitor_is_from_us_alone() {
    let world = World::with_forum().await.0;
    let lines = [("X-Forwarded-For", "10.0.0.1"), ("x-forwarded-for", "10.0.0.2, 10.0.0.3")];
    let answer = world.ask("GET /from", "localhost", &lines, "").await;
    assert_eq!(answer.body, r#"["127.0.0.1"]"#);
}

#[tokio::test]
async fn an_instance_that_is_closed_says_why() {
    let (world, upstream) = World::with_forum().await;
    let open = world.instance("forum.localhost");
    let mut route = open.clone();
    route.suspended = Some("the bill of <October> is open".into());
    world.put(&route).await;
    let answer = world.ask("GET /", "forum.localhost", &[PAGE], "").await;
    assert_eq!(answer.status, 402);
    assert!(answer.body.contains("the bill of &lt;October&gt; is open"), "{}", answer.body);
    assert_eq!(world.get("/.mandate/sign-in").await.status, 402);

    let mut route = open.clone();
    route.maintenance = Some("new shelves".into());
    world.put(&route).await;
    let answer = world.ask("POST /topics/1/posts", "forum.localhost", &[], "x").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "maintenance"));
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert!(answer.body.contains("new shelves"));

    for (state, code) in [
        (InstanceState::Creating, "creating"),
        (InstanceState::AwaitingSetup, "setup_needed"),
        (InstanceState::SettingUp, "setting_up"),
        (InstanceState::Failed, "setup_failed"),
    ] {
        let mut route = open.clone();
        route.state = state;
        world.put(&route).await;
        let answer = world.get("/").await;
        assert_eq!((answer.status, answer.code().as_str()), (503, code));
        assert!(answer.header("retry-after").is_some());
        let page = world.ask("GET /", "forum.localhost", &[PAGE], "").await;
        assert_eq!(page.status, 503);
        assert!(page.body.contains("<h1>"), "{page:?}");
    }
    assert_eq!(upstream.hits(), 0);
    world.put(&open).await;
    assert_eq!(world.get("/").await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_has_not_caught_up_opens_nothing() {
    let world = World::begin().await;
    world.peers.configurator.set_away(true);
    let answer = world.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_gateway_that_lost_its_lease_opens_nothing_until_it_is_back() {
    let (world, upstream) = World::with_forum().await;
    assert_eq!(world.get("/").await.status, 200);
    world.peers.configurator.set_away(true);
    let mut served = 0;
    while world.get("/").await.status == 200 {
        served += 1;
        tokio::task::yield_now().await;
    }
    assert!(served > 0, "a short absence is not noticed");
    let hits = upstream.hits();
    let answer = world.get("/").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(upstream.hits(), hits);
    world.peers.configurator.set_away(false);
    let route = world.instance("forum.localhost");
    world.put(&route).await;
    while world.get("/").await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn modules_are_closed_to_those_without() {
    let (world, _upstream) = World::with_forum().await;
    assert_eq!(world.get("/polls/7").await.status, 200);
    for path in [
        "/badges",
        "/badges/",
        "/%62adges",
        "//badges",
        "/x/../badges",
        "/badges;x=1",
        "/Badges",
        "/BADGES/",
    ] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "module_off"), "{path}");
    }
    let page = world.ask("GET /badges", "forum.localhost", &[PAGE], "").await;
    assert!(page.body.contains("Not part of this instance"), "{page:?}");
}

#[tokio::test]
async fn what_needs_a_permission_is_done_by_those_who_have_it() {
    let (world, upstream) = World::with_forum().await;
    let (user, token) = world.user("ada");
    let bearer = format!("Bearer {token}");
    let signed = [("Authorization", bearer.as_str())];
    let post = "POST /users";
    let answer = world.ask(post, "forum.localhost", &[], "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "sign_in"));
    assert_eq!(answer.header("www-authenticate"), Some("bearer"));
    let answer = world.ask(post, "forum.localhost", &signed, "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "denied"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.body.contains("forum.addUsers"), "{}", answer.body);
    assert_eq!(upstream.hits(), 0);

    let grant = world.grant(user, "forum.addUsers", &world.instance("forum.localhost")).await;
    let answer = world.ask(post, "forum.localhost", &signed, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.seen().to_string();
    assert!(seen.contains(&format!(r#"["x-mandate-user","{user}"]"#)), "{seen}");
    assert!(!seen.contains("authorization"), "{seen}");
    // Another instance of the same service is another resource.
    world.put(&world.instance("other.localhost")).await;
    assert_eq!(world.ask(post, "other.localhost", &signed, "{}").await.status, 403);

    world.revoke(grant).await;
    assert_eq!(world.ask(post, "forum.localhost", &signed, "{}").await.status, 403);
}

#[tokio::test]
async fn what_no_route_names_is_denied() {
    let (world, upstream) = World::with_forum().await;
    for line in ["DELETE /topics/1", "PATCH /", "OPTIONS /", "POST /", "POST /topics/1/posts/2"] {
        let answer = world.ask(line, "forum.localhost", &[], "x").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "no_route"), "{line}");
    }
    assert_eq!(upstream.hits(), 0);
    assert_eq!(world.ask("HEAD /", "forum.localhost", &[], "").await.status, 200);
}

#[tokio::test]
async fn somebody_who_looks_at_a_page_is_led_to_sign_in() {
    let (world, _upstream) = World::with_forum().await;
    let answer = world.ask("GET /admin/x?y=1", "forum.localhost", &[PAGE], "").await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("/.mandate/sign-in?next=%2fadmin%2fx%3fy%3d1"));
    assert_eq!(world.get("/admin/x").await.status, 401);
    let (_, token) = world.user("ada");
    let bearer = format!("Bearer {token}");
    let headers = [PAGE, ("Authorization", bearer.as_str())];
    let answer = world.ask("GET /admin/x", "forum.localhost", &headers, "").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("nobody has granted it"), "{}", answer.body);
}

#[tokio::test]
async fn bad_tokens_of_ours_are_refused_and_others_passed_on() {
    let (world, _upstream) = World::with_forum().await;
    let user = world.user("ada").0;
    let session = Some(SessionId::named(&["ada"]));
    let expired = world.token(Principal::User(user), session, -10);
    let fine = world.token(Principal::User(user), session, 60);
    let mut forged = fine.clone();
    forged.truncate(fine.len() - 8);
    forged.push_str("AAAAAAAA");
    for token in [expired.as_str(), forged.as_str()] {
        for scheme in ["Bearer", "bearer"] {
            let value = format!("{scheme} {token}");
            let answer =
                world.ask("GET /", "forum.localhost", &[("Authorization", &value)], "").await;
            assert_eq!(answer.status, 401, "{answer:?}");
        }
    }
    for value in ["Basic YTpi", "Bearer opaque", "Bearer a.b.c"] {
        let answer = world.ask("GET /", "forum.localhost", &[("Authorization", value)], "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.seen().to_string().contains(value), "{answer:?}");
    }
}

#[tokio::test]
async fn a_cookie_counts_only_from_pages_of_the_same_origin() {
    let (world, upstream) = World::with_forum().await;
    let (user, token) = world.user("ada");
    let route = world.instance("forum.localhost");
    world.grant(user, "forum.addUsers", &route).await;
    world.grant(user, "forum.seeAdmin", &route).await;
    let cookie = format!("a=1; mandate_session={token}");
    let cookie = ("Cookie", cookie.as_str());
    let answer = world.ask("GET /admin", "forum.localhost", &[cookie], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.seen().to_string();
    assert!(seen.contains(r#"["cookie","a=1"]"#) && !seen.contains(&token), "{seen}");
    let hits = upstream.hits();
    let foreign = [
        ("Origin", "http://evil.localhost"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "cross-site"),
        ("X-Nothing", "said"),
    ];
    for header in foreign {
        let answer = world.ask("POST /users", "forum.localhost", &[cookie, header], "x").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "foreign_origin"), "{header:?}");
    }
    assert_eq!(upstream.hits(), hits);
    let own = ("Origin", "http://forum.localhost");
    assert_eq!(world.ask("POST /users", "forum.localhost", &[cookie, own], "x").await.status, 200);
    // What does not come from a page of ours comes from nobody we know, and passes where nobody is
    // asked for: whether the application takes it is its own affair.
    for header in foreign {
        let answer =
            world.ask("POST /topics/1/posts", "forum.localhost", &[cookie, header], "x").await;
        assert_eq!(answer.status, 200, "{header:?}: {answer:?}");
        assert!(!answer.seen().to_string().contains("x-mandate-user"), "{header:?}: {answer:?}");
    }
    // A page that tells nobody where it is says `null`, and its browser that it is ours.
    let hidden = [cookie, ("Origin", "null"), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(world.ask("POST /users", "forum.localhost", &hidden, "x").await.status, 200);
    // A stale one is none, where none is needed.
    let stale = ("Cookie", "mandate_session=gone");
    assert_eq!(world.ask("GET /", "forum.localhost", &[stale], "").await.status, 200);
}

#[tokio::test]
async fn a_planted_cookie_locks_nobody_out() {
    let (world, _upstream) = World::with_forum().await;
    let (user, _) = world.user("ada");
    world.grant(user, "forum.seeAdmin", &world.instance("forum.localhost")).await;
    let own = format!("mandate_session={}", world.session_at("forum.localhost", "ada"));
    let own = ("Cookie", own.as_str());
    let elsewhere = format!("mandate_session={}", world.session_at("evil.localhost", "eve"));
    let mut forged = own.1.to_owned();
    forged.truncate(forged.len() - 4);
    for planted in ["mandate_session=x", "mandate_session=", &elsewhere, &forged, own.1] {
        let planted = ("Cookie", planted);
        for cookies in [[planted, own], [own, planted]] {
            let answer = world.ask("GET /admin", "forum.localhost", &cookies, "").await;
            assert_eq!(answer.status, 200, "{planted:?}: {answer:?}");
            assert!(!answer.seen().to_string().contains("mandate_session"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_cannot_sign_anybody_in() {
    let (world, _upstream) = World::with_forum().await;
    let answer = world.get("/?cookie").await;
    assert_eq!(answer.header("set-cookie"), Some("own=1"));
    assert!(!answer.head.contains("mandate_session"), "{answer:?}");
    assert!(!answer.head.contains("domain="), "an application writes at its own host: {answer:?}");
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn no_spelling_of_a_name_forges_who_asks() {
    let (world, upstream) = World::with_forum().await;
    let forged = [
        ("X-Mandate-User", "user_x"),
        ("X.Mandate.User", "user_x"),
        ("X-Mandate.User", "user_x"),
        ("X_Mandate_User", "user_x"),
        ("X.Forwarded.For", "10.0.0.1"),
        ("X.HTTP.Method.Override", "DELETE"),
        ("X.Original.URL", "/admin"),
        ("X~Mandate!User", "user_x"),
    ];
    let answer = world.ask("GET /", "forum.localhost", &forged, "").await;
    assert_eq!((answer.status, upstream.hits()), (200, 1));
    let seen = answer.seen();
    let mut names: Vec<String> = seen["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair[0].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    let told = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"];
    assert_eq!(names, told, "{seen}");
    assert!(!seen.to_string().contains("10.0.0.1"), "{seen}");
}

/// A request that has got past the gate to a replica that then breaks off, so that it is tried at
/// another one; `change` happens in between.
#[expect(clippy::unwrap_used, reason = "a test ends where it fails")]
async fn tried_again(world: &World, change: impl AsyncFnOnce()) -> Answer {
    let breaking = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.replica("breaking", breaking.local_addr().unwrap(), None).await;
    let bearer = format!("Bearer {}", world.user("ada").1);
    let headers = [("Authorization", bearer.as_str())];
    loop {
        let asking = world.ask("GET /admin", "forum.localhost", &headers, "");
        tokio::pin!(asking);
        // The other one may come first.
        let mut broken = tokio::select! {
            stream = breaking.accept() => stream.unwrap().0,
            _ = &mut asking => continue,
        };
        assert!(broken.read(&mut [0; 64]).await.unwrap() > 0);
        change().await;
        drop((broken, breaking));
        return asking.await;
    }
}

#[tokio::test]
async fn what_is_tried_again_is_judged_again() {
    let (world, upstream) = World::with_forum().await;
    let (user, _) = world.user("ada");
    let open = world.instance("forum.localhost");
    let grant = world.grant(user, "forum.seeAdmin", &open).await;
    let fine = tried_again(&world, async || {}).await;
    assert_eq!(fine.status, 200, "{fine:?}");

    let mut closed = open.clone();
    closed.suspended = Some("unpaid".into());
    let mut hits_before = 0;
    let answer = tried_again(&world, async || {
        world.put(&closed).await;
        hits_before = upstream.hits();
    })
    .await;
    assert_eq!((answer.status, answer.code().as_str()), (402, "suspended"));
    assert_eq!(upstream.hits(), hits_before);
    world.put(&open).await;

    let answer = tried_again(&world, async || world.revoke(grant).await).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "denied"));
    world.grant(user, "forum.seeAdmin", &open).await;

    let answer = tried_again(&world, async || world.end_session("ada").await).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"));
}

#[tokio::test]
async fn what_waited_for_a_replica_is_judged_again() {
    let world = World::start().await;
    world.publish(FORUM).await;
    world.put(&world.instance("forum.localhost")).await;
    let change = async {
        // Nothing tells that a request waits; if it came later it would be refused all the same.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut closed = world.instance("forum.localhost");
        closed.maintenance = Some("new shelves".into());
        world.put(&closed).await;
        let upstream = Upstream::start().await;
        world.replica("two", upstream.address, None).await;
        upstream
    };
    let (answer, upstream) = tokio::join!(world.get("/"), change);
    assert_eq!((answer.status, answer.code().as_str()), (503, "maintenance"));
    assert_eq!(upstream.hits(), 0);
}
