//! From the text of `prices.toml` to a price book.

use std::collections::BTreeMap;

use types::Amount;

use super::{
    JobPrice, ModulePrice, Plan, PriceBook, Rate, SizePrice, Tier,
    check::{COUNT_MAX, Flaw, MONTH_SECONDS},
};
use crate::manifest::{
    reader::{NAMES, Node, Table},
    title_of,
};

pub(super) fn book(root: &Table<'_>) -> Option<PriceBook> {
    root.only(&["service", "currency", "effective", "plans"]);
    let service = root.need("service", "service = \"…\"").and_then(|node| node.parse());
    let currency = root.need("currency", "currency = \"USD\"").and_then(|node| node.parse());
    let example = "effective = 2026-12-01T00:00:00Z";
    let effective = root.need("effective", example).and_then(|node| node.moment());
    let table = root.need("plans", "[plans.basic]").and_then(|node| node.table());
    if let Some(table) = table.as_ref().filter(|table| table.is_empty()) {
        table.fault("has no plan", "write `[plans.basic]`");
    }
    let plans = named(root, "plans", plan);
    let book = PriceBook { service: service?, currency: currency?, effective: effective?, plans };
    if !root.has_faults()
        && let Err(Flaw { key, problem, mend }) = book.check_each()
    {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        root.fault_near(&key, &problem, mend);
    }
    Some(book)
}

/// The entries of the table `key` that could be read.
fn named<T>(
    table: &Table<'_>,
    key: &str,
    read: impl Fn(&str, &Table<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let entries = table.table(key).map(|table| table.named(&NAMES)).unwrap_or_default();
    let values = entries.into_iter().map(|(name, node)| {
        let value = read(&name, &node.table()?)?;
        Some((name, value))
    });
    values.flatten().collect()
}

fn amount(table: &Table<'_>, key: &str) -> Option<Amount> {
    table.need(key, &format!("{key} = \"0.00\""))?.amount()
}

/// A number that is nothing if it is left out.
fn count(table: &Table<'_>, key: &str, most: u64) -> u64 {
    table.get(key).and_then(|node| node.number(0..=most)).unwrap_or_default()
}

fn plan(name: &str, table: &Table<'_>) -> Option<Plan> {
    table.only(&["title", "monthly", "sizes", "modules", "meters", "jobs"]);
    let title = match table.get("title") {
        Some(node) => node.words(),
        None => Some(title_of(name)),
    };
    let monthly = amount(table, "monthly");
    let sizes = named(table, "sizes", |_, table| {
        table.only(&["per_hour", "minimum_seconds"]);
        let minimum_seconds = count(table, "minimum_seconds", MONTH_SECONDS);
        Some(SizePrice { per_hour: amount(table, "per_hour")?, minimum_seconds })
    });
    let modules = named(table, "modules", |_, table| {
        table.only(&["monthly"]);
        Some(ModulePrice { monthly: amount(table, "monthly")? })
    });
    let meters = named(table, "meters", |_, table| rate(table));
    let jobs = table.table("jobs").and_then(|table| {
        table.only(&["per_second"]);
        Some(JobPrice { per_second: amount(&table, "per_second")? })
    });
    Some(Plan { title: title?, monthly: monthly?, sizes, modules, meters, jobs })
}

#[derive(Clone, Copy)]
enum Model {
    Graduated,
    PerUnit,
    Package,
}

fn rate(table: &Table<'_>) -> Option<Rate> {
    let models = [
        ("graduated", Model::Graduated),
        ("per_unit", Model::PerUnit),
        ("package", Model::Package),
    ];
    let model = table.need("model", "model = \"per_unit\"")?.one_of(&models)?;
    let included = count(table, "included", COUNT_MAX);
    match model {
        Model::Graduated => {
            table.only(&["model", "included", "tiers"]);
            let example = "tiers = [{ up_to = 1_000, unit = \"0.02\" }, { unit = \"0.01\" }]";
            let tiers = table.need("tiers", example).and_then(|node| tiers(&node, included))?;
            Some(Rate::Graduated { included, tiers })
        }
        Model::PerUnit => {
            table.only(&["model", "included", "unit"]);
            Some(Rate::PerUnit { included, unit: amount(table, "unit")? })
        }
        Model::Package => {
            table.only(&["model", "included", "size", "price"]);
            let size =
                table.need("size", "size = 1_000").and_then(|node| node.number(1..=COUNT_MAX));
            let price = amount(table, "price");
            Some(Rate::Package { included, size: size?, price: price? })
        }
    }
}

fn tiers(node: &Node<'_>, included: u64) -> Option<Vec<Tier>> {
    let list = node
        .list("write a list such as `[{ up_to = 1_000, unit = \"0.02\" }, { unit = \"0.01\" }]`")?;
    if list.is_empty() {
        return node.fail("has no tier", "write one such as `{ unit = \"0.01\" }`");
    }
    let mut tiers: Vec<Tier> = Vec::new();
    let mut below = included;
    for (position, part) in list.iter().enumerate() {
        let Some(table) = part.table() else { continue };
        table.only(&["up_to", "unit"]);
        let unit = amount(&table, "unit");
        let is_last = position + 1 == list.len();
        let up_to = match table.get("up_to") {
            Some(node) if is_last => node.fail("the last tier must be open", "remove `up_to`"),
            Some(node) => node.number(1..=COUNT_MAX).inspect(|up_to| {
                if *up_to <= below {
                    let mend = format!("write more than {below}");
                    node.fault("a tier must end after what is before it", mend);
                }
                below = below.max(*up_to);
            }),
            None if is_last => None,
            None => {
                let mend = "write `up_to = …`";
                part.fail("only the last tier may be open", mend)
            }
        };
        tiers.extend(unit.map(|unit| Tier { up_to, unit }));
    }
    Some(tiers)
}
