//! What a promotion changes is said before it, agreed to, and remembered.

use api::{
    Problem,
    access::CreateGrant,
    billing::GetPriceBook,
    configurator::InstanceState,
    jobs::{EnqueueJobs, NewJob},
    provider::GetOffer,
    releases::{
        Change, Did, GetRollout, ListReleases, ListRollouts, Passage, Preview, PreviewRelease,
        PromoteRelease, Reach, Release, ReleasePhase, Rollout, RolloutRecord, RolloutState, Steer,
        SteerRollout,
    },
};
use types::{Digest, InstanceId, Name, Resource};

use crate::{
    orders::{order, take},
    world::{MANIFEST, PRICES, Person, World, eventually},
};

fn service() -> Name {
    "forum".parse().unwrap()
}

/// A forum that asks for nothing, so that an instance opens by itself, and writes digests.
fn first() -> String {
    let manifest = MANIFEST.replace("NAME", "forum");
    let database = manifest.find("[database]").unwrap()..manifest.find("[modules.polls]").unwrap();
    let mut plain = manifest.clone();
    plain.replace_range(database, "");
    format!("{plain}[jobs.digest]\ncommand = [\"./digest\"]\n")
}

/// The same without modules and `removeUsers`, with digests of another version, and with pins.
fn second() -> String {
    let mut manifest = first();
    let modules =
        manifest.find("[modules.polls]").unwrap()..manifest.find("[permissions]").unwrap();
    manifest.replace_range(modules, "");
    let route = "[[routes]]\nmatch = \"DELETE /users/*\"\npermission = \"removeUsers\"\n";
    let manifest = manifest.replace(route, "");
    let remove = "removeUsers = { title = \"Remove members\", level = \"write\" }";
    let manifest = manifest.replace(remove, "pinUsers = { title = \"Pin\", level = \"write\" }");
    format!("{manifest}version = 2\n")
}

fn prices(is_first: bool) -> String {
    let prices = PRICES.replace("NAME", "forum");
    if is_first {
        return prices;
    }
    let without = prices.lines().filter(|line| !line.starts_with("modules."));
    without.collect::<Vec<_>>().join("\n").replace("2026-01-01", "2027-01-01")
}

async fn preview(world: &World, release: &Digest) -> Result<Preview, Problem> {
    let ask = PreviewRelease { service: service(), release: release.clone() };
    world.operator().await.call(ask).await
}

async fn promote(world: &World, release: &Digest, accept_loss: bool) -> Result<Rollout, Problem> {
    let promote = PromoteRelease { accept_loss, ..PromoteRelease::new(service(), release.clone()) };
    world.operator().await.call(promote).await
}

async fn record(world: &World, number: u64) -> RolloutRecord {
    world.operator().await.call(GetRollout { service: service(), number }).await.unwrap()
}

async fn rollouts(world: &World) -> Vec<Rollout> {
    let list = ListRollouts { service: service(), after: None, limit: None };
    world.operator().await.call(list).await.unwrap().items
}

async fn current(world: &World) -> Digest {
    let list = ListReleases { service: service(), after: None, limit: None };
    let releases = world.operator().await.call(list).await.unwrap().items;
    releases.into_iter().find(|release| release.current).unwrap().digest
}

/// A forum that has an instance with polls, a grant and two jobs that wait; and the release that
/// drops what they need.
async fn two_releases(world: &World) -> (Person, InstanceId, Release, Release) {
    let ada = world.sign_up("ada").await;
    let one = world.publish_texts("forum", &first(), &prices(true)).await.unwrap();
    let one = eventually(
        "it is the current one",
        async || world.publish_texts("forum", &first(), &prices(true)).await.unwrap(),
        |release| release.current && release.digest == one.digest,
    )
    .await;
    let bakery =
        take(&ada, order(ada.account, "bakery.localhost", &["polls"]), InstanceState::Open);
    let bakery = bakery.await;
    take(&ada, order(ada.account, "library.localhost", &[]), InstanceState::Open).await;
    let grant = CreateGrant {
        account: ada.account,
        principal: ada.principal(),
        given: "forum.removeUsers".parse().unwrap(),
        on: Resource::Instance(ada.account, bakery),
    };
    ada.client.call(grant).await.unwrap();
    let digest = NewJob { name: "digest".into(), ..NewJob::default() };
    let jobs = vec![digest; 2];
    let enqueue = EnqueueJobs { account: ada.account, instance: bakery, jobs };
    eventually(
        "jobs can be queued",
        async || ada.client.call(enqueue.clone()).await,
        Result::is_ok,
    )
    .await
    .unwrap();
    let two = world.stage_texts("forum", &second(), &prices(false)).await.unwrap();
    assert_eq!(two.phase, ReleasePhase::Staged, "{:?}", two.problem);
    (ada, bakery, one, two)
}

stories! {
    async fn a_promotion_says_first_what_changes_and_for_whom(world: &World) {
        let (ada, _, one, two) = two_releases(world).await;
        let seen = preview(world, &two.digest).await.unwrap();
        assert_eq!((&seen.from, &seen.to), (&one.digest, &two.digest));
        assert_eq!((seen.instances, seen.elsewhere), (2, 0));
        assert_eq!(seen.database, None);
        let modules: Vec<_> = seen.modules.iter().map(|it| (&*it.module, it.change)).collect();
        assert_eq!(modules, [("badges", Change::Dropped), ("polls", Change::Dropped)]);
        assert_eq!(seen.modules[0].instances.count, 0);
        let having = &seen.modules[1].instances;
        assert_eq!((having.count, having.hosts[0].as_str()), (1, "bakery.localhost"));
        let permissions: Vec<_> =
            seen.permissions.iter().map(|it| (it.permission.as_str(), it.change, it.grants)).collect();
        let wanted =
            [("forum.pinUsers", Change::Added, 0), ("forum.removeUsers", Change::Dropped, 1)];
        assert_eq!(permissions, wanted);
        assert_eq!(seen.permissions[1].first[0].principal, ada.principal());
        let [digest] = seen.jobs.as_slice() else { panic!("{:?}", seen.jobs) };
        assert_eq!((&*digest.job, digest.change), ("digest", Change::Changed));
        let [waiting] = digest.waiting.as_slice() else { panic!("{:?}", digest.waiting) };
        assert_eq!((waiting.version, waiting.jobs, waiting.instances), (1, 2, 1));
        assert!(!waiting.accepted);
        let routes: Vec<_> = seen.routes.iter().map(|it| (&*it.requests, it.passage)).collect();
        let wanted = [
            ("DELETE /users/*", Passage::Closes),
            // Without the module everybody may.
            ("/badges", Passage::Opens),
            ("/polls", Passage::Opens),
        ];
        assert_eq!(routes, wanted);
        assert_eq!(seen.routes[0].after, Reach { refused: true, ..Reach::default() });
        // The polls are not paid for any more from then on; who has none pays what was paid.
        let bills = seen.bills.clone().unwrap();
        assert_eq!(bills.month.starts(), "2027-01-01T00:00:00Z".parse().unwrap());
        let [change] = bills.changes.as_slice() else { panic!("{bills:?}") };
        assert_eq!((change.instances, change.before.minor, change.after.minor), (1, 2130, 1830));
        assert_eq!(change.modules, ["polls".to_owned()].into());
        assert_eq!(seen.losses().len(), 3, "{:?}", seen.losses());
        // What is current has nothing to compare with.
        assert_eq!(preview(world, &one.digest).await.unwrap_err().code, "release_is_current");
    }

    async fn what_loses_something_is_promoted_when_that_is_agreed_to(world: &World) {
        let (ada, bakery, one, two) = two_releases(world).await;
        let before = rollouts(world).await;
        let refused = promote(world, &two.digest, false).await.unwrap_err();
        assert_eq!(refused.code, "release_loses_something", "{refused}");
        for named in ["module `polls`", "`forum.removeUsers`"] {
            assert!(refused.detail.contains(named), "{refused}");
        }
        assert_eq!(rollouts(world).await, before, "nothing has changed");
        assert_eq!(current(world).await, one.digest);
        let offer = world.visitor().call(GetOffer { service: service() }).await.unwrap();
        assert_eq!(offer.release, one.digest);
        let agreed = preview(world, &two.digest).await.unwrap();
        let rollout = promote(world, &two.digest, true).await.unwrap();
        assert_eq!(current(world).await, two.digest);
        let kept = record(world, rollout.number).await;
        assert_eq!(kept.preview, Some(agreed));
        assert!(kept.accepted_loss && !kept.is_way_back);
        assert_eq!(kept.acts.len(), 1);
        assert_eq!((kept.acts[0].did, Some(&kept.acts[0].by)), (Did::Promoted, rollout.by.as_ref()));
        // The first one replaced nothing.
        let first = record(world, before[0].number).await;
        assert!(first.preview.is_none() && !first.accepted_loss && first.acts.is_empty());
        // Nothing of it is given to others: what the instance has is still its own.
        let get = api::configurator::GetInstance { account: ada.account, instance: bakery };
        assert_eq!(ada.client.call(get).await.unwrap().modules, ["polls".to_owned()].into());
        world.visitor().call(GetPriceBook { service: service() }).await.unwrap();
    }

    async fn the_way_back_needs_no_consent_and_the_way_there_again_does(world: &World) {
        let (_, _, one, two) = two_releases(world).await;
        let there = promote(world, &two.digest, true).await.unwrap();
        let steer = async |number, steer| {
            let steer = SteerRollout { service: service(), number, steer };
            world.operator().await.call(steer).await
        };
        steer(there.number, Steer::Pause).await.unwrap();
        steer(there.number, Steer::Pause).await.unwrap();
        steer(there.number, Steer::Resume).await.unwrap();
        let back = promote(world, &one.digest, false).await.unwrap();
        let kept = record(world, there.number).await;
        assert_eq!(kept.rollout.state, RolloutState::RolledBack);
        let did: Vec<Did> = kept.acts.iter().map(|act| act.did).collect();
        assert_eq!(did, [Did::Promoted, Did::Paused, Did::Resumed, Did::RolledBack]);
        let kept = record(world, back.number).await;
        assert!(kept.is_way_back && !kept.accepted_loss);
        let preview = kept.preview.unwrap();
        assert_eq!(preview.losses().len(), 1, "the pins: {:?}", preview.losses());
        let over = async || record(world, back.number).await.rollout.state;
        eventually("everybody is back", over, |state| state.has_ended()).await;
        let refused = promote(world, &two.digest, false).await.unwrap_err();
        assert_eq!(refused.code, "release_loses_something", "{refused}");
        promote(world, &two.digest, true).await.unwrap();
    }

    async fn a_database_that_goes_is_a_loss(world: &World) {
        world.publish("forum", "first").await;
        let without = first().replace("[jobs.digest]\ncommand = [\"./digest\"]\n", "");
        let prices = prices(true).replace("jobs = { per_second = \"0.00001\" }", "");
        let prices = prices.replace("2026-01-01", "2027-01-01");
        let two = world.stage_texts("forum", &without, &prices).await.unwrap();
        assert_eq!(two.phase, ReleasePhase::Staged, "{:?}", two.problem);
        let seen = preview(world, &two.digest).await.unwrap();
        let database = seen.database.clone().unwrap();
        assert_eq!((database.change, database.before, database.after), (Change::Dropped, 1, 0));
        let refused = promote(world, &two.digest, false).await.unwrap_err();
        assert!(refused.detail.contains("the release has no database"), "{refused}");
        promote(world, &two.digest, true).await.unwrap();
    }
}
