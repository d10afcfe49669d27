//! Publishing: what is refused, and what everybody is told.

use api::{
    Kind,
    provider::GetOffer,
    releases::{
        Heartbeat, ListNodes, ListReleases, PublishRelease, PutPackage, ReleasePhase,
        ReleaseReport, ReleaseState, ReplicaReport, ReplicaState,
    },
};
use types::Digest;

use crate::world::{MANIFEST, PRICES};

fn texts(service: &str) -> (String, String) {
    (MANIFEST.replace("NAME", service), PRICES.replace("NAME", service))
}

stories! {
    async fn a_release_is_announced_to_everybody(world: &World) {
        let release = world.publish("forum", "first").await;
        assert_eq!(release.phase, ReleasePhase::Published, "{:?}", release.problem);
        let offer = GetOffer { service: "forum".parse().unwrap() };
        let offer = world.visitor().call(offer).await.unwrap();
        assert_eq!(offer.release, release.digest);
        let again = world.publish("forum", "first").await;
        assert_eq!(again.digest, release.digest);
        let next = world.publish("forum", "second").await;
        let list = ListReleases { service: "forum".parse().unwrap(), after: None, limit: None };
        let releases = world.operator().await.call(list).await.unwrap().items;
        assert_eq!(releases.len(), 2);
        let offer = GetOffer { service: "forum".parse().unwrap() };
        assert_eq!(world.visitor().call(offer).await.unwrap().release, next.digest);
    }

    async fn what_is_wrong_is_said_with_file_line_and_mend(world: &World) {
        let (manifest, prices) = texts("forum");
        let cases = [
            (manifest.replace("[\"polls\"]", "[\"chess\"]"), prices.clone(), "mandate.toml:"),
            (manifest.replace("permission = \"addUsers\"", "permission = \"fly\""), prices.clone(), "fly"),
            (manifest.clone(), prices.replace("modules.badges = { monthly = \"1.00\" }", ""), "badges"),
            (manifest.clone(), prices.replace("per_hour = \"0.0125\"", "per_hour = 0.0125"), "prices.toml:"),
            (manifest.clone(), prices.replace("currency = \"USD\"", "currency = \"XAU\""), "XAU"),
        ];
        for (manifest, prices, word) in cases {
            let problem = world.publish_texts("forum", &manifest, &prices).await.unwrap_err();
            assert_eq!(problem.kind, Kind::Invalid);
            assert!(problem.detail.contains(word), "{problem}");
        }
        let offer = GetOffer { service: "forum".parse().unwrap() };
        assert_eq!(world.visitor().call(offer).await.unwrap_err().kind, Kind::NotFound);
    }

    async fn nobody_takes_anothers_name(world: &World) {
        world.publish("forum", "first").await;
        let (manifest, prices) = texts("forum");
        let other = world.publish_texts("store", &manifest, &prices).await.unwrap_err();
        assert!(other.detail.contains("`forum`") && other.detail.contains("`store`"), "{other}");
        let (manifest, prices) = texts("billing");
        let reserved = world.publish_texts("billing", &manifest, &prices).await.unwrap_err();
        assert!(reserved.detail.contains("billing"), "{reserved}");
    }

    async fn a_package_is_what_its_digest_and_signature_say(world: &World) {
        let operator = world.operator().await;
        let named = Digest::of(b"another package");
        let wrong = operator.upload(PutPackage { digest: named }, "these bytes".into()).await;
        assert_eq!(wrong.unwrap_err().kind, Kind::Invalid);
        let release = world.publish("forum", "first").await;
        let (manifest, prices) = texts("forum");
        let publish = PublishRelease {
            service: "forum".parse().unwrap(),
            digest: release.digest,
            manifest: format!("# first\n{manifest}"),
            prices,
            public_key: release.public_key,
            signature: release.signature,
        };
        operator.call(publish.clone()).await.unwrap();
        let mut forged = publish.clone();
        forged.signature.replace_range(0..2, if forged.signature.starts_with("00") { "01" } else { "00" });
        assert_eq!(operator.call(forged).await.unwrap_err().kind, Kind::Invalid);
        let swapped = PublishRelease { manifest: publish.manifest.replace("# first", "# other"), ..publish };
        let swapped = operator.call(swapped).await.unwrap_err();
        assert!(swapped.detail.contains("mandate.toml"), "{swapped}");
        let ada = world.sign_up("ada").await;
        let upload = ada.client.upload(PutPackage { digest: Digest::of(b"x") }, "x".into()).await;
        assert_eq!(upload.unwrap_err().kind, Kind::Denied);
    }

    async fn a_node_is_told_what_to_run_and_gateways_what_is_healthy(world: &World) {
        let release = world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let beat = Heartbeat {
            node,
            name: "one".parse().unwrap(),
            releases: Vec::new(),
            replicas: Vec::new(),
            known: 0,
            wait_millis: 0,
        };
        let ask = || async { client.call(beat.clone()).await };
        let desired = crate::world::eventually("the node is told", ask, |answer| {
            answer.as_ref().is_ok_and(|desired| !desired.replicas.is_empty())
        });
        let desired = desired.await.unwrap();
        assert_eq!(desired.releases[0].digest, release.digest);
        let replica = &desired.replicas[0];
        let report = Heartbeat {
            releases: vec![ReleaseReport {
                digest: release.digest.clone(),
                service: release.service.clone(),
                state: ReleaseState::Ready,
                log: String::new(),
            }],
            replicas: vec![ReplicaReport {
                replica: replica.replica,
                digest: release.digest.clone(),
                service: release.service.clone(),
                instance: None,
                address: "127.0.0.1:4000".into(),
                state: ReplicaState::Healthy,
                starts: 1,
                log: String::new(),
            }],
            known: desired.version,
            ..beat.clone()
        };
        client.call(report.clone()).await.unwrap();
        let told = async || {
            let snapshot = api::releases::ReadSnapshot { after: None };
            let snapshot = world.component("gateway").call(snapshot).await.unwrap();
            snapshot.documents.iter().filter(|document| document.topic == "replica").count()
        };
        assert_eq!(told().await, 1);
        let (thief, stranger) = world.node("two").await;
        let stolen = ReplicaReport { address: "127.0.0.1:6666".into(), ..report.replicas[0].clone() };
        let foreign = ReplicaReport {
            replica: types::ReplicaId::named(&["made up"]),
            instance: Some(types::InstanceId::named(&["another's"])),
            ..stolen.clone()
        };
        let forged = Heartbeat { node: thief, replicas: vec![stolen, foreign], ..report.clone() };
        stranger.call(forged).await.unwrap();
        assert_eq!(told().await, 1, "a node is believed about its own part only");
        client.call(Heartbeat { known: desired.version, ..beat }).await.unwrap();
        assert_eq!(told().await, 0, "what is not reported is not used");
        let nodes = world.operator().await.call(ListNodes::default()).await.unwrap().items;
        assert!(nodes.len() == 2 && nodes.iter().all(|node| node.alive));
    }
}
