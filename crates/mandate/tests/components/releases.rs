//! Publishing: what is refused, and what everybody is told.

use api::{
    Kind, Problem,
    access::{ListPermissions, PromoteCatalogue, PutCatalogue},
    billing::{DropPrices, GetPriceBook, PromotePrices, PutReleasePrices, PutSubscription, Words},
    configurator::InstanceState,
    identity::WhoAmI,
    jobs::{LeaseJobs, ListInstanceJobs},
    prices::PriceBook,
    provider::{GetOffer, PromoteOffer},
    releases::{
        Heartbeat, ListNodes, ListReleases, ListServices, LogPart, LogPlace, PromoteRelease,
        PublishRelease, PutLogs, ReadServiceLogs, ReleasePhase, ReleaseReport, ReleaseState,
        ReplicaReport, ReplicaState,
    },
};
use db::EngineKind;
use types::{AccountId, Clock as _, Digest, InstanceId};

use crate::{
    orders::{order, submit, take},
    world::{MANIFEST, PRICES, Person, World, eventually, put_package, until},
};

fn texts(service: &str) -> (String, String) {
    (MANIFEST.replace("NAME", service), PRICES.replace("NAME", service))
}

/// What is in force of a service: its offer, its permissions, and where its instances' jobs run.
async fn in_force(world: &World, service: &str) -> (Digest, Vec<String>, PriceBook) {
    let name = || service.parse().unwrap();
    let offer = world.visitor().call(GetOffer { service: name() }).await.unwrap();
    let list = ListPermissions { service: Some(name()), ..ListPermissions::default() };
    let permissions = world.component("access").call(list).await.unwrap().items;
    let permissions = permissions.iter().map(|entry| entry.permission.to_string()).collect();
    let prices = world.visitor().call(GetPriceBook { service: name() }).await.unwrap();
    (offer.release, permissions, prices)
}

fn book(prices: &str) -> PriceBook {
    PriceBook::parse("prices.toml", &prices.replace("NAME", "forum")).unwrap()
}

/// Takes an instance, fills its set-up in, and answers which release does its first job, of a node
/// that has them all.
async fn set_up(world: &World, person: &Person, releases: Vec<Digest>) -> Digest {
    let (account, bakery) = (person.account, order(person.account, "bakery.localhost", &[]));
    let instance = take(person, bakery, InstanceState::AwaitingSetup).await;
    person.client.call(submit(person, instance)).await.unwrap();
    let jobs = || async {
        let list = ListInstanceJobs {
            account,
            instance,
            state: None,
            name: None,
            after: None,
            limit: None,
        };
        person.client.call(list).await.unwrap().items
    };
    eventually("a job is queued", jobs, |jobs| !jobs.is_empty()).await;
    let (node, client) = world.node("worker").await;
    let lease = LeaseJobs {
        node,
        releases,
        holding: Vec::new(),
        slots: 1,
        setup_slots: 0,
        wait_millis: 5_000,
    };
    let asked = async || client.call(lease.clone()).await.unwrap().leases;
    let leases = eventually("there is a job", asked, |leases| !leases.is_empty()).await;
    leases[0].release.clone()
}

/// Without `removeUsers`.
fn fewer_permissions(manifest: &str) -> String {
    let line = "removeUsers = { title = \"Remove members\", level = \"write\" }\n";
    let route = "[[routes]]\nmatch = \"DELETE /users/*\"\npermission = \"removeUsers\"\n";
    let fewer = manifest.replace(line, "").replace(route, "");
    assert!(!fewer.contains("removeUsers"));
    fewer
}

/// Whoever has lost their database hears of releases at the next start.
async fn reminds_whoever_has_lost_a_release(engine: EngineKind) {
    let world = World::start("reminds", engine).await;
    world.publish("forum", "first").await;
    let tables = async |world: &World| {
        let password = world.house.database_password("jobs");
        world.engine.open("jobs", &password, &[]).await.unwrap()
    };
    let jobs = tables(&world).await;
    for table in ["release", "proposal"] {
        db::query(&format!("delete from {table}")).run(&jobs).await.unwrap();
    }
    jobs.close().await;
    let data = world.close().await;
    let again = World::start_in(data, engine, "2026-12-01T00:00:00Z", async |_| {});
    let world = Box::pin(again).await;
    let jobs = tables(&world).await;
    until("jobs knows it", async || {
        let known = db::query("select count(*) as n from release where service = 'forum'");
        known.one(&jobs, |row| row.get::<u64>("n")).await.unwrap() == 1
    })
    .await;
    jobs.close().await;
    world.end().await;
}

#[tokio::test]
async fn a_start_reminds_whoever_has_lost_a_release_on_sqlite() {
    Box::pin(reminds_whoever_has_lost_a_release(EngineKind::Sqlite)).await;
}

#[tokio::test]
async fn a_start_reminds_whoever_has_lost_a_release_on_postgres() {
    Box::pin(reminds_whoever_has_lost_a_release(EngineKind::Postgres)).await;
}

stories! {
    async fn a_refused_release_changes_nothing(world: &World) {
        let first = world.publish("forum", "first").await;
        let before = in_force(world, "forum").await;
        assert_eq!(before.0, first.digest);
        let (manifest, prices) = texts("forum");
        let manifest = fewer_permissions(&manifest);
        let dearer = prices.replace("9.00", "10.00");
        let refused = world.publish_texts("forum", &manifest, &dearer).await.unwrap();
        assert_eq!(refused.phase, ReleasePhase::Failed);
        assert!(refused.problem.unwrap().contains("later `effective`"));
        assert_eq!(in_force(world, "forum").await, before);
        // The others have forgotten what they had agreed to.
        let (service, release) = ("forum".parse().unwrap(), refused.digest.clone());
        let promote = PromoteCatalogue { service, release, turn: 9 };
        let unknown = world.component("releases").call(promote).await.unwrap_err();
        assert_eq!(unknown.kind, Kind::NotFound);
        // Set up now, an instance is set up by the release that runs, and comes to its end.
        let ada = world.sign_up("ada").await;
        let both = vec![refused.digest, first.digest.clone()];
        assert_eq!(set_up(world, &ada, both).await, first.digest);
        // What is mended is taken.
        let later = dearer.replace("2026-01-01", "2027-01-01");
        let next = world.stage_texts("forum", &manifest, &later).await.unwrap();
        assert_eq!(next.phase, ReleasePhase::Staged, "{:?}", next.problem);
        let promote = PromoteRelease::new("forum".parse().unwrap(), next.digest.clone());
        world.promote_as(PromoteRelease { accept_loss: true, ..promote }).await.unwrap();
        let now = in_force(world, "forum").await;
        assert_eq!((now.0, now.2), (next.digest, before.2));
        assert_eq!(now.1, before.1, "an instance is on the one before still");
    }

    async fn going_back_is_never_refused_for_its_prices(world: &World) {
        let (manifest, prices) = texts("forum");
        let future = prices.replace("2026-01-01", "2027-01-01");
        world.publish("forum", "zero").await;
        let first = world.publish_texts("forum", &manifest, &future).await.unwrap();
        assert_eq!(first.phase, ReleasePhase::Staged);
        // Other prices for the same moment, which comes.
        let dearer = future.replace("9.00", "10.00");
        let second = world.publish_texts("forum", &manifest, &dearer).await.unwrap();
        assert_eq!(second.phase, ReleasePhase::Staged, "{:?}", second.problem);
        world.clock.advance(std::time::Duration::from_hours(24 * 32));
        let back = world.publish_texts("forum", &manifest, &future).await.unwrap();
        assert_eq!((back.phase, back.digest), (ReleasePhase::Staged, first.digest.clone()));
        let (release, _, holding) = in_force(world, "forum").await;
        assert_eq!((release, holding), (first.digest, book(&dearer)), "the code, not the prices");
    }

    async fn promotions_may_come_twice_and_late(world: &World) {
        let releases = world.component("releases");
        let first = world.publish("forum", "first").await.digest;
        let second = world.publish("forum", "second").await.digest;
        let service = || "forum".parse().unwrap();
        for (release, turn) in [(&second, 2), (&first, 1), (&second, 2), (&first, 1)] {
            let release = || release.clone();
            let catalogue = PromoteCatalogue { service: service(), release: release(), turn };
            releases.call(catalogue).await.unwrap();
            let offer = PromoteOffer { service: service(), release: release(), turn };
            releases.call(offer).await.unwrap();
            assert_eq!(in_force(world, "forum").await.0, second);
        }
        let release = Digest::of(b"never put");
        let unknown = PromoteOffer { service: service(), release, turn: 3 };
        assert_eq!(releases.call(unknown).await.unwrap_err().kind, Kind::NotFound);
        let permissions = world.component("access").call(ListPermissions::default()).await;
        let entry = permissions.unwrap().items.remove(0);
        let twice = vec![entry.clone(), entry];
        let put = PutCatalogue { service: service(), release: first, permissions: twice };
        assert_eq!(releases.call(put).await.unwrap_err().kind, Kind::Invalid);
    }

    async fn what_a_release_drops_is_not_sold_while_it_is_on_its_way(world: &World) {
        world.publish("forum", "first").await;
        let releases = world.component("releases");
        let service = || "forum".parse().unwrap();
        let release = Digest::of(b"without polls");
        let without = PRICES.replace("2026-01-01", "2027-01-01");
        let without = without.lines().filter(|line| !line.starts_with("modules."));
        let book = book(&without.collect::<Vec<_>>().join("\n"));
        let (put, words) = (release.clone(), Words::default());
        let put = PutReleasePrices { service: service(), release: put, book, words };
        releases.call(put.clone()).await.unwrap();
        let take = || PutSubscription {
            account: AccountId::named(&["ada"]),
            instance: InstanceId::named(&["bakery"]),
            service: service(),
            host: "bakery.localhost".parse().unwrap(),
            plan: "basic".into(),
            size: "small".into(),
            modules: ["polls".to_owned()].into(),
            since: world.clock.now(),
        };
        let sell = async || world.component("provider").call(take()).await;
        let refused: Problem = sell().await.unwrap_err();
        assert_eq!(refused.code, "not_on_offer", "{refused}");
        // Somebody else refuses the release: all is as it was, and sold after all.
        let dropped = DropPrices { service: service(), release: release.clone() };
        releases.call(dropped).await.unwrap();
        sell().await.unwrap();
        // A release may drop what is sold only if it is a module.
        releases.call(put.clone()).await.unwrap();
        releases.call(DropPrices { service: service(), release: release.clone() }).await.unwrap();
        let mut smaller = put;
        let plan = smaller.book.plans.get_mut("basic").unwrap();
        let small = plan.sizes.remove("small").unwrap();
        plan.sizes.insert("large".into(), small);
        assert_eq!(releases.call(smaller).await.unwrap_err().code, "price_missing");
        let promote = PromotePrices { service: service(), release, turn: 9 };
        assert_eq!(releases.call(promote).await.unwrap_err().kind, Kind::NotFound);
    }

    async fn a_first_release_that_is_refused_binds_no_currency(world: &World) {
        let releases = world.component("releases");
        let release = |text: &str| Digest::of(text.as_bytes());
        let service = || "forum".parse().unwrap();
        for (name, currency) in [("one", "EUR"), ("two", "USD")] {
            let book = book(&PRICES.replace("USD", currency));
            let (put, words) = (release(name), Words::default());
            let put = PutReleasePrices { service: service(), release: put, book, words };
            releases.call(put).await.unwrap();
            let dropped = DropPrices { service: service(), release: release(name) };
            releases.call(dropped).await.unwrap();
        }
    }

    async fn a_release_is_announced_to_everybody(world: &World) {
        let release = world.publish("forum", "first").await;
        assert_eq!(release.phase, ReleasePhase::Staged, "{:?}", release.problem);
        let offer = GetOffer { service: "forum".parse().unwrap() };
        let offer = world.visitor().call(offer).await.unwrap();
        assert_eq!(offer.release, release.digest);
        let me = world.operator().await.call(WhoAmI {}).await.unwrap();
        assert_eq!(release.published_by, Some(me.principal));
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
        let release = world.publish("forum", "first").await;
        let (manifest, prices) = texts("forum");
        let publish = PublishRelease {
            service: "forum".parse().unwrap(),
            digest: release.digest,
            manifest: format!("# first\n{manifest}"),
            prices,
            public_key: release.public_key,
            signature: release.signature,
            source: None,
        };
        operator.call(publish.clone()).await.unwrap();
        let (from, lines) = ("REPO#production@1234".to_owned(), "two\nlines".to_owned());
        let said = PublishRelease { source: Some(from.clone()), ..publish.clone() };
        assert_eq!(operator.call(said).await.unwrap().source, Some(from));
        for source in [lines, "x".repeat(501)] {
            let odd = PublishRelease { source: Some(source), ..publish.clone() };
            assert_eq!(operator.call(odd).await.unwrap_err().code, "source");
        }
        let mut forged = publish.clone();
        forged.signature.replace_range(0..2, if forged.signature.starts_with("00") { "01" } else { "00" });
        assert_eq!(operator.call(forged).await.unwrap_err().kind, Kind::Invalid);
        let swapped = PublishRelease { manifest: publish.manifest.replace("# first", "# other"), ..publish };
        let swapped = operator.call(swapped).await.unwrap_err();
        assert!(swapped.detail.contains("mandate.toml"), "{swapped}");
        let ada = world.sign_up("ada").await;
        let upload = put_package(&ada.client, b"x").await;
        assert_eq!(upload.unwrap_err().kind, Kind::Denied);
    }

    async fn a_node_is_told_what_to_run_and_gateways_what_is_healthy(world: &World) {
        let release = world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let beat = Heartbeat::new(node, "one".parse().unwrap());
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
                process: "web".to_owned(),
                instance: None,
                address: "127.0.0.1:4000".into(),
                state: ReplicaState::Healthy,
                starts: 1,
                next_start: None,
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

    async fn what_is_printed_is_read_from_the_node_that_runs_it(world: &World) {
        world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let beat = |replicas: Vec<ReplicaReport>, known, wait_millis| Heartbeat {
            replicas,
            known,
            wait_millis,
            ..Heartbeat::new(node, "one".parse().unwrap())
        };
        let desired = client.call(beat(Vec::new(), 0, 0)).await.unwrap();
        let web = desired.replicas[0].clone();
        let healthy = ReplicaReport {
            replica: web.replica,
            digest: web.digest,
            service: web.service,
            process: web.process,
            instance: None,
            address: "127.0.0.1:4000".into(),
            state: ReplicaState::Healthy,
            starts: 1,
            next_start: None,
            log: String::new(),
        };
        let known = client.call(beat(vec![healthy.clone()], 0, 0)).await.unwrap().version;
        let operator = world.operator().await;
        let read = |process: Option<&str>, after| ReadServiceLogs {
            service: "forum".parse().unwrap(),
            process: process.map(str::to_owned),
            lines: Some(3),
            after,
        };
        let place = LogPlace { start: 1, file: 7, offset: 9 };
        let (process, text) = ("web".to_owned(), "hello\n".to_owned());
        let part = LogPart { replica: healthy.replica, process, index: 0, text, place };
        // The node waits for something to do, hears of the wish and tells.
        let answering = async {
            let told = client.call(beat(vec![healthy.clone()], known, 5_000)).await.unwrap();
            let wish = told.logs[0].clone();
            assert_eq!((wish.lines, told.logs.len()), (3, 1));
            let again = client.call(beat(vec![healthy.clone()], known, 0)).await.unwrap();
            assert!(again.logs.is_empty(), "each is said once");
            let put = PutLogs { node, wish: wish.wish, parts: vec![part.clone()] };
            client.call(put).await.unwrap();
            wish
        };
        let (logs, wish) = tokio::join!(operator.call(read(None, None)), answering);
        let logs = logs.unwrap();
        assert_eq!((logs.parts, wish.after.len()), (vec![part], 0));
        let answering = async {
            let told = client.call(beat(vec![healthy.clone()], known, 5_000)).await.unwrap();
            let (wish, parts) = (told.logs[0].wish, Vec::new());
            client.call(PutLogs { node, wish, parts }).await.unwrap();
            told.logs[0].clone()
        };
        let (more, wish) = tokio::join!(operator.call(read(None, Some(logs.next))), answering);
        assert_eq!(wish.after.get(&healthy.replica), Some(&place));
        assert_eq!(more.unwrap().parts, vec![]);
        let refused = async |op: ReadServiceLogs| operator.call(op).await.unwrap_err().code;
        assert_eq!(refused(read(Some("worker"), None)).await, "unavailable");
        assert_eq!(refused(read(None, Some("x".to_owned()))).await, "after");
        let many = ReadServiceLogs { lines: Some(1_001), ..read(None, None) };
        assert_eq!(refused(many).await, "lines");
    }

    async fn what_failed_on_the_nodes_is_said_and_replicas_of_another_release_do_not_count(
        world: &World
    ) {
        world.publish("forum", "first").await;
        let (node, client) = world.node("one").await;
        let beat = |releases, replicas| Heartbeat {
            releases,
            replicas,
            ..Heartbeat::new(node, "one".parse().unwrap())
        };
        let old = client.call(beat(Vec::new(), Vec::new())).await.unwrap().replicas.remove(0);
        let second = world.publish("forum", "second").await;
        let failed = ReleaseReport {
            digest: second.digest.clone(),
            service: second.service.clone(),
            state: ReleaseState::Failed,
            log: "no compiler".into(),
        };
        let healthy = ReplicaReport {
            replica: old.replica,
            digest: old.digest,
            service: old.service,
            process: "web".to_owned(),
            instance: None,
            address: "127.0.0.1:4000".into(),
            state: ReplicaState::Healthy,
            starts: 1,
            next_start: None,
            log: String::new(),
        };
        client.call(beat(vec![failed], vec![healthy])).await.unwrap();
        let operator = world.operator().await;
        let service = operator.call(ListServices::default()).await.unwrap().items.remove(0);
        assert_eq!(service.release, second.digest);
        assert_eq!((service.nodes_ready, service.replicas_healthy), (0, 0));
        let list = ListReleases { service: second.service, after: None, limit: None };
        let on_nodes = operator.call(list).await.unwrap().items.remove(0).on_nodes;
        assert_eq!((on_nodes.nodes, on_nodes.ready, on_nodes.failed), (1, 0, 1));
        assert_eq!(on_nodes.problem.unwrap(), "node `one`: no compiler");
    }

    async fn what_was_published_last_comes_first_and_holds(world: &World) {
        let first = world.publish("forum", "first").await.digest;
        let second = world.publish("forum", "second").await.digest;
        world.publish("forum", "first").await;
        assert_eq!(in_force(world, "forum").await.0, first);
        let list = |after, limit| ListReleases { service: "forum".parse().unwrap(), after, limit };
        let operator = world.operator().await;
        let page = operator.call(list(None, Some(1))).await.unwrap();
        assert_eq!(page.items[0].digest, first);
        assert!(page.items[0].current);
        let next = operator.call(list(page.next, Some(1))).await.unwrap();
        assert_eq!(next.items[0].digest, second);
    }
}
