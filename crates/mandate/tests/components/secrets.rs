//! What is made by chance for each instance.

use api::{
    Kind,
    configurator::{Environment, GetEnvironment, InstanceState, RotateSecret},
    releases::Heartbeat,
};
use types::InstanceId;

use crate::{
    orders::reaches,
    setup::{placed, publish, without},
    world::{MANIFEST, World, eventually},
};

const SECRETS: &str =
    "[secrets]\nSECRET_KEY = \"64 hex\"\nTOKEN = \"20 letters\"\n\n[modules.polls]";

/// A dedicated service that asks for nothing but its secrets.
fn manifest() -> String {
    let plain = without(MANIFEST, "[setup.title]", "[modules.polls]");
    let plain = without(&plain, "[database]", "[modules.polls]");
    plain.replace("\"shared\"", "\"dedicated\"").replace("[modules.polls]", SECRETS)
}

async fn environment(world: &World, instance: InstanceId) -> Environment {
    let (node, client) = world.node("worker").await;
    client.call(GetEnvironment { node, instance, release: None }).await.unwrap()
}

stories! {
    async fn a_secret_is_an_instances_own_and_stays_until_it_is_rotated(world: &World) {
        publish(world, &manifest()).await;
        let (ada, ben) = (world.sign_up("ada").await, world.sign_up("ben").await);
        let adas = placed(&ada, "bakery.localhost").await;
        let bens = placed(&ben, "garage.localhost").await;
        for (person, instance) in [(&ada, adas), (&ben, bens)] {
            reaches(person, instance, InstanceState::Open).await;
        }
        let first = environment(world, adas).await.secrets;
        assert_eq!(first["SECRET_KEY"].reveal().len(), 64);
        assert_eq!(first["TOKEN"].reveal().len(), 20);
        assert_eq!(environment(world, adas).await.secrets, first);
        let others = environment(world, bens).await.secrets;
        assert_ne!(others["SECRET_KEY"], first["SECRET_KEY"]);

        let rotate = |secret: &str| RotateSecret {
            account: ada.account,
            instance: adas,
            secret: secret.to_owned(),
        };
        let refused = ben.client.call(rotate("SECRET_KEY")).await.unwrap_err();
        assert!(matches!(refused.kind, Kind::Denied | Kind::NotFound), "{refused:?}");
        let unknown = ada.client.call(rotate("SECRET")).await.unwrap_err();
        assert_eq!((unknown.kind, unknown.code.as_str()), (Kind::NotFound, "unknown_secret"));
        assert!(unknown.detail.contains("`SECRET_KEY`, `TOKEN`"), "{}", unknown.detail);
        assert_eq!(environment(world, adas).await.secrets, first);

        ada.client.call(rotate("SECRET_KEY")).await.unwrap();
        let second = environment(world, adas).await.secrets;
        assert_ne!(second["SECRET_KEY"], first["SECRET_KEY"]);
        assert_eq!(second["TOKEN"], first["TOKEN"]);
        assert_eq!(environment(world, bens).await.secrets, others);
        world.operator().await.call(rotate("TOKEN")).await.unwrap();
        assert_ne!(environment(world, adas).await.secrets["TOKEN"], first["TOKEN"]);
    }

    async fn the_processes_of_an_instance_start_anew_with_a_new_secret(world: &World) {
        publish(world, &manifest()).await;
        let ada = world.sign_up("ada").await;
        let instance = placed(&ada, "bakery.localhost").await;
        reaches(&ada, instance, InstanceState::Open).await;
        let (node, client) = world.node("worker").await;
        let beat = Heartbeat::new(node, "worker".parse().unwrap());
        let generation = async || {
            let desired = client.call(beat.clone()).await.unwrap();
            desired.replicas.first().map(|replica| replica.generation)
        };
        let first = eventually("it is to run", generation, Option::is_some).await;
        let (account, secret) = (ada.account, "TOKEN".to_owned());
        ada.client.call(RotateSecret { account, instance, secret }).await.unwrap();
        let is_new = |seen: &Option<u64>| seen.is_some() && *seen != first;
        eventually("it is to run anew", generation, is_new).await;
    }
}
