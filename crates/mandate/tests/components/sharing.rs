//! Which nodes a node is told of that give it a package, and what the tickets for that are worth.

use std::time::Duration;

use api::{
    Client, Kind,
    http::token,
    identity::RemoveNode,
    releases::{
        Desired, FindPackage, GetPackagePart, Heartbeat, ListNodes, PackageSource, SOURCES_MAX,
        Sharing, TICKET_LIFE, ticket_audience,
    },
};
use ed25519_dalek::VerifyingKey;
use types::{Digest, NodeId, Principal};

use crate::world::{World, eventually, until};

/// A node that shares packages, as far as the platform sees.
struct Sharer {
    node: NodeId,
    client: Client,
    beat: Heartbeat,
}

impl Sharer {
    async fn joins(world: &World, (name, port): (&str, u16), packages: &[&Digest]) -> Self {
        let (node, client) = world.node(name).await;
        let packages = packages.iter().copied().cloned().collect();
        let address = ([10, 0, 0, 1], port).into();
        let sharing = Some(Sharing { address, session: port.into(), packages });
        let beat = Heartbeat { sharing, ..Heartbeat::new(node, name.parse().unwrap()) };
        let this = Self { node, client, beat };
        this.says().await;
        this
    }

    async fn says(&self) -> Desired {
        let ask = async || self.client.call(self.beat.clone()).await;
        eventually("it is answered", ask, Result::is_ok).await.unwrap()
    }
}

async fn sources(client: &Client, node: NodeId, digest: &Digest) -> Vec<PackageSource> {
    client.call(FindPackage { node, digest: digest.clone() }).await.unwrap().sources
}

stories! {
    async fn a_node_is_told_of_a_few_that_share_a_package_and_each_is_opened_by_a_ticket(world: &World) {
        let digest = world.publish("forum", "first").await.digest;
        let other = world.publish("store", "first").await.digest;
        let (asks, client) = world.node("asks").await;
        assert!(sources(&client, asks, &digest).await.is_empty());
        let mut sharers = Vec::new();
        for name in [("b", 1), ("c", 2), ("d", 3), ("e", 4)] {
            sharers.push(Sharer::joins(world, name, &[&digest]).await);
        }
        let one = Sharer::joins(world, ("f", 5), &[&other]).await;

        let found = sources(&client, asks, &digest).await;
        assert_eq!(found.len(), SOURCES_MAX);
        assert!(found.iter().all(|source| source.node != one.node), "it has another one");
        let only = sources(&client, asks, &other).await;
        assert!(only.len() == 1 && only[0].address == one.beat.sharing.as_ref().unwrap().address);
        assert!(sources(&one.client, one.node, &other).await.is_empty(), "it has it itself");
        let as_another = FindPackage { node: one.node, digest: digest.clone() };
        assert_eq!(client.call(as_another).await.unwrap_err().kind, Kind::Denied);
        let nodes = world.operator().await.call(ListNodes::default()).await.unwrap().items;
        assert_eq!(nodes.iter().filter(|node| node.shares_at.is_some()).count(), 5);

        // The key for tickets is told to those that share, with the rest of what they are told.
        let desired = one.says().await;
        let key = chassis::unhex::<32>(&desired.ticket_key.unwrap()).unwrap();
        let key = VerifyingKey::from_bytes(&key).unwrap();
        let again = Heartbeat { as_before: desired.report, known: desired.version, sharing: None, ..one.beat.clone() };
        assert_eq!(one.client.call(again).await.unwrap().ticket_key, None);
        let plain = Heartbeat::new(asks, "asks".parse().unwrap());
        assert_eq!(client.call(plain).await.unwrap().ticket_key, None);
        for source in &found {
            let (kid, claims) = token::verify(source.ticket.reveal(), |_| Some(key)).unwrap();
            assert_eq!((kid.as_str(), &claims.sub), ("releases", &Principal::Node(asks)));
            assert_eq!(claims.aud, ticket_audience(source.node, source.address.port().into(), &digest));
            assert_eq!(claims.exp - claims.iat, TICKET_LIFE.as_secs().cast_signed());
        }
        // At the platform a ticket opens nothing.
        let shown = client.with_token(Some(found[0].ticket.reveal()));
        let part = GetPackagePart { digest: digest.clone(), offset: 0 };
        let refused = shown.call(part).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Unauthenticated, "token_refused"));
    }

    async fn who_is_silent_removed_or_shares_no_more_is_not_named(world: &World) {
        let digest = world.publish("forum", "first").await.digest;
        let (asks, client) = world.node("asks").await;
        let [one, two, three] = [
            Sharer::joins(world, ("b", 1), &[&digest]).await,
            Sharer::joins(world, ("c", 2), &[&digest]).await,
            Sharer::joins(world, ("d", 3), &[&digest]).await,
        ];
        let named = async || {
            let found = sources(&client, asks, &digest).await;
            found.into_iter().map(|source| source.node).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(named().await, [one.node, two.node, three.node].into());
        one.client.call(Heartbeat { sharing: None, ..one.beat.clone() }).await.unwrap();
        assert_eq!(named().await, [two.node, three.node].into());
        let remove = RemoveNode { node: two.node, force: false };
        world.operator().await.call(remove).await.unwrap();
        until("it is forgotten", async || named().await == [three.node].into()).await;
        world.clock.advance(Duration::from_secs(16));
        assert!(named().await.is_empty());
        three.says().await;
        assert_eq!(named().await, [three.node].into());
    }
}
