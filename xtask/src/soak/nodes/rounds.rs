//! What happens to machines, one after the other, and to parts of the platform meanwhile.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    MOVE_AFTER, Meanwhile, Scene, chance::Chance, machines::Machine, parts::KILLED, releases,
};
use crate::process::until;

/// How many, until when, and what they follow from.
#[derive(Clone, Copy)]
pub(super) struct Rounds {
    pub(super) seed: u64,
    pub(super) count: u32,
    pub(super) until: Instant,
}

/// What happens to a machine.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Its agent is asked to end.
    Stopped,
    /// Its agent is asked to end, and another program takes its place.
    Upgraded,
    /// Its agent is killed.
    Killed,
    /// Its agent cannot reach the platform.
    CutOff,
    /// Nobody there reaches anybody, nor is reached.
    Unplugged,
    /// Everything there is killed.
    PowerLost,
    /// There is no room on its disk.
    DiskFull,
}

/// As often as they are listed.
const EVENTS: [Event; 11] = [
    Event::Stopped,
    Event::Upgraded,
    Event::Upgraded,
    Event::Killed,
    Event::Killed,
    Event::CutOff,
    Event::Unplugged,
    Event::Unplugged,
    Event::PowerLost,
    Event::DiskFull,
    Event::DiskFull,
];
/// A machine is heard of, and everything answers again, within this time.
const BACK_LONGEST: Duration = Duration::from_mins(2);

/// Lets all of it happen.
pub(super) async fn happen(
    scene: &Scene,
    machines: &mut [Machine],
    (rounds, meanwhile): (Rounds, Meanwhile),
) -> anyhow::Result<()> {
    let over = Cell::new(false);
    let parts = kill_parts(scene, Chance::new(!rounds.seed), &over);
    let releases = async {
        match meanwhile {
            Meanwhile::Nothing => Ok(()),
            Meanwhile::Releases => {
                releases::go_out(scene, Chance::new(rounds.seed ^ 7), &over).await
            }
        }
    };
    let events = async {
        let happened = happen_to(scene, machines, rounds).await;
        over.set(true);
        happened
    };
    let (events, parts, releases) = tokio::join!(events, parts, releases);
    events.and(parts).and(releases)
}

async fn happen_to(scene: &Scene, machines: &mut [Machine], rounds: Rounds) -> anyhow::Result<()> {
    let mut chance = Chance::new(rounds.seed);
    let mut places = scene.places().await?;
    for round in 1..=rounds.count {
        if Instant::now() > rounds.until {
            break;
        }
        let machine = &mut machines[chance.below(machines.len())];
        let event = match chance.one_of(&EVENTS) {
            Event::Unplugged if !machine.place.has_plug() => Event::CutOff,
            Event::DiskFull if !machine.disk.can_be_filled() => Event::Killed,
            event => event,
        };
        // One in four is away for so long that its instances move.
        let is_long = chance.below(4) == 0;
        let most = u64::try_from(MOVE_AFTER.as_millis())?;
        let away = if is_long { chance.millis(most, most * 2) } else { chance.millis(0, most / 4) };
        println!("{round}: {event:?}, {}, for {:.1} s", machine.name, away.as_secs_f64());
        happens(scene, machine, (event, is_long), away).await?;
        is_back(scene, machine).await?;
        sleep(chance.millis(0, 3_000)).await;
        let now = scene.places().await?;
        for (name, hosts) in &now {
            let before = places.get(name);
            for _ in hosts.iter().filter(|host| before.is_some_and(|it| !it.contains(*host))) {
                scene.count("instance moved");
            }
        }
        places.extend(now);
    }
    Ok(())
}

async fn happens(
    scene: &Scene,
    machine: &mut Machine,
    (event, is_long): (Event, bool),
    away: Duration,
) -> anyhow::Result<()> {
    match event {
        Event::Stopped | Event::Upgraded | Event::Killed => {
            let how = if matches!(event, Event::Killed) { Signal::KILL } else { Signal::TERM };
            if matches!(event, Event::Upgraded) {
                machine.is_upgraded()?;
            }
            machine.ends(how).await?;
            sleep(away).await;
            machine.starts()?;
        }
        Event::CutOff => {
            machine.way.cut();
            sleep(away).await;
            machine.way.mend();
        }
        Event::Unplugged => {
            lose(scene, machine).await?;
            machine.place.plug(false).await?;
            scene.seen.borrow_mut().have_lost(Instant::now());
            sleep(away).await;
            machine.place.plug(true).await?;
        }
        Event::PowerLost => {
            lose(scene, machine).await?;
            machine.loses_power().await?;
            scene.seen.borrow_mut().have_lost(Instant::now());
            sleep(away).await;
            machine.starts()?;
        }
        Event::DiskFull => {
            machine.disk.fill()?;
            sleep(away).await;
            machine.disk.free()?;
        }
    }
    scene.count(match (event, is_long) {
        (Event::Stopped, false) => "agent stopped",
        (Event::Stopped, true) => "agent stopped for long",
        (Event::Upgraded, false) => "agent upgraded",
        (Event::Upgraded, true) => "agent upgraded and away for long",
        (Event::Killed, false) => "agent killed",
        (Event::Killed, true) => "agent killed and away for long",
        (Event::CutOff, false) => "agent cut off",
        (Event::CutOff, true) => "agent cut off for long",
        (Event::Unplugged, false) => "machine unplugged",
        (Event::Unplugged, true) => "machine unplugged for long",
        (Event::PowerLost, false) => "machine without power",
        (Event::PowerLost, true) => "machine without power for long",
        (Event::DiskFull, false) => "disk full",
        (Event::DiskFull, true) => "disk full for long",
    });
    Ok(())
}

/// What is there is about to be lost.
async fn lose(scene: &Scene, machine: &Machine) -> anyhow::Result<()> {
    let places = known_places(scene).await?;
    let there = places.get(machine.name).cloned().unwrap_or_default();
    let shared: BTreeSet<String> = scene.hosts_of("common").cloned().collect();
    let mut seen = scene.seen.borrow_mut();
    seen.loses(&there, false);
    seen.loses(&shared, true);
    Ok(())
}

/// Where everything is, once that can be told.
async fn known_places(scene: &Scene) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let known = until(BACK_LONGEST, async || {
        let places = scene.places().await?;
        Ok((!places.is_empty()).then_some(places))
    });
    known.await?.context("`releases` does not answer")
}

/// The machine is heard of, and what lost its replica there answers.
async fn is_back(scene: &Scene, machine: &Machine) -> anyhow::Result<()> {
    let back = until(BACK_LONGEST, async || {
        let is_heard_of = scene.places().await?.contains_key(machine.name);
        Ok((is_heard_of && scene.seen.borrow().all_answer()).then_some(()))
    });
    let last_words = || format!("{} is not back; see {}", machine.name, machine.log().display());
    back.await?.with_context(last_words)
}

/// Kills parts of the platform at random, and starts each again.
async fn kill_parts(scene: &Scene, mut chance: Chance, over: &Cell<bool>) -> anyhow::Result<()> {
    while !over.get() {
        sleep(chance.millis(500, 50_000)).await;
        let name = chance.one_of(&KILLED);
        let mut parts = scene.parts.lock().await;
        parts.kill(name).await?;
        sleep(chance.millis(0, 2_500)).await;
        parts.start_one(name).await?;
        drop(parts);
        scene.count(match name {
            "jobs" => "`jobs` killed",
            "configurator" => "`configurator` killed",
            _ => "`releases` killed",
        });
    }
    Ok(())
}
