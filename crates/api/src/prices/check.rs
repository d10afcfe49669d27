//! What a price book must be, whoever wrote it; and whether it prices what a manifest offers, all of
//! it and nothing else, and what instances have.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use types::{Amount, Timestamp};

use super::{Plan, PriceBook, Rate, Tier};
use crate::manifest::{
    Faults, Manifest, is_reserved_meter,
    reader::{NAMES, Reader, Table},
    suggestion,
};

const ENTRIES_MAX: usize = 200;
const PLANS_MAX: usize = 50;
const TIERS_MAX: usize = 50;
/// A stay at a size is never billed for more than it could have lasted in a month.
pub(super) const MONTH_SECONDS: u64 = 31 * 24 * 3600;
/// The most units that a rate can speak of.
pub(super) const COUNT_MAX: u64 = 1_000_000_000_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// What is wrong with a price book, wherever it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The keys that lead to it, `plans`, `basic`, `monthly`.
    pub key: Vec<String>,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.key.join("."), self.problem, self.mend)
    }
}

fn flaw(key: &[&str], problem: impl Into<String>, mend: impl Into<String>) -> Result<(), Flaw> {
    let key = key.iter().map(ToString::to_string).collect();
    Err(Flaw { key, problem: problem.into(), mend: mend.into() })
}

impl PriceBook {
    /// Whether one can bill by it.
    pub fn check(&self) -> Result<(), Flaw> {
        self.check_each()?;
        check_alike(&self.plans)
    }

    /// The same, each plan by itself: whoever has the manifest tells better what a plan lacks.
    pub(super) fn check_each(&self) -> Result<(), Flaw> {
        let hour = self.effective.micros().div_euclid(HOUR_MICROS) * HOUR_MICROS;
        let hour = Timestamp::from_micros(hour);
        if self.effective != hour {
            let problem = "usage is counted by the hour, and this is not a full one";
            return flaw(&["effective"], problem, format!("write `{hour}`"));
        }
        if !(1..=PLANS_MAX).contains(&self.plans.len()) {
            return flaw(
                &["plans"],
                "there are none or too many",
                format!("write 1 to {PLANS_MAX}"),
            );
        }
        for (name, plan) in &self.plans {
            check_name(&["plans"], name)?;
            check_prices(name, plan)?;
        }
        Ok(())
    }

    /// What has no price here of a plan, a size and modules: in words, and as the missing key.
    pub fn lacks(
        &self,
        plan: &str,
        size: &str,
        modules: &BTreeSet<String>,
    ) -> Option<(String, String)> {
        let Some(priced) = self.plans.get(plan) else {
            return Some((format!("plan `{plan}`"), format!("plans.{plan}")));
        };
        if !priced.sizes.contains_key(size) {
            return Some((format!("size `{size}`"), format!("plans.{plan}.sizes.{size}")));
        }
        let module = modules.iter().find(|module| !priced.modules.contains_key(*module))?;
        Some((format!("module `{module}`"), format!("plans.{plan}.modules.{module}")))
    }

    /// Every size, module and meter that the manifest has, and its jobs if it has any, must have a
    /// price in every plan, and nothing else may. `file_name` and `text` are what the book was
    /// parsed from, so that a fault can name its line.
    pub fn check_against(
        &self,
        file_name: &str,
        text: &str,
        manifest: &Manifest,
    ) -> Result<(), Faults> {
        Reader::read(file_name, text, |root| {
            let (priced, offered) = (&self.service, &manifest.service.name);
            if priced != offered {
                let problem =
                    format!("these are prices of `{priced}`, and the manifest is of `{offered}`");
                root.fault_near(&["service"], &problem, format!("write `{offered}`"));
            }
            for (name, plan) in &self.plans {
                check_plan(root, name, plan, manifest);
            }
            Some(())
        })
    }
}

fn check_plan(root: &Table<'_>, name: &str, plan: &Plan, manifest: &Manifest) {
    let example = "{ per_hour = \"0.01\", minimum_seconds = 60 }";
    compare(root, &[name, "sizes"], &plan.sizes, &manifest.sizes, example);
    let example = "{ monthly = \"1.00\" }";
    compare(root, &[name, "modules"], &plan.modules, &manifest.modules, example);
    let example = "{ model = \"per_unit\", unit = \"0.001\" }";
    compare(root, &[name, "meters"], &plan.meters, &manifest.meters, example);
    let path = ["plans", name, "jobs"];
    match (&plan.jobs, manifest.has_jobs()) {
        (None, true) => root.fault_near(
            &path,
            "the service has jobs, and they have no price",
            "write `jobs = { per_second = \"0.0001\" }`".to_owned(),
        ),
        (Some(_), false) => {
            root.fault_near(&path, "the service has no jobs", "remove it".to_owned());
        }
        _ => {}
    }
}

fn compare<P, O>(
    root: &Table<'_>,
    [plan, section]: &[&str; 2],
    priced: &BTreeMap<String, P>,
    offered: &BTreeMap<String, O>,
    example: &str,
) {
    let kind = section.trim_end_matches('s');
    for name in offered.keys().filter(|name| !priced.contains_key(*name)) {
        let problem = format!("the {kind} `{name}` has no price");
        let mend = format!("write `{section}.{name} = {example}`");
        root.fault_near(&["plans", plan, section, name], &problem, mend);
    }
    let there: Vec<&str> = offered.keys().map(String::as_str).collect();
    for name in priced.keys().filter(|name| !offered.contains_key(*name)) {
        let problem = format!("the service has no {kind} `{name}`");
        let mend = suggestion(name, &there);
        root.fault_near(&["plans", plan, section, name], &problem, mend);
    }
}

fn check_name(above: &[&str], name: &str) -> Result<(), Flaw> {
    if (NAMES.holds)(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(60).collect();
    flaw(above, format!("`{shown}` is not a name"), NAMES.mend)
}

fn check_prices(name: &str, plan: &Plan) -> Result<(), Flaw> {
    let sections = [plan.sizes.len(), plan.modules.len(), plan.meters.len()];
    if sections.into_iter().any(|entries| entries > ENTRIES_MAX) {
        let problem = format!("has more than {ENTRIES_MAX} prices of a kind");
        return flaw(&["plans", name], problem, "write fewer");
    }
    let title = 1..=100;
    if !title.contains(&plan.title.chars().count()) || plan.title.chars().any(char::is_control) {
        return flaw(
            &["plans", name, "title"],
            "the plan needs a title",
            "write 1 to 100 characters",
        );
    }
    let names = plan.sizes.keys().chain(plan.modules.keys()).chain(plan.meters.keys());
    names.map(String::as_str).try_for_each(|entry| check_name(&["plans", name], entry))?;
    for (size, price) in &plan.sizes {
        if price.minimum_seconds > MONTH_SECONDS {
            let key = ["plans", name, "sizes", size, "minimum_seconds"];
            return flaw(&key, "is longer than a month", format!("write at most {MONTH_SECONDS}"));
        }
    }
    for (meter, rate) in &plan.meters {
        check_rate(&["plans", name, "meters", meter], rate)?;
        if is_reserved_meter(meter) {
            let problem = format!("`{meter}` is what the platform counts jobs' time by");
            return flaw(&["plans", name, "meters", meter], problem, "choose another name");
        }
    }
    let sizes = plan.sizes.values().map(|price| price.per_hour);
    let modules = plan.modules.values().map(|price| price.monthly);
    let meters = plan.meters.values().flat_map(amounts);
    let jobs = plan.jobs.iter().map(|price| price.per_second);
    let all = sizes.chain(modules).chain(meters).chain(jobs).chain([plan.monthly]);
    all.into_iter().try_for_each(|amount| check_amount(name, amount))
}

/// Prices are decimals of bounded length, so that what is made of them fits and stays exact.
fn check_amount(plan: &str, amount: Amount) -> Result<(), Flaw> {
    let scaled = amount.times(Amount::whole(1_000_000_000_000_i64));
    let fits = scaled.is_ok_and(|scaled| scaled == scaled.ceil())
        && !amount.is_negative()
        && amount < Amount::whole(1_000_000_000);
    if fits {
        return Ok(());
    }
    let mend = "write a decimal of zero or more, with at most 9 digits before the point and 12 \
                after it";
    flaw(&["plans", plan], format!("`{amount}` is not a price"), mend)
}

fn amounts(rate: &Rate) -> Vec<Amount> {
    match rate {
        Rate::Graduated { tiers, .. } => tiers.iter().map(|tier| tier.unit).collect(),
        Rate::PerUnit { unit, .. } => vec![*unit],
        Rate::Package { price, .. } => vec![*price],
    }
}

fn check_rate(key: &[&str], rate: &Rate) -> Result<(), Flaw> {
    let (Rate::Graduated { included, .. }
    | Rate::PerUnit { included, .. }
    | Rate::Package { included, .. }) = rate;
    if *included > COUNT_MAX {
        return flaw(key, "includes too many units", format!("write at most {COUNT_MAX}"));
    }
    match rate {
        Rate::Package { size, .. } if !(1..=COUNT_MAX).contains(size) => {
            flaw(key, "has no such packages", format!("write packages of 1 to {COUNT_MAX} units"))
        }
        Rate::Graduated { tiers, .. } if !are_tiers(*included, tiers) => {
            let mend = format!(
                "it needs 1 to {TIERS_MAX} tiers, each ending after what is before it and the last \
                 one open"
            );
            flaw(key, "leaves units without a price", mend)
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
fn check_alike(plans: &BTreeMap<String, Plan>) -> Result<(), Flaw> {
    for (name, plan) in plans {
        for (other, there) in plans {
            let missing = [
                ("sizes", missing_of(&plan.sizes, &there.sizes)),
                ("modules", missing_of(&plan.modules, &there.modules)),
                ("meters", missing_of(&plan.meters, &there.meters)),
            ];
            let missing = missing.into_iter().find_map(|(section, key)| Some((section, key?)));
            if let Some((section, key)) = missing {
                let mend = format!("add `plans.{name}.{section}.{key}`");
                let problem = format!("has no price, and plan `{other}` has one");
                return flaw(&["plans", name, section, key], problem, mend);
            }
            if plan.jobs.is_none() && there.jobs.is_some() {
                let problem = format!("jobs have no price, and plan `{other}` has one");
                return flaw(&["plans", name, "jobs"], problem, format!("add `plans.{name}.jobs`"));
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
        book.check().unwrap();
        change(book.plans.get_mut("basic").unwrap());
        book.check().unwrap_err().to_string()
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
        let price = super::super::ModulePrice { monthly: Amount::zero() };
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
