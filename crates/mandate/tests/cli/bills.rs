//! The bill, explained.

use api::{
    billing::{
        Bill, BillLine, BillVerification, LineExplanation, LineKind, LinePart, LineUsage,
        SetAsideUsage, UsageEvent, UsageGap, Verification, VerificationState, VerifiedLine,
        VerifiedTotal,
    },
    identity::Names,
};
use axum::response::Response;
use types::{Amount, Currency, InstanceId, Money, Page, Timestamp};

use crate::platform::{Asked, Person, Platform, account, instance, me, noon, not_found, reply};

fn usd(minor: i64) -> Money {
    Money { currency: "USD".parse::<Currency>().unwrap(), minor }
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn line(name: &str, kind: LineKind, quantity: &str, unit: &str, minor: i64) -> BillLine {
    BillLine {
        line: format!("bakery-forum.localhost.{name}"),
        kind,
        instance: instance(),
        host: "bakery-forum.localhost".parse().unwrap(),
        service: "forum".parse().unwrap(),
        title: format!("What is called {name}"),
        quantity: amount(quantity),
        unit: unit.into(),
        amount: usd(minor),
        problem: None,
    }
}

fn requests() -> BillLine {
    line("meter.requests", LineKind::Meter, "100123", "requests", 1)
}

fn bill() -> Bill {
    Bill {
        account: account(),
        period: noon().month(),
        until: noon(),
        draft: true,
        lines: vec![
            line("plan.basic", LineKind::Plan, "1/3", "months", 300),
            line("size.small", LineKind::Size, "7211/3600", "hours", 3),
            requests(),
            line("module.polls", LineKind::Module, "0.5", "months", 123_456),
        ],
        totals: vec![usd(123_760)],
    }
}

/// The same, and a second instance.
fn bill_of_two() -> Bill {
    let of_store = |line: BillLine| BillLine {
        line: line.line.replace("bakery-forum.", "bakery."),
        instance: InstanceId::named(&["store"]),
        host: "bakery.localhost".parse().unwrap(),
        service: "store".parse().unwrap(),
        ..line
    };
    let mut bill = bill();
    bill.lines.extend([
        of_store(line("plan.basic", LineKind::Plan, "1/432000", "months", 0)),
        of_store(line("jobs.time", LineKind::Jobs, "42.318", "seconds", 12)),
    ]);
    bill.totals = vec![usd(123_772)];
    bill
}

fn explanation() -> LineExplanation {
    let part = |note: &str, quantity, rate, product| LinePart {
        note: note.into(),
        quantity: amount(quantity),
        rate: amount(rate),
        amount: amount(product),
        effective: moment("2026-01-01T00:00:00Z"),
    };
    let usage = |event: &str, note: &str| LineUsage {
        event: event.into(),
        at: noon(),
        until: None,
        quantity: amount("1"),
        note: note.into(),
    };
    LineExplanation {
        line: requests(),
        exact: amount("0.00246"),
        rounding: "0.00246 USD is rounded down to 0.00 USD".into(),
        parts: vec![
            part("the first 100,000 are included", "100000", "0", "0"),
            part("up to 1,000,000", "123", "0.00002", "0.00246"),
        ],
        usage: vec![usage("req_1", "GET /"), usage("req_2", "POST /topics/*/posts")],
        usage_count: 100_123,
    }
}

fn verification(agrees: bool) -> Verification {
    let recomputed = if agrees { 1 } else { 2 };
    Verification {
        agrees,
        until: noon(),
        events: 100_123,
        set_aside: if agrees { 0 } else { 3 },
        lines: vec![VerifiedLine {
            line: requests().line,
            agrees,
            billed: Some(usd(1)),
            recomputed: Some(usd(recomputed)),
        }],
        totals: vec![VerifiedTotal {
            currency: "USD".parse().unwrap(),
            billed: usd(1),
            recomputed: usd(recomputed),
        }],
    }
}

fn ended(agrees: bool) -> BillVerification {
    let result = verification(agrees);
    BillVerification {
        account: account(),
        month: noon().month().starts(),
        state: VerificationState::Done,
        asked: noon(),
        ended: Some(noon()),
        until: noon(),
        events: result.events,
        events_total: result.events,
        result: Some(result),
        problem: None,
    }
}

fn billing(agrees: bool) -> impl Fn(&Asked) -> Response {
    move |asked| match asked.line.rsplit('/').next().unwrap() {
        "me" => me(),
        "names" => {
            let accounts = [(account(), "The Bakery".to_owned())].into();
            reply(&Names { accounts, ..Names::default() })
        }
        "bill" => reply(&bill()),
        "verification" => reply(&ended(agrees)),
        "usage" => {
            let event = UsageEvent {
                event: "req_1".into(),
                at: noon(),
                account: account(),
                instance: instance(),
                meter: "requests".into(),
                quantity: 1,
                note: "GET /".into(),
            };
            reply(&Page { items: vec![event], next: None })
        }
        name if name.starts_with("bakery-forum") => reply(&explanation()),
        _ => not_found(),
    }
}

#[tokio::test]
async fn a_bill_is_shown_with_its_amounts_under_each_other() {
    let platform = Platform::start(billing(true)).await;
    let ada = Person::at(&platform);
    insta::assert_snapshot!("bill_show", ada.runs(&["bill", "show"]).await.good());
    let json: Bill = ada.runs(&["bill", "show", "--month", "2026-10", "--json"]).await.json();
    assert_eq!(json, bill());
    assert_eq!(platform.asked().pop().unwrap().query, "month=2026-10-01T00%3A00%3A00Z");
    for month in ["2026-13", "2026", "October", "2026-10-01"] {
        assert_eq!(ada.runs(&["bill", "show", "--month", month]).await.status, 2, "{month}");
    }
}

#[tokio::test]
async fn a_bill_of_several_instances_adds_up_each() {
    let platform = Platform::start(|asked| match asked.line.rsplit('/').next().unwrap() {
        "me" => me(),
        _ => reply(&bill_of_two()),
    })
    .await;
    let shown = Person::at(&platform).runs(&["bill", "show"]).await.good();
    insta::assert_snapshot!("bill_show_several", shown);
}

#[tokio::test]
async fn a_line_is_explained_down_to_its_usage() {
    let platform = Platform::start(billing(true)).await;
    let ada = Person::at(&platform);
    let words = ["bill", "explain", "bakery-forum.localhost.meter.requests"];
    insta::assert_snapshot!("bill_explain", ada.runs(&words).await.good());
    let asked = platform.lines().pop().unwrap();
    assert!(asked.ends_with("/bill/lines/bakery-forum.localhost.meter.requests"), "{asked}");
    let missing = ada.runs(&["bill", "explain", "no/line"]).await;
    assert_eq!(missing.status, 4);
    assert!(missing.err.contains("within a second or two"), "{}", missing.err);
    assert!(platform.lines().pop().unwrap().ends_with("/bill/lines/no%2Fline"));
    let one = ada.runs(&[&words[..], &["--usage", "1"]].concat()).await.good();
    assert!(one.contains("the newest 1 of 100123") && !one.contains("req_2"), "{one}");
    insta::assert_snapshot!("bill_usage", ada.runs(&["bill", "usage"]).await.good());
}

#[tokio::test]
async fn a_line_whose_usage_is_on_its_way_is_waited_for() {
    let platform = Platform::start(|asked| match asked.before {
        0..=2 if !asked.line.ends_with("/me") => not_found(),
        _ => billing(true)(asked),
    })
    .await;
    let ada = Person::at(&platform);
    ada.runs(&["bill", "explain", "bakery-forum.localhost.meter.requests"]).await.good();
    let asked = platform.lines();
    assert_eq!(asked.iter().filter(|line| line.ends_with(".meter.requests")).count(), 4);
}

#[tokio::test]
async fn a_recomputation_that_disagrees_has_an_exit_code_of_its_own() {
    let platform = Platform::start(billing(true)).await;
    let good = Person::at(&platform).runs(&["bill", "verify"]).await.good();
    insta::assert_snapshot!("bill_verify", good);
    let platform = Platform::start(billing(false)).await;
    let bad = Person::at(&platform).runs(&["bill", "verify"]).await;
    assert_eq!(bad.status, 8);
    insta::assert_snapshot!("bill_verify_disagrees", bad.out);
}

fn gap(accepted: bool) -> UsageGap {
    UsageGap {
        source: "gateway/main".into(),
        epoch: 1,
        from: 1_200,
        until: 3_400,
        found: noon(),
        accepted: accepted.then(noon),
    }
}

fn on_no_bill(asked: &Asked) -> Response {
    let usage = UsageEvent {
        event: "req_1".into(),
        at: Timestamp::from_micros(0),
        account: account(),
        instance: instance(),
        meter: "requests".into(),
        quantity: 1,
        note: "GET /".into(),
    };
    let aside = SetAsideUsage {
        source: "gateway/main".into(),
        epoch: 1,
        sequence: 7,
        taken: noon(),
        code: "clock".into(),
        detail: "the event is dated 1970-01-01T00:00:00Z".into(),
        usage,
    };
    match asked.line.rsplit('/').next().unwrap() {
        "set-aside" => reply(&Page { items: vec![aside], next: None }),
        "gaps" if asked.line.starts_with("POST") => reply(&gap(true)),
        "gaps" => reply(&Page { items: vec![gap(false)], next: None }),
        _ => not_found(),
    }
}

#[tokio::test]
async fn what_is_on_no_bill_is_shown_to_operators() {
    let platform = Platform::start(on_no_bill).await;
    let operator = Person::at(&platform);
    insta::assert_snapshot!("bill_set_aside", operator.runs(&["bill", "set-aside"]).await.good());
    insta::assert_snapshot!("bill_gaps", operator.runs(&["bill", "gaps"]).await.good());
    let none = operator.runs(&["bill", "accept-gaps", "--source", "jobs"]).await.good();
    assert!(none.contains("No source waits"), "{none}");
    let accepted = operator.runs(&["bill", "accept-gaps"]).await.good();
    assert!(accepted.contains("2200") && accepted.contains("accepted"), "{accepted}");
}
