//! Services and the versions of their prices.

use std::collections::{BTreeMap, BTreeSet};

use api::{billing::Words, prices::PriceBook};
use db::On;
use types::{AccountId, Currency, Name, Timestamp};

use super::Stored;
use crate::model::Prices;

/// A new service; one that is known stays as it is.
pub(crate) async fn insert_service(
    tx: &mut db::Tx,
    service: &Name,
    currency: Currency,
) -> Stored<()> {
    db::query(
        "insert into price_service (service, currency) values (?, ?)
         on conflict (service) do nothing",
    )
    .bind(service)
    .bind(currency)
    .run(tx)
    .await
    .map(drop)
}

/// The currency of a service, which is locked until the transaction ends.
pub(crate) async fn service_to_change(tx: &mut db::Tx, service: &Name) -> Stored<Option<Currency>> {
    db::query("select currency from price_service where service = ? /*for update*/")
        .bind(service)
        .optional(tx, |row| row.get("currency"))
        .await
}

/// Puts a version, in place of one of the same moment.
pub(crate) async fn put_book(tx: &mut db::Tx, book: &PriceBook) -> Stored<()> {
    db::query(
        "insert into price_book (service, effective, book) values (?, ?, ?)
         on conflict (service, effective) do update set book = excluded.book",
    )
    .bind(&book.service)
    .bind(book.effective)
    .bind_json(book)
    .run(tx)
    .await
    .map(drop)
}

/// Keeps what the things on a service's bills are called.
pub(crate) async fn put_words(tx: &mut db::Tx, service: &Name, words: &Words) -> Stored<()> {
    db::query("update price_service set words = ? where service = ?")
        .bind_json(words)
        .bind(service)
        .run(tx)
        .await
        .map(drop)
}

/// What the things on an account's bills are called.
pub(crate) async fn words_of(on: impl On, account: AccountId) -> Stored<BTreeMap<Name, Words>> {
    let words = db::query(
        "select service, words from price_service
         where words is not null and service in (select service from cycle where account = ?)",
    )
    .bind(account)
    .all(on, |row| Ok((row.get("service")?, row.json("words")?)))
    .await?;
    Ok(words.into_iter().collect())
}

/// All versions, ascending.
pub(crate) async fn books(tx: &mut db::Tx, service: &Name) -> Stored<Vec<PriceBook>> {
    books_now(tx, service).await
}

/// The same, outside a transaction.
pub(crate) async fn books_now(on: impl On, service: &Name) -> Stored<Vec<PriceBook>> {
    db::query("select book from price_book where service = ? order by effective")
        .bind(service)
        .all(on, |row| row.json("book"))
        .await
}

/// The version that holds at `moment`.
pub(crate) async fn book_at(
    on: impl On,
    service: &Name,
    moment: Timestamp,
) -> Stored<Option<PriceBook>> {
    db::query(
        "select book from price_book where service = ? and effective <= ?
         order by effective desc limit 1",
    )
    .bind(service)
    .bind(moment)
    .optional(on, |row| row.json("book"))
    .await
}

/// The versions of every service that an account has instances of.
pub(crate) async fn books_of(on: impl On, account: AccountId) -> Stored<BTreeMap<Name, Prices>> {
    let books: Vec<PriceBook> = db::query(
        "select book from price_book where service in (select service from cycle where account = ?)
         order by service, effective",
    )
    .bind(account)
    .all(on, |row| row.json("book"))
    .await?;
    let mut prices: BTreeMap<Name, Prices> = BTreeMap::new();
    for book in books {
        prices.entry(book.service.clone()).or_insert_with(|| Prices(Vec::new())).0.push(book);
    }
    Ok(prices)
}

/// What instances of a service have at `from` or take later, each combination once.
pub(crate) async fn sold(
    tx: &mut db::Tx,
    service: &Name,
    from: Timestamp,
) -> Stored<Vec<(String, String, BTreeSet<String>)>> {
    db::query(
        "select distinct s.plan, s.size, s.modules from subscription s
         join cycle c on c.instance = s.instance
         where c.service = ? and not exists (select 1 from subscription n
         where n.instance = s.instance and n.since > s.since and n.since <= ?)",
    )
    .bind(service)
    .bind(from)
    .all(tx, |row| Ok((row.get("plan")?, row.get("size")?, row.json("modules")?)))
    .await
}
