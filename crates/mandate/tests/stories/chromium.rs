//! Signing in and out in the browser that most people have: Chromium, driven over `WebDriver`.

use std::path::Path;

use api::configurator::Instance;
use browser::{Client, Locator};
use db::EngineKind::Sqlite;
use serde_json::Value;

use crate::world::{PASSWORD, Person, Shape::Together, World, until};

const HOST: &str = "gil-diary.localhost";

/// A window of Chromium.
pub(crate) struct Chromium {
    pub(crate) client: Client,
    _browser: browser::Chromium,
}

impl Chromium {
    pub(crate) async fn start(profile: &Path) -> Self {
        let profile = format!("--user-data-dir={}", profile.display());
        let browser = browser::Chromium::start(&[&profile]).await.unwrap();
        Self { client: browser.client.clone(), _browser: browser }
    }

    pub(crate) async fn opens(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn reads(&self, css: &str) -> String {
        loop {
            // A page that follows along may be another one between the two questions.
            match self.client.find(Locator::Css(css)).await.unwrap().text().await {
                Err(error) if error.is_stale_element_reference() => {}
                read => return read.unwrap(),
            }
        }
    }

    pub(crate) async fn types(&self, css: &str, text: &str) {
        self.client.find(Locator::Css(css)).await.unwrap().send_keys(text).await.unwrap();
    }

    pub(crate) async fn clicks(&self, css: &str) {
        self.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// Presses a button and waits for the page that it leads to.
    pub(crate) async fn presses(&self, css: &str) {
        let before = self.client.find(Locator::Css("html")).await.unwrap();
        self.clicks(css).await;
        // An element of a page that is gone is none any more.
        until("another page is there", async || before.tag_name().await.is_err()).await;
        self.client.wait().for_element(Locator::Css("h1")).await.unwrap();
    }

    pub(crate) async fn is_at(&self, url: &str) {
        let here = self.client.current_url().await.unwrap();
        assert!(here.as_str().starts_with(url), "{here} and not {url}");
    }
}

/// A platform with the diary on offer, its operator, and Gil, who has an account there.
pub(crate) async fn diary_is_on_offer() -> (World, Person, Person) {
    let world = World::start(Together, Sqlite).await;
    let operator = world.operator().await;
    let folder = "crates/mandate/tests/stories/diary";
    let _: Value = operator.does(&["service", "publish", folder]).await;
    world.has_ready(&operator, "diary").await;
    let gil = world.registers("gil").await;
    (world, operator, gil)
}

#[tokio::test]
async fn somebody_signs_in_and_out_with_chromium() {
    let (world, _, gil) = diary_is_on_offer().await;
    gil.takes_diary(HOST).await;
    let diary = gil.sets_up(&world, HOST, &["title=Mine"]).await;
    let console = format!("http://console.localhost:{}", world.port());

    let chromium = Chromium::start(&world.folder().join("chromium")).await;
    a_visitors_form_passes(&chromium, &diary).await;
    the_password_is_typed_at_the_console(&chromium, &diary, &console, &gil).await;
    who_is_signed_in_is_known(&chromium, &diary).await;
    who_has_left_is_not(&chromium, &diary, &console).await;
    chromium.client.close().await.unwrap();
    world.end().await;
}

async fn a_visitors_form_passes(chromium: &Chromium, diary: &Instance) {
    chromium.opens(&format!("{}/", diary.url)).await;
    chromium.presses("#send").await;
    assert_eq!(chromium.reads("h1").await, "Sent to /guests");
    assert_eq!(chromium.reads("#who").await, "a visitor");
}

async fn the_password_is_typed_at_the_console(
    chromium: &Chromium,
    diary: &Instance,
    console: &str,
    gil: &Person,
) {
    chromium.opens(&format!("{}/pages", diary.url)).await;
    chromium.is_at(&format!("{console}/sign-in?")).await;
    assert!(chromium.reads("main").await.contains(HOST));
    chromium.types("input[name=email]", &gil.email).await;
    chromium.types("input[name=password]", PASSWORD).await;
    chromium.presses("main button").await;
    chromium.is_at(&format!("{console}/enter?")).await;
    chromium.presses("main button").await;
    chromium.is_at(&format!("{}/pages", diary.url)).await;
}

async fn who_is_signed_in_is_known(chromium: &Chromium, diary: &Instance) {
    assert!(chromium.reads("#who").await.starts_with("user_"));
    // The page's own script sees what the application has set, and nothing of the platform's.
    assert_eq!(chromium.reads("#seen").await, "[own=1]");
    chromium.presses("#send").await;
    assert_eq!(chromium.reads("h1").await, "Sent to /pages");
    assert!(chromium.reads("#who").await.starts_with("user_"));
    chromium.opens(&format!("{}/", diary.url)).await;
    chromium.presses("#send").await;
    assert_eq!(chromium.reads("h1").await, "Sent to /guests");
}

async fn who_has_left_is_not(chromium: &Chromium, diary: &Instance, console: &str) {
    chromium.opens(&format!("{}/.mandate/sign-out", diary.url)).await;
    chromium.presses("button").await;
    chromium.is_at(&format!("{}/", diary.url)).await;
    assert_eq!(chromium.reads("#who").await, "a visitor");
    chromium.opens(&format!("{}/pages", diary.url)).await;
    // The console still knows who it is, and asks.
    chromium.is_at(&format!("{console}/enter?")).await;
    chromium.presses("main button").await;
    assert!(chromium.reads("#who").await.starts_with("user_"));
}

impl Person {
    pub(crate) async fn takes_diary(&self, host: &str) -> Instance {
        let order = ["order", "place", "diary", "--size", "small", "--host", host, "--wait"];
        let _: Instance = self.does(&order).await;
        self.does(&["instance", "show", host]).await
    }
}
