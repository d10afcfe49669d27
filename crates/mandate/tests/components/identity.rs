//! Who is calling: registering, signing in and out, machines that join.

use std::time::Duration;

use api::{
    Kind,
    identity::{
        CreateJoinToken, CreateUser, IssueServiceToken, JoinNode, ListAccounts, ListUsers,
        RegisterAccount, SignOut, WhoAmI,
    },
};
use types::{Clock as _, Digest, Secret};

use crate::world::PASSWORD;

fn register(email: &str, password: &str) -> RegisterAccount {
    RegisterAccount {
        title: "A bakery".into(),
        email: email.into(),
        password: Secret::new(password),
    }
}

stories! {
    async fn who_registers_owns_the_account(world: &World) {
        let ada = world.sign_up("ada").await;
        let me = ada.client.call(WhoAmI {}).await.unwrap();
        assert_eq!(me.user.unwrap().account, Some(ada.account));
        assert_eq!(me.session, Some(ada.session));
        let users = ada.client.call(ListUsers { account: ada.account, after: None, limit: None }).await;
        assert_eq!(users.unwrap().items.len(), 1);
    }

    async fn who_registers_waits_for_nobody_elses_grant(world: &World) {
        let password = world.house.database_password("identity");
        let db = world.engine.open("identity", &password, &[]).await.unwrap();
        let insert = "insert into person (id, email, password_hash, role, granted, created)
            values ('user_0', 'nobody', '', 'a role that access refuses', ?, 0)";
        db::query(insert).bind(false).run(&db).await.unwrap();
        let ada = world.sign_up("ada").await;
        let users = ListUsers { account: ada.account, after: None, limit: None };
        ada.client.call(users).await.unwrap();
        db.close().await;
    }

    async fn what_cannot_be_meant_is_refused_in_words(world: &World) {
        let visitor = world.visitor();
        for (email, password, code) in [
            ("ada", PASSWORD, "`ada`"),
            ("ada@example.com", "short", "10 to 200"),
            ("ada@example.com", &"x".repeat(201), "10 to 200"),
        ] {
            let problem = visitor.call(register(email, password)).await.unwrap_err();
            assert_eq!(problem.kind, Kind::Invalid);
            assert!(problem.detail.contains(code), "{problem}");
        }
        visitor.call(register("ada@example.com", PASSWORD)).await.unwrap();
        let taken = visitor.call(register(" ADA@example.com", PASSWORD)).await.unwrap_err();
        assert_eq!(taken.kind, Kind::Conflict);
    }

    async fn the_same_key_registers_once(world: &World) {
        let visitor = world.visitor();
        let first = visitor.call_once(register("ada@example.com", PASSWORD), "key-1").await.unwrap();
        let again = visitor.call_once(register("ada@example.com", PASSWORD), "key-1").await.unwrap();
        assert_eq!(first, again);
        let other = visitor.call_once(register("eve@example.com", PASSWORD), "key-1").await;
        assert_eq!(other.unwrap_err().code, "idempotency_key_reused");
    }

    async fn what_was_answered_and_asked_is_kept_sealed(world: &World) {
        let operator = world.operator().await;
        let token = operator.call_once(CreateJoinToken {}, "key").await.unwrap().token;
        assert_eq!(operator.call_once(CreateJoinToken {}, "key").await.unwrap().token, token);
        world.visitor().call_once(register("ada@example.com", PASSWORD), "key").await.unwrap();
        let password = world.house.database_password("identity");
        let db = world.engine.open("identity", &password, &[]).await.unwrap();
        let kept = db::query("select fingerprint, reply from repeated_request")
            .all(&db, |row| Ok((row.get::<String>("fingerprint")?, row.get::<String>("reply")?)))
            .await
            .unwrap();
        assert_eq!(kept.len(), 2);
        for (fingerprint, reply) in kept {
            assert!(!reply.contains(token.reveal()) && !reply.contains("acct_"), "{reply}");
            let body = serde_json::to_vec(&register("ada@example.com", PASSWORD)).unwrap();
            let content = [b"identity.registerAccount", body.as_slice()].concat();
            assert!(!Digest::of(&content).to_string().contains(&fingerprint));
        }
        db.close().await;
    }

    async fn a_wrong_password_and_a_stranger_look_alike(world: &World) {
        world.sign_up("ada").await;
        let wrong = world.sign_in("ada@example.com", "not the password").await.unwrap_err();
        let stranger = world.sign_in("eve@example.com", "not the password").await.unwrap_err();
        assert_eq!(wrong.kind, Kind::Unauthenticated);
        assert_eq!((wrong.code, wrong.detail), (stranger.code, stranger.detail));
    }

    async fn a_session_that_was_ended_is_worth_nothing_when_the_call_returns(world: &World) {
        let ada = world.sign_up("ada").await;
        let eve = world.sign_up("eve").await;
        let foreign = eve.client.call(SignOut { session: ada.session }).await.unwrap_err();
        assert_eq!(foreign.kind, Kind::NotFound);
        ada.client.call(WhoAmI {}).await.unwrap();
        ada.client.call(SignOut { session: ada.session }).await.unwrap();
        let refused = ada.client.call(WhoAmI {}).await.unwrap_err();
        assert_eq!(refused.code, "session_ended");
    }

    async fn a_session_ends_by_itself(world: &World) {
        let ada = world.sign_up("ada").await;
        world.clock.advance(Duration::from_hours(12));
        let refused = ada.client.call(WhoAmI {}).await.unwrap_err();
        assert_eq!(refused.code, "token_expired");
    }

    async fn a_user_may_do_nothing_until_something_is_granted(world: &World) {
        let ada = world.sign_up("ada").await;
        let ben = CreateUser {
            account: ada.account,
            email: "ben@example.com".into(),
            password: Secret::new(PASSWORD),
        };
        ada.client.call(ben).await.unwrap();
        let token = world.sign_in("ben@example.com", PASSWORD).await.unwrap().token;
        let ben = world.visitor().with_token(Some(token.reveal()));
        let list = ListUsers { account: ada.account, after: None, limit: None };
        let refused = ben.call(list).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Denied);
        assert!(refused.detail.contains("identity.listUsers"), "{refused}");
    }

    async fn lists_come_in_pages(world: &World) {
        for name in ["ada", "ben", "cem"] {
            world.sign_up(name).await;
        }
        let operator = world.operator().await;
        let mut after = None;
        let mut titles = Vec::new();
        loop {
            let page = operator.call(ListAccounts { after, limit: Some(1) }).await.unwrap();
            titles.extend(page.items.into_iter().map(|account| account.title));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        titles.sort();
        assert_eq!(titles, ["The house of ada", "The house of ben", "The house of cem"]);
    }

    async fn a_machine_joins_once_and_speaks_for_itself_only(world: &World) {
        let token = world.operator().await.call(CreateJoinToken {}).await.unwrap().token;
        let join = |key: &str| JoinNode {
            join_token: token.clone(),
            name: "machine".parse().unwrap(),
            public_key: key.repeat(64),
        };
        let first = world.visitor().call(join("a")).await.unwrap();
        let second = world.visitor().call(join("b")).await.unwrap_err();
        assert_eq!(second.code, "join_token_refused", "a token is for one machine");
        assert_eq!(world.visitor().call(join("a")).await.unwrap(), first, "which may ask again");
        let (one, client) = world.node("one").await;
        let (again, _) = world.node("one").await;
        let (two, _) = world.node("two").await;
        assert_eq!(one, again);
        let service: types::Name = "forum".parse().unwrap();
        let issued = client.call(IssueServiceToken { node: one, service: service.clone() }).await.unwrap();
        assert!(issued.expires > world.clock.now());
        let other = client.call(IssueServiceToken { node: two, service }).await.unwrap_err();
        assert_eq!(other.kind, Kind::Denied);
        let platform = IssueServiceToken { node: one, service: "billing".parse().unwrap() };
        assert!(client.call(platform).await.is_err(), "no node speaks for a component");
    }
}
