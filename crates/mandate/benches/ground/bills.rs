//! What a click on a bill costs, with little usage behind it and with much: the bill, the explanation
//! of a line, and a page of usage. In turns, each on a platform of its own; asked inside the process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Instant,
};

use api::{
    billing::{
        ExplainLine, GetBill, ListUsage, PutPriceBook, PutSubscription, RecordUsage, UsageEvent,
        VerifyBill,
    },
    prices::PriceBook,
};
use db::Engine;
use tokio::runtime::Runtime;
use types::{Clock as _, SystemClock};

use crate::{
    figures::{Series, Table, micros, percentile, short},
    folder::Folder,
    platform::{HOST, Platform},
};

const FEW: u64 = 4_000;
const MANY: u64 = 400_000;
const BATCH: u64 = 1_000;
const ROUNDS: usize = 5;
/// So often is each asked in a round.
const ASKS: usize = 40;
const PRICES: &str = include_str!("../../tests/components/prices.toml");

/// Measures on SQLite.
pub(crate) fn measure(house: &Runtime, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let few = house.block_on(used(&folder, "few", FEW))?;
    let many = house.block_on(used(&folder, "many", MANY))?;
    let mut all: [[Series; 4]; 2] = Default::default();
    for round in 0..=ROUNDS {
        crate::told(&format!("round {round} of {ROUNDS}"));
        for (platform, series) in [&few, &many].into_iter().zip(&mut all) {
            let took = house.block_on(clicks(platform))?;
            // The first is for what is read from the disk once.
            if round > 0 {
                series.iter_mut().zip(took).for_each(|(series, took)| series.push(took));
            }
        }
    }
    house.block_on(async { tokio::join!(few.end(), many.end()) });
    let columns = [&format!("{FEW}"), &format!("{MANY}"), "ratio", "p10 – p90 of it"];
    table.head("a click on a bill, p50 µs, by events of usage", columns.map(AsRef::as_ref));
    let what = ["the bill", "why a line is what it is", "a page of usage", "begin a verification"];
    for ((what, few), many) in what.into_iter().zip(&all[0]).zip(&all[1]) {
        let ratio = many.ratio_to(few);
        let [few, many, times] = [few, many, &ratio].map(|series| short(series.median()));
        table.row(what, [few, many, times, ratio.spread()]);
    }
    Ok(())
}

/// A platform whose customer has used so much this month.
async fn used(folder: &Folder, name: &str, events: u64) -> anyhow::Result<Platform> {
    crate::told(&format!("{events} events of usage"));
    let data = folder.join(name);
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let platform = Platform::start(&data, Engine::sqlite(data.join("databases")), nowhere).await?;
    let book = PriceBook::parse("prices.toml", &PRICES.replace("NAME", "forum"));
    let book = book.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let put = PutPriceBook { service: book.service.clone(), book, words: None };
    platform.component("releases")?.call(put).await?;
    let (account, instance, now) =
        (platform.customer.account, platform.customer.instance, SystemClock.now());
    let terms = PutSubscription {
        account,
        instance,
        service: "forum".parse()?,
        host: HOST.parse()?,
        plan: "basic".into(),
        size: "small".into(),
        modules: [].into(),
        since: now.month().starts(),
    };
    platform.component("provider")?.call(terms).await?;
    let gateway = platform.component("gateway")?;
    for first in (1..=events).step_by(usize::try_from(BATCH)?) {
        let event = |number: u64| UsageEvent {
            event: format!("event-{number}"),
            at: now,
            account,
            instance,
            meter: "requests".into(),
            quantity: number % 7 + 1,
            note: "GET /topics".into(),
        };
        let events = (first..first + BATCH).map(event).collect();
        let source = "gateway/bench".to_owned();
        gateway.call(RecordUsage { source, epoch: 1, first_sequence: first, events }).await?;
    }
    Ok(platform)
}

/// The median of each kind of click, in microseconds.
async fn clicks(platform: &Platform) -> anyhow::Result<[f64; 4]> {
    let (client, account) = (platform.person(), platform.customer.account);
    let line = format!("{HOST}.meter.requests");
    let mut took: [Vec<f64>; 4] = Default::default();
    for _ in 0..ASKS {
        let begun = Instant::now();
        client.call(GetBill { account, month: None }).await?;
        took[0].push(micros(begun.elapsed()));
        let begun = Instant::now();
        client.call(ExplainLine { account, line: line.clone(), month: None }).await?;
        took[1].push(micros(begun.elapsed()));
        let begun = Instant::now();
        client.call(ListUsage { account, instance: None, after: None, limit: Some(100) }).await?;
        took[2].push(micros(begun.elapsed()));
    }
    let begun = Instant::now();
    client.call(VerifyBill { account, month: None }).await?;
    took[3].push(micros(begun.elapsed()));
    Ok(took.map(|mut took| percentile(&mut took, 0.5)))
}
