//! Behind something that ends TLS.

use crate::world::{Answer, World};

const HTTPS: (&str, &str) = ("X-Forwarded-Proto", "https");

/// What the application was told in a header.
#[expect(clippy::unwrap_used, reason = "a test ends where it fails")]
fn told(answer: &Answer, name: &str) -> Option<String> {
    let seen = answer.seen();
    let mut pairs = seen["headers"].as_array().unwrap().iter();
    let pair = pairs.find(|pair| pair[0].as_str() == Some(name))?;
    pair[1].as_str().map(str::to_owned)
}

#[tokio::test]
async fn what_the_proxy_says_is_passed_on() {
    let (world, _upstream) = World::behind_proxy().await;
    let said = [HTTPS, ("X-Forwarded-For", "6.6.6.6, 192.0.2.7")];
    let answer = world.ask("GET /", "forum.localhost", &said, "").await;
    let told = |name| told(&answer, name).unwrap();
    // With these Django, Rails and others know that `https://forum.localhost` is their own origin.
    assert_eq!(told("x-forwarded-proto"), "https");
    assert_eq!((told("host"), told("x-forwarded-host")), ("forum.localhost".into(), told("host")));
    assert_eq!(told("x-forwarded-for"), "192.0.2.7");
}

#[tokio::test]
async fn a_proxy_that_says_nothing_of_the_scheme_ends_tls_all_the_same() {
    let (world, _upstream) = World::behind_proxy().await;
    let answer = world.get("/").await;
    assert_eq!(told(&answer, "x-forwarded-proto").as_deref(), Some("https"));
    let clear = [("X-Forwarded-Proto", "http")];
    let answer = world.ask("GET /", "forum.localhost", &clear, "").await;
    assert_eq!(told(&answer, "x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (world, _upstream) = World::with_forum().await;
    let said = [HTTPS, ("X-Forwarded-For", "192.0.2.7")];
    let answer = world.ask("GET /", "forum.localhost", &said, "").await;
    assert_eq!(told(&answer, "x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(told(&answer, "x-forwarded-for").as_deref(), Some("127.0.0.1"));
    // Nor at the platform's own hosts.
    let answer = world.ask("GET /seen", "console.localhost", &said, "").await;
    assert!(answer.body.contains("proto=http for=127.0.0.1"), "{answer:?}");
}

#[tokio::test]
async fn our_cookies_are_for_https_and_this_host_alone() {
    let (world, _upstream) = World::behind_proxy().await;
    let (user, _) = world.user("ada");
    world.grant(user, "forum.seeAdmin", &world.instance("forum.localhost")).await;
    let answer = world.ask("GET /.mandate/sign-in", "forum.localhost", &[HTTPS], "").await;
    let console = "https://console.localhost/enter?";
    assert!(answer.header("location").unwrap().starts_with(console), "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__host-mandate_way=") && cookie.ends_with("; secure"), "{cookie}");

    let token = world.session_at("forum.localhost", "ada");
    for (name, status) in [("__Host-mandate_session", 200), ("mandate_session", 401)] {
        let cookie = format!("{name}={token}");
        let sent = [HTTPS, ("Cookie", cookie.as_str())];
        assert_eq!(world.ask("GET /admin", "forum.localhost", &sent, "").await.status, status);
    }
    let cookie = format!("__Host-mandate_session={token}");
    for (origin, status) in [("https://forum.localhost", 200), ("http://forum.localhost", 401)] {
        let sent = [HTTPS, ("Cookie", cookie.as_str()), ("Origin", origin)];
        let answer = world.ask("PUT /admin", "forum.localhost", &sent, "x").await;
        assert_eq!(answer.status == 200, status == 200, "{origin}: {answer:?}");
    }
}
