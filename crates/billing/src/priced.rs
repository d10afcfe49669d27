//! What can be taken now.

use std::collections::BTreeSet;

use api::{
    billing::{ListPriced, Priced},
    prices::PriceBook,
};
use chassis::Call;
use types::{Name, Timestamp};

use crate::{Error, State, store};

const SERVICES_MAX: usize = 500;

pub(crate) async fn list_priced(cx: Call<State>, op: ListPriced) -> Result<Vec<Priced>, Error> {
    let now = cx.now();
    let mut all = Vec::new();
    for service in op.services.into_iter().take(SERVICES_MAX) {
        let books = store::books_now(cx.db(), &service).await?;
        all.extend(priced(service, &books, now));
    }
    Ok(all)
}

/// What the version that holds at `now` has a price for, and each later one too: `check_prices`
/// agrees to that and to nothing else. `books` ascend.
fn priced(service: Name, books: &[PriceBook], now: Timestamp) -> Option<Priced> {
    let holding = books.iter().rposition(|book| book.effective <= now)?;
    let (first, later) = books[holding..].split_first()?;
    let names = |of: &dyn Fn(&PriceBook) -> BTreeSet<String>| {
        later.iter().fold(of(first), |known, book| &known & &of(book))
    };
    let plans = names(&|book| book.plans.keys().cloned().collect());
    // The plans of one book have prices for the same things.
    let of_any = |book: &PriceBook| book.plans.values().next().cloned();
    let sizes =
        names(&|book| of_any(book).into_iter().flat_map(|plan| plan.sizes.into_keys()).collect());
    let modules =
        names(&|book| of_any(book).into_iter().flat_map(|plan| plan.modules.into_keys()).collect());
    Some(Priced { service, plans, sizes, modules })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(effective: &str, plan: &str, size: &str) -> PriceBook {
        let text = format!(
            "service = \"forum\"\ncurrency = \"USD\"\neffective = {effective}\n\
             [plans.basic]\nmonthly = \"1\"\nsizes.small = {{ per_hour = \"1\" }}\n\
             sizes.{size} = {{ per_hour = \"2\" }}\n\
             [plans.{plan}]\nmonthly = \"1\"\nsizes.small = {{ per_hour = \"1\" }}\n\
             sizes.{size} = {{ per_hour = \"2\" }}\n"
        );
        PriceBook::parse("prices.toml", &text).unwrap()
    }

    fn at(books: &[PriceBook], now: &str) -> Option<(Vec<String>, Vec<String>)> {
        let priced = priced("forum".parse().unwrap(), books, now.parse().unwrap())?;
        Some((priced.plans.into_iter().collect(), priced.sizes.into_iter().collect()))
    }

    #[test]
    fn only_what_is_priced_now_and_later_can_be_taken() {
        let books = [
            book("2026-02-01T00:00:00Z", "old", "medium"),
            book("2026-03-01T00:00:00Z", "gold", "large"),
        ];
        assert_eq!(at(&books, "2026-01-31T23:59:59Z"), None);
        let both = (vec!["basic".to_owned()], vec!["small".to_owned()]);
        assert_eq!(at(&books, "2026-02-01T00:00:00Z"), Some(both));
        let later = (
            vec!["basic".to_owned(), "gold".to_owned()],
            vec!["large".to_owned(), "small".to_owned()],
        );
        assert_eq!(at(&books, "2026-03-01T00:00:00Z"), Some(later));
    }
}
