//! One line that cannot be billed is its own problem.

use super::{bill, line, refused, verify};
use crate::world::{PRICES, World, batch, engines};
use api::{
    Kind,
    billing::{ExplainLine, JOB_MILLISECONDS},
};
use types::Amount;

/// What a publisher typed a few nines too many into.
fn absurd() -> String {
    let posts = r#"model = "package", included = 10, size = 100, price = "0.50""#;
    let changed = PRICES.replace(posts, r#"model = "per_unit", unit = "999999999""#);
    assert_ne!(changed, PRICES);
    changed.replace("per_second = \"0.001\"", "per_second = \"999999999.999999999999\"")
}

#[tokio::test]
async fn a_line_too_large_for_a_bill_is_its_own_problem() {
    for place in engines("absurd") {
        let world = World::open(place).await;
        let (ada, at) = (&world.ada, "2026-12-01T10:00:00Z");
        world.publish(&absurd()).await.unwrap();
        world.subscribe(ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        // 100 MiB at 999,999,999 each: more cents than 64 bits hold.
        let used = [("posts", 100 << 20), ("requests", 500)];
        let events = used.map(|(meter, quantity)| ada.used(meter, at, meter, quantity));
        world.record(0, events.to_vec()).await.unwrap();
        // So many seconds that not even the exact product fits.
        let jobs = (1..=10).map(|n| ada.used(&format!("job-{n}"), at, JOB_MILLISECONDS, 1 << 39));
        world.client("jobs").call(batch("jobs", 1, 1, jobs.collect())).await.unwrap();
        world.clock.advance(std::time::Duration::from_hours(24));
        let bill = bill(ada).await;
        for ending in ["meter.posts", "jobs.time"] {
            let line = line(&bill, ending);
            let problem = line.problem.clone().unwrap();
            assert!(problem.contains("more than a bill can hold"), "{problem}");
            assert_eq!(line.amount.minor, 0, "{line:?}");
            let (account, line) = (ada.account, line.line.clone());
            let asked = ExplainLine { account, line, month: None };
            assert_eq!(ada.client.call(asked).await.unwrap().rounding, problem);
        }
        assert_eq!(line(&bill, "meter.posts").quantity, Amount::whole(100 << 20));
        // 9.00 / 31, 24 x 0.0125, and 400 x 0.02.
        assert_eq!(bill.totals[0].to_string(), "8.59 USD");
        let verification = verify(ada).await;
        assert!(verification.agrees && verification.lines.len() == 5, "{verification:?}");
        let posts = verification.lines.iter().find(|line| line.line.ends_with("posts")).unwrap();
        assert_eq!((posts.billed, posts.recomputed), (None, None));
        world.close().await;
    }
}

#[tokio::test]
async fn prices_do_not_change_what_was_used_before_they_were_published() {
    for place in engines("backdated") {
        let world = World::open(place).await;
        // As long as nothing is sold, prices may begin at any time.
        let from = |effective: &str| PRICES.replace("2026-01-01T00:00:00Z", effective);
        world.publish(&from("2026-02-01T00:00:00Z")).await.unwrap();
        world.publish(PRICES).await.unwrap();
        world.subscribe(world.ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        world.clock.advance(std::time::Duration::from_mins(40 * 60 + 30));
        for earlier in ["2026-12-01T00:00:00Z", "2026-12-02T15:00:00Z"] {
            let words = "set `effective` to 2026-12-02T16:00:00Z or later";
            refused(world.publish(&from(earlier)).await, Kind::Conflict, words);
        }
        world.publish(&from("2026-12-02T16:00:00Z")).await.unwrap();
        world.publish(&from("2026-12-02T17:00:00Z")).await.unwrap();
        // What is there already is there, however late it is sent again.
        world.clock.advance(std::time::Duration::from_hours(5));
        world.publish(&from("2026-12-02T16:00:00Z")).await.unwrap();
        world.close().await;
    }
}
