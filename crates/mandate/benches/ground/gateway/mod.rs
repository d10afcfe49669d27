//! What a request costs at the gateway, beside nginx and HAProxy that only forward it: one worker or
//! thread each, 32 connections kept alive, 1 KiB of answer, access logs on, with one host and with
//! many.

mod peers;
mod wrk;

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    figures::{Series, Table, micros, short},
    folder::Folder,
    front::{Standing, THREADS, counting::Counting, cpu::Whose, settled},
    platform::{HOST, Platform, wait_for},
    runtime,
};
use peers::Peers;
use wrk::Asked;

const HOSTS: [usize; 3] = [1, 1_000, 100_000];
const ROUNDS: usize = 5;
const BUSY: Duration = Duration::from_secs(2);
/// What the threads of the components are called.
const HOUSE: &str = "house";

/// One of those that take turns.
struct Contestant {
    what: &'static str,
    asked: Asked,
    whose: Whose,
    /// Whether it is ours: then others work on its usage.
    is_ours: bool,
    rate: Series,
    work: Series,
    p99: Series,
    usage: Series,
}

pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    let house = runtime(HOUSE, 2)?;
    let folder = Folder::new()?;
    let application = peers::application(&folder.join("application"))?;
    let here = folder.join("here");
    let engine = db::Engine::sqlite(here.join("databases"));
    let platform = Arc::new(house.block_on(Platform::start(&here, engine, application.address))?);
    let own = runtime("rest", 1)?;
    let counting = Counting::new(platform.house.directory().clone(), house.handle().clone());
    let client = counting.client(platform.house.signer("gateway")?);
    let front = folder.join("front");
    let gateway = own.block_on(Standing::start(&platform, client, &front, 1))?;
    let mut plain: Option<Vec<Contestant>> = None;
    for count in HOSTS {
        eprintln!("measuring with {count} hosts …");
        let hosts = hosts(count);
        let routes = hosts.iter().map(|host| platform.customer.route(host));
        let routes = routes.collect::<anyhow::Result<Vec<_>>>()?;
        for some in routes.chunks(1_000) {
            house.block_on((platform.put)(some.to_vec()))?;
        }
        let peers = Peers::start(&folder.join("peers"), &hosts, application.address)?;
        let token = platform.customer.token.reveal();
        let scripts = folder.join("wrk");
        let asked = |address, path: &str, token: Option<&str>| {
            Asked::new(&scripts, address, path, token, &hosts)
        };
        let mut all = vec![
            contestant(
                "nginx",
                asked(peers.nginx.address, "/topics", None)?,
                peers.nginx.workers(),
            ),
            contestant(
                "HAProxy",
                asked(peers.haproxy.address, "/topics", None)?,
                peers.haproxy.itself(),
            ),
            contestant(
                "gateway: a public route",
                asked(gateway.address, "/topics", None)?,
                Whose::Threads(THREADS),
            ),
            contestant(
                "gateway: a token, a permission",
                asked(gateway.address, "/members", Some(token))?,
                Whose::Threads(THREADS),
            ),
        ];
        let last = hosts.last().map_or(HOST, String::as_str);
        let ready = || async { Ok(all[2].asked.answers(last)) };
        house.block_on(wait_for("the gateway's copies", ready))?;
        for round in 0..=ROUNDS {
            for place in 0..all.len() {
                let place = (round + place) % all.len();
                all[place].round(round > 0, || house.block_on(settled(&front)))?;
            }
        }
        show(table, count, &all, plain.as_deref());
        plain.get_or_insert(all);
    }
    own.block_on(gateway.end());
    house.block_on(async { platform.end().await });
    table.note(format!("through the gateway: {counting}"));
    Ok(())
}

fn hosts(count: usize) -> Vec<String> {
    let others = (1..count).map(|number| format!("h{number}.localhost"));
    std::iter::once(HOST.to_owned()).chain(others).collect()
}

fn contestant(what: &'static str, asked: Asked, whose: Whose) -> Contestant {
    let is_ours = matches!(whose, Whose::Threads(_));
    let [rate, work, p99, usage] = [(); 4].map(|()| Series::default());
    Contestant { what, asked, whose, is_ours, rate, work, p99, usage }
}

impl Contestant {
    fn round(
        &mut self,
        counts: bool,
        settle: impl Fn() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (before, house) = (self.whose.spent()?, Whose::Threads(HOUSE).spent()?);
        let outcome = self.asked.run(BUSY)?;
        let work = self.whose.spent()?.saturating_sub(before);
        // What others still have to do with the usage must not slow the next one down.
        settle()?;
        let usage = Whose::Threads(HOUSE).spent()?.saturating_sub(house);
        if counts {
            self.rate.push(outcome.rate);
            self.work.push(micros(work) / outcome.requests);
            self.p99.push(outcome.p99);
            self.usage.push(if self.is_ours { micros(usage) / outcome.requests } else { 0.0 });
        }
        Ok(())
    }
}

fn show(table: &mut Table, count: usize, all: &[Contestant], plain: Option<&[Contestant]>) {
    let title = format!("A request, {count} hosts");
    table.head(&title, ["a second", "p10 – p90 of it", "p99 µs", ""]);
    let (nginx, haproxy) = (&all[0], &all[1]);
    for (place, one) in all.iter().enumerate() {
        let times = |ours: &Series, theirs: &Series| short(ours.ratio_to(theirs).median());
        let mut beside = format!(
            "processor {} µs ({}), {} × nginx; rate {} × nginx, {} × HAProxy",
            short(one.work.median()),
            one.work.spread(),
            times(&one.work, &nginx.work),
            times(&one.rate, &nginx.rate),
            times(&one.rate, &haproxy.rate),
        );
        if one.is_ours {
            let usage = one.usage.ratio_to(&nginx.work).median();
            beside = format!("{beside}; billing {} × nginx more", short(usage));
        }
        if let Some(plain) = plain.map(|plain| &plain[place]) {
            let ratio = one.work.median() / plain.work.median();
            beside = format!("{beside}; {} × that with one host", short(ratio));
        }
        let cells = [short(one.rate.median()), one.rate.spread(), short(one.p99.median()), beside];
        table.row(one.what, cells);
    }
}

/// Writes a file, and makes the folder that it is in.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(path, text)?)
}
