//! Who is calling: registering, signing in and out, machines that join.

use std::time::Duration;

use api::{
    Kind,
    configurator::ResolveHost,
    http::token::Claims,
    identity::{
        ChangePassword, CreateJoinToken, CreateSignInCode, CreateUser, EndSession, FindUser,
        IssueServiceToken, JoinNode, ListAccounts, ListUsers, RedeemSignInCode, RegisterAccount,
        RemoveNode, RequestPasswordReset, ResetPassword, SignIn, SignInCode, SignOut, WhoAmI,
        host_audience,
    },
};
use types::{Clock as _, Digest, Host, NodeId, Principal, Resource, Secret, Timestamp};

use crate::world::{PASSWORD, USERS_MAX, World, eventually, until};

/// What stands in the letters that the world has sent.
fn letters(world: &World) -> Vec<String> {
    let files = std::fs::read_dir(world.data.join("mail")).into_iter().flatten();
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

/// The token of the link in the one letter.
async fn sent_token(world: &World) -> Secret {
    let sent = eventually("a letter", async || letters(world), |all| !all.is_empty()).await;
    let after = sent[0].split_once("/reset-password?token=").unwrap().1;
    Secret::new(after.split_whitespace().next().unwrap())
}

fn register(email: &str, password: &str) -> RegisterAccount {
    RegisterAccount {
        title: "A bakery".into(),
        email: email.into(),
        password: Secret::new(password),
    }
}

stories! {
    async fn a_code_signs_in_once_at_one_host_in_one_browser(world: &World) {
        let ada = world.sign_up("ada").await;
        let ada_writes = ada.client.call(WhoAmI {}).await.unwrap().user.unwrap().email;
        let gateway = world.house.client("gateway").unwrap();
        let (host, browser) = ("forum.localhost".parse::<Host>().unwrap(), Digest::of(b"nonce"));
        let create = CreateSignInCode { host: host.clone(), browser: browser.clone() };
        let redeem = |code: &SignInCode, host: &str, browser: &Digest| RedeemSignInCode {
            code: code.code.clone(),
            host: host.parse().unwrap(),
            browser: browser.clone(),
        };
        let elsewhere = ada.client.call(create.clone()).await.unwrap_err();
        assert_eq!(elsewhere.code, "unknown_host", "nobody is led to a site that is not ours");
        world.publish("forum", "").await;
        let instance = crate::access::instance(world, &ada, "forum").await;
        assert!(matches!(instance, Resource::Instance(..)));
        let code = ada.client.call(create.clone()).await.unwrap();
        for wrong in [
            redeem(&code, "other.localhost", &browser),
            redeem(&code, "forum.localhost", &Digest::of(b"other")),
        ] {
            assert_eq!(gateway.call(wrong).await.unwrap_err().code, "sign_in_code_refused");
        }
        let right = redeem(&code, "forum.localhost", &browser);
        let refused = ada.client.call(right.clone()).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Denied, "the gateway alone may");
        let signed_in = gateway.call(right.clone()).await.unwrap();
        assert_eq!(signed_in.user.user, ada.user);
        assert_eq!(gateway.call(right).await.unwrap_err().code, "sign_in_code_refused");

        // What it begins is good at that host, and nowhere else.
        let token = Some(signed_in.token.reveal());
        let guard = world.house.guard();
        let caller = guard.authenticate(token, &host_audience(&host)).unwrap();
        assert_eq!(caller.session, Some(signed_in.session));
        assert_eq!(guard.authenticate(token, "gateway").unwrap_err().code, "token_not_for_us");
        let stolen = world.visitor().with_token(token);
        assert_eq!(stolen.call(WhoAmI {}).await.unwrap_err().code, "token_not_for_us");
        assert_eq!(stolen.call(create.clone()).await.unwrap_err().kind, Kind::Unauthenticated);

        // A second code replaces the first; one that is late is worth nothing.
        let first = ada.client.call(create.clone()).await.unwrap();
        let second = ada.client.call(create.clone()).await.unwrap();
        let first = gateway.call(redeem(&first, "forum.localhost", &browser)).await;
        assert_eq!(first.unwrap_err().code, "sign_in_code_refused");
        world.clock.advance(Duration::from_secs(61));
        let late = gateway.call(redeem(&second, "forum.localhost", &browser)).await;
        assert_eq!(late.unwrap_err().code, "sign_in_code_refused");

        // It ends on its own, and no later than the session that it came from.
        let end = EndSession { user: ada.user, session: signed_in.session };
        gateway.call(end).await.unwrap();
        let ended = guard.authenticate(token, &host_audience(&host)).unwrap_err();
        assert_eq!(ended.code, "session_ended");
        let code = ada.client.call(create.clone()).await.unwrap();
        let again = gateway.call(redeem(&code, "forum.localhost", &browser)).await.unwrap();
        assert_eq!(again.expires, signed_in.expires);
        let code = ada.client.call(create.clone()).await.unwrap();
        let begun = Some(again.token.reveal());
        let known = guard.authenticate(begun, &host_audience(&host)).unwrap();
        assert_eq!(known.email.as_deref(), Some(ada_writes.as_str()));
        ada.client.call(SignOut { session: ada.session }).await.unwrap();
        // What was begun from it has ended with it.
        let ended = guard.authenticate(begun, &host_audience(&host)).unwrap_err();
        assert_eq!(ended.code, "session_ended");
        let gone = gateway.call(redeem(&code, "forum.localhost", &browser)).await;
        assert_eq!(gone.unwrap_err().code, "sign_in_code_refused");
    }

    async fn who_registers_owns_the_account(world: &World) {
        let ada = world.sign_up("ada").await;
        let me = ada.client.call(WhoAmI {}).await.unwrap();
        assert_eq!(me.user.unwrap().account, Some(ada.account));
        assert_eq!(me.session, Some(ada.session));
        let users = ada.client.call(ListUsers { account: ada.account, after: None, limit: None }).await;
        assert_eq!(users.unwrap().items.len(), 1);
    }

    async fn a_user_is_found_by_the_address_in_their_own_account_only(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let find = |account, email: &str| FindUser { account, email: email.into() };
        let found = ada.client.call(find(ada.account, " ADA@Example.com")).await.unwrap();
        assert_eq!(found.email, "ada@example.com");
        let foreign = ada.client.call(find(ada.account, "eve@example.com")).await.unwrap_err();
        let nobody = ada.client.call(find(ada.account, "nobody")).await.unwrap_err();
        assert_eq!((foreign.kind, nobody.kind), (Kind::NotFound, Kind::NotFound));
        assert_eq!(foreign.detail, nobody.detail);
        let outside = eve.client.call(find(ada.account, "ada@example.com")).await.unwrap_err();
        assert_eq!(outside.kind, Kind::Denied);
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

    async fn an_account_has_so_many_users_and_no_more(world: &World) {
        let ada = world.sign_up("ada").await;
        let create = async |n: u64| {
            let (account, email) = (ada.account, format!("{n}@example.com"));
            ada.client.call(CreateUser { account, email, password: Secret::new(PASSWORD) }).await
        };
        let made = futures_util::future::join_all((0..USERS_MAX + 2).map(create)).await;
        let refused: Vec<_> = made.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), 3, "the owner is one of them");
        assert_eq!((refused[0].kind, refused[0].code.as_str()), (Kind::Conflict, "users_used_up"));
        assert!(refused[0].detail.contains(&format!("{USERS_MAX} users")), "{}", refused[0]);
        let list = ListUsers { account: ada.account, after: None, limit: None };
        assert_eq!(ada.client.call(list).await.unwrap().items.len() as u64, USERS_MAX);
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

    async fn wrong_guesses_are_slowed_and_nobody_else_is(world: &World) {
        for name in ["ada", "ben", "cem", "dan"] {
            world.sign_up(name).await;
        }
        let attempt = async |address: &str, email: &str, password: &str| {
            let client = world.visitor().with_address(Some(&address.parse().unwrap()));
            client.call(SignIn { email: email.into(), password: Secret::new(password) }).await
        };
        let everything_at_once = async {
            let wrong = (0..200).map(async |n| {
                let email = format!("{}@example.com", if n % 2 == 0 { "ada" } else { "nobody" });
                attempt("192.0.2.1", &email, "a wild guess").await.unwrap_err()
            });
            futures_util::future::join_all(wrong).await
        };
        let others = async {
            for (address, name) in [("192.0.2.2", "ben"), ("192.0.2.3", "cem"), ("192.0.2.4", "dan")] {
                attempt(address, &format!("{name}@example.com"), PASSWORD).await.unwrap();
            }
        };
        let (wrong, ()) = tokio::join!(everything_at_once, others);
        let refused = wrong.iter().filter(|problem| problem.kind == Kind::Unauthenticated).count();
        assert_eq!(refused, 10, "five guesses are free for each");
        let slowed = wrong.iter().find(|problem| problem.kind == Kind::Exhausted).unwrap();
        assert_eq!((slowed.code.as_str(), slowed.retry_after), ("too_many_tries", Some(1)));
        let right = attempt("192.0.2.1", "ada@example.com", PASSWORD).await.unwrap_err();
        assert_eq!(right.code, "too_many_tries", "a guesser must not learn that it was right");
        attempt("192.0.2.5", "ada@example.com", PASSWORD).await.unwrap();
        world.clock.advance(Duration::from_secs(2));
        attempt("192.0.2.1", "ada@example.com", PASSWORD).await.unwrap();
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

    async fn a_token_of_the_future_is_refused(world: &World) {
        let signer = world.house.signer("billing").unwrap();
        let ask = |ahead: u64| {
            let sub = Principal::Service("billing".parse().unwrap());
            let made = world.clock.now().plus(Duration::from_secs(ahead));
            let claims = Claims::new(sub, "identity", made, Duration::from_mins(5));
            let client = world.visitor().with_token(Some(&signer.sign(&claims)));
            async move { client.call(WhoAmI {}).await }
        };
        ask(0).await.unwrap();
        ask(50).await.unwrap();
        for ahead in [100, 3_600, 10 * 365 * 24 * 3_600] {
            assert_eq!(ask(ahead).await.unwrap_err().code, "token_of_the_future");
        }
    }

    async fn who_changes_their_password_ends_their_sessions(world: &World) {
        let ada = world.sign_up("ada").await;
        let other = world.sign_in_again(&ada, "ada").await;
        let change = |old: &str, new: &str| ChangePassword {
            password: Secret::new(old),
            new_password: Secret::new(new),
        };
        let wrong = ada.client.call(change("not the password", "a new password")).await;
        assert_eq!(wrong.unwrap_err().code, "password_wrong");
        let short = ada.client.call(change(PASSWORD, "short")).await.unwrap_err();
        assert_eq!(short.code, "password");
        other.client.call(WhoAmI {}).await.unwrap();
        ada.client.call(change(PASSWORD, "a new password")).await.unwrap();
        for session in [&ada, &other] {
            assert_eq!(session.client.call(WhoAmI {}).await.unwrap_err().code, "session_ended");
        }
        assert!(world.sign_in("ada@example.com", PASSWORD).await.is_err());
        world.sign_in("ada@example.com", "a new password").await.unwrap();
        let file = world.data.join("operator.txt");
        let text = std::fs::read_to_string(&file).unwrap();
        let old = text.lines().find_map(|line| line.strip_prefix("password: ")).unwrap();
        world.operator().await.call(change(old, "the operator's own")).await.unwrap();
        assert!(!file.exists(), "it tells a password that is none any more");
        world.sign_in("operator@localhost", "the operator's own").await.unwrap();
    }

    async fn a_link_chooses_a_new_password_once(world: &World) {
        let ada = world.sign_up("ada").await;
        let visitor = world.visitor();
        let request = |email: &str| RequestPasswordReset { email: email.into() };
        visitor.call(request("eve@example.com")).await.unwrap();
        visitor.call(request("ada@example.com")).await.unwrap();
        let token = sent_token(world).await;
        let letter = letters(world).remove(0);
        assert!(letter.contains("To: ada@example.com"), "{letter}");
        assert!(letter.contains("http://console.localhost:8080/reset-password?token="), "{letter}");
        let reset = |token: &Secret| ResetPassword {
            token: token.clone(),
            new_password: Secret::new("a new password"),
        };
        let guess = visitor.call(reset(&Secret::new("guess"))).await.unwrap_err();
        assert_eq!(guess.code, "reset_token_refused");
        let (one, two) = tokio::join!(visitor.call(reset(&token)), visitor.call(reset(&token)));
        assert!(one.is_ok() != two.is_ok(), "a link is good once: {one:?} {two:?}");
        assert_eq!(ada.client.call(WhoAmI {}).await.unwrap_err().code, "session_ended");
        assert!(world.sign_in("ada@example.com", PASSWORD).await.is_err());
        world.sign_in("ada@example.com", "a new password").await.unwrap();
    }

    async fn a_link_expires_and_there_are_few_of_them(world: &World) {
        world.sign_up("ada").await;
        let request = || RequestPasswordReset { email: "ada@example.com".into() };
        world.visitor().call(request()).await.unwrap();
        let token = sent_token(world).await;
        for _ in 0..4 {
            world.visitor().call(request()).await.unwrap();
        }
        until("three letters", async || letters(world).len() == 3).await;
        // Those that were too many have been looked at once a later one is answered.
        world.sign_up("bob").await;
        let other = RequestPasswordReset { email: "bob@example.com".into() };
        world.visitor().call(other).await.unwrap();
        until("only another's", async || letters(world).len() == 4).await;
        world.clock.advance(Duration::from_mins(31));
        let reset = ResetPassword { token, new_password: Secret::new("a new password") };
        let late = world.visitor().call(reset).await.unwrap_err();
        assert_eq!(late.code, "reset_token_refused");
        world.visitor().call(request()).await.unwrap();
        until("one more letter, and only one", async || letters(world).len() == 5).await;
    }

    async fn an_operators_file_that_was_removed_stays_away(world: &World) {
        let file = world.data.join("operator.txt");
        std::fs::remove_file(&file).unwrap();
        let again = chassis::House::open(chassis::HouseConfig {
            name: "again".into(),
            data: world.data.clone(),
            engine: world.engine.clone(),
            clock: world.house.clock(),
        })
        .unwrap();
        let mail = identity::Mail::new(world.data.join("mail"), "m@example.com", None).unwrap();
        let (data, console_url) = (world.data.clone(), String::new());
        let hash_memory_kib = 8;
        let config =
            identity::Config { data, mail, users_max: 9, hash_memory_kib, console_url, join_url: None };
        let signer = again.signer("identity").unwrap();
        again.mount(identity::component(config, signer)).await.unwrap();
        assert!(!file.exists(), "its password would be wrong");
        again.close().await;
    }

    async fn a_join_token_is_for_one_of_those_that_come_at_once(world: &World) {
        let token = world.operator().await.call(CreateJoinToken {}).await.unwrap().token;
        let joins = ["a", "b", "c", "d", "e", "f"].map(|key| {
            let (join_token, public_key) = (token.clone(), key.repeat(64));
            let join = JoinNode { join_token, name: "machine".parse().unwrap(), public_key };
            let visitor = world.visitor();
            async move { visitor.call(join).await }
        });
        let joined = futures_util::future::join_all(joins).await;
        assert_eq!(joined.iter().filter(|joined| joined.is_ok()).count(), 1, "{joined:?}");
    }

    async fn the_local_join_token_is_for_one_machine_and_an_hour(world: &World) {
        let read = || std::fs::read_to_string(world.data.join("join-token")).unwrap();
        let join = |token: &str, key: &str| {
            let (join_token, public_key) = (Secret::new(token.trim()), key.repeat(64));
            let join = JoinNode { join_token, name: "m".parse().unwrap(), public_key };
            let visitor = world.visitor();
            async move { visitor.call(join).await }
        };
        let first = read();
        join(&first, "a").await.unwrap();
        assert_eq!(join(&first, "b").await.unwrap_err().code, "join_token_refused");
        until("another token", async || read() != first).await;
        let second = read();
        world.clock.advance(Duration::from_mins(61));
        assert_eq!(join(&second, "b").await.unwrap_err().code, "join_token_refused");
        until("a fresh token", async || read() != second).await;
        join(&read(), "b").await.unwrap();
    }

    async fn a_node_that_was_removed_is_nobody(world: &World) {
        let (node, client) = world.node("one").await;
        let (_, other) = world.node("two").await;
        let issue = || token_for(node, "forum");
        let token = client.call(issue()).await.unwrap().token;
        let service = world.visitor().with_token(Some(token.reveal()));
        let (service_name, host) = ("forum".parse().unwrap(), "a.localhost".parse().unwrap());
        let resolve = ResolveHost { service: service_name, host };
        assert_eq!(service.call(resolve.clone()).await.unwrap_err().kind, Kind::NotFound);
        let operator = world.operator().await;
        assert_eq!(other.call(RemoveNode { node, force: false }).await.unwrap_err().kind, Kind::Denied);
        operator.call(RemoveNode { node, force: false }).await.unwrap();
        assert_eq!(client.call(issue()).await.unwrap_err().kind, Kind::Unauthenticated);
        let refused = service.call(resolve).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Unauthenticated, "node_unknown"));
        assert_eq!(operator.call(RemoveNode { node, force: false }).await.unwrap_err().kind, Kind::NotFound);
        let unknown = RemoveNode { node: NodeId::new(Timestamp::from_micros(1)), force: false };
        assert_eq!(operator.call(unknown).await.unwrap_err().kind, Kind::NotFound);
        other.call(WhoAmI {}).await.unwrap();
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
        let issued = client.call(token_for(one, "forum")).await.unwrap();
        assert!(issued.expires > world.clock.now());
        let other = client.call(token_for(two, "forum")).await.unwrap_err();
        assert_eq!(other.kind, Kind::Denied);
        let platform = token_for(one, "billing");
        assert!(client.call(platform).await.is_err(), "no node speaks for a component");
    }
}

fn token_for(node: NodeId, service: &str) -> IssueServiceToken {
    let purpose = api::identity::Purpose::Tenancy;
    IssueServiceToken { node, service: service.parse().unwrap(), purpose }
}
