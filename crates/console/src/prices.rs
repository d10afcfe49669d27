//! A price book, told in words.

use api::prices::{Plan, PriceBook, Rate, Tier};
use types::{Amount, Currency};

use crate::words;

/// A month has about this many hours; only for saying what a size comes to.
const HOURS_OF_A_MONTH: u32 = 730;

/// A plan with the currency that its prices are in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prices<'b> {
    pub(crate) plan: &'b Plan,
    pub(crate) currency: Currency,
}

impl<'b> Prices<'b> {
    /// The prices of the plan `name`.
    pub(crate) fn of(book: &'b PriceBook, name: &str) -> Option<Self> {
        Some(Self { plan: book.plans.get(name)?, currency: book.currency })
    }

    /// `9.00 USD a month`.
    pub(crate) fn base(self) -> String {
        self.monthly(self.plan.monthly)
    }

    /// What a size costs by the hour, and about by the month.
    pub(crate) fn size(self, name: &str) -> Option<(String, String)> {
        let hour = self.plan.sizes.get(name)?.per_hour;
        let month = hour.times(Amount::whole(HOURS_OF_A_MONTH)).ok()?.round(self.currency).ok()?;
        let hour = words::price(hour, self.currency);
        Some((format!("{hour} an hour"), format!("about {} a month", words::money(month))))
    }

    /// What a module costs.
    pub(crate) fn module(self, name: &str) -> Option<String> {
        Some(self.monthly(self.plan.modules.get(name)?.monthly))
    }

    /// What a whole month comes to before usage, rounded as the bill would be; `None` if something
    /// of it has no price.
    pub(crate) fn total<'m>(
        self,
        size: &str,
        modules: impl IntoIterator<Item = &'m String>,
    ) -> Option<String> {
        let hours = Amount::whole(HOURS_OF_A_MONTH);
        let size = self.plan.sizes.get(size)?.per_hour.times(hours).ok()?;
        let mut total = self.plan.monthly.plus(size).ok()?;
        for module in modules {
            total = total.plus(self.plan.modules.get(module)?.monthly).ok()?;
        }
        Some(words::money(total.round(self.currency).ok()?))
    }

    fn monthly(self, amount: Amount) -> String {
        if amount == Amount::zero() {
            return "included".into();
        }
        format!("{} a month", words::price(amount, self.currency))
    }

    /// What the usage of a meter costs, which counts `unit`.
    pub(crate) fn meter(self, name: &str, unit: &str) -> Option<String> {
        Some(match self.plan.meters.get(name)? {
            Rate::PerUnit { included, unit: price } => {
                joined(*included, unit, vec![self.each(*price, unit)])
            }
            Rate::Package { included, size, price } => {
                let price = words::price(*price, self.currency);
                let package = format!("{price} for each {} begun", each_of(*size, unit));
                joined(*included, unit, vec![package])
            }
            Rate::Graduated { included, tiers } => {
                joined(*included, unit, tiers.iter().map(|tier| self.tier(tier, unit)).collect())
            }
        })
    }

    fn tier(self, tier: &Tier, unit: &str) -> String {
        let each = self.each(tier.unit, unit);
        match tier.up_to {
            Some(up_to) => format!("{each} up to {}", count(up_to, unit)),
            None => each,
        }
    }

    /// What jobs cost.
    pub(crate) fn jobs(self) -> Option<String> {
        let price = self.plan.jobs.as_ref()?.per_second;
        Some(self.each(price, "seconds"))
    }

    /// A price for one, told for as many as make a sum that one can imagine.
    fn each(self, price: Amount, unit: &str) -> String {
        if price == Amount::zero() {
            return "free".into();
        }
        let sum = |number: u64| price.times(Amount::whole(number)).ok();
        let cent = Amount::fraction(1, 100).unwrap_or_else(|_| Amount::zero());
        let numbers = [1, 1_000, 1_000_000, 1_000_000_000];
        let number = numbers.into_iter().find(|number| sum(*number).is_some_and(|sum| sum >= cent));
        let number = number.unwrap_or(1_000_000_000);
        let sum = words::price(sum(number).unwrap_or(price), self.currency);
        match number {
            1 => format!("{sum} per {}", words::one(unit)),
            number => format!("{sum} per {}", each_of(number, unit)),
        }
    }
}

fn joined(included: u64, unit: &str, mut then: Vec<String>) -> String {
    if included > 0 {
        then.insert(0, format!("the first {} free", count(included, unit)));
    }
    then.join(", then ")
}

/// A number of things; bytes in their larger units where that is no lie.
fn count(number: u64, unit: &str) -> String {
    if words::one(unit) == "byte" {
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        let larger = units.iter().find(|(size, _)| number >= *size && number.is_multiple_of(*size));
        if let Some((size, name)) = larger {
            return format!("{} {name}", words::number(number / size));
        }
    }
    words::counted(number, words::one(unit))
}

/// A number of things as what a price is for: of one, the one is not said.
fn each_of(number: u64, unit: &str) -> String {
    let text = count(number, unit);
    text.strip_prefix("1 ").map_or(text.clone(), str::to_owned)
}

/// What a line of a plan is: a name and its price in words.
pub(crate) type PriceLine = (String, String);

/// What usage costs: meters and jobs, by their names for people.
pub(crate) fn usage(prices: Prices<'_>, manifest: &api::manifest::Manifest) -> Vec<PriceLine> {
    let meters = manifest
        .meters
        .iter()
        .filter_map(|(name, meter)| Some((meter.title.clone(), prices.meter(name, &meter.unit)?)));
    let jobs = prices.jobs().map(|price| ("Background jobs".to_owned(), price));
    meters.chain(jobs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = r#"
        service = "forum"
        currency = "USD"
        effective = 2026-01-01T00:00:00Z
        [plans.basic]
        title = "Basic"
        monthly = "9.00"
        sizes.small = { per_hour = "0.0125", minimum_seconds = 60 }
        modules.polls = { monthly = "3.00" }
        modules.search = { monthly = "0" }
        meters.requests = { model = "graduated", included = 100_000, tiers = [
          { up_to = 1_000_000, unit = "0.0000200" }, { unit = "0.0000120" } ] }
        meters.posts = { model = "per_unit", included = 1_000, unit = "0.0010" }
        meters.orders = { model = "per_unit", included = 0, unit = "0.10" }
        meters.out.model = "package"
        meters.out.included = 1_000_000_000
        meters.out.size = 1_000_000_000
        meters.out.price = "0.09"
        jobs = { per_second = "0.00001" }
    "#;

    #[test]
    fn prices_are_told_for_numbers_that_one_can_imagine() {
        let book = PriceBook::parse("prices.toml", BOOK).unwrap();
        let prices = Prices::of(&book, "basic").unwrap();
        assert_eq!(prices.base(), "9.00 USD a month");
        let (hour, month) = prices.size("small").unwrap();
        assert_eq!(
            (hour.as_str(), month.as_str()),
            ("0.0125 USD an hour", "about 9.13 USD a month")
        );
        assert_eq!(prices.module("polls").unwrap(), "3.00 USD a month");
        assert_eq!(prices.module("search").unwrap(), "included");
        let total = |size, modules: &[&str]| {
            let modules: Vec<_> = modules.iter().map(|name| (*name).to_owned()).collect();
            prices.total(size, &modules)
        };
        // 9 + 0.0125 × 730, and 3 for the module.
        assert_eq!(total("small", &[]).unwrap(), "18.13 USD");
        assert_eq!(total("small", &["polls", "search"]).unwrap(), "21.13 USD");
        assert_eq!((total("large", &[]), total("small", &["nothing"])), (None, None));
        let requests = "the first 100,000 requests free, then 0.02 USD per 1,000 requests up to \
                        1,000,000 requests, then 0.012 USD per 1,000 requests";
        assert_eq!(prices.meter("requests", "requests").unwrap(), requests);
        let posts = "the first 1,000 posts free, then 1.00 USD per 1,000 posts";
        assert_eq!(prices.meter("posts", "posts").unwrap(), posts);
        assert_eq!(prices.meter("orders", "order").unwrap(), "0.10 USD per order");
        let out = "the first 1 GB free, then 0.09 USD for each GB begun";
        assert_eq!(prices.meter("out", "bytes").unwrap(), out);
        assert_eq!(prices.jobs().unwrap(), "0.01 USD per 1,000 seconds");
    }
}
