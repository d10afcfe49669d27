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
