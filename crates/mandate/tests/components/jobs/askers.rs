//! Who may ask for jobs: an instance's processes for their own instance, and a service that serves
//! many for its own instances, each with a token that is good for nothing else.

use std::time::Duration;

use api::{
    Client, Kind,
    identity::{IssueInstanceToken, IssueServiceToken, ListAccounts, Purpose, RemoveNode},
    jobs::{
        CancelJob, CancelServiceJob, EnqueueJobs, EnqueueServiceJobs, GetInstanceJob,
        GetServiceJob, JobState, ListInstanceJobs, ListJobs, ReplayJob,
    },
};
use types::{AccountId, InstanceId};

use super::{Shop, work};
use crate::world::World;

impl Shop {
    fn enqueue(&self) -> EnqueueJobs {
        EnqueueJobs { account: self.account, instance: self.instance, jobs: vec![work()] }
    }

    fn enqueue_as_service(&self, service: &str) -> EnqueueServiceJobs {
        let service = service.parse().unwrap();
        EnqueueServiceJobs { service, instance: self.instance, jobs: vec![work()] }
    }
}

/// The processes of an instance, as a node starts them.
async fn processes(world: &World, node: &str, account: AccountId, instance: InstanceId) -> Client {
    let (node, client) = world.node(node).await;
    let issued = client.call(IssueInstanceToken { node, account, instance }).await.unwrap();
    world.visitor().with_token(Some(issued.token.reveal()))
}

stories! {
    async fn an_instances_processes_ask_for_jobs_of_their_own_instance_only(world: &World) {
        let (one, two) = (Shop::open(world).await, Shop::of(world, "forum", "two").await);
        let mine = processes(world, "one", one.account, one.instance).await;
        let job = mine.call(one.enqueue()).await.unwrap().jobs[0];
        let (account, instance) = (one.account, one.instance);
        assert_eq!(mine.call(GetInstanceJob { account, instance, job }).await.unwrap().job, job);
        let list = ListInstanceJobs {
            account, instance, state: None, name: None, after: None, limit: None,
        };
        assert_eq!(mine.call(list.clone()).await.unwrap().items.len(), 1);
        let cancelled = mine.call(CancelJob { account, instance, job }).await.unwrap();
        assert_eq!(cancelled.state, JobState::Cancelled);

        // Nothing else of its own, and nothing of the other tenant.
        let theirs = processes(world, "one", two.account, two.instance).await;
        assert_eq!(theirs.call(one.enqueue()).await.unwrap_err().kind, Kind::Denied);
        let look = GetInstanceJob { account, instance, job };
        assert_eq!(theirs.call(look).await.unwrap_err().kind, Kind::Denied);
        assert_eq!(theirs.call(list).await.unwrap_err().kind, Kind::Denied);
        let take = CancelJob { account, instance, job };
        assert_eq!(theirs.call(take).await.unwrap_err().kind, Kind::Denied);
        let replay = ReplayJob { account, instance, job };
        assert_eq!(mine.call(replay).await.unwrap_err().kind, Kind::Denied);
        assert_eq!(mine.call(ListJobs::default()).await.unwrap_err().kind, Kind::Denied);
        // The same instance said to be another account's is another thing.
        let elsewhere = EnqueueJobs { account: AccountId::named(&["eve"]), ..one.enqueue() };
        assert_eq!(mine.call(elsewhere).await.unwrap_err().kind, Kind::Denied);
        let identity = mine.call(ListAccounts::default()).await.unwrap_err();
        assert_eq!(identity.code, "token_not_for_us");
    }

    async fn an_instances_token_lives_for_a_day_and_dies_with_its_node(world: &World) {
        let shop = Shop::open(world).await;
        let (node, client) = world.node("one").await;
        let (_, other) = world.node("two").await;
        let (account, instance) = (shop.account, shop.instance);
        let issue = || IssueInstanceToken { node, account, instance };
        assert_eq!(other.call(issue()).await.unwrap_err().kind, Kind::Denied);
        let mine = processes(world, "one", account, instance).await;
        world.advance(Duration::from_hours(23));
        mine.call(shop.enqueue()).await.unwrap();
        world.advance(Duration::from_hours(2));
        assert_eq!(mine.call(shop.enqueue()).await.unwrap_err().code, "token_expired");
        let token = client.call(issue()).await.unwrap().token;
        let again = world.visitor().with_token(Some(token.reveal()));
        again.call(shop.enqueue()).await.unwrap();
        world.operator().await.call(RemoveNode { node, force: false }).await.unwrap();
        assert_eq!(again.call(shop.enqueue()).await.unwrap_err().code, "node_unknown");
    }

    async fn a_service_that_serves_many_asks_for_jobs_of_its_own_instances(world: &World) {
        let shop = Shop::open(world).await;
        let (node, client) = world.node("one").await;
        let as_service = async |service: &str, purpose| {
            let service = service.parse().unwrap();
            let issued = client.call(IssueServiceToken { node, service, purpose }).await.unwrap();
            world.visitor().with_token(Some(issued.token.reveal()))
        };
        let forum = as_service("forum", Purpose::Jobs).await;
        let job = forum.call(shop.enqueue_as_service("forum")).await.unwrap().jobs[0];
        let (service, instance): (types::Name, _) = ("forum".parse().unwrap(), shop.instance);
        let look = GetServiceJob { service: service.clone(), instance, job };
        assert_eq!(forum.call(look).await.unwrap().job, job);
        let cancel = CancelServiceJob { service, instance, job };
        assert_eq!(forum.call(cancel).await.unwrap().state, JobState::Cancelled);
        assert_eq!(forum.call(shop.enqueue()).await.unwrap_err().kind, Kind::Denied);

        // Another service has no such instance, and may not speak for this one.
        let store = as_service("store", Purpose::Jobs).await;
        let other = store.call(shop.enqueue_as_service("store")).await.unwrap_err();
        assert_eq!(other.kind, Kind::NotFound);
        let other = store.call(shop.enqueue_as_service("forum")).await.unwrap_err();
        assert_eq!(other.kind, Kind::Denied);
        let tenancy = as_service("forum", Purpose::Tenancy).await;
        let refused = tenancy.call(shop.enqueue_as_service("forum")).await.unwrap_err();
        assert_eq!(refused.code, "token_not_for_us");
    }
}
