//! Visitors and whoever asks for jobs, the whole time, and what they were answered.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::demo::{browser::Browser, person::text};

/// Between two requests of all visitors, and two of whoever asks for jobs.
const BETWEEN_VISITS: Duration = Duration::from_millis(4);
const BETWEEN_JOBS: Duration = Duration::from_millis(600);
/// Every so manieth visitor leaves something to be kept, where there is a database.
const KEEPS_EVERY: u64 = 5;
/// How long a job takes until its effect, in turn.
const SECONDS: [f64; 5] = [0.1, 1.5, 0.4, 4.0, 0.0];
/// Whoever is answered later was as good as turned away.
const ANSWERS_LONGEST: Duration = Duration::from_secs(12);
/// What is said of a request that was answered that a database is migrated.
const CLOSED: &str = "503 moving";
/// So many failures are kept with their time.
const SHOWN_MAX: usize = 20;

/// What was asked and answered.
pub(super) struct Seen {
    since: Instant,
    pub(super) answered: u64,
    /// Not answered by the application although its replica lived, by why.
    pub(super) failed: BTreeMap<String, u64>,
    /// The first of them, with host and time.
    pub(super) first: Vec<String>,
    /// Not answered while no replica lived.
    pub(super) excused: u64,
    /// Not answered while its database was migrated, for longer than requests wait.
    pub(super) closed: BTreeMap<String, u64>,
    /// What each host has said that it keeps.
    pub(super) kept: BTreeMap<String, BTreeSet<u64>>,
    /// The jobs that were taken.
    pub(super) asked: BTreeSet<String>,
    /// Jobs that were not, by why; these were told to try again.
    pub(super) refused: BTreeMap<String, u64>,
    /// The hosts whose replica has lost its power.
    lost: BTreeMap<String, Lost>,
}

/// A host whose replica is being lost, or was at that moment.
#[derive(Debug, Clone, Copy)]
struct Lost {
    at: Option<Instant>,
    /// Others serve it too, so only what was being answered then may fail.
    has_others: bool,
}

impl Seen {
    /// Nothing so far.
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            answered: 0,
            failed: BTreeMap::new(),
            first: Vec::new(),
            excused: 0,
            closed: BTreeMap::new(),
            kept: BTreeMap::new(),
            asked: BTreeSet::new(),
            refused: BTreeMap::new(),
            lost: BTreeMap::new(),
        }
    }

    /// The replicas of these hosts are being lost now.
    pub(super) fn loses(&mut self, hosts: &BTreeSet<String>, has_others: bool) {
        let lost = Lost { at: None, has_others };
        self.lost.extend(hosts.iter().map(|host| (host.clone(), lost)));
    }

    /// They are lost.
    pub(super) fn have_lost(&mut self, at: Instant) {
        self.lost.values_mut().for_each(|lost| lost.at = lost.at.or(Some(at)));
    }

    /// Whether each host whose replica was lost has answered again.
    pub(super) fn all_answer(&self) -> bool {
        self.lost.is_empty()
    }

    fn note(&mut self, visit: Visit<'_>) {
        let Visit { host, begun, took, answer } = visit;
        let lost = self.lost.get(host).copied();
        let at = lost.and_then(|lost| lost.at);
        let is_excused =
            lost.is_some_and(|lost| !lost.has_others || at.is_none_or(|at| begun < at));
        let is_late = took > ANSWERS_LONGEST && !is_excused;
        let late = || Err(format!("answered after more than {} s", ANSWERS_LONGEST.as_secs()));
        match if is_late { answer.and_then(|()| late()) } else { answer } {
            Ok(()) => {
                self.answered += 1;
                if at.is_some_and(|at| begun >= at) {
                    self.lost.remove(host);
                }
            }
            Err(_) if is_excused => self.excused += 1,
            Err(why) if why == CLOSED => {
                *self.closed.entry(host.to_owned()).or_default() += 1;
            }
            Err(why) => {
                if self.first.len() < SHOWN_MAX {
                    let (at, took) = (begun - self.since, took.as_millis());
                    let at = at.as_secs_f64();
                    self.first.push(format!("{at:7.1} s  {host} after {took} ms: {why}"));
                }
                *self.failed.entry(why).or_default() += 1;
            }
        }
    }
}

/// A request, and what came of it.
struct Visit<'v> {
    host: &'v str,
    begun: Instant,
    took: Duration,
    /// Or why it is none of the application's.
    answer: Result<(), String>,
}

/// Comes again and again to each host, and asks for jobs there, until it is over.
pub(super) async fn comes(
    port: u16,
    hosts: &[String],
    notes: &Path,
    seen: &RefCell<Seen>,
    over: &Cell<bool>,
) {
    let pause = BETWEEN_VISITS * u32::try_from(hosts.len()).unwrap_or(u32::MAX);
    let visitors = join_all(hosts.iter().map(|host| visit(port, (host, pause), seen, over)));
    tokio::join!(visitors, ask_for_jobs(port, hosts, notes, seen, over));
}

async fn visit(
    port: u16,
    (host, pause): (&str, Duration),
    seen: &RefCell<Seen>,
    over: &Cell<bool>,
) {
    let browser = Browser::new(port, host);
    let mut numbers = 1..;
    while !over.get() {
        let kept = numbers.next().filter(|it| super::keeps(host) && it % KEEPS_EVERY == 0);
        let path = kept.map_or_else(|| "/".to_owned(), |number| format!("/keep/{number}"));
        let begun = Instant::now();
        let answer = match browser.read(&path).await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("{} {}", answer.status, reason(&answer.text))),
            Err(cause) => Err(format!("{:#}", cause.root_cause())),
        };
        if let (Ok(()), Some(number)) = (&answer, kept) {
            seen.borrow_mut().kept.entry(host.to_owned()).or_default().insert(number);
        }
        let visit = Visit { host, begun, took: begun.elapsed(), answer };
        seen.borrow_mut().note(visit);
        sleep(pause).await;
    }
}

/// What a problem document calls itself, or how another answer begins.
fn reason(text: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let code = problem["code"].as_str().map(str::to_owned);
    code.unwrap_or_else(|| text.chars().filter(|c| !c.is_control()).take(60).collect())
}

async fn ask_for_jobs(
    port: u16,
    hosts: &[String],
    notes: &Path,
    seen: &RefCell<Seen>,
    over: &Cell<bool>,
) {
    let each = hosts.iter().cycle().zip(SECONDS.into_iter().cycle());
    for (host, seconds) in each {
        if over.get() {
            return;
        }
        let note = json!({ "folder": notes, "seconds": seconds });
        let job = async {
            let answer = Browser::new(port, host).post("/notes", &note, None).await?;
            let answer = answer.is(202)?.json()?;
            Ok::<_, anyhow::Error>(text(&answer, "/job")?.to_owned())
        };
        match job.await {
            Ok(job) => drop(seen.borrow_mut().asked.insert(job)),
            Err(why) => {
                let why: String = format!("{why:#}").chars().take(200).collect();
                let why = why.split_once("is answered with ").map_or(why.as_str(), |it| it.1);
                let code: String = why.chars().take(3).collect();
                *seen.borrow_mut().refused.entry(code).or_default() += 1;
            }
        }
        sleep(BETWEEN_JOBS).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_had_no_living_replica_is_excused() {
        let before = Instant::now();
        let (at, after) = (before + BETWEEN_VISITS, before + 2 * BETWEEN_VISITS);
        let mut seen = Seen::new();
        let quick = |host, begun, answer| Visit { host, begun, took: BETWEEN_VISITS, answer };
        let fails = |host, begun| quick(host, begun, Err("503 starting".to_owned()));
        seen.note(fails("a", before));
        assert_eq!((seen.excused, seen.failed["503 starting"]), (0, 1));
        seen.loses(&["a".to_owned()].into(), false);
        seen.loses(&["b".to_owned()].into(), true);
        for host in ["a", "b", "c"] {
            seen.note(fails(host, before));
        }
        assert_eq!((seen.excused, seen.failed["503 starting"]), (2, 2));
        seen.have_lost(at);
        seen.note(quick("a", before, Ok(())));
        seen.note(fails("a", after));
        seen.note(fails("b", after));
        assert_eq!((seen.excused, seen.failed["503 starting"]), (3, 3));
        assert!(!seen.all_answer());
        seen.note(quick("a", after, Ok(())));
        let took = ANSWERS_LONGEST * 2;
        seen.note(Visit { host: "b", begun: after, took, answer: Ok(()) });
        assert_eq!(seen.failed.len(), 2, "late is as good as never");
        seen.note(quick("b", after, Ok(())));
        assert!(seen.all_answer());
        seen.note(fails("a", after));
        assert_eq!((seen.excused, seen.failed["503 starting"]), (3, 4));
    }
}
