//! A real Django behind us: what it knows of a request it knows from the headers that we send.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use crate::world::{Answer, World, python::Python};

const HTTPS: (&str, &str) = ("X-Forwarded-Proto", "https");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Loads the form and sends it, as a browser does that came by HTTPS.
async fn sends_the_form(world: &World) -> Answer {
    let request = "GET /topics/1/posts HTTP/1.1\r\nHost: forum.localhost\r\n\
                   X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let bytes = world.raw(request.as_bytes()).await;
    let token = Answer::read(&bytes).body;
    let page = String::from_utf8(bytes).unwrap();
    let cookie = page.split_once("csrftoken=").unwrap().1.split(';').next().unwrap();
    let body = format!("csrfmiddlewaretoken={token}");
    let cookie = format!("csrftoken={cookie}");
    let origin = ("Origin", "https://forum.localhost");
    let referer = ("Referer", "https://forum.localhost/topics/1/posts");
    let headers = [HTTPS, FORM, origin, referer, ("Cookie", cookie.as_str())];
    world.ask("POST /topics/1/posts", "forum.localhost", &headers, &body).await
}

#[tokio::test]
async fn its_check_of_forms_passes_behind_tls() {
    let (world, upstream) = World::behind_proxy().await;
    drop(upstream);
    let python = Python::with(&world.folder, &["Django>=5.2,<5.3"]).await;
    let django = python.serves("django_app.py", &[]).await;
    world.replica("one", django.address, None).await;
    let answer = sends_the_form(&world).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "taken"));

    // It is by our word: one who only says so does not pass.
    let (open, upstream) = World::with_forum().await;
    drop(upstream);
    open.replica("one", django.address, None).await;
    assert_eq!(sends_the_form(&open).await.status, 403);
}
