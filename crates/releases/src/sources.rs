//! Which nodes give a package to a node: some of the living that have it and share what they have.
//!
//! What they give is private, so each is named with a ticket that it can check by itself: signed
//! here, for one package of one node, for a few minutes.

use api::{
    http::token::Claims,
    releases::{
        FindPackage, PackageSource, PackageSources, SOURCES_MAX, TICKET_LIFE, ticket_audience,
    },
};
use chassis::Call;
use types::{Digest, NodeId, Principal, Secret};

use crate::{Error, State, known::Sharer};

pub(crate) async fn find_package(
    cx: Call<State>,
    op: FindPackage,
) -> Result<PackageSources, Error> {
    let now = cx.now();
    let sharing = cx.state().nodes.sharing(&op.digest, now);
    let sources = chosen(sharing, op.node, &op.digest).into_iter().map(|sharer| {
        let Sharer { node, address, session } = sharer;
        let audience = ticket_audience(node, session, &op.digest);
        let claims = Claims::new(Principal::Node(op.node), &audience, now, TICKET_LIFE);
        let ticket = Secret::new(cx.state().signer.sign(&claims));
        PackageSource { node, address, ticket }
    });
    Ok(PackageSources { sources: sources.collect() })
}

/// Those that a node is told of. Each node has an order of its own in which it asks them, so that
/// what many nodes fetch is spread over all that have it.
fn chosen(mut sharing: Vec<Sharer>, asks: NodeId, digest: &Digest) -> Vec<Sharer> {
    sharing.retain(|sharer| sharer.node != asks);
    let place = |it: &Sharer| Digest::of(format!("{asks} {digest} {}", it.node).as_bytes());
    sharing.sort_by_cached_key(place);
    sharing.truncate(SOURCES_MAX);
    sharing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nodes_are_spread_over_those_that_share_and_none_is_sent_to_itself() {
        let node = |number: u16| NodeId::named(&[&number.to_string()]);
        let sharer = |number: u16| {
            let address = ([10, 0, 0, 1], number).into();
            Sharer { node: node(number), address, session: 1 }
        };
        let (sharing, digest): (Vec<_>, _) = ((1..=5).map(sharer).collect(), Digest::of(b"it"));
        let mut first: BTreeMap<NodeId, usize> = BTreeMap::new();
        for asks in (1..=300).map(node) {
            let sources = chosen(sharing.clone(), asks, &digest);
            assert!(sources.len() == SOURCES_MAX && sources.iter().all(|it| it.node != asks));
            assert_eq!(sources, chosen(sharing.clone(), asks, &digest), "it can go on there");
            *first.entry(sources[0].node).or_default() += 1;
        }
        assert!(first.len() == 5 && first.values().all(|count| *count > 30), "{first:?}");
        assert!(chosen(vec![sharer(1)], node(1), &digest).is_empty());
    }
}
