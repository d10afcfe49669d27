//! What things are called, and who is told.

use std::{collections::BTreeSet, time::Duration};

use api::{
    Client, Kind,
    access::{CheckPermission, CreateGrant},
    configurator::{
        FindInstance, FollowChanges, GetHosts, GetSetup, InstanceState, ListAllInstances,
    },
    identity::{CreateJoinToken, GetNames},
    jobs::Outcome,
    releases::{GetReadiness, Heartbeat, Readiness, ReplicaReport, ReplicaState},
};
use types::{AccountId, InstanceId, Principal, Resource, Timestamp, UserId};

use crate::{
    orders::{instance, reaches, submit, work},
    world::{Person, eventually},
};

async fn find(client: &Client, name: &str) -> Result<InstanceId, Kind> {
    let found = client.call(FindInstance { name: name.to_owned() }).await;
    found.map(|found| found.instance).map_err(|problem| problem.kind)
}

async fn can(asks: &Person, who: &Person, on: &Resource) -> api::access::Decision {
    let question = CheckPermission {
        account: asks.account,
        principal: who.principal(),
        permission: "forum.addUsers".parse().unwrap(),
        on: on.clone(),
    };
    asks.client.call(question).await.unwrap()
}

stories! {
    async fn an_instance_is_found_by_those_who_may_look_at_it(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let bakery = instance(world, &ada, "bakery.localhost").await;
        let operator = world.operator().await;
        for name in ["bakery.localhost".to_owned(), bakery.to_string()] {
            assert_eq!(find(&ada.client, &name).await, Ok(bakery));
            assert_eq!(find(&operator, &name).await, Ok(bakery));
            assert_eq!(find(&eve.client, &name).await, Err(Kind::NotFound), "as if it were not");
        }
        assert_eq!(find(&world.visitor(), "bakery.localhost").await, Err(Kind::Unauthenticated));
        for nothing in ["other.localhost", "no name", "", "inst_x"] {
            assert_eq!(find(&operator, nothing).await, Err(Kind::NotFound), "{nothing}");
        }
        let all = operator.call(ListAllInstances::default()).await.unwrap().items;
        assert_eq!(all.iter().map(|it| it.instance).collect::<Vec<_>>(), [bakery]);
        let refused = ada.client.call(ListAllInstances::default()).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Denied);

        let hosts = GetHosts { instances: [bakery].into() };
        let told = async |client: &Client| client.call(hosts.clone()).await.unwrap().hosts.len();
        assert_eq!((told(&ada.client).await, told(&operator).await), (1, 1));
        assert_eq!(told(&eve.client).await, 0);
        let many = (0..501_i64).map(|n| InstanceId::new(Timestamp::from_micros(n))).collect();
        let refused = ada.client.call(GetHosts { instances: many }).await.unwrap_err();
        assert_eq!(refused.code, "too_many_names");
    }

    async fn an_account_learns_the_names_of_its_own_people_only(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let (node, _) = world.node("one").await;
        let asked = GetNames {
            users: [ada.user, eve.user, UserId::named(&["nobody"])].into(),
            accounts: [ada.account, eve.account, AccountId::named(&["none"])].into(),
            nodes: [node].into(),
        };
        let own = ada.client.call(asked.clone()).await.unwrap();
        assert_eq!(own.users, [(ada.user, "ada@example.com".to_owned())].into());
        assert_eq!(own.accounts, [(ada.account, "The house of ada".to_owned())].into());
        assert!(own.nodes.is_empty());
        let all = world.operator().await.call(asked.clone()).await.unwrap();
        assert_eq!((all.users.len(), all.accounts.len(), all.nodes.len()), (2, 2, 1));
        // Whoever was let look at an account's people is told of them.
        let grant = CreateGrant {
            account: eve.account,
            principal: ada.principal(),
            given: "identity.listUsers".parse().unwrap(),
            on: Resource::Account(eve.account),
        };
        eve.client.call(grant).await.unwrap();
        let more = ada.client.call(asked.clone()).await.unwrap();
        assert_eq!((more.users.len(), more.accounts.len()), (2, 1));
        assert_eq!(world.visitor().call(asked).await.unwrap_err().kind, Kind::Unauthenticated);
        let moment = |n| Timestamp::from_micros(n);
        let users: BTreeSet<UserId> = (0..501_i64).map(|n| UserId::new(moment(n))).collect();
        let refused = ada.client.call(GetNames { users, ..GetNames::default() }).await.unwrap_err();
        assert_eq!(refused.code, "too_many_names");
    }

    async fn a_decision_is_told_in_plain_words(world: &World) {
        let (ada, eve) = (world.sign_up("ada").await, world.sign_up("eve").await);
        let bakery = instance(world, &ada, "bakery.localhost").await;
        let on = Resource::Instance(ada.account, bakery);
        assert_eq!(
            can(&ada, &ada, &on).await.sentence,
            "ada@example.com may add members at bakery.localhost, because there is a grant of \
             `owner` on the account"
        );
        let denied = can(&ada, &eve, &Resource::Account(ada.account)).await;
        assert_eq!(
            denied.sentence,
            format!(
                "`{}` may not add members on the account `The house of ada`, because nobody has \
                 granted it",
                eve.user
            ),
            "of another account no name is told"
        );
        assert!(denied.missing.unwrap().ends_with("on the account `The house of ada`"));
        let operator = world.operator().await;
        let question = CheckPermission {
            account: ada.account,
            principal: eve.principal(),
            permission: "forum.addUsers".parse().unwrap(),
            on,
        };
        let told = operator.call(question.clone()).await.unwrap().sentence;
        assert!(told.starts_with("eve@example.com may not add members at bakery"), "{told}");
        let visitor = CheckPermission { principal: Principal::Visitor, ..question };
        let told = operator.call(visitor).await.unwrap().sentence;
        assert!(told.starts_with("a visitor may not add members"), "{told}");
    }

    async fn it_is_open_when_every_gateway_has_heard_of_it(world: &World) {
        let ada = world.sign_up("ada").await;
        let bakery = instance(world, &ada, "bakery.localhost").await;
        ada.client.call(submit(&ada, bakery)).await.unwrap();
        work(world, &[Outcome::Succeeded, Outcome::Succeeded]).await;
        reaches(&ada, bakery, InstanceState::Open).await;
        let gateway = world.component("gateway");
        let copy = |applied| FollowChanges {
            follower: "slow".into(),
            applied,
            lease_seconds: 10,
            wait_millis: 0,
        };
        let head = gateway.call(copy(0)).await.unwrap().head;
        let look = ada.client.call(GetSetup { account: ada.account, instance: bakery });
        let mut look = std::pin::pin!(look);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut look).await;
        assert!(early.is_err(), "a gateway has not heard of it");
        gateway.call(copy(head)).await.unwrap();
        assert_eq!(look.await.unwrap().state, InstanceState::Open);
    }

    async fn an_instance_is_ready_when_the_gateways_know_who_answers(world: &World) {
        let ada = world.sign_up("ada").await;
        let bakery = instance(world, &ada, "bakery.localhost").await;
        let look = async |who: &Client, account| {
            who.call(GetReadiness { account, instance: bakery }).await
        };
        let ready = async || look(&ada.client, ada.account).await.unwrap();
        let waits = |readiness: &Readiness| readiness.waits_for.clone().unwrap_or_default();
        let heard = |readiness: &Readiness| waits(readiness) == "its set-up";
        eventually("its set-up is waited for", ready, heard).await;
        ada.client.call(submit(&ada, bakery)).await.unwrap();
        let heard = |readiness: &Readiness| waits(readiness) == "the jobs of its set-up";
        eventually("the jobs are waited for", ready, heard).await;
        work(world, &[Outcome::Succeeded, Outcome::Succeeded]).await;
        let (node, client) = world.node("worker").await;
        reaches(&ada, bakery, InstanceState::Open).await;
        let heard = |readiness: &Readiness| waits(readiness) == "a machine to run it";
        eventually("a machine is waited for", ready, heard).await;

        let beat = Heartbeat::new(node, "worker".parse().unwrap());
        let desired = client.call(beat.clone()).await.unwrap();
        assert!(waits(&ready().await).contains("to be fetched"), "{:?}", ready().await);
        let runs = |state| {
            let wanted = &desired.replicas[0];
            let replica = ReplicaReport {
                replica: wanted.replica,
                digest: wanted.digest.clone(),
                service: wanted.service.clone(),
                process: wanted.process.clone(),
                instance: wanted.instance,
                address: "127.0.0.1:4000".into(),
                state,
                starts: 7,
                next_start: None,
                log: String::new(),
            };
            Heartbeat { replicas: vec![replica], known: desired.version, ..beat.clone() }
        };
        client.call(runs(ReplicaState::Starting)).await.unwrap();
        assert_eq!(waits(&ready().await), "its process to answer the health check");
        client.call(runs(ReplicaState::Failing)).await.unwrap();
        assert!(waits(&ready().await).contains("started 7 times"));
        client.call(runs(ReplicaState::Healthy)).await.unwrap();
        assert_eq!(ready().await, Readiness { ready: true, waits_for: None });
        client.call(beat).await.unwrap();
        assert!(!ready().await.ready, "it ended");

        let eve = world.sign_up("eve").await;
        let refused = look(&eve.client, ada.account).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Denied);
        let elsewhere = look(&eve.client, eve.account).await.unwrap_err();
        assert_eq!(elsewhere.kind, Kind::NotFound, "it is another's");
    }

    async fn a_join_token_says_where_other_machines_reach_the_platform(world: &World) {
        let token = world.operator().await.call(CreateJoinToken {}).await.unwrap();
        assert_eq!(token.url.as_deref(), Some("http://10.0.0.4:8080"));
    }
}
