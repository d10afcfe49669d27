//! What is on offer.

use api::{
    Empty, Problem,
    provider::{GetOffer, ListOffers, Offer, PutOffer},
};
use chassis::{Call, Write};
use types::{Cursor, Page};

use crate::{Error, State, store};

pub(crate) async fn put_offer(cx: &mut Write<State>, op: PutOffer) -> Result<Empty, Problem> {
    let PutOffer { service, release, manifest, plans } = op;
    let offer = Offer { service, release, manifest, plans };
    store::put_offer(cx.tx(), &offer).await.map_err(Error::from)?;
    Ok(Empty {})
}

pub(crate) async fn list_offers(cx: Call<State>, op: ListOffers) -> Result<Page<Offer>, Problem> {
    let cursor = Cursor { after: op.after, limit: op.limit };
    let offers = store::offers(cx.db(), &cursor).await.map_err(Error::from)?;
    Ok(Page::cut(offers, &cursor, |offer| offer.service.to_string()))
}

pub(crate) async fn get_offer(cx: Call<State>, op: GetOffer) -> Result<Offer, Problem> {
    let offer = store::offer(cx.db(), &op.service).await.map_err(Error::from)?;
    Ok(offer.ok_or(Error::Missing("service on offer"))?)
}
