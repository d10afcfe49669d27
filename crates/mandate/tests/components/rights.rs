//! Who may do what: every operation, asked by everybody. A new operation shows up in the snapshot.

use std::fmt::Write as _;

use api::{
    Kind,
    identity::{CreateUser, RegisterAccount},
};
use chassis::Caller;
use types::{AccountId, InstanceId, Name, NodeId, Principal, Resource, Secret, Timestamp, UserId};

use crate::world::PASSWORD;

fn caller(principal: Principal) -> Caller {
    Caller { principal, account: None, session: None }
}

/// The resource that an operation of this kind is asked about.
fn resource(on: &str, account: AccountId, node: NodeId) -> Resource {
    match on {
        "platform" => Resource::Platform,
        "account" => Resource::Account(account),
        "instance" => Resource::Instance(account, InstanceId::new(Timestamp::from_micros(1))),
        "service" => Resource::Service("forum".parse().unwrap()),
        "node" => Resource::Node(node),
        other => panic!("`{other}` is a new kind of resource: say here what it is"),
    }
}

stories! {
    async fn every_operation_is_asked_by_everybody(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let (node, _) = world.node("one").await;
        let (other, _) = world.node("two").await;
        let operator = world.operator().await.call(api::identity::WhoAmI {}).await.unwrap();
        let nobody = UserId::new(Timestamp::from_micros(1));
        let service = |name: &str| Principal::Service(name.parse::<Name>().unwrap());
        let mut askers = vec![
            ("visitor", Principal::Visitor),
            ("user", Principal::User(nobody)),
            ("stranger", eve.principal()),
            ("owner", ada.principal()),
            ("operator", operator.principal),
            ("its-node", Principal::Node(node)),
            ("other-node", Principal::Node(other)),
            ("forum", service("forum")),
            ("store", service("store")),
        ];
        askers.extend(api::PRINCIPALS.map(|name| (name, service(name))));
        let mut table = String::new();
        for listing in api::listings() {
            let on = resource(listing.on, ada.account, node);
            let may = askers.iter().filter(|(_, principal)| {
                let caller = caller(principal.clone());
                world.house.guard().authorize(&caller, listing.permission, &on).is_ok()
            });
            let may: Vec<_> = may.map(|(name, _)| *name).collect();
            let may = may.join(" ");
            writeln!(table, "{:<32} on {:<9} {may}", listing.permission, listing.on).unwrap();
        }
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
    sha256:0000000000000000000000000000000000000000000000000000000000000000";

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
