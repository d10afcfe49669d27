//! Packages that nobody needs are deleted, and no others.

use std::time::Duration;

use api::{
    Kind,
    configurator::InstanceState,
    releases::{ListReleases, PromoteRelease, Release, ReleasePhase},
};
use types::Digest;

use crate::{
    orders::{order, take},
    uploads::there,
    world::{MANIFEST, PRICES, World, eventually, put_package},
};

async fn stage(world: &World, note: &str) -> Release {
    let manifest = format!("# {note}\n{}", MANIFEST.replace("NAME", "forum"));
    let release = world.stage_texts("forum", &manifest, &PRICES.replace("NAME", "forum")).await;
    let release = release.unwrap();
    assert_eq!(release.phase, ReleasePhase::Staged, "{:?}", release.problem);
    release
}

/// The releases whose packages are gone, what was published last first.
async fn collected(world: &World) -> Vec<Digest> {
    let list = ListReleases { service: "forum".parse().unwrap(), after: None, limit: None };
    let releases = world.operator().await.call(list).await.unwrap().items;
    let gone = releases.into_iter().filter(|release| release.collected);
    gone.map(|release| release.digest).collect()
}

async fn has(world: &World, digest: &Digest) -> bool {
    there(&world.operator().await, digest).await.whole
}

stories! {
    async fn what_nobody_needs_is_deleted_and_comes_back_when_it_is_published(world: &World) {
        let ada = world.sign_up("ada").await;
        let first = world.publish("forum", "first").await.digest;
        let bakery = order(ada.account, "bakery.localhost", &[]);
        take(&ada, bakery, InstanceState::AwaitingSetup).await;
        let mut staged = Vec::new();
        for number in 0..12 {
            staged.push(stage(world, &format!("number {number}")).await.digest);
        }
        let unpublished = b"stored and not published yet";
        let digest = Digest::of(unpublished);
        put_package(&world.operator().await, unpublished).await.unwrap();

        world.advance(Duration::from_mins(50));
        let late = stage(world, "late").await.digest;
        assert_eq!(collected(world).await, []);
        world.advance(Duration::from_mins(11));
        let gone = || collected(world);
        let expected = [staged[2].clone(), staged[1].clone(), staged[0].clone()];
        eventually("the oldest are gone", gone, |gone| *gone == expected).await;
        assert!(!has(world, &staged[0]).await);
        let unneeded = || has(world, &digest);
        eventually("so is what nobody published", unneeded, |has| !has).await;
        // The current one, on which an instance is, is older than any of them.
        for needed in [&first, &staged[3], &staged[11], &late] {
            assert!(has(world, needed).await, "{needed}");
        }

        let service = || "forum".parse().unwrap();
        let operator = world.operator().await;
        let promote = PromoteRelease::new(service(), staged[0].clone());
        let problem = operator.call(promote.clone()).await.unwrap_err();
        assert_eq!((problem.kind, problem.code.as_str()), (Kind::Conflict, "package_collected"));
        let again = stage(world, "number 0").await;
        assert_eq!((&again.digest, again.collected), (&staged[0], false));
        assert!(has(world, &staged[0]).await);
        operator.call(promote).await.unwrap();
    }

    async fn the_ways_back_of_the_last_rollouts_stay_open(world: &World) {
        let mut releases = Vec::new();
        for number in 0..13 {
            releases.push(world.publish("forum", &format!("number {number}")).await.digest);
        }
        world.advance(Duration::from_mins(61));
        let gone = || collected(world);
        let expected = [releases[1].clone(), releases[0].clone()];
        eventually("the first are gone", gone, |gone| *gone == expected).await;
        let promote = PromoteRelease::new("forum".parse().unwrap(), releases[2].clone());
        world.operator().await.call(promote).await.unwrap();
    }
}
