//! What a price book must be, whoever wrote it, and whether it prices what instances have.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    billing::Words,
    prices::{Plan, PriceBook, Rate, Tier},
};
use types::Amount;

use super::{Terms, hour_of};
use crate::Error;

const ENTRIES_MAX: usize = 200;
const PLANS_MAX: usize = 50;
const TIERS_MAX: usize = 50;
const WORDS_MAX: usize = 2_000;
const WORD_LENGTH_MAX: usize = 200;
/// A stay at a size is never billed for more than it could have lasted in a month.
const MONTH_SECONDS: u64 = 31 * 24 * 3600;
/// The most units that a rate can speak of.
const COUNT_MAX: u64 = 1_000_000_000_000_000;

/// Refuses a book that could not be billed by. The parser of `prices.toml` is as strict and tells
/// more; this is for what comes in any other way.
pub(crate) fn check_book(book: &PriceBook) -> Result<(), Error> {
    let refuse = |sentence: String| Err(Error::Book(sentence));
    if hour_of(book.effective) != book.effective {
        let hour = hour_of(book.effective);
        return refuse(format!(
            "usage is counted by the hour, so `effective` must be a full hour: write `{hour}`"
        ));
    }
    if !(1..=PLANS_MAX).contains(&book.plans.len()) {
        return refuse(format!("a price book needs 1 to {PLANS_MAX} plans"));
    }
    for (name, plan) in &book.plans {
        check_name(name)?;
        check_plan(name, plan)?;
    }
    check_alike(&book.plans)
}

/// Whether what things are called is short enough to be shown and kept.
pub(crate) fn check_words(words: &Words) -> Result<(), Error> {
    let Words { sizes, modules, meters, units } = words;
    let all = [sizes, modules, meters, units];
    let texts = all.iter().copied().flatten().flat_map(|(name, text)| [name, text]);
    let (mut count, mut longest) = (0, 0);
    for text in texts {
        (count, longest) = (count + 1, longest.max(text.chars().count()));
    }
    if count <= WORDS_MAX && longest <= WORD_LENGTH_MAX {
        return Ok(());
    }
    Err(Error::Book(format!(
        "what things are called must be at most {WORDS_MAX} texts of {WORD_LENGTH_MAX} characters"
    )))
}

fn check_name(name: &str) -> Result<(), Error> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let starts = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if starts && name.len() <= 40 && name.bytes().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(60).collect();
    Err(Error::Book(format!(
        "`{shown}` is not a name: use 1 to 40 of a-z, 0-9, `-` and `_`, beginning with a letter"
    )))
}

fn check_plan(name: &str, plan: &Plan) -> Result<(), Error> {
    let sections = [plan.sizes.len(), plan.modules.len(), plan.meters.len()];
    if sections.into_iter().any(|entries| entries > ENTRIES_MAX) {
        return Err(Error::Book(format!(
            "plan `{name}` has more than {ENTRIES_MAX} prices of a kind"
        )));
    }
    let title = 1..=100;
    if !title.contains(&plan.title.chars().count()) || plan.title.chars().any(char::is_control) {
        return Err(Error::Book(format!("plan `{name}` needs a title of 1 to 100 characters")));
    }
    let names = plan.sizes.keys().chain(plan.modules.keys()).chain(plan.meters.keys());
    names.map(String::as_str).try_for_each(check_name)?;
    for (size, price) in &plan.sizes {
        if price.minimum_seconds > MONTH_SECONDS {
            return Err(Error::Book(format!(
                "the minimum of size `{size}` is longer than a month"
            )));
        }
    }
    for (meter, rate) in &plan.meters {
        check_rate(meter, rate)?;
    }
    let sizes = plan.sizes.values().map(|price| price.per_hour);
    let modules = plan.modules.values().map(|price| price.monthly);
    let meters = plan.meters.values().flat_map(amounts);
    let jobs = plan.jobs.iter().map(|price| price.per_second);
    let all = sizes.chain(modules).chain(meters).chain(jobs).chain([plan.monthly]);
    all.into_iter().try_for_each(|amount| check_amount(name, amount))
}

/// Prices are decimals of bounded length, so that what is made of them fits and stays exact.
fn check_amount(plan: &str, amount: Amount) -> Result<(), Error> {
    let scaled = amount.times(Amount::whole(1_000_000_000_000_i64));
    let fits = scaled.is_ok_and(|scaled| scaled == scaled.ceil())
        && !amount.is_negative()
        && amount < Amount::whole(1_000_000_000);
    if fits {
        return Ok(());
    }
    Err(Error::Book(format!(
        "`{amount}` in plan `{plan}` is not a price: write a decimal of zero or more, with at \
         most 9 digits before the point and 12 after it"
    )))
}

fn amounts(rate: &Rate) -> Vec<Amount> {
    match rate {
        Rate::Graduated { tiers, .. } => tiers.iter().map(|tier| tier.unit).collect(),
        Rate::PerUnit { unit, .. } => vec![*unit],
        Rate::Package { price, .. } => vec![*price],
    }
}

fn check_rate(meter: &str, rate: &Rate) -> Result<(), Error> {
    let refuse =
        |sentence: &str| Err(Error::Book(format!("the price of meter `{meter}` {sentence}")));
    let (Rate::Graduated { included, .. }
    | Rate::PerUnit { included, .. }
    | Rate::Package { included, .. }) = rate;
    if *included > COUNT_MAX {
        return refuse("includes too many units: write at most 1000000000000000");
    }
    match rate {
        Rate::Package { size, .. } if !(1..=COUNT_MAX).contains(size) => {
            refuse("needs packages of 1 to 1000000000000000 units")
        }
        Rate::Graduated { tiers, .. } if !are_tiers(*included, tiers) => {
            refuse("needs 1 to 50 tiers, each ending after what is before it and the last one open")
        }
        _ => Ok(()),
    }
}

fn are_tiers(included: u64, tiers: &[Tier]) -> bool {
    let Some((last, before)) = tiers.split_last() else { return false };
    let mut below = included;
    let ascending = before.iter().all(|tier| {
        let after = tier.up_to.is_some_and(|up_to| up_to > below && up_to <= COUNT_MAX);
        below = tier.up_to.unwrap_or(below);
        after
    });
    ascending && last.up_to.is_none() && tiers.len() <= TIERS_MAX
}

/// A plan must have a price for whatever another plan of the book has one for.
fn check_alike(plans: &BTreeMap<String, Plan>) -> Result<(), Error> {
    for (name, plan) in plans {
        for (other, there) in plans {
            let missing = [
                ("sizes", missing_of(&plan.sizes, &there.sizes)),
                ("modules", missing_of(&plan.modules, &there.modules)),
                ("meters", missing_of(&plan.meters, &there.meters)),
            ];
            let missing = missing.into_iter().find_map(|(section, key)| Some((section, key?)));
            if let Some((section, key)) = missing {
                return Err(Error::Book(format!(
                    "plan `{name}` has no price for `{key}`, and plan `{other}` has one: add \
                     `plans.{name}.{section}.{key}`"
                )));
            }
            if plan.jobs.is_none() && there.jobs.is_some() {
                return Err(Error::Book(format!(
                    "plan `{name}` has no price for jobs, and plan `{other}` has one: add \
                     `plans.{name}.jobs`"
                )));
            }
        }
    }
    Ok(())
}

fn missing_of<'a, T>(
    here: &BTreeMap<String, T>,
    there: &'a BTreeMap<String, T>,
) -> Option<&'a String> {
    there.keys().find(|key| !here.contains_key(*key))
}

/// What `book` has no price for of a plan, a size and modules: in words, and as the missing key.
pub(crate) fn what_lacks(
    book: &PriceBook,
    plan: &str,
    size: &str,
    modules: &BTreeSet<String>,
) -> Option<(String, String)> {
    let Some(priced) = book.plans.get(plan) else {
        return Some((format!("plan `{plan}`"), format!("plans.{plan}")));
    };
    if !priced.sizes.contains_key(size) {
        return Some((format!("size `{size}`"), format!("plans.{plan}.sizes.{size}")));
    }
    let module = modules.iter().find(|module| !priced.modules.contains_key(*module))?;
    Some((format!("module `{module}`"), format!("plans.{plan}.modules.{module}")))
}

impl Terms {
    /// Whether it is the same that is taken, from whatever moment on.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.plan, &self.size, &self.modules) == (&other.plan, &other.size, &other.modules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICES: &str = r#"
service = "forum"
currency = "USD"
effective = 2026-01-01T00:00:00Z
[plans.basic]
monthly = "9.00"
sizes.small = { per_hour = "0.0125", minimum_seconds = 60 }
modules.polls = { monthly = "999999999.999999999999" }
meters.requests = { model = "graduated", included = 100, tiers = [
  { up_to = 1_000, unit = "0.02" }, { unit = "0.01" } ] }
meters.posts = { model = "package", size = 100, price = "0.50" }
jobs = { per_second = "0.000000000001" }
"#;

    fn refusal(change: impl FnOnce(&mut Plan)) -> String {
        let mut book = PriceBook::parse("prices.toml", PRICES).unwrap();
        check_book(&book).unwrap();
        change(book.plans.get_mut("basic").unwrap());
        check_book(&book).unwrap_err().to_string()
    }

    #[test]
    fn prices_that_could_not_be_exact_are_refused() {
        for bad in ["1/3", "-1", "1000000000", "0.0000000000001", "99999999999999999999999999999"] {
            let sentence = refusal(|plan| plan.monthly = bad.parse().unwrap());
            assert!(sentence.contains("is not a price"), "{sentence}");
        }
    }

    #[test]
    fn rates_that_would_leave_units_without_a_price_are_refused() {
        let tier = |up_to, unit: &str| Tier { up_to, unit: unit.parse().unwrap() };
        let ladders = [
            vec![],
            vec![tier(Some(200), "1")],
            vec![tier(None, "1"), tier(None, "1")],
            vec![tier(Some(100), "1"), tier(None, "1")],
            vec![tier(Some(300), "1"), tier(Some(200), "1"), tier(None, "1")],
        ];
        for tiers in ladders {
            let rate = Rate::Graduated { included: 100, tiers };
            let sentence = refusal(|plan| drop(plan.meters.insert("requests".to_owned(), rate)));
            assert!(sentence.contains("needs 1 to 50 tiers"), "{sentence}");
        }
        let rate = Rate::Package { included: 0, size: 0, price: Amount::zero() };
        let sentence = refusal(|plan| drop(plan.meters.insert("posts".to_owned(), rate)));
        assert!(sentence.contains("packages of 1 to"), "{sentence}");
        let rate = Rate::PerUnit { included: u64::MAX, unit: Amount::zero() };
        let sentence = refusal(|plan| drop(plan.meters.insert("posts".to_owned(), rate)));
        assert!(sentence.contains("too many units"), "{sentence}");
    }

    #[test]
    fn names_and_titles_are_bounded() {
        let price = api::prices::ModulePrice { monthly: Amount::zero() };
        for bad in ["", "Polls", "p.x", "a\0", &"a".repeat(41)] {
            let module = (bad.to_owned(), price.clone());
            let sentence = refusal(|plan| plan.modules.extend([module]));
            assert!(sentence.contains("is not a name"), "{sentence}");
        }
        assert!(refusal(|plan| plan.title = "a\n".to_owned()).contains("needs a title"));
        let many = (0..=ENTRIES_MAX).map(|n| (format!("m{n}"), price.clone()));
        assert!(refusal(|plan| plan.modules.extend(many)).contains("more than 200"));
    }
}
