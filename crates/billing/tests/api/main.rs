//! Stories of billing, told through its door, on both engines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod absurd;
mod set_aside;
mod verifications;
mod world;

use std::time::Duration;

use api::{
    Kind,
    billing::{
        Bill, BillLine, ExplainLine, GetBill, GetPriceBook, GetVerification, JOB_MILLISECONDS,
        LineExplanation, ListUsage, PutSubscription, Verification, VerifyBill, Words,
    },
};
use db::query;
use types::{Amount, InstanceId, Timestamp};
use world::{PRICES, Person, World, batch, engines, moment};

const DAY: Duration = Duration::from_hours(24);

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

async fn bill(who: &Person) -> Bill {
    who.client.call(GetBill { account: who.account, month: None }).await.unwrap()
}

async fn bill_of(who: &Person, month: &str) -> Bill {
    let month = Some(moment(month));
    who.client.call(GetBill { account: who.account, month }).await.unwrap()
}

fn line<'a>(bill: &'a Bill, ending: &str) -> &'a BillLine {
    let line = bill.lines.iter().find(|line| line.line.ends_with(ending));
    line.unwrap_or_else(|| panic!("no line {ending} in {:?}", bill.lines))
}

async fn explain(who: &Person, ending: &str) -> LineExplanation {
    let line = line(&bill(who).await, ending).line.clone();
    who.client.call(ExplainLine { account: who.account, line, month: None }).await.unwrap()
}

async fn verify(who: &Person) -> Verification {
    verified(who, None).await
}

/// What a verification finds, once it is done.
async fn verified(who: &Person, month: Option<Timestamp>) -> Verification {
    let account = who.account;
    who.client.call(VerifyBill { account, month }).await.unwrap();
    let done = async {
        loop {
            let seen = who.client.call(GetVerification { account, month }).await.unwrap();
            assert_eq!(seen.problem, None);
            if let Some(result) = seen.result {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), done).await.expect("a verification ends")
}

fn refused<T: std::fmt::Debug>(answer: Result<T, api::Problem>, kind: Kind, words: &str) {
    let problem = answer.unwrap_err();
    assert_eq!(problem.kind, kind, "{problem}");
    assert!(problem.detail.contains(words), "{problem}");
}

/// Ada has a small forum with polls since the month began, and has used it.
async fn used_forum(world: &World) {
    let (ada, at) = (&world.ada, "2026-12-02T10:00:00Z");
    world.publish(PRICES).await.unwrap();
    world.subscribe(ada.terms("small", &["polls"], "2026-12-01T00:00:00Z")).await.unwrap();
    let mut events: Vec<_> =
        (0..1_000).map(|n| ada.used(&format!("req-{n}"), at, "requests", 1)).collect();
    world.record(0, events.clone()).await.unwrap();
    events = (0..2).map(|n| ada.used(&format!("post-{n}"), at, "posts", 60)).collect();
    events.push(ada.used("req-big", "2026-12-03T10:00:00Z", "requests", 500));
    world.record(1_000, events).await.unwrap();
    let job = ada.used("job-1.1", at, JOB_MILLISECONDS, 12_345);
    world.client("jobs").call(batch("jobs", 1, 1, vec![job])).await.unwrap();
}

/// A version of the prices that holds later and asks more.
fn dearer(effective: &str) -> String {
    PRICES
        .replace("2026-01-01T00:00:00Z", effective)
        .replace("\"9.00\"", "\"18.00\"")
        .replace("included = 100, tiers", "included = 2_000, tiers")
        .replace("{ up_to = 1_000, unit = \"0.02\" }, { unit = \"0.01\" }", "{ unit = \"0.05\" }")
}

#[tokio::test]
async fn a_bill_is_exact_and_explains_itself() {
    for place in engines("bill") {
        let world = World::open(place).await;
        used_forum(&world).await;
        world.clock.advance(DAY * 31 / 4);
        let bill = bill(&world.ada).await;
        let amounts: Vec<_> = bill
            .lines
            .iter()
            .map(|line| {
                assert_eq!((&line.host, line.instance), (&world.ada.host, world.ada.instance));
                format!(
                    "{}: {} {} = {} ({})",
                    line.line, line.quantity, line.unit, line.amount, line.title
                )
            })
            .collect();
        assert_eq!(
            amounts,
            [
                "ada.localhost.plan.basic: 0.25 months = 2.25 USD (Plan Basic)",
                "ada.localhost.size.small: 186 hours = 2.33 USD (Size small)",
                "ada.localhost.module.polls: 0.25 months = 0.75 USD (Module polls)",
                "ada.localhost.meter.posts: 120 posts = 1.00 USD (Posts)",
                "ada.localhost.meter.requests: 1500 requests = 23.00 USD (Requests)",
                "ada.localhost.jobs.time: 12.345 seconds = 0.01 USD (Background jobs)",
            ]
        );
        assert_eq!(bill.totals.iter().map(ToString::to_string).collect::<Vec<_>>(), ["29.34 USD"]);
        assert!(bill.draft && bill.until == moment("2026-12-08T18:00:00Z"));
        explanations(&world.ada).await;
        let verification = verify(&world.ada).await;
        assert!(verification.agrees, "{verification:?}");
        assert_eq!((verification.events, verification.lines.len()), (1_004, 6));
        world.close().await;
    }
}

async fn explanations(ada: &Person) {
    let requests = explain(ada, "meter.requests").await;
    let parts: Vec<_> = requests
        .parts
        .iter()
        .map(|part| format!("{}: {} x {} = {}", part.note, part.quantity, part.rate, part.amount))
        .collect();
    assert_eq!(
        parts,
        [
            "the first 100 are included: 100 x 0 = 0",
            "up to 1,000: 900 x 0.02 = 18",
            "above 1,000: 500 x 0.01 = 5",
        ]
    );
    assert_eq!((requests.usage_count, requests.usage.len()), (1_001, 1_000));
    assert_eq!(
        (requests.usage[0].event.as_str(), requests.usage[0].quantity),
        ("req-big", amount("500"))
    );
    let size = explain(ada, "size.small").await;
    assert_eq!(size.exact, amount("2.325"));
    assert_eq!(size.rounding, "2.325 USD is rounded up to 2.33 USD");
    assert_eq!(size.usage[0].until, Some(moment("2026-12-08T18:00:00Z")));
    assert_eq!(size.usage[0].note, "7 days 18 hours");
    let plan = explain(ada, "plan.basic").await;
    assert_eq!(plan.parts[0].note, "7 days 18 hours of 31 days");
    assert_eq!(plan.parts[0].effective, moment("2026-01-01T00:00:00Z"));
    let jobs = explain(ada, "jobs.time").await;
    assert_eq!((jobs.exact, jobs.usage[0].quantity), (amount("0.012345"), amount("12.345")));
}

#[tokio::test]
async fn a_sum_that_was_tampered_with_is_found() {
    for place in engines("tamper") {
        let world = World::open(place).await;
        used_forum(&world).await;
        world.clock.advance(DAY);
        assert!(verify(&world.ada).await.agrees);
        let more = "update usage_total set quantity = quantity + 1 where meter = 'requests'";
        assert!(query(more).run(&world.tables).await.unwrap() > 0);
        let verification = verify(&world.ada).await;
        assert!(!verification.agrees);
        let differing: Vec<_> =
            verification.lines.iter().filter(|line| line.billed != line.recomputed).collect();
        assert_eq!(differing.len(), 1);
        assert!(differing[0].line.ends_with("meter.requests"));
        assert_eq!(differing[0].recomputed.unwrap().minor, 2_300);
        assert_eq!(
            verification.totals[0].billed.minor - verification.totals[0].recomputed.minor,
            2
        );
        query("delete from usage_total").run(&world.tables).await.unwrap();
        let verification = verify(&world.ada).await;
        assert!(!verification.agrees, "lines that are missing from the bill are found too");
        assert!(verification.lines.iter().any(|line| line.billed.is_none()));
        world.close().await;
    }
}

#[tokio::test]
async fn usage_counts_once() {
    for place in engines("once") {
        let world = World::open(place).await;
        let (ada, at) = (&world.ada, "2026-12-02T10:00:00Z");
        world.publish(PRICES).await.unwrap();
        world.subscribe(ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        let events: Vec<_> =
            (0..10).map(|n| ada.used(&format!("req-{n}"), at, "requests", 100)).collect();
        let next = |answer: Result<api::billing::Recorded, _>| {
            answer.map(|recorded| recorded.next_sequence)
        };
        // A question how far it has come begins nothing.
        assert_eq!(next(world.record(3, Vec::new()).await), Ok(3));
        // A new batch, the same again, one that was cut anew, and one that is known altogether.
        assert_eq!(next(world.record(7, events[..4].to_vec()).await), Ok(11));
        assert_eq!(next(world.record(7, events[..4].to_vec()).await), Ok(11));
        assert_eq!(next(world.record(9, events[2..8].to_vec()).await), Ok(15));
        assert_eq!(next(world.record(8, events[1..3].to_vec()).await), Ok(15));
        assert_eq!(next(world.record(15, Vec::new()).await), Ok(15));
        refused(
            world.record(16, events[9..].to_vec()).await,
            Kind::Conflict,
            "from number 15 on are missing",
        );
        refused(world.record(6, events[..1].to_vec()).await, Kind::Conflict, "new epoch");
        let mut other = events[..4].to_vec();
        other[3].quantity = 1;
        refused(world.record(7, other).await, Kind::Conflict, "event number 10 was sent before");
        assert_eq!(line(&bill(ada).await, "meter.requests").quantity, amount("800"));
        // Another life of the source, and another source, have numbers of their own.
        let gateway = world.client("gateway");
        gateway.call(batch("gateway/main", 2, 7, events[8..9].to_vec())).await.unwrap();
        gateway.call(batch("gateway/other", 1, 7, events[9..].to_vec())).await.unwrap();
        assert_eq!(line(&bill(ada).await, "meter.requests").quantity, amount("1000"));
        assert!(verify(ada).await.agrees);
        world.close().await;
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_meant_is_set_aside_and_holds_nothing_up() {
    for place in engines("aside") {
        let world = World::open(place).await;
        let (ada, at) = (&world.ada, "2026-12-02T10:00:00Z");
        world.publish(PRICES).await.unwrap();
        world.subscribe(ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        let good = |name: &str| ada.used(name, at, "requests", 100);
        let with = |change: fn(&mut api::billing::UsageEvent)| {
            let mut event = good("bad");
            change(&mut event);
            event
        };
        let events = [
            with(|event| event.at = Timestamp::from_micros(0)),
            good("one"),
            with(|event| event.event = String::new()),
            with(|event| event.event = "a\0b".to_owned()),
            good("two"),
            good("three"),
            with(|event| event.meter = "Requests'; drop table".to_owned()),
            with(|event| event.quantity = u64::MAX),
        ];
        let words = [
            (0, "not of this century"),
            (2, "needs an id"),
            (3, "needs an id"),
            (6, "needs a meter"),
            (7, "quantity above"),
        ];
        // Sent whole, again, cut anew, and with what comes next: the good ones count once.
        let mut more = events[4..].to_vec();
        more.push(good("four"));
        let sent = [(0, &events[..1]), (0, &events), (0, &events), (3, &events[3..]), (4, &more)];
        for (first, batch) in sent {
            let end = first + batch.len() as u64;
            let recorded = world.record(first, batch.to_vec()).await.unwrap();
            assert_eq!(recorded.next_sequence, end.max(recorded.next_sequence));
            let expected = words.iter().filter(|(number, _)| (first..end).contains(number));
            for (refused, (number, words)) in recorded.refused.iter().zip(expected.clone()) {
                assert_eq!(refused.sequence, *number);
                assert!(refused.reason.contains(words), "{refused:?}");
            }
            assert_eq!(recorded.refused.len(), expected.count());
        }
        assert_eq!(world.record(9, Vec::new()).await.unwrap().next_sequence, 9);
        assert_eq!(line(&bill(ada).await, "meter.requests").quantity, amount("400"));
        assert!(verify(ada).await.agrees);
        // A good one is still known by its number.
        let mut other = events[5..].to_vec();
        other[0].quantity = 1;
        refused(world.record(5, other).await, Kind::Conflict, "event number 5 was sent before");
        world.close().await;
    }
}

#[tokio::test]
async fn a_batch_that_cannot_be_meant_is_refused_whole() {
    for place in engines("batch") {
        let world = World::open(place).await;
        let (ada, at) = (&world.ada, "2026-12-02T10:00:00Z");
        let good = ada.used("req", at, "requests", 1);
        let with = |change: fn(&mut api::billing::UsageEvent)| {
            let mut event = good.clone();
            change(&mut event);
            vec![good.clone(), event]
        };
        let many = vec![good.clone(); 1_001];
        refused(world.record(0, many).await, Kind::Invalid, "at most 1000 events");
        let far = batch("gateway/main", 1, u64::MAX, vec![good.clone()]);
        refused(world.client("gateway").call(far).await, Kind::Invalid, "below 2^62");
        for source in ["jobs", "gateways", "", "gateway/\0"] {
            let answer =
                world.client("gateway").call(batch(source, 1, 0, vec![good.clone()])).await;
            refused(answer, Kind::Invalid, "the name of a usage source must begin");
        }
        refused(
            ada.client.call(batch("gateway", 1, 0, vec![good.clone()])).await,
            Kind::Denied,
            "",
        );
        // A note is a visitor's to choose: it is cut, and the same batch is still the same.
        let noted = with(|event| event.note = format!("GET /\0{}", "é".repeat(500)));
        world.record(0, noted.clone()).await.unwrap();
        assert_eq!(world.record(0, noted).await.unwrap().next_sequence, 2);
        world.close().await;
    }
}

#[tokio::test]
async fn usage_is_listed_by_pages() {
    for place in engines("pages") {
        let world = World::open(place).await;
        used_forum(&world).await;
        world
            .record(1_003, vec![world.bob.used("bobs", "2026-12-02T10:00:00Z", "requests", 1)])
            .await
            .unwrap();
        let (ada, mut after, mut seen) = (&world.ada, None, Vec::new());
        loop {
            let list = ListUsage {
                account: ada.account,
                instance: Some(ada.instance),
                after,
                limit: Some(300),
            };
            let page = ada.client.call(list).await.unwrap();
            seen.extend(page.items.into_iter().map(|event| (event.at, event.event)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut sorted = seen.clone();
        sorted.sort_by_key(|(at, _)| *at);
        assert_eq!((seen.len(), &seen), (1_004, &sorted));
        assert!(seen.iter().all(|(_, event)| event != "bobs"));
        let other = ListUsage {
            account: ada.account,
            instance: Some(world.bob.instance),
            after: None,
            limit: None,
        };
        assert!(ada.client.call(other).await.unwrap().items.is_empty());
        for after in ["", "1.2.3", "x.1.1.gateway", "1.-1.1.gateway"] {
            let list = ListUsage {
                account: ada.account,
                instance: None,
                after: Some(after.to_owned()),
                limit: None,
            };
            refused(ada.client.call(list).await, Kind::Invalid, "not the start of a page");
        }
        world.close().await;
    }
}

#[tokio::test]
async fn a_month_that_has_not_begun_has_no_bill() {
    for place in engines("ahead") {
        let world = World::open(place).await;
        let next = Some(moment("2027-01-01T00:00:00Z"));
        let asked = world.ada.client.call(GetBill { account: world.ada.account, month: next });
        refused(asked.await, Kind::Invalid, "begins at 2027-01-01T00:00:00Z has no bill yet");
        assert!(bill_of(&world.ada, "2000-01-01T00:00:00Z").await.lines.is_empty());
        world.close().await;
    }
}

#[tokio::test]
async fn nobody_sees_what_another_owes() {
    for place in engines("others") {
        let world = World::open(place).await;
        used_forum(&world).await;
        world.clock.advance(DAY);
        let (ada, bob) = (&world.ada, &world.bob);
        let lines = bill(ada).await.lines;
        let (account, line) = (ada.account, lines[0].line.clone());
        refused(bob.client.call(GetBill { account, month: None }).await, Kind::Denied, "");
        refused(bob.client.call(VerifyBill { account, month: None }).await, Kind::Denied, "");
        let list = ListUsage { account, instance: None, after: None, limit: None };
        refused(bob.client.call(list).await, Kind::Denied, "");
        let asked = ExplainLine { account, line: line.clone(), month: None };
        refused(bob.client.call(asked).await, Kind::Denied, "");
        // Nor by asking for it under one's own name.
        let asked = ExplainLine { account: bob.account, line, month: None };
        refused(bob.client.call(asked).await, Kind::NotFound, "no such line");
        assert!(bill(bob).await.lines.is_empty());
        let list = ListUsage {
            account: bob.account,
            instance: Some(ada.instance),
            after: None,
            limit: None,
        };
        assert!(bob.client.call(list).await.unwrap().items.is_empty());
        // An instance stays its account's, whoever else it is said to be of.
        let mut theft = ada.terms("small", &[], "2026-12-01T00:00:00Z");
        theft.account = bob.account;
        refused(world.subscribe(theft).await, Kind::Conflict, "another account");
        world.close().await;
    }
}

/// The same prices again, from a later day on.
fn later_prices() -> String {
    PRICES.replace("2026-01-01T00:00:00Z", "2026-12-20T00:00:00Z")
}

/// Those without the lines that begin with `start`.
fn lacking(start: &str) -> String {
    let prices = later_prices();
    let lines = prices.lines().filter(|line| !line.starts_with(start));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_price_book_that_does_not_fit_is_refused() {
    for place in engines("books") {
        let world = World::open(place).await;
        let ada = &world.ada;
        let since = "2026-12-01T00:00:00Z";
        refused(
            world.subscribe(ada.terms("small", &[], since)).await,
            Kind::Conflict,
            "publish a price book",
        );
        world.publish(PRICES).await.unwrap();
        world.publish(PRICES).await.unwrap();
        world.subscribe(ada.terms("small", &["polls"], since)).await.unwrap();
        let later = later_prices();
        let cases = [
            (lacking("sizes.small"), Kind::Conflict, "add `plans.basic.sizes.small`"),
            (
                lacking("modules.polls"),
                Kind::Conflict,
                "lacks module `polls`, which instances have",
            ),
            (later.replace("plans.basic", "plans.pro"), Kind::Conflict, "lacks plan `basic`"),
            (later.replace("USD", "EUR"), Kind::Invalid, "write `currency = \"USD\"`"),
            (
                PRICES.replace("9.00", "8.00"),
                Kind::Conflict,
                "give the new ones a later `effective`",
            ),
            (
                later.replace("12-20", "11-20"),
                Kind::Conflict,
                "set `effective` to 2026-12-01T00:00:00Z or later",
            ),
            (
                format!("{later}[plans.pro]\nmonthly = \"1\""),
                Kind::Invalid,
                "add `plans.pro.sizes.large`",
            ),
        ];
        for (prices, kind, words) in cases {
            refused(world.publish(&prices).await, kind, words);
        }
        // The parser refuses it too; this is for what comes in any other way.
        let mut book = api::prices::PriceBook::parse("prices.toml", &later).unwrap();
        book.effective = "2026-12-20T00:30:00Z".parse().unwrap();
        let (service, words) = (book.service.clone(), None);
        let half = api::billing::PutPriceBook { service, book, words };
        let put = world.client("releases").call(half).await.map(drop);
        refused(put, Kind::Invalid, "write `2026-12-20T00:00:00Z`");
        world.close().await;
    }
}

#[tokio::test]
async fn what_instances_have_keeps_a_price() {
    for place in engines("sold") {
        let world = World::open(place).await;
        let (ada, later) = (&world.ada, later_prices());
        world.publish(PRICES).await.unwrap();
        world.subscribe(ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        // What nobody has may go, and then cannot be taken any more, also not before that day.
        world.publish(&lacking("sizes.large")).await.unwrap();
        refused(
            world.subscribe(ada.terms("large", &[], "2026-12-02T00:00:00Z")).await,
            Kind::Invalid,
            "no price for size `large`",
        );
        // Until it holds, a version can be replaced.
        world.publish(&later).await.unwrap();
        world.subscribe(ada.terms("large", &[], "2026-12-02T00:00:00Z")).await.unwrap();
        // What an instance has until then must have a price, what it gave back need not.
        let answer = world.publish(&lacking("sizes.large")).await;
        refused(answer, Kind::Conflict, "lacks size `large`");
        world.clock.advance(DAY * 2);
        world.subscribe(ada.terms("small", &[], "2026-12-03T00:00:00Z")).await.unwrap();
        world.publish(&lacking("sizes.large")).await.unwrap();
        let show = || GetPriceBook { service: "forum".parse().unwrap() };
        assert_eq!(
            world.house.visitor().call(show()).await.unwrap().effective,
            moment("2026-01-01T00:00:00Z")
        );
        world.clock.advance(DAY * 18);
        assert_eq!(
            world.house.visitor().call(show()).await.unwrap().effective,
            moment("2026-12-20T00:00:00Z")
        );
        let other = GetPriceBook { service: "store".parse().unwrap() };
        refused(world.house.visitor().call(other).await, Kind::NotFound, "price book");
        world.close().await;
    }
}

#[tokio::test]
async fn a_change_of_prices_counts_from_its_moment_on() {
    for place in engines("change") {
        let world = World::open(place).await;
        used_forum(&world).await;
        world.publish(&dearer("2026-12-11T00:00:00Z")).await.unwrap();
        let late = world.ada.used("late", "2026-12-12T00:00:00Z", "requests", 1_500);
        world.record(1_003, vec![late]).await.unwrap();
        world.clock.advance(DAY * 31);
        assert!(bill_of(&world.ada, "2026-11-15T00:00:00Z").await.lines.is_empty());
        for never in ["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00Z"] {
            let month = Some(moment(never));
            let asked = GetBill { account: world.ada.account, month };
            refused(world.ada.client.call(asked).await, Kind::Invalid, "from 2000 to 2199");
        }
        let bill = bill_of(&world.ada, "2026-12-15T00:00:00Z").await;
        assert!(!bill.draft && bill.until == moment("2027-01-01T00:00:00Z"));
        // 9 x 10/31 + 18 x 21/31, as one line of two parts.
        assert_eq!(line(&bill, "plan.basic").amount.to_string(), "15.10 USD");
        // 1,500 by the old prices (23.00); of the 1,500 that follow, 500 are among the 2,000 that
        // the new ones include, and 1,000 cost 0.05.
        assert_eq!(line(&bill, "meter.requests").amount.to_string(), "73.00 USD");
        let asked = ExplainLine {
            account: world.ada.account,
            line: line(&bill, "meter.requests").line.clone(),
            month: Some(moment("2026-12-01T00:00:00Z")),
        };
        let explanation = world.ada.client.call(asked).await.unwrap();
        let versions: Vec<_> = explanation.parts.iter().map(|part| part.effective).collect();
        let (old, new) = (moment("2026-01-01T00:00:00Z"), moment("2026-12-11T00:00:00Z"));
        assert_eq!(versions, [old, old, old, new, new]);
        let month = Some(moment("2026-12-31T23:59:59.999999Z"));
        assert!(verified(&world.ada, month).await.agrees);
        world.close().await;
    }
}

#[tokio::test]
async fn what_is_taken_again_changes_nothing_and_what_changes_is_cut_there() {
    for place in engines("terms") {
        let world = World::open(place).await;
        let ada = &world.ada;
        world.publish(PRICES).await.unwrap();
        world.clock.advance(DAY * 2);
        let first = ada.terms("small", &["polls"], "2026-12-01T00:00:00Z");
        let large = ada.terms("large", &["polls", "search"], "2026-12-02T00:00:00Z");
        let back = ada.terms("small", &["search"], "2026-12-02T00:10:00Z");
        // In any order, and more than once.
        for terms in [&back, &first, &large, &first, &large, &back] {
            world.subscribe(terms.clone()).await.unwrap();
        }
        let again = ada.terms("small", &["search"], "2026-12-02T00:20:00Z");
        world.subscribe(again).await.unwrap();
        let other = ada.terms("large", &[], "2026-12-02T00:00:00Z");
        refused(world.subscribe(other).await, Kind::Conflict, "already has different terms from");
        let ahead = ada.terms("large", &[], "2027-12-02T00:00:00Z");
        refused(world.subscribe(ahead).await, Kind::Invalid, "more than a day in the future");
        let mut service = first.clone();
        service.service = "store".parse().unwrap();
        refused(world.subscribe(service).await, Kind::Conflict, "`store` has no prices");
        let bill = bill(ada).await;
        assert_eq!(bill.lines.iter().filter(|line| line.line.ends_with("plan.basic")).count(), 1);
        // Ten minutes at the large size are billed as an hour, its minimum.
        assert_eq!(line(&bill, "size.large").quantity, amount("1"));
        assert_eq!(line(&bill, "size.large").amount.to_string(), "0.10 USD");
        let note = explain(ada, "size.large").await.usage[0].note.clone();
        assert_eq!(note, "1 hour; it lasted 10 minutes, and at least 1 hour is billed");
        let small = explain(ada, "size.small").await;
        assert_eq!(
            small.line.quantity,
            amount("24").plus(Amount::fraction(143, 6).unwrap()).unwrap()
        );
        assert_eq!(small.usage_count, 2);
        assert!(verify(ada).await.agrees);
        world.close().await;
    }
}

#[tokio::test]
async fn a_line_keeps_its_name_and_no_other_instance_gets_it() {
    for place in engines("host") {
        let world = World::open(place).await;
        let (ada, bob) = (&world.ada, &world.bob);
        world.publish(PRICES).await.unwrap();
        world.clock.advance(DAY * 2);
        let first = ada.terms("small", &[], "2026-12-01T00:00:00Z");
        world.subscribe(first.clone()).await.unwrap();
        let mut moved = ada.terms("large", &[], "2026-12-02T00:00:00Z");
        moved.host = "moved.localhost".parse().unwrap();
        world.subscribe(moved).await.unwrap();
        let second = PutSubscription { instance: InstanceId::named(&["second"]), ..first };
        let refusal = "`ada.localhost` is already the name of another instance";
        refused(world.subscribe(second.clone()).await, Kind::Conflict, refusal);
        world
            .subscribe(PutSubscription { host: "ada.test".parse().unwrap(), ..second })
            .await
            .unwrap();
        // Another account's bills are its own.
        let like = PutSubscription {
            host: ada.host.clone(),
            ..bob.terms("small", &[], "2026-12-01T00:00:00Z")
        };
        world.subscribe(like).await.unwrap();
        let mut names: Vec<_> = bill(ada).await.lines.into_iter().map(|line| line.line).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "ada.localhost.plan.basic",
                "ada.localhost.size.large",
                "ada.localhost.size.small",
                "ada.test.plan.basic",
                "ada.test.size.small",
            ]
        );
        assert!(verify(ada).await.agrees && verify(bob).await.agrees);
        world.close().await;
    }
}

#[tokio::test]
async fn bills_verify_while_usage_comes_in() {
    for place in engines("busy") {
        let world = World::open(place).await;
        used_forum(&world).await;
        world.subscribe(world.bob.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        tokio::join!(
            send(&world, "gateway/one"),
            send(&world, "gateway/two"),
            send(&world, "gateway/three"),
            verify_often(&world),
        );
        let (ada, bob) = (bill(&world.ada).await, bill(&world.bob).await);
        let sum = line(&ada, "meter.requests").quantity.plus(line(&bob, "meter.requests").quantity);
        assert_eq!(sum.unwrap(), Amount::whole(1_500 + 3 * (0..200).sum::<i64>()));
        assert!(verify(&world.ada).await.agrees && verify(&world.bob).await.agrees);
        world.close().await;
    }
}

async fn send(world: &World, source: &str) {
    let client = world.client("gateway");
    for first in (0..200).step_by(10) {
        let events = (first..first + 10).map(|n| {
            let who = if n % 3 == 0 { &world.ada } else { &world.bob };
            let at = format!("2026-12-0{}T0{}:00:00Z", 1 + n % 9, n % 10);
            who.used(&format!("{source}-{n}"), &at, "requests", n)
        });
        // The database may ask for patience; the same batch again counts once.
        let batch = batch(source, 1, first, events.collect());
        while let Err(problem) = client.call(batch.clone()).await {
            assert!(problem.is_transient(), "{problem}");
        }
    }
}

async fn verify_often(world: &World) {
    for _ in 0..15 {
        for who in [&world.ada, &world.bob] {
            let verification = verify(who).await;
            assert!(verification.agrees, "{verification:?}");
        }
    }
}

#[tokio::test]
async fn things_are_called_as_their_service_calls_them() {
    for place in engines("words") {
        let world = World::open(place).await;
        used_forum(&world).await;
        world.clock.advance(DAY);
        assert_eq!(line(&bill(&world.ada).await, ".posts").title, "Posts");
        let named = |name: &str, text: &str| [(name.to_owned(), text.to_owned())].into();
        let words = Words {
            sizes: named("small", "a club"),
            modules: named("polls", "Ballots"),
            meters: named("posts", "Posts written"),
            units: named("posts", "letters"),
        };
        world.publish_with(PRICES, Some(words.clone())).await.unwrap();
        // Prices alone, later, take nothing of that away.
        world.publish(PRICES).await.unwrap();
        let seen = bill(&world.ada).await;
        assert_eq!(line(&seen, ".small").title, "Size a club");
        assert_eq!(line(&seen, ".polls").title, "Module Ballots");
        let posts = line(&seen, ".posts");
        assert_eq!((posts.title.as_str(), posts.unit.as_str()), ("Posts written", "letters"));
        assert_eq!(line(&seen, ".requests").title, "Requests");
        assert!(verify(&world.ada).await.agrees);
        let endless = Words { units: named("posts", &"x".repeat(201)), ..words };
        refused(world.publish_with(PRICES, Some(endless)).await, Kind::Invalid, "200 characters");
        world.close().await;
    }
}
