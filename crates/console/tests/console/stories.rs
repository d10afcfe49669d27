//! What customers, operators and ill-wishers meet.

use api::{Kind, Problem};
use http::StatusCode;

use crate::{
    browser::Browser,
    world::{OPERATOR_TOKEN, TOKEN, World, data},
};

const OWN: [(&str, &str); 1] = [("origin", "http://localhost:8080")];

fn of_account(page: &str) -> String {
    format!("/accounts/{}/{page}", data::account())
}

fn forum() -> String {
    of_account(&format!("instances/{}", data::instance_id("forum")))
}

fn customer(world: &World) -> Browser {
    Browser::with_token(world.console(), TOKEN)
}

fn operator(world: &World) -> Browser {
    Browser::with_token(world.console(), OPERATOR_TOKEN)
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

const ORDER: [(&str, &str); 4] =
    [("size", "small"), ("modules", "polls"), ("modules", "search"), ("host", "bakery-two")];

#[tokio::test]
async fn a_customer_signs_in_orders_and_sees_how_far_it_is() {
    let world = World::new();
    let mut ada = Browser::new(world.console());
    ada.get("/catalogue/forum").await;
    assert!(ada.body.contains("Open an account to order"));
    ada.get("/sign-in?next=/catalogue/forum").await;
    let sign_in = [("email", "ada@bakery.example"), ("password", data::PASSWORD)];
    ada.submit("/sign-in", &sign_in).await;
    assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, "/catalogue/forum"));
    let cookie = ada
        .headers
        .get_all("set-cookie")
        .iter()
        .find(|c| c.as_bytes().starts_with(b"mandate_session"));
    let cookie = cookie.unwrap().to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");

    ada.get("/catalogue/forum").await;
    ada.submit("/catalogue/forum", &ORDER).await;
    assert_eq!(ada.status, StatusCode::SEE_OTHER, "{}", ada.body);
    let order = ada.location().to_owned();
    ada.get(&order).await;
    assert!(
        ada.body.contains("bakery-two.localhost")
            && ada.body.contains("Basic · Small: a club or a class · Polls, Search")
    );
    assert!(
        ada.body.contains(&format!("data-live=\"{order}\"")) && ada.body.contains("data-going")
    );
    let fragment = ada.get_with(&order, &[("x-fragment", "1")]).await;
    assert!(fragment.starts_with("<div data-live") && !fragment.contains("<html"));

    ada.submit_sign_out().await;
    assert_eq!((ada.location(), ada.cookie("mandate_session")), ("/sign-in", None));
    ada.get(&order).await;
    assert!(ada.location().starts_with("/sign-in?next=%2Faccounts%2F"), "{}", ada.location());
}

impl Browser {
    async fn submit_sign_out(&mut self) {
        self.get("/catalogue").await;
        self.submit("/sign-out", &[]).await;
    }
}

#[tokio::test]
async fn a_new_customer_opens_an_account() {
    let world = World::new();
    let mut ada = Browser::new(world.console());
    ada.get("/register").await;
    let filled =
        [("title", "Corner Bakery"), ("email", "ada@bakery.example"), ("password", data::PASSWORD)];
    ada.submit("/register", &filled).await;
    assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, "/catalogue"));
    assert_eq!(ada.cookie("mandate_session"), Some(TOKEN));
    assert_eq!(ada.get("/").await, "");
    assert_eq!(ada.location(), of_account("instances"));
}

#[tokio::test]
async fn a_double_click_orders_once() {
    let world = World::new();
    let mut ada = customer(&world);
    let before = world.orders();
    let page = ada.get("/catalogue/forum").await.to_owned();
    ada.submit("/catalogue/forum", &ORDER).await;
    let first = ada.location().to_owned();
    ada.body = page;
    ada.submit("/catalogue/forum", &ORDER).await;
    assert_eq!((ada.location(), world.orders()), (first.as_str(), before + 1));
    ada.get("/catalogue/forum").await;
    ada.submit("/catalogue/forum", &ORDER).await;
    assert_eq!(world.orders(), before + 2, "a form that was loaded anew is another order");
}

#[tokio::test]
async fn a_refused_order_keeps_what_was_filled_in() {
    let world = World::new();
    let mut ada = customer(&world);
    ada.get("/catalogue/forum").await;
    let once = |browser: &Browser| {
        let hidden = browser.hidden("/catalogue/forum");
        hidden.into_iter().find(|(name, _)| name == "once").unwrap().1
    };
    let key = once(&ada);
    let taken = [("size", "medium"), ("modules", "polls"), ("host", "taken")];
    ada.submit("/catalogue/forum", &taken).await;
    assert_eq!(ada.status, StatusCode::CONFLICT);
    assert!(ada.body.contains("<code>taken.localhost</code> is taken already; choose another one"));
    assert!(
        ada.body.contains("value=\"medium\" checked")
            && ada.body.contains("value=\"polls\" checked")
    );
    assert!(ada.body.contains("name=\"host\" value=\"taken\"") && once(&ada) != key);

    // Whether the platform did it is unknown, so the same key is sent again.
    let key = once(&ada);
    world.refuse("provider.placeOrder", Problem::unavailable("the provider cannot work now", 5));
    ada.submit("/catalogue/forum", &ORDER).await;
    assert_eq!(ada.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ada.body.contains("Nothing is lost. Try again in 5 seconds."));
    assert_eq!(once(&ada), key);
}

#[tokio::test]
async fn a_form_counts_only_from_its_own_page() {
    let world = World::new();
    let mut ada = customer(&world);
    ada.get("/catalogue/forum").await;
    let mut sent = ada.hidden("/catalogue/forum");
    sent.extend(fields(&ORDER));
    let foreign = [
        vec![],
        vec![("origin", "http://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "http://shop.localhost:8080"), ("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "cross-site")],
    ];
    for headers in foreign {
        ada.post("/catalogue/forum", &headers, &sent).await;
        assert_eq!(ada.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(ada.body.contains("was not sent from a page of this console"));
    }
    let stranger = Browser::with_token(world.console(), OPERATOR_TOKEN);
    let tokens = [None, Some(String::new()), Some("0".repeat(64)), stranger.form_token().await];
    for token in tokens {
        let mut sent = fields(&ORDER);
        sent.extend(token.map(|token| ("form_token".to_owned(), token)));
        ada.post("/catalogue/forum", &OWN, &sent).await;
        assert_eq!(ada.status, StatusCode::FORBIDDEN);
        assert!(ada.body.contains("was made for another session"));
    }
    assert_eq!(world.changes(), vec![]);
}

impl Browser {
    async fn form_token(mut self) -> Option<String> {
        self.get("/operate/queues").await;
        self.hidden("/sign-out")
            .into_iter()
            .find(|(name, _)| name == "form_token")
            .map(|(_, token)| token)
    }
}

#[tokio::test]
async fn signing_in_is_guarded_too_and_leads_nowhere_else() {
    let world = World::new();
    for next in
        ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "evil"]
    {
        let mut ada = Browser::new(world.console());
        let sign_in = [("email", "ada@bakery.example"), ("password", data::PASSWORD)];
        ada.get("/sign-in").await;
        let mut sent = fields(&sign_in);
        sent.push(("next".into(), next.into()));
        ada.post("/sign-in", &OWN, &sent).await;
        assert_eq!(ada.status, StatusCode::FORBIDDEN, "no form token");
        sent.extend(ada_token(&mut ada).await);
        ada.post("/sign-in", &OWN, &sent).await;
        assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, "/"), "{next}");
        let path = format!("/sign-in?next={}", next.replace('\t', "%09"));
        ada.get(&path).await;
        assert_eq!(ada.location(), "/", "who is signed in is sent on at once");
    }
}

async fn ada_token(ada: &mut Browser) -> Vec<(String, String)> {
    ada.get("/sign-in").await;
    ada.hidden("/sign-in").into_iter().filter(|(name, _)| name == "form_token").collect()
}

#[tokio::test]
async fn a_wrong_password_is_told_on_the_form() {
    let mut ada = Browser::new(World::new().console());
    ada.get("/sign-in").await;
    ada.submit("/sign-in", &[("email", "ada@bakery.example"), ("password", "guess")]).await;
    assert_eq!(ada.status, StatusCode::UNAUTHORIZED);
    assert!(ada.body.contains("The e-mail address or the password is wrong."));
    assert!(ada.body.contains("value=\"ada@bakery.example\"") && !ada.body.contains("guess"));
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let world = World::new();
    let hostile = "<script>alert(1)</script>";
    let refused = Problem::invalid("unknown_size", format!("`{hostile}` is {hostile}"));
    world.refuse("provider.placeOrder", refused);
    let mut ada = customer(&world);
    ada.get("/catalogue/forum").await;
    ada.submit(
        "/catalogue/forum",
        &[("size", hostile), ("host", "\"><script>alert(1)</script>.b")],
    )
    .await;
    assert_eq!(ada.status, StatusCode::BAD_REQUEST);
    assert!(!ada.body.contains("<script>alert"), "{}", ada.body);
    assert!(ada.body.contains("&quot;&gt;&lt;script&gt;"));
    let page = operator(&world).get("/operate/accounts").await.to_owned();
    assert!(page.contains("Chess Club &lt;North&gt;"));
    let mut page = customer(&world);
    page.get(&format!(
        "{}?principal={}&permission=x",
        forum(),
        "%3Cscript%3Ealert(1)%3C/script%3E"
    ))
    .await;
    assert!(!page.body.contains("<script>alert") && page.body.contains("is not a principal"));
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_hold_a_page_together() {
    let world = World::new();
    let mut ada = customer(&world);
    let instances = of_account("instances");
    for path in ["/", "/catalogue", instances.as_str(), "/nowhere", "/accounts/nobody/bill"] {
        ada.get(path).await;
        let header = |name: &str| ada.headers.get(name).map_or("", |value| value.to_str().unwrap());
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'")
        );
        assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"));
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
    }
    let style = ada.get("/catalogue").await.split_once("/assets/").unwrap().1;
    let style = format!("/assets/{}", style.split('"').next().unwrap());
    ada.get(&style).await;
    assert_eq!(ada.headers["content-type"], "text/css; charset=utf-8");
    assert!(ada.headers["cache-control"].to_str().unwrap().contains("immutable"));
    ada.get("/assets/../Cargo.toml").await;
    assert_eq!(ada.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_platform_refuses_is_told_kindly() {
    let world = World::new();
    let mut ada = customer(&world);
    ada.get("/operate/services").await;
    assert_eq!(ada.status, StatusCode::FORBIDDEN);
    assert!(ada.body.contains("You may not do this") && ada.body.contains("<nav"));
    ada.get("/accounts/acct_00000000000000000000000000/bill").await;
    assert_eq!(ada.status, StatusCode::NOT_FOUND);
    for path in ["/accounts/x/bill", "/catalogue/Not%20A%20Name", "/nowhere"] {
        ada.get(path).await;
        assert!(
            ada.status.is_client_error() && ada.body.contains("There is nothing here"),
            "{path}"
        );
    }

    world.refuse(
        "access.listGrants",
        Problem::new(Kind::Denied, "denied", "ben may not list grants"),
    );
    world.refuse("jobs.listInstanceJobs", Problem::unavailable("jobs does not answer", 1));
    ada.get(&forum()).await;
    assert_eq!(ada.status, StatusCode::OK, "the rest of the page is there");
    assert!(ada.body.contains("You may not see this. Ben may not list grants."));
    assert!(ada.body.contains("This cannot be shown now. Jobs does not answer."));

    world.refuse("billing.getBill", Problem::unavailable("billing does not answer", 3));
    ada.get(&of_account("bill")).await;
    assert_eq!(ada.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ada.body.contains("Nothing is lost. Try again in 3 seconds."));

    world.refuse("identity.whoAmI", Problem::unavailable("identity does not answer", 3));
    ada.get(&of_account("bill")).await;
    assert_eq!(ada.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ada.cookie("mandate_session"), Some(TOKEN), "nobody is signed out by that");
}

#[tokio::test]
async fn what_a_problem_leads_to_explains_it_to_everybody() {
    let mut anybody = Browser::new(World::new().console());
    let problem = Problem::conflict("host_already_taken", "it is taken");
    anybody.get(&problem.reference).await;
    assert_eq!(anybody.status, StatusCode::OK);
    assert!(anybody.body.contains("Choose another one."), "{}", anybody.body);
    anybody.get("/problems").await;
    assert!(anybody.body.contains("/problems/host_already_taken"), "{}", anybody.body);
    anybody.get("/problems/there_is_none").await;
    assert_eq!(anybody.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_session_that_has_ended_leads_to_the_sign_in() {
    let world = World::new();
    let mut ada = Browser::with_token(world.console(), "old.token.signature");
    ada.get(&of_account("bill?month=2026-10")).await;
    let back = format!("/sign-in?next=%2Faccounts%2F{}%2Fbill%3Fmonth%3D2026-10", data::account());
    assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, back.as_str()));
    assert_eq!(ada.cookie("mandate_session"), None);
    let mut ben = Browser::with_token(world.console(), "old.token.signature");
    ben.post("/catalogue/forum", &OWN, &fields(&ORDER)).await;
    assert_eq!(ben.location(), "/sign-in");
    let mut script = Browser::with_token(world.console(), "old.token.signature");
    script.get_with(&of_account("bill"), &[("x-fragment", "1")]).await;
    assert_eq!((script.status, script.location()), (StatusCode::UNAUTHORIZED, ""));
}

#[tokio::test]
async fn a_planted_cookie_locks_nobody_out() {
    let mut ada = customer(&World::new());
    for planted in ["mandate_session=some.old.token", "mandate_session=", "mandate_visit=x"] {
        ada.get_with(&of_account("bill"), &[("cookie", planted)]).await;
        assert_eq!((ada.status, ada.location()), (StatusCode::OK, ""), "{planted}");
    }
    // Nor from signing in, where the cookie binds the form.
    let mut ben = Browser::new(World::new().console());
    ben.get("/sign-in").await;
    let mut sent = fields(&[("email", "ada@bakery.example"), ("password", data::PASSWORD)]);
    sent.extend(ben.hidden("/sign-in"));
    let planted = format!("mandate_visit={}", "0".repeat(32));
    ben.post("/sign-in", &[OWN[0], ("cookie", &planted)], &sent).await;
    assert_eq!(ben.status, StatusCode::SEE_OTHER, "{}", ben.body);
}

#[tokio::test]
async fn over_https_no_neighbour_can_set_our_cookies() {
    let world = World::new();
    let mut ada = Browser::new(world.console());
    let https = ("x-forwarded-proto", "https");
    ada.get_with("/sign-in", &[https]).await;
    assert!(ada.cookie("__Host-mandate_visit").is_some() && ada.cookie("mandate_visit").is_none());
    let mut sent = fields(&[("email", "ada@bakery.example"), ("password", data::PASSWORD)]);
    sent.extend(ada.hidden("/sign-in"));
    ada.post("/sign-in", &[OWN[0], https], &sent).await;
    assert_eq!(ada.cookie("__Host-mandate_session"), Some(TOKEN));
    let cookies: Vec<_> = ada.headers.get_all("set-cookie").iter().collect();
    let is_secure = |cookie: &http::HeaderValue| cookie.to_str().unwrap().ends_with("; Secure");
    assert!(cookies.iter().all(|cookie| is_secure(cookie)), "{cookies:?}");
    let mut planted = Browser::with_token(world.console(), TOKEN);
    planted.get_with(&of_account("bill"), &[https]).await;
    assert!(planted.location().starts_with("/sign-in"), "a name that anybody can set counts not");
}

#[tokio::test]
async fn one_goes_on_at_an_instances_host_only_when_asked() {
    let world = World::new();
    let browser = "ab".repeat(32);
    let enter = format!("/enter?host=bakery-forum.localhost&browser={browser}");
    let mut ada = Browser::new(world.console());
    ada.get(&enter).await;
    let sign_in = ada.location().to_owned();
    assert!(sign_in.starts_with("/sign-in?next=%2Fenter%3F"), "{sign_in}");
    ada.get(&sign_in).await;
    assert!(ada.body.contains("bakery-forum.localhost"), "{}", ada.body);
    let typed = [("email", "ada@bakery.example"), ("password", data::PASSWORD)];
    ada.submit("/sign-in", &typed).await;
    assert_eq!(ada.location(), enter);
    ada.get(&enter).await;
    assert!(ada.body.contains("Continue to bakery-forum.localhost"), "{}", ada.body);
    let policy = ada.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self' http://bakery-forum.localhost:8080;"), "{policy}");
    ada.submit("/enter", &[]).await;
    let back =
        format!("http://bakery-forum.localhost:8080/.mandate/enter?code=once&browser={browser}");
    assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, back.as_str()));

    for wrong in ["/enter", "/enter?host=a%20b&browser=x", "/enter?host=a.localhost&browser=x"] {
        ada.get(wrong).await;
        assert!(ada.status.is_client_error(), "{wrong}");
    }
    let sent = fields(&[("host", "bakery-forum.localhost"), ("browser", &browser)]);
    ada.post("/enter", &OWN, &sent).await;
    assert_eq!(ada.status, StatusCode::FORBIDDEN, "only from its page");
}

#[tokio::test]
async fn grants_are_given_and_taken_on_the_page_of_the_instance() {
    let world = World::new();
    let mut ada = customer(&world);
    let (grants, page) = (of_account("grants"), format!("{}#access", forum()));
    let ben = data::users()[1].email.clone();
    let on = format!("account/{}/instance/{}", data::account(), data::instance_id("forum"));
    ada.get(&forum()).await;
    assert!(!ada.body.contains("identity.joinNode"), "what no customer can give is not offered");
    ada.submit(&grants, &[("principal", &ben), ("given", "forum.moderate"), ("on", &on)]).await;
    assert_eq!(
        (ada.status, ada.location()),
        (StatusCode::SEE_OTHER, page.as_str()),
        "{}",
        ada.body
    );
    ada.get(&forum()).await;
    let revocation = format!("{grants}/{}/revocation", data::grants()[1].grant);
    ada.submit(&revocation, &[]).await;
    assert_eq!(ada.location(), page);
    let asked: Vec<_> =
        world.changes().into_iter().map(|(asked, key)| (asked, key.is_some())).collect();
    let expected = [("access.createGrant", true), ("access.revokeGrant", false)];
    assert_eq!(asked, expected.map(|(asked, once)| (asked.to_owned(), once)));
    ada.get(&forum()).await;
    ada.submit(&grants, &[("principal", "nobody"), ("given", "forum.moderate"), ("on", &on)]).await;
    assert_eq!(ada.status, StatusCode::BAD_REQUEST);
    assert!(ada.body.contains("<code>nobody</code> is not a principal"));
    ada.get(&forum()).await;
    assert!(!ada.body.contains("<select name=\"principal\""), "one is asked for, not all listed");
    let eve = [("principal", "eve@evil.example"), ("given", "forum.moderate"), ("on", &on)];
    ada.submit(&grants, &eve).await;
    assert_eq!(ada.status, StatusCode::NOT_FOUND);
    assert!(ada.body.contains("The account has no user <code>eve@evil.example</code>"));
}

#[tokio::test]
async fn a_node_is_emptied_filled_again_and_removed_on_its_page() {
    let world = World::new();
    let mut operator = operator(&world);
    let page = "/operate/nodes";
    operator.get(page).await;
    let nodes = data::nodes();
    let node = nodes[0].node;
    for (node, way) in [(node, "drain"), (nodes[1].node, "refill")] {
        operator.submit(&format!("{page}/{node}/{way}"), &[]).await;
        assert_eq!(operator.location(), page, "{way}");
        operator.get(page).await;
    }
    let removal = format!("{page}/{node}/removal");
    operator.submit(&removal, &[]).await;
    assert_eq!(operator.status, StatusCode::CONFLICT, "not while instances are there");
    operator.get(page).await;
    assert!(operator.body.contains("closes instances whose data is on it"));
    operator.submit(&removal, &[("force", "yes")]).await;
    assert_eq!(operator.location(), page);
    let asked: Vec<_> = world.changes().into_iter().map(|(asked, _)| asked).collect();
    let expected =
        ["releases.drainNode", "releases.refillNode", "identity.removeNode", "identity.removeNode"];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn an_instance_is_changed_closed_and_suspended_by_whom_it_concerns() {
    let world = World::new();
    let mut ada = customer(&world);
    ada.get(&forum()).await;
    assert!(!ada.body.contains("/suspension"));
    ada.submit(
        &format!("{}/maintenance", forum()),
        &[("maintenance_reason", "we paint the walls")],
    )
    .await;
    assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, forum().as_str()));
    ada.get(&forum()).await;
    ada.submit(&format!("{}/subscription", forum()), &[("size", "medium"), ("modules", "polls")])
        .await;
    assert!(ada.location().contains("/orders/ordr_"));
    let mut operator = operator(&world);
    operator.get(&forum()).await;
    operator
        .submit(&format!("{}/suspension", forum()), &[("suspension_reason", "the bill is open")])
        .await;
    assert_eq!(operator.location(), forum());
    let queue = "/operate/queues/forum/default";
    operator.get(queue).await;
    operator.submit(queue, &[("paused", "yes")]).await;
    assert_eq!(operator.location(), queue);
    let asked: Vec<_> = world.changes().into_iter().map(|(asked, _)| asked).collect();
    let expected = [
        "configurator.setMaintenance",
        "provider.changeSubscription",
        "provider.suspendInstance",
        "jobs.setQueue",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn navigation_shows_only_what_the_person_is() {
    let world = World::new();
    let nav = |body: &str| body.split_once("</nav>").unwrap().0.to_owned();
    let mut visitor = Browser::new(world.console());
    let visitors = nav(visitor.get("/catalogue").await);
    assert!(
        visitors.contains("Catalogue") && !visitors.contains("Bill") && !visitors.contains("Nodes")
    );
    let customers = nav(customer(&world).get("/catalogue").await);
    assert!(customers.contains("Bill") && !customers.contains("Nodes"));
    let mut operator = operator(&world);
    operator.get("/").await;
    assert_eq!(operator.location(), "/operate/services");
    let operators = nav(operator.get("/operate/services").await);
    assert!(operators.contains("Nodes") && !operators.contains("Bill"));
    operator.get(&of_account("bill")).await;
    assert!(operator.body.contains("A customer’s account"));
}

#[tokio::test]
async fn a_form_that_is_too_large_is_refused() {
    let world = World::new();
    let mut ada = customer(&world);
    ada.get("/catalogue/forum").await;
    let large = "x".repeat(70_000);
    ada.submit("/catalogue/forum", &[("host", &large)]).await;
    assert_eq!(ada.status, StatusCode::BAD_REQUEST);
    assert!(ada.body.contains("The form is too large"));
    assert_eq!(world.changes(), vec![]);
}
