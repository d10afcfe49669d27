//! Somebody buys in a store: an ordinary Flask application, with sessions and forms of its own.

use api::configurator::Instance;
use serde_json::json;

use crate::{
    bill::{count, usage},
    world::{Answer, Person, World, eventually},
};

/// Of the sample products with which the store was opened.
const PRODUCT: &str = "morning-blend";

pub(crate) async fn is_used(world: &World, eve: &Person, store: &Instance) {
    let host = store.host.as_str();
    let visitor = world.browser(host);
    let page = visitor.get(&format!("/products/{PRODUCT}")).await.is(200);
    let token = field(&page, "csrf_token");
    let line = [("product", PRODUCT), ("quantity", "2")];
    visitor.post("/cart", &line).await.is(400).shows("open the page again");
    let with_token = [line[0], line[1], ("csrf_token", &token)];
    // The token is the visitor's, and the visitor is known by the session's cookie.
    world.browser(host).post("/cart", &with_token).await.is(400);
    visitor.post("/cart", &with_token).await.is(303);
    let form = visitor.get("/checkout").await.is(200).shows("Morning blend");
    let (order, token) = (field(&form, "order"), field(&form, "csrf_token"));
    let fields = [
        ("order", order.as_str()),
        ("csrf_token", &token),
        ("name", "Vera"),
        ("email", "vera@example.com"),
        ("address", "Mill Lane 1"),
    ];
    let placed = visitor.post("/checkout", &fields).await.leads_to();
    visitor.get(&placed).await.is(200).shows("Order 1001").shows("Mill Lane 1");
    visitor.post("/checkout", &fields).await.is(200).shows("Order 1001");
    let items = json!([{ "product": PRODUCT, "quantity": 1 }]);
    let order =
        json!({ "name": "Till", "email": "till@example.com", "address": "2", "items": items });
    let by_program = world.browser(host).into_program();
    let answer = by_program.post_json("/api/orders", &order).await.is(201).json();
    let url = answer["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/orders/", store.url)), "{url}");
    let counted = |meter| move |seen: &_| count(seen, meter) > 0;
    let told = || usage(eve, store.instance);
    eventually("the order by program is counted", told, counted("api_orders")).await;
    let told = eventually("the order is counted", told, counted("orders")).await;
    assert_eq!((count(&told, "orders"), count(&told, "api_orders")), (1, 1));
}

/// The value of a form's hidden field.
fn field(page: &Answer, name: &str) -> String {
    let (_, rest) = page.body.split_once(&format!("name=\"{name}\"")).unwrap();
    let (_, rest) = rest.split_once("value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}
