//! Only releases of a trusted key run; keys are rotated and taken back.

use api::{
    Kind, Problem,
    configurator::InstanceState,
    releases::{
        DistrustKey, Heartbeat, ListServiceKeys, PromoteRelease, Release, ReleasePhase, Rollout,
        ServiceKey, TrustKey,
    },
};
use types::{Clock as _, Digest};

use crate::{
    orders::{order, take},
    world::{MANIFEST, PRICES, World, eventually, public_key},
};

const FIRST: &str = "publisher of forum";
const SECOND: &str = "who comes after";

async fn stage(world: &World, note: &str, publisher: &str) -> Result<Release, Problem> {
    let manifest = format!("# {note}\n{}", MANIFEST.replace("NAME", "forum"));
    let prices = PRICES.replace("NAME", "forum");
    world.stage_signed("forum", (&manifest, &prices), publisher).await
}

fn trust(publisher: &str, comment: &str) -> TrustKey {
    let (service, comment) = ("forum".parse().unwrap(), comment.to_owned());
    TrustKey { service, public_key: public_key(publisher), comment }
}

fn distrust(publisher: &str, force: bool) -> DistrustKey {
    let service = "forum".parse().unwrap();
    DistrustKey { service, public_key: public_key(publisher), force }
}

/// What the refusal of taking a key back says, once it is known where instances are.
async fn refused(world: &World, publisher: &str, force: bool) -> Problem {
    let operator = world.operator().await;
    let ask = async || operator.call(distrust(publisher, force)).await.unwrap_err();
    eventually("it is refused", ask, |problem| problem.kind == Kind::Conflict).await
}

async fn keys(world: &World) -> Vec<ServiceKey> {
    let list = ListServiceKeys { service: "forum".parse().unwrap(), after: None, limit: None };
    world.operator().await.call(list).await.unwrap().items
}

async fn promote(world: &World, release: &Digest) -> Result<Rollout, Problem> {
    let promote = PromoteRelease::new("forum".parse().unwrap(), release.clone());
    world.operator().await.call(promote).await
}

stories! {
    async fn a_publisher_gets_a_new_key_and_the_old_one_is_taken_back(world: &World) {
        let operator = world.operator().await;
        let unpublished = operator.call(trust(FIRST, "")).await.unwrap_err();
        assert_eq!(unpublished.kind, Kind::NotFound, "a service's first release comes first");
        let first = stage(world, "first", FIRST).await.unwrap();
        let bound = keys(world).await.remove(0);
        assert_eq!((&bound.public_key, &bound.added_by), (&public_key(FIRST), &None));
        let problem = stage(world, "second", SECOND).await.unwrap_err();
        assert_eq!((problem.kind, problem.code.as_str()), (Kind::Denied, "other_publisher"));
        let command = format!("mandate service trust forum {}", public_key(SECOND));
        assert!(problem.detail.contains(&command), "{problem}");
        let wrong = TrustKey { public_key: "ab".repeat(31), ..trust(SECOND, "") };
        assert_eq!(operator.call(wrong).await.unwrap_err().code, "public_key");
        // The identity point: anything can be signed by it without a secret.
        let weak = TrustKey { public_key: format!("01{}", "00".repeat(31)), ..trust(SECOND, "") };
        assert_eq!(operator.call(weak).await.unwrap_err().code, "public_key");
        let lines = operator.call(trust(SECOND, "two\nlines")).await.unwrap_err();
        assert_eq!(lines.code, "key_comment");

        let upper = public_key(SECOND).to_uppercase();
        let named = TrustKey { public_key: upper, ..trust(SECOND, "Ada's new laptop") };
        let trusted = operator.call(named).await.unwrap();
        assert_eq!(trusted.public_key, public_key(SECOND));
        assert!(trusted.added_by.is_some());
        assert_eq!(operator.call(trust(SECOND, "")).await.unwrap(), trusted, "twice is once");
        let second = stage(world, "second", SECOND).await.unwrap();
        assert_eq!(second.phase, ReleasePhase::Staged, "{:?}", second.problem);

        let in_use = refused(world, FIRST, false).await;
        assert_eq!(in_use.code, "key_in_use");
        let current = format!("{} is the current release", first.digest.short());
        assert!(in_use.detail.contains(&current), "{in_use}");
        world.promote(&second).await.unwrap();
        let ask = async || operator.call(distrust(FIRST, false)).await;
        let taken_back = eventually("nothing of it is in use", ask, Result::is_ok).await.unwrap();
        assert_eq!(taken_back.taken_back, Some(world.clock.now()));
        assert_eq!(operator.call(distrust(FIRST, false)).await.unwrap(), taken_back);
        assert_eq!(keys(world).await.len(), 2);

        // Neither a rollback nor another release leads back to it.
        let back = promote(world, &first.digest).await.unwrap_err();
        assert_eq!((back.kind, back.code.as_str()), (Kind::Denied, "key_taken_back"));
        for note in ["first", "third"] {
            let again = stage(world, note, FIRST).await.unwrap_err();
            assert_eq!(again.code, "key_taken_back", "{again}");
        }
        // Signed anew it is the same release, and is promoted.
        let anew = stage(world, "first", SECOND).await.unwrap();
        assert_eq!((&anew.digest, &anew.public_key), (&first.digest, &public_key(SECOND)));
        world.promote(&anew).await.unwrap();
        // What was a mistake is mended.
        let again = operator.call(trust(FIRST, "")).await.unwrap();
        assert_eq!(again.taken_back, None);
        stage(world, "third", FIRST).await.unwrap();
        let unknown = operator.call(distrust("nobody", true)).await.unwrap_err();
        assert_eq!(unknown.kind, Kind::NotFound);
        let ada = world.sign_up("ada").await;
        let denied = ada.client.call(trust(SECOND, "")).await.unwrap_err();
        assert_eq!(denied.kind, Kind::Denied);
    }

    async fn a_stolen_key_makes_nothing_new_run_and_turns_nobody_away(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = world.publish("forum", "first").await;
        let bakery = order(ada.account, "bakery.localhost", &[]);
        take(&ada, bakery, InstanceState::AwaitingSetup).await;
        let (node, client) = world.node("one").await;
        let beat = Heartbeat::new(node, "one".parse().unwrap());
        let has = || async {
            let desired = client.call(beat.clone()).await.unwrap();
            desired.releases.into_iter().map(|it| it.digest).collect::<Vec<_>>()
        };
        let staged = stage(world, "second", FIRST).await.unwrap();
        let both = |now: &Vec<Digest>| now.contains(&first.digest) && now.contains(&staged.digest);
        eventually("the node makes it ready", has, both).await;
        let in_use = refused(world, FIRST, false).await;
        assert!(in_use.detail.contains("1 instance is on such a release"), "{in_use}");
        assert_eq!(keys(world).await[0].taken_back, None, "nothing has changed");

        let operator = world.operator().await;
        operator.call(distrust(FIRST, true)).await.unwrap();
        let now = eventually("the node drops it", has, |now| !now.contains(&staged.digest)).await;
        assert_eq!(now, std::slice::from_ref(&first.digest), "what is in use goes on");
        let problem = promote(world, &staged.digest).await.unwrap_err();
        assert_eq!(problem.code, "key_taken_back");
        // Also a node that comes only now serves its visitors.
        let (node, client) = world.node("two").await;
        let beat = Heartbeat::new(node, "two".parse().unwrap());
        let desired = client.call(beat).await.unwrap();
        assert!(desired.releases.iter().any(|release| release.digest == first.digest));
    }

    async fn no_key_is_taken_back_while_instances_move_to_its_release(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = world.publish("forum", "first").await;
        let bakery = order(ada.account, "bakery.localhost", &[]);
        take(&ada, bakery, InstanceState::AwaitingSetup).await;
        world.operator().await.call(trust(SECOND, "")).await.unwrap();
        let second = stage(world, "second", SECOND).await.unwrap();
        let later = world.clock.now().plus(std::time::Duration::from_hours(1));
        let mut plan = PromoteRelease::new("forum".parse().unwrap(), second.digest.clone());
        plan.plan.at = Some(later);
        let operator = world.operator().await;
        let rollout = operator.call(plan).await.unwrap();
        for force in [false, true] {
            let problem = refused(world, SECOND, force).await;
            assert_eq!(problem.code, "key_of_rollout", "{problem}");
        }
        let (service, number) = (rollout.service, rollout.number);
        let steer = api::releases::Steer::Cancel;
        operator.call(api::releases::SteerRollout { service, number, steer }).await.unwrap();
        let ask = async || operator.call(distrust(SECOND, false)).await;
        eventually("it is taken back", ask, Result::is_ok).await.unwrap();
        assert!(operator.call(distrust(FIRST, false)).await.is_err(), "{} is current", first.digest);
    }
}
