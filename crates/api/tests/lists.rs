//! What answers with a page says which one is asked for, always in the same words.

use std::collections::BTreeSet;

use api::{
    COMPONENTS,
    access::ListPermissions,
    http::{decode, encode, openapi},
};
use serde_json::Value;
use types::Cursor;

#[test]
fn every_list_takes_where_to_begin_and_how_many() {
    let mut lists = 0;
    for component in COMPONENTS {
        let listings: Vec<_> =
            api::listings().into_iter().filter(|listing| listing.component == component).collect();
        let document = openapi(component, &listings);
        for listing in listings {
            let path = format!("/{component}{}", listing.path);
            let operation = &document["paths"][path][listing.method.to_ascii_lowercase()];
            let reply = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let reply = reply["$ref"].as_str().unwrap_or_default();
            let is_page = reply.rsplit('/').next().is_some_and(|name| name.starts_with("Page"));
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let optional = |name: &str| {
                parameters
                    .clone()
                    .any(|one: &Value| one["name"] == name && one["required"] == false)
            };
            let says_which = optional("after") && optional("limit");
            assert_eq!(is_page, says_which, "{}: {operation:#}", listing.permission);
            lists += usize::from(is_page);
        }
    }
    assert!(lists > 15, "{lists} lists were found");
}

#[test]
fn a_list_travels_as_a_query() {
    let list = ListPermissions {
        service: Some("forum".parse().expect("a name")),
        after: Some("a b".to_owned()),
        limit: Some(7),
    };
    let request = encode(&list).expect("it can be sent");
    let query = request.uri().query();
    // The order depends on who else is built with it.
    let parts: BTreeSet<&str> = query.unwrap_or_default().split('&').collect();
    assert_eq!(parts, BTreeSet::from(["after=a%20b", "limit=7", "service=forum"]));
    let read: ListPermissions = decode(&[], query, b"").expect("it can be read");
    assert_eq!(read, list);
    assert_eq!(read.cursor(), Cursor { after: Some("a b".to_owned()), limit: Some(7) });
}
