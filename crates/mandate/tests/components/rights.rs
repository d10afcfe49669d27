//! Who may do what: every operation, asked by everybody. A new operation shows up in the snapshot.

use std::collections::BTreeMap;

use api::{
    Client, Kind, Listing,
    http::token::{Claims, EVERYONE},
    identity::{CreateUser, RegisterAccount},
};
use bytes::Bytes;
use http::Request;
use schemars::SchemaGenerator;
use serde_json::{Value, json};
use types::{
    AccountId, Clock as _, InstanceId, NodeId, Principal, Resource, Secret, Timestamp, UserId,
};

use crate::world::{MANIFEST, PASSWORD, PRICES};

/// Who asks what of whom: the platform's answers to requests as they come over the network.
struct Asking {
    generator: SchemaGenerator,
    values: BTreeMap<&'static str, Value>,
}

impl Asking {
    fn new(account: AccountId, node: NodeId) -> Self {
        let manifest = MANIFEST.replace("NAME", "forum");
        let manifest = api::manifest::Manifest::parse("mandate.toml", &manifest).unwrap();
        let prices = PRICES.replace("NAME", "forum");
        let prices = api::prices::PriceBook::parse("prices.toml", &prices).unwrap();
        let moment = Timestamp::from_micros(1);
        let digest = types::Digest::of(b"");
        // What a field of that name looks like; every other one is what its schema says.
        let values = BTreeMap::from([
            ("account", json!(account)),
            ("node", json!(node)),
            ("instance", json!(InstanceId::named(&["one"]))),
            ("user", json!(UserId::new(moment))),
            ("session", json!(types::SessionId::new(moment))),
            ("grant", json!(types::GrantId::new(moment))),
            ("order", json!(types::OrderId::new(moment))),
            ("job", json!(types::JobId::new(moment))),
            ("after_job", json!(null)),
            ("service", json!("forum")),
            ("host", json!("a.localhost")),
            ("name", json!("machine")),
            ("principal", json!("visitor")),
            ("permission", json!("forum.addUsers")),
            ("given", json!("forum.*")),
            ("on", json!(Resource::Account(account))),
            ("digest", json!(digest)),
            ("release", json!(digest)),
            ("browser", json!(digest)),
            ("manifest", json!(manifest)),
            ("prices", json!(prices)),
            ("book", json!(prices)),
        ]);
        Self { generator: SchemaGenerator::default(), values }
    }

    /// A request that can be read: every field that has to be there is there.
    fn request(&mut self, listing: &Listing) -> Request<Bytes> {
        let schema = (listing.fields)(&mut self.generator);
        let Value::Object(mut fields) = self.value(schema.as_value()) else {
            panic!("{} has no fields", listing.permission)
        };
        let fill = |segment: &str| match segment.strip_prefix('{') {
            None => segment.to_owned(),
            Some(name) => match fields.remove(name.trim_end_matches('}')).unwrap() {
                Value::String(text) => text,
                other => other.to_string(),
            },
        };
        let path: Vec<String> = listing.path.split('/').map(fill).collect();
        let target = format!("/{}{}", listing.component, path.join("/"));
        let request = Request::builder().method(listing.method);
        if matches!(listing.method, "GET" | "DELETE") {
            let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
            let query = fields.iter().map(|(name, value)| format!("{name}={}", text(value)));
            let query = query.collect::<Vec<_>>().join("&");
            return request.uri(format!("{target}?{query}")).body(Bytes::new()).unwrap();
        }
        request.uri(target).body(Value::Object(fields).to_string().into()).unwrap()
    }

    /// The least that the schema allows.
    fn value(&self, schema: &Value) -> Value {
        let schema = match schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
            Some(name) => &self.generator.definitions()[name].clone(),
            None => schema,
        };
        if let Some(one) = schema["enum"].get(0).or(schema.get("const")) {
            return one.clone();
        }
        if let Some(one) = schema["oneOf"].get(0).or(schema["anyOf"].get(0)) {
            return self.value(one);
        }
        match schema["type"].as_str().or(schema["type"][0].as_str()) {
            Some("object") => {
                let required = schema["required"].as_array().into_iter().flatten();
                let field = |name: &Value| {
                    let name = name.as_str().unwrap();
                    let schema = &schema["properties"][name];
                    // What is sent as a text is not yet what the text says.
                    let is_text = schema["type"] == "string";
                    let known = self.values.get(name).filter(|value| !is_text || value.is_string());
                    (name.to_owned(), known.cloned().unwrap_or_else(|| self.value(schema)))
                };
                Value::Object(required.map(field).collect())
            }
            Some("array") => json!([]),
            Some("integer" | "number") => json!(0),
            Some("boolean") => json!(false),
            _ if schema["format"] == "date-time" => json!(Timestamp::from_micros(1)),
            _ => json!("x"),
        }
    }
}

/// Whether whoever the client is was let in to `listing`. What comes of it is another matter.
async fn may(client: &Client, listing: &Listing, request: Request<Bytes>) -> bool {
    match client.send(listing.component, request).await {
        Ok(_) => true,
        Err(problem) if problem.code == "invalid_request" => {
            panic!("say above how {} is asked: {problem}", listing.permission)
        }
        // The node that is removed last asks on.
        Err(problem) => {
            let refused = ["denied", "sign_in", "node_unknown", "token_not_for_us"];
            !refused.contains(&problem.code.as_str())
        }
    }
}

stories! {
    async fn every_operation_is_asked_by_everybody(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let (node, one) = world.node("one").await;
        let (_, other) = world.node("two").await;
        let key = world.house.signer("identity").unwrap();
        let signed_to = |audience: &str, sub: Principal| {
            let sid = Some(types::SessionId::named(&["nobody"]));
            let life = std::time::Duration::from_mins(1);
            let claims = Claims { sid, ..Claims::new(sub, audience, world.clock.now(), life) };
            world.visitor().with_token(Some(&key.sign(&claims)))
        };
        let signed = |sub| signed_to(EVERYONE, sub);
        let service = |name: &str| signed(Principal::Service(name.parse().unwrap()));
        let processes = |of| {
            signed_to("jobs", Principal::Instance(of, InstanceId::named(&["one"])))
        };
        let mut askers = vec![
            ("visitor", world.visitor()),
            ("user", signed(Principal::User(UserId::new(Timestamp::from_micros(1))))),
            ("stranger", eve.client.clone()),
            ("owner", ada.client.clone()),
            ("operator", world.operator().await),
            ("its-node", one),
            ("other-node", other),
            ("forum", service("forum")),
            ("store", service("store")),
            ("its-instance", processes(ada.account)),
            ("other-instance", processes(eve.account)),
        ];
        askers.extend(api::PRINCIPALS.map(|name| (name, world.component(name))));
        let mut asking = Asking::new(ada.account, node);
        let mut table = BTreeMap::new();
        let mut listings: Vec<_> = api::listings().into_iter().enumerate().collect();
        // Last, since after it the node is nobody.
        listings.sort_by_key(|(_, listing)| listing.permission == "identity.removeNode");
        for (place, listing) in listings {
            let request = asking.request(&listing);
            let mut names = Vec::new();
            for (name, client) in &askers {
                if may(client, &listing, request.clone()).await {
                    names.push(*name);
                }
            }
            let names = names.join(" ");
            table.insert(place, format!("{:<32} on {:<9} {names}", listing.permission, listing.on));
        }
        let table = table.into_values().collect::<Vec<_>>().join("\n") + "\n";
        insta::with_settings!({ prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("who_may_do_what", table);
        });
    }

    async fn the_key_of_billing_cannot_create_users(world: &World) {
        let ada = world.sign_up("ada").await;
        let create = CreateUser {
            account: ada.account,
            email: "ben@example.com".into(),
            password: Secret::new(PASSWORD),
        };
        let refused = world.component("billing").call(create).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Denied);
        assert!(refused.detail.contains("service/billing"), "{refused}");
        let users = api::identity::ListUsers { account: ada.account, after: None, limit: None };
        assert_eq!(ada.client.call(users).await.unwrap().items.len(), 1);
    }

    async fn a_token_for_one_component_is_worth_nothing_at_another(world: &World) {
        use api::Credentials as _;
        let signer = world.house.signer("gateway").unwrap();
        let token = signer.bearer("identity").unwrap();
        let snapshot = api::access::ReadSnapshot { after: None };
        let refused = world.visitor().with_token(Some(&token)).call(snapshot).await.unwrap_err();
        assert_eq!(refused.code, "token_not_for_us");
    }

    async fn a_request_that_cannot_be_read_is_refused_before_anything_is_done(world: &World) {
        let register = RegisterAccount {
            title: "x".repeat(2 << 20),
            email: "ada@example.com".into(),
            password: Secret::new(PASSWORD),
        };
        let long = world.visitor().call(register).await.unwrap_err();
        assert_eq!(long.code, "body_too_long");
        // Who sends everything before they listen hears it too.
        let directory = world.house.directory().clone();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = move |request: axum::extract::Request| {
            let directory = directory.clone();
            async move { directory.answer(request).await }
        };
        let router = axum::Router::new().fallback(answer);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        for (line, status) in [
            ("POST /identity/v1/accounts", " 400 "),
            (UNASKED, " 401 "),
            ("PUT /identity/v1/nothing", " 404 "),
            ("DELETE /identity/v1/accounts", " 405 "),
        ] {
            let sent = tokio::task::spawn_blocking(move || send_all(address, line)).await.unwrap();
            let answer = sent.unwrap_or_else(|cause| panic!("{line}: {cause}"));
            assert!(answer.split("\r\n").next().unwrap().contains(status), "{line}: {answer}");
        }
        serving.abort();
        for (path, body) in [
            ("/identity/v1/accounts", "{"),
            ("/identity/v1/accounts", "[]"),
            ("/identity/v1/accounts", r#"{"title":"x"}"#),
            ("/identity/v1/accounts/acct_1/users", "{}"),
        ] {
            let request = http::Request::post(path).body(body.into()).unwrap();
            let problem = world.visitor().send("identity", request).await.unwrap_err();
            assert_eq!(problem.kind, Kind::Invalid, "{path} {body}: {problem}");
            assert!(problem.request.is_some());
        }
    }
}

const UNASKED: &str = "PUT /releases/v1/packages/\
    sha256:0000000000000000000000000000000000000000000000000000000000000000/parts/0";

/// Sends 30 MiB, and then reads.
fn send_all(address: std::net::SocketAddr, line: &str) -> std::io::Result<String> {
    use std::io::{Read as _, Write as _};
    const PART: usize = 8 << 10;
    const PARTS: usize = 3_840;
    let mut stream = std::net::TcpStream::connect(address)?;
    let length = PART * PARTS;
    write!(stream, "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n")?;
    write!(stream, "Content-Length: {length}\r\n\r\n")?;
    for _ in 0..PARTS {
        stream.write_all(&[b'a'; PART])?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
