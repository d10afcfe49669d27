//! Nothing that a source sends makes it wait for ever, and nothing is lost in silence.

use api::{
    Kind,
    billing::{
        AcceptUsageGap, CheckSubscriptions, JOB_MILLISECONDS, ListSetAside, ListUsageGaps,
        UsageEvent, UsageGap,
    },
};
use db::query;
use types::{Amount, Timestamp};

use super::{bill, line, refused, verify};
use crate::world::{PRICES, World, batch, engines, moment};

const AT: &str = "2026-12-02T10:00:00Z";

async fn gaps(world: &World) -> Vec<UsageGap> {
    let list = ListUsageGaps { after: None, limit: None };
    world.operator.call(list).await.unwrap().items
}

#[tokio::test]
async fn an_event_that_cannot_be_billed_is_set_aside_and_holds_up_nothing() {
    for place in engines("set_aside") {
        let world = World::open(place).await;
        let ada = &world.ada;
        world.publish(PRICES).await.unwrap();
        world.subscribe(ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        let good = ada.used("good", AT, "requests", 150);
        let with = |change: fn(&mut UsageEvent)| {
            let mut event = good.clone();
            change(&mut event);
            event
        };
        let events = vec![
            with(|event| event.at = Timestamp::from_micros(0)),
            with(|event| event.event = "a\0b".to_owned()),
            good.clone(),
            with(|event| event.event = "long".repeat(200)),
            with(|event| event.meter = "Requests'; drop table \0".repeat(9)),
            with(|event| event.meter = JOB_MILLISECONDS.to_owned()),
            with(|event| event.quantity = u64::MAX),
        ];
        let codes = ["clock", "event", "event", "meter", "meter_reserved", "quantity"];
        // Whatever of the batch was bad, its numbers are used up, also when it comes again.
        for _ in 0..2 {
            let recorded = world.record(0, events.clone()).await.unwrap();
            assert_eq!(recorded.next_sequence, 7);
            let told: Vec<_> = recorded.refused.iter().map(|event| event.sequence).collect();
            assert_eq!(told, [0, 1, 3, 4, 5, 6]);
            assert!(recorded.refused[0].reason.contains("dated 1970-01-01T00:00:00Z"));
        }
        let last = ada.used("last", AT, "requests", 100);
        assert_eq!(world.record(7, vec![last]).await.unwrap().next_sequence, 8);
        world.clock.advance(std::time::Duration::from_hours(48));
        // Only the two good ones are on the bill; nothing of it is taken for jobs.
        let bill = bill(ada).await;
        assert_eq!(line(&bill, "meter.requests").quantity, Amount::whole(250));
        assert!(bill.lines.iter().all(|line| !line.line.ends_with("jobs.time")));
        let verification = verify(ada).await;
        assert!(verification.agrees && verification.events == 2, "{verification:?}");
        assert_eq!(verification.set_aside, 6);
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = ListSetAside { after, limit: Some(4) };
            let page = world.operator.call(page).await.unwrap();
            listed.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed.iter().map(|aside| aside.code.as_str()).collect::<Vec<_>>(), codes);
        assert_eq!(listed[0].usage, events[0]);
        refused(ada.client.call(ListSetAside { after: None, limit: None }).await, Kind::Denied, "");
        world.close().await;
    }
}

#[tokio::test]
async fn a_source_goes_on_after_a_gap_that_was_accepted() {
    for place in engines("gap") {
        let world = World::open(place).await;
        let ada = &world.ada;
        world.publish(PRICES).await.unwrap();
        world.subscribe(ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        let event = |n: u64| ada.used(&format!("req-{n}"), AT, "requests", 1);
        let events = |from, until| (from..until).map(event).collect::<Vec<_>>();
        world.record(0, events(0, 10)).await.unwrap();
        assert!(gaps(&world).await.is_empty());
        // An earlier database was restored: the source is far ahead, and waits.
        for _ in 0..2 {
            refused(
                world.record(20, events(20, 25)).await,
                Kind::Conflict,
                "from number 10 on are missing",
            );
        }
        let waiting = gaps(&world).await;
        let [gap] = waiting.as_slice() else { panic!("{waiting:?}") };
        assert_eq!((gap.from, gap.until, gap.accepted), (10, 20, None));
        let accept = |until| AcceptUsageGap {
            source: gap.source.clone(),
            epoch: gap.epoch,
            from: gap.from,
            until,
        };
        refused(world.operator.call(accept(21)).await, Kind::NotFound, "list them again");
        refused(ada.client.call(accept(20)).await, Kind::Denied, "");
        for _ in 0..2 {
            assert!(world.operator.call(accept(20)).await.unwrap().accepted.is_some());
        }
        assert_eq!(world.record(20, events(20, 25)).await.unwrap().next_sequence, 25);
        assert!(gaps(&world).await[0].accepted.is_some());
        // What was missing turns up after all: it counts, once, as far as it is there.
        for _ in 0..2 {
            assert_eq!(world.record(12, events(12, 22)).await.unwrap().next_sequence, 25);
        }
        assert_eq!(line(&bill(ada).await, "meter.requests").quantity, Amount::whole(23));
        assert!(verify(ada).await.agrees);
        // A gap that closes by itself is none any more.
        refused(
            world.record(30, events(30, 31)).await,
            Kind::Conflict,
            "from number 25 on are missing",
        );
        world.record(25, events(25, 31)).await.unwrap();
        assert_eq!(gaps(&world).await.len(), 1);
        world.close().await;
    }
}

#[tokio::test]
async fn what_is_not_known_of_what_was_ordered_is_said() {
    for place in engines("check") {
        let world = World::open(place).await;
        let (ada, bob) = (&world.ada, &world.bob);
        world.publish(PRICES).await.unwrap();
        world.clock.advance(std::time::Duration::from_hours(72));
        let first = ada.terms("small", &[], "2026-12-01T00:00:00Z");
        let again = ada.terms("small", &[], "2026-12-01T06:00:00Z");
        let larger = ada.terms("large", &[], "2026-12-02T00:00:00Z");
        let other = bob.terms("small", &[], "2026-12-01T00:00:00Z");
        for known in [&first, &again] {
            world.subscribe(known.clone()).await.unwrap();
        }
        let wishes = vec![first, again, larger, other];
        let provider = world.client("provider");
        let check = CheckSubscriptions { wishes: wishes.clone() };
        assert_eq!(provider.call(check.clone()).await.unwrap().lacking, [2, 3]);
        for lacking in &wishes[2..] {
            world.subscribe(lacking.clone()).await.unwrap();
        }
        assert!(provider.call(check).await.unwrap().lacking.is_empty());
        let none = CheckSubscriptions { wishes: Vec::new() };
        assert!(provider.call(none).await.unwrap().lacking.is_empty());
        let many = CheckSubscriptions { wishes: vec![wishes[0].clone(); 101] };
        refused(provider.call(many).await, Kind::Invalid, "at most 100");
        world.close().await;
    }
}

/// As `0003_set_aside.sql` has to find it.
#[tokio::test]
async fn jobs_are_billed_for_what_jobs_took_alone() {
    for place in engines("moved") {
        let world = World::open(place).await;
        let ada = &world.ada;
        world.publish(PRICES).await.unwrap();
        world.subscribe(ada.terms("small", &[], "2026-12-01T00:00:00Z")).await.unwrap();
        let jobs = ["2026-12-01T01:10:00Z", "2026-12-01T02:20:00Z"]
            .map(|at| ada.used(at, at, JOB_MILLISECONDS, 1_000));
        world.client("jobs").call(batch("jobs", 1, 1, jobs.to_vec())).await.unwrap();
        // As an earlier version took it from a gateway: beside a job's time, and in an hour alone.
        for (sequence, hour) in [(1, 1), (2, 5)] {
            let starts = moment(&format!("2026-12-01T0{hour}:00:00Z"));
            let event = "insert into usage_event (source, epoch, sequence, account, revision,
                 instance, meter, used_at, quantity, event, note)
                 values ('gateway/main', 1, ?, ?, 1, ?, 'job_milliseconds', ?, 7000, 'e', '')";
            let event = query(event).bind(sequence).bind(ada.account).bind(ada.instance);
            event.bind(starts).run(&world.tables).await.unwrap();
            let total = "insert into usage_total (account, hour_starts, instance, meter, quantity,
                 events) values (?, ?, ?, 'job_milliseconds', 7000, 1)
                 on conflict (account, hour_starts, instance, meter) do update set
                 quantity = usage_total.quantity + 7000, events = usage_total.events + 1";
            let total = query(total).bind(ada.account).bind(starts).bind(ada.instance);
            total.run(&world.tables).await.unwrap();
        }
        assert_eq!(line(&bill(ada).await, "jobs.time").quantity, Amount::whole(16));
        let script = include_str!("../../migrations/0003_set_aside.sql");
        let moves = script.split_once("-- What a service's own meter").unwrap().1;
        let moves = moves.split_once('\n').unwrap().1;
        for statement in moves.split(';').filter(|text| !text.trim().is_empty()) {
            query(statement).run(&world.tables).await.unwrap();
        }
        assert_eq!(line(&bill(ada).await, "jobs.time").quantity, Amount::whole(2));
        let verification = verify(ada).await;
        assert!(verification.agrees, "{verification:?}");
        assert_eq!((verification.events, verification.set_aside), (2, 2));
        world.close().await;
    }
}
