//! What is on offer.

use api::{
    Empty,
    provider::{DropOffer, GetOffer, ListOffers, Offer, PromoteOffer, PutOffer},
};
use chassis::{Call, Write};
use types::{Cursor, Page};

use crate::{Error, State, store};

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
    let cursor = Cursor { after: op.after, limit: op.limit };
    let offers = store::offers(cx.db(), &cursor).await?;
    Ok(Page::cut(offers, &cursor, |offer| offer.service.to_string()))
}

pub(crate) async fn get_offer(cx: Call<State>, op: GetOffer) -> Result<Offer, Error> {
    let offer = store::offer(cx.db(), &op.service).await?;
    offer.ok_or(Error::Missing("service on offer"))
}
