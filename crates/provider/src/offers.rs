//! What is on offer.

use api::{
    Empty, Problem,
    billing::ListPriced,
    provider::{DropOffer, GetOffer, ListOffers, Offer, PromoteOffer, PutOffer},
};
use chassis::{Call, Room, Write};
use types::{Name, Page};

use crate::{Error, State, model::offers::narrowed, store};

/// How many services billing is asked about at once: the question must fit into an address.
const ASKED_MAX: usize = 50;

pub(crate) async fn put_offer(cx: &mut Write<State>, op: PutOffer) -> Result<Empty, Error> {
    let PutOffer { service, release, manifest, plans } = op;
    let offer = Offer { service, release, manifest, plans };
    cx.propose(&offer.service, &offer.release, &offer).await?;
    Ok(Empty {})
}

pub(crate) async fn promote_offer(cx: &mut Write<State>, op: PromoteOffer) -> Result<Empty, Error> {
    let promoted = cx.promote(&op.service, &op.release, op.turn).await?;
    if let Some(offer) = promoted {
        store::put_offer(cx.tx(), &offer).await?;
    }
    Ok(Empty {})
}

pub(crate) async fn drop_offer(cx: &mut Write<State>, op: DropOffer) -> Result<Empty, Error> {
    cx.withdraw(&op.service, &op.release).await?;
    Ok(Empty {})
}

pub(crate) async fn list_offers(cx: Call<State>, op: ListOffers) -> Result<Page<Offer>, Error> {
    let cursor = op.cursor();
    let offers = store::offers(cx.db(), &cursor).await?;
    let page = Page::cut(offers, &cursor, |offer| offer.service.to_string());
    Ok(Page { items: that_can_be_taken(&cx, page.items).await?, next: page.next })
}

pub(crate) async fn get_offer(cx: Call<State>, op: GetOffer) -> Result<Offer, Error> {
    let offer = store::offer(cx.db(), &op.service).await?;
    let offers = that_can_be_taken(&cx, offer.into_iter().collect()).await?;
    offers.into_iter().next().ok_or(Error::Missing("service on offer"))
}

/// What can be taken of a service now.
pub(crate) async fn offer_now(room: &Room<State>, service: &Name) -> Result<Offer, Error> {
    let offer = store::offer(room.db(), service).await?;
    let offer = offer.ok_or_else(|| Error::NoOffer(service.clone()))?;
    let offers = that_can_be_taken(room, vec![offer]).await?;
    offers.into_iter().next().ok_or_else(|| Error::NotYet(service.clone()))
}

/// Prices change with time and by the operator, so billing is asked each time: what is shown can be
/// ordered, and what cannot be ordered is not shown.
async fn that_can_be_taken(room: &Room<State>, offers: Vec<Offer>) -> Result<Vec<Offer>, Problem> {
    let mut shown = Vec::new();
    for some in offers.chunks(ASKED_MAX) {
        let services = some.iter().map(|offer| offer.service.clone()).collect();
        let priced = room.peers().call(ListPriced { services }).await?;
        let of = |service: &Name| priced.iter().find(|priced| priced.service == *service);
        shown.extend(some.iter().filter_map(|offer| narrowed(offer, of(&offer.service)?)));
    }
    Ok(shown)
}
