//! Price books.

use api::{
    Empty,
    billing::{DropPrices, GetPriceBook, PromotePrices, PutPriceBook, PutReleasePrices},
    prices::PriceBook,
};
use chassis::{Call, Write};
use types::{Name, Timestamp};

use crate::{Error, State, model, store};

const VERSIONS_MAX: usize = 200;

pub(crate) async fn put_price_book(
    cx: &mut Write<State>,
    op: PutPriceBook,
) -> Result<Empty, Error> {
    let PutPriceBook { service, book, words } = op;
    check(cx, &service, &book, Modules::Stay).await?;
    store::put_book(cx.tx(), &book).await?;
    if let Some(words) = words {
        model::check_words(&words)?;
        store::put_words(cx.tx(), &service, &words).await?;
    }
    Ok(Empty {})
}

/// A release brings its prices once: going back to it is going back to its code.
pub(crate) async fn put_release_prices(
    cx: &mut Write<State>,
    op: PutReleasePrices,
) -> Result<Empty, Error> {
    if !cx.was_promoted(&op.service, &op.release).await? {
        model::check_words(&op.words)?;
        // What the release does not have any more is not charged for any more.
        check(cx, &op.service, &op.book, Modules::MayGo).await?;
    }
    cx.propose(&op.service, &op.release, &op).await?;
    Ok(Empty {})
}

/// What was agreed to is put, but not in place of prices that have come to hold meanwhile.
pub(crate) async fn promote_prices(
    cx: &mut Write<State>,
    op: PromotePrices,
) -> Result<Empty, Error> {
    let again = cx.was_promoted(&op.service, &op.release).await?;
    let promoted = cx.promote(&op.service, &op.release, op.turn).await?;
    let Some(PutReleasePrices { service, book, words, .. }) = promoted else {
        return Ok(Empty {});
    };
    let now = cx.now();
    let known = store::books(cx.tx(), &service).await?;
    if !again && !holds(&known, &book, now) {
        store::put_book(cx.tx(), &book).await?;
    }
    store::put_words(cx.tx(), &service, &words).await?;
    Ok(Empty {})
}

/// Whether others of the same moment hold already, which stay.
fn holds(known: &[PriceBook], book: &PriceBook, now: Timestamp) -> bool {
    known.iter().any(|known| known.effective == book.effective && book.effective <= now)
}

/// The versions of a service's prices once a release has brought its own.
pub(crate) fn with(known: &[PriceBook], book: PriceBook, now: Timestamp) -> Vec<PriceBook> {
    let mut all = known.to_vec();
    if !holds(known, &book, now) {
        all.retain(|known| known.effective != book.effective);
        let place = all.partition_point(|known| known.effective < book.effective);
        all.insert(place, book);
    }
    all
}

pub(crate) async fn drop_prices(cx: &mut Write<State>, op: DropPrices) -> Result<Empty, Error> {
    cx.withdraw(&op.service, &op.release).await?;
    if chassis::proposals::<PutReleasePrices>(cx.tx(), &op.service).await?.is_empty() {
        store::delete_service_without_prices(cx.tx(), &op.service).await?;
    }
    Ok(Empty {})
}

/// Whether prices may lack a module that instances have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Modules {
    /// The application has it, so it has a price.
    Stay,
    /// The release may drop it, which its preview says.
    MayGo,
}

/// Prices of the past stand: once something of a service was sold, none begins before the hour in
/// which it is published, and one that holds already is not replaced. The service's row is locked.
async fn check(
    cx: &mut Write<State>,
    service: &Name,
    book: &PriceBook,
    modules: Modules,
) -> Result<(), Error> {
    if book.service != *service {
        return Err(Error::OtherService { path: service.clone(), book: book.service.clone() });
    }
    book.check().map_err(|flaw| Error::Book(flaw.to_string()))?;
    let (now, tx) = (cx.now(), cx.tx());
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
    let last = known.last();
    let has_price = |module: &String| {
        last.is_some_and(|book| book.plans.values().any(|it| it.modules.contains_key(module)))
    };
    for (plan, size, mut taken) in store::sold(tx, service, book.effective).await? {
        // What a release has dropped before does not come back with prices.
        taken.retain(|module| modules == Modules::Stay && has_price(module));
        if let Some((what, key)) = book.lacks(&plan, &size, &taken) {
            return Err(Error::Sold { what, key });
        }
    }
    Ok(())
}

pub(crate) async fn get_price_book(cx: Call<State>, op: GetPriceBook) -> Result<PriceBook, Error> {
    let book = store::book_at(cx.db(), &op.service, cx.now()).await?;
    book.ok_or(Error::Missing("price book"))
}
