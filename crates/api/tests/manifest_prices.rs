//! `prices.toml` as an author writes it: one that is right, and everything that can be wrong.

use api::{
    manifest::Manifest,
    prices::{PriceBook, Rate, Tier},
};
use proptest::prelude::*;
use types::Amount;

const PRICES: &str = r#"
service = "forum"
currency = "USD"
effective = 2026-12-01T00:00:00Z

[plans.basic]
monthly = "9.00"
sizes.small = { per_hour = "0.0125", minimum_seconds = 60 }
sizes.large = { per_hour = "0.05" }
modules.polls = { monthly = "3.00" }
modules.badges = { monthly = "0" }
meters.requests = { model = "graduated", included = 100_000, tiers = [
  { up_to = 1_000_000, unit = "0.0000200" },
  { unit = "0.0000120" },
] }
meters.posts = { model = "package", included = 10, size = 1_000, price = "0.50" }
jobs = { per_second = "0.00002" }

[plans.pro]
title = "Professional"
monthly = "49"
sizes = { small = { per_hour = "0.01" }, large = { per_hour = "0.04" } }
modules = { polls = { monthly = "0" }, badges = { monthly = "0" } }
meters.requests = { model = "per_unit", unit = "0.00001" }
meters.posts = { model = "per_unit", included = 5, unit = "0.001" }
jobs.per_second = "0.00001"
"#;

const FORUM: &str = r#"
service = { name = "forum", title = "Forum" }
run.command = ["./forum"]
database = { engines = ["sqlite"], migrate = ["./migrate"] }
sizes.small = { cpu = 1, memory = "64MiB" }
sizes.large = { cpu = 2, memory = "64MiB" }
modules.polls = { title = "Polls" }
modules.badges = { title = "Badges" }
meters.requests = { count = "requests" }
meters.posts = { count = "requests", match = "POST /posts" }
"#;

fn check(text: &str, manifest: &str) -> Result<PriceBook, String> {
    let manifest =
        Manifest::parse("mandate.toml", manifest).map_err(|faults| faults.to_string())?;
    let book = PriceBook::parse("prices.toml", text).map_err(|faults| faults.to_string())?;
    let checked = book.check_against("prices.toml", text, &manifest);
    checked.map(|()| book).map_err(|faults| faults.to_string())
}

#[test]
fn a_price_book_is_read_whole_and_exactly() {
    let book = check(PRICES, FORUM).unwrap();
    let amount = |text: &str| text.parse::<Amount>().unwrap();
    assert_eq!(book.effective.to_string(), "2026-12-01T00:00:00Z");
    let basic = &book.plans["basic"];
    assert_eq!((basic.title.as_str(), basic.monthly), ("Basic", amount("9")));
    let small = &basic.sizes["small"];
    assert_eq!((small.per_hour, small.minimum_seconds), (amount("1/80"), 60));
    let tiers = vec![
        Tier { up_to: Some(1_000_000), unit: amount("0.00002") },
        Tier { up_to: None, unit: amount("0.000012") },
    ];
    assert_eq!(basic.meters["requests"], Rate::Graduated { included: 100_000, tiers });
    let price = amount("0.5");
    assert_eq!(basic.meters["posts"], Rate::Package { included: 10, size: 1_000, price });
    let unit = amount("0.00001");
    assert_eq!(book.plans["pro"].meters["requests"], Rate::PerUnit { included: 0, unit });
    assert_eq!(book.plans["pro"].jobs.as_ref().unwrap().per_second, unit);
}

#[test]
fn a_price_book_comes_through_json_unchanged() {
    let book = PriceBook::parse("prices.toml", PRICES).unwrap();
    let json = serde_json::to_string(&book).unwrap();
    assert_eq!(serde_json::from_str::<PriceBook>(&json).unwrap(), book);
}

#[test]
fn every_fault_names_its_line_its_key_and_the_mend() {
    let cases = include_str!("manifest_prices_faults.txt");
    let mut count = 0;
    for case in cases.trim().split("\n\n") {
        let lines: Vec<&str> = case.lines().collect();
        let (from, to) = lines[0].split_once(" -> ").unwrap();
        assert!(PRICES.contains(from), "{from}");
        let text = PRICES.replacen(from, &to.replace("\\n", "\n"), 1);
        assert_eq!(check(&text, FORUM).unwrap_err(), lines[1..].join("\n"), "{from} -> {to}");
        count += 1;
    }
    assert!(count > 30);
}

#[test]
fn jobs_are_priced_only_if_there_are_some() {
    let without = FORUM.replace(", migrate = [\"./migrate\"]", "");
    let told = "prices.toml:17: plans.basic.jobs: the service has no jobs; remove it\n\
                prices.toml:26: plans.pro.jobs: the service has no jobs; remove it";
    assert_eq!(check(PRICES, &without).unwrap_err(), told);
}

proptest! {
    #[test]
    fn every_price_is_read_exactly(minor in 0..1_000_000_000_u64, places in 0..10_usize) {
        let digits = format!("{minor:0>10}");
        let (whole, decimals) = digits.split_at(10 - places);
        let point = if places == 0 { "" } else { "." };
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let text = PRICES.replace("\"9.00\"", &format!("\"{whole}{point}{decimals}\""));
        let exact = Amount::fraction(i128::from(minor), 10_i128.pow(u32::try_from(places).unwrap()));
        let book = PriceBook::parse("prices.toml", &text).unwrap();
        prop_assert_eq!(book.plans["basic"].monthly, exact.unwrap());
    }

    #[test]
    fn no_text_panics_and_a_refusal_says_why(cut in 0..PRICES.len(), put in "[\\[\\]={}\".,\na-z0-9]{0,8}") {
        let text = format!("{}{put}{}", &PRICES[..cut], &PRICES[cut..]);
        if let Err(told) = check(&text, FORUM) {
            prop_assert!(told.starts_with("prices.toml:"));
        }
    }
}
