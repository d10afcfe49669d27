//! What an instance's visitors, and other people who sign in, notice of two hundred wrong sign-ins
//! at once.
//!
//! In turns without and with the attack, on one platform, all by HTTP at the gateway. The attackers
//! come from one address and guess at as many people; whoever is told to wait soon tries again.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use db::Engine;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    runtime::Runtime,
    task::JoinSet,
};

use crate::{
    figures::{Series, Table, micros, percentile, short},
    folder::Folder,
    front::{self, Standing, load::Load},
    platform::{EMAIL, HOST, PASSWORD, Platform, wait_for},
    runtime,
};

const ATTACKERS: usize = 200;
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 4;
const BUSY: Duration = Duration::from_secs(3);
const STRANGER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Sign-ins that are right, one after the other.
const RIGHT: usize = 12;

/// Measures on SQLite; no database stands between.
pub(crate) fn measure(house: &Runtime, table: &mut Table) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let outside = runtime("application", 1)?;
    let application = outside.block_on(front::application())?;
    let engine = Engine::sqlite(folder.join("databases"));
    let platform = house.block_on(Platform::start(&folder.join("here"), engine, application))?;
    // As `mandate up` has it: the gateway stands in the same process and on the same threads.
    let client = platform.component("gateway")?;
    let gateway = house.block_on(Standing::start(&platform, client, &folder.join("front"), 2))?;
    let request = format!("GET /topics HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\n\r\n");
    let load = Load { address: gateway.address, request: &request };
    house.block_on(wait_for("the gateway's copies", async || Ok(load.answers())))?;

    let mut all: [Noticed; 2] = Default::default();
    let (mut tries, mut refused) = (0_u64, 0_u64);
    for round in 0..=ROUNDS {
        crate::told(&format!("round {round} of {ROUNDS}"));
        for (place, noticed) in all.iter_mut().enumerate() {
            let attack = (place == 1).then(|| Attack::begin(house, gateway.address));
            noticed.round(house, &load, round > 0)?;
            if let Some(attack) = attack {
                let (guesses, told_to_wait) = attack.end(house);
                tries += guesses;
                refused += told_to_wait;
            }
        }
    }
    house.block_on(gateway.end());
    house.block_on(platform.end());
    show(table, &all);
    table.note(format!("{tries} wrong sign-ins were answered, {refused} of them: wait"));
    Ok(())
}

fn show(table: &mut Table, [quiet, attacked]: &[Noticed; 2]) {
    table.head("200 wrong sign-ins at once", ["without", "with", "ratio", "p10 – p90 of it"]);
    let mut row = |what: &str, quiet: &Series, attacked: &Series| {
        let ratio = attacked.ratio_to(quiet);
        let cells = [short(quiet.median()), short(attacked.median()), short(ratio.median())];
        let [quiet, attacked, times] = cells;
        table.row(what, [quiet, attacked, times, ratio.spread()]);
    };
    row("an instance's requests, p50 µs", &quiet.requests[0], &attacked.requests[0]);
    row("an instance's requests, p99 µs", &quiet.requests[1], &attacked.requests[1]);
    row("another's right sign-ins, p50 ms", &quiet.sign_ins[0], &attacked.sign_ins[0]);
    row("another's right sign-ins, p99 ms", &quiet.sign_ins[1], &attacked.sign_ins[1]);
    let failed = attacked.failed + quiet.failed;
    table.note(format!("right sign-ins that were refused: {failed}"));
}

/// What others notice; the median and the 99th percentile of each round.
#[derive(Default)]
struct Noticed {
    requests: [Series; 2],
    sign_ins: [Series; 2],
    failed: u64,
}

impl Noticed {
    fn round(&mut self, house: &Runtime, load: &Load<'_>, counts: bool) -> anyhow::Result<()> {
        let mut requests = load.run(CONNECTIONS, BUSY)?;
        let mut times = Vec::new();
        for _ in 0..RIGHT {
            let begun = Instant::now();
            let signing_in = sign_in(load.address, NEIGHBOUR, EMAIL, PASSWORD);
            self.failed += u64::from(house.block_on(signing_in)? >= 300);
            times.push(micros(begun.elapsed()) / 1_000.0);
        }
        if counts {
            for (place, share) in [0.5, 0.99].into_iter().enumerate() {
                self.requests[place].push(requests.percentile(share));
                self.sign_ins[place].push(percentile(&mut times, share));
            }
        }
        Ok(())
    }
}

/// Signs in by a connection of its own; answers the status.
async fn sign_in(
    gateway: SocketAddr,
    from: Ipv4Addr,
    email: &str,
    password: &str,
) -> anyhow::Result<u16> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut line = socket.connect(gateway).await?;
    let body = serde_json::json!({ "email": email, "password": password }).to_string();
    let request = format!(
        "POST /identity/v1/sessions HTTP/1.1\r\nHost: api.localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    line.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    line.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.with_context(|| format!("not an answer: {answer}"))
}

/// Many who guess, until it is ended.
struct Attack {
    goes_on: Arc<AtomicBool>,
    tries: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    attackers: JoinSet<()>,
}

impl Attack {
    fn begin(house: &Runtime, gateway: SocketAddr) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let (tries, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut attackers = JoinSet::new();
        for number in 0..ATTACKERS {
            let (goes_on, tries, refused) =
                (Arc::clone(&goes_on), Arc::clone(&tries), Arc::clone(&refused));
            let guessing = async move {
                while goes_on.load(Ordering::Relaxed) {
                    let email = format!("victim-{number}@example.com");
                    let guess = sign_in(gateway, STRANGER, &email, "a wrong password").await;
                    tries.fetch_add(1, Ordering::Relaxed);
                    if guess.is_ok_and(|status| status == 429) {
                        refused.fetch_add(1, Ordering::Relaxed);
                        // As fast as a network lets a stranger be told so and ask again.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            };
            attackers.spawn_on(guessing, house.handle());
        }
        Self { goes_on, tries, refused, attackers }
    }

    /// How often was tried, and how often the answer was to wait.
    fn end(mut self, house: &Runtime) -> (u64, u64) {
        self.goes_on.store(false, Ordering::Relaxed);
        house.block_on(async { while self.attackers.join_next().await.is_some() {} });
        (self.tries.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}
