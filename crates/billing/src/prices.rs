//! Price books.

use api::{
    Empty,
    billing::{GetPriceBook, PutPriceBook},
    prices::PriceBook,
};
use chassis::{Call, Write};
use types::Timestamp;

use crate::{Error, State, model, store};

const VERSIONS_MAX: usize = 200;

/// Prices of the past stand: once something of a service was sold, none begins before the hour in
/// which it is published, and one that holds already is not replaced.
pub(crate) async fn put_price_book(
    cx: &mut Write<State>,
    op: PutPriceBook,
) -> Result<Empty, Error> {
    let PutPriceBook { service, book, words } = op;
    if book.service != service {
        return Err(Error::OtherService { path: service, book: book.service });
    }
    model::check_book(&book)?;
    let now = cx.now();
    put(cx.tx(), &book, now).await?;
    if let Some(words) = words {
        model::check_words(&words)?;
        store::put_words(cx.tx(), &service, &words).await?;
    }
    Ok(Empty {})
}

async fn put(tx: &mut db::Tx, book: &PriceBook, now: Timestamp) -> Result<(), Error> {
    let service = &book.service;
    store::insert_service(tx, service, book.currency).await?;
    let currency = store::service_to_change(tx, service).await?.ok_or(Error::Missing("service"))?;
    if currency != book.currency {
        return Err(Error::Currency { service: service.clone(), known: currency.to_string() });
    }
    let known = store::books(tx, service).await?;
    if known.contains(book) {
        return Ok(());
    }
    let same_moment = known.iter().any(|known| known.effective == book.effective);
    if same_moment && book.effective <= now {
        return Err(Error::OtherPrices { service: service.clone(), effective: book.effective });
    }
    let earliest = model::hour_of(now);
    if book.effective < earliest && store::is_sold(tx, service).await? {
        return Err(Error::Backdated { earliest });
    }
    if known.len() >= VERSIONS_MAX && !same_moment {
        return Err(Error::Versions(service.clone()));
    }
    for (plan, size, modules) in store::sold(tx, service, book.effective).await? {
        if let Some((what, key)) = model::what_lacks(book, &plan, &size, &modules) {
            return Err(Error::Sold { what, key });
        }
    }
    store::put_book(tx, book).await?;
    Ok(())
}

pub(crate) async fn get_price_book(cx: Call<State>, op: GetPriceBook) -> Result<PriceBook, Error> {
    let book = store::book_at(cx.db(), &op.service, cx.now()).await?;
    book.ok_or(Error::Missing("price book"))
}
