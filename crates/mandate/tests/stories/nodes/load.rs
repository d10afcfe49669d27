//! Visitors and whoever asks for jobs, the whole time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{Browser, Person, World, eventually};

/// Whoever asks every host again and again, and remembers what was not answered well.
pub(super) struct Visitors {
    failures: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    asked: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Visitors {
    pub(super) fn come(world: &World, hosts: &[String]) -> Self {
        let failures: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>> = Arc::default();
        let asked = Arc::new(AtomicBool::new(true));
        let browsers: Vec<(String, Browser)> =
            hosts.iter().map(|host| (host.clone(), world.browser(host))).collect();
        let (told, goes_on) = (Arc::clone(&failures), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut count = 0;
            while goes_on.load(Ordering::Relaxed) {
                for (host, browser) in &browsers {
                    let answer = browser.try_send(http::Method::GET, "/", None).await;
                    count += 1;
                    let failure = match answer {
                        Some(answer) if answer.status == 200 => continue,
                        Some(answer) => format!("{} {}", answer.status, title(&answer.body)),
                        None => "no answer".into(),
                    };
                    told.lock().unwrap().entry(host.clone()).or_default().insert(failure);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            count
        });
        Self { failures, asked, task }
    }

    /// Nobody was turned away.
    pub(super) async fn were_all_answered(self) {
        self.were_all_answered_but(&BTreeSet::new()).await;
    }

    /// Nobody was turned away, but where a move took longer than requests wait: there they were told so.
    pub(super) async fn were_all_answered_but(self, closed: &BTreeSet<String>) {
        self.asked.store(false, Ordering::Relaxed);
        let count = self.task.await.unwrap();
        let mut failures = self.failures.lock().unwrap();
        let told = BTreeSet::from(["503 A new version".to_owned()]);
        failures.retain(|host, failures| *failures != told || !closed.contains(host));
        assert!(count > 50 && failures.is_empty(), "of {count}: {failures:?}");
    }
}

/// What a page says that it is.
fn title(page: &str) -> &str {
    let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    title.map_or(page, |(title, _)| title)
}

/// So many jobs of one host wait at most, so that they are all done soon after the last was asked for,
/// also on a machine that is slow.
const WAITING_MAX: usize = 4;

/// Whoever asks each host in turn for a job.
pub(super) struct Jobs {
    /// Where jobs note what they do.
    folder: PathBuf,
    goes_on: Arc<AtomicBool>,
    task: JoinHandle<BTreeSet<String>>,
}

impl Jobs {
    pub(super) fn are_asked_for(world: &World, hosts: &[String]) -> Self {
        let folder = world.folder().join("notes");
        fs::create_dir(&folder).unwrap();
        // Those of each instance may be another user's.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let note = |seconds: f64| json!({ "folder": folder, "seconds": seconds });
        let notes = [0.1, 1.5, 0.0, 4.0].map(note);
        let goes_on = Arc::new(AtomicBool::new(true));
        let (asks, there) = (Arc::clone(&goes_on), folder.clone());
        let mut of_each: Vec<(Browser, Vec<String>)> =
            hosts.iter().map(|host| (world.browser(host).into_program(), Vec::new())).collect();
        let task = tokio::spawn(async move {
            let (mut asked, mut notes) = (BTreeSet::new(), notes.iter().cycle());
            while asks.load(Ordering::Relaxed) {
                for (browser, waiting) in &mut of_each {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    waiting.retain(|job| count(&there, job, "effect") == 0);
                    if waiting.len() == WAITING_MAX {
                        continue;
                    }
                    let answer = browser.post_json("/notes", notes.next().unwrap()).await;
                    match answer.status {
                        202 => {
                            let job = answer.json()["job"].as_str().unwrap().to_owned();
                            asked.insert(job.clone());
                            waiting.push(job);
                        }
                        // While `jobs` is away. Nothing was done, or nobody relies on it.
                        503 => {}
                        _ => panic!("{answer:?}"),
                    }
                }
            }
            asked
        });
        Self { folder, goes_on, task }
    }

    /// Each that was taken was done, however often it was begun; and no two attempts at one were
    /// under way at once, or had the same token.
    pub(super) async fn had_their_effect_once(self, operator: &Person) {
        self.goes_on.store(false, Ordering::Relaxed);
        let asked = self.task.await.unwrap();
        assert!(asked.len() > 50, "{} jobs", asked.len());
        for job in &asked {
            let has_had = || count(&self.folder, job, "effect") > 0;
            if !has_had() {
                let shown = async || operator.runs(&["job", "show", job]).await.good();
                eventually("the job has had its effect", shown, |_| has_had()).await;
            }
            let note = note(&self.folder, job);
            let begun = note.lines().filter(|line| line.starts_with("begins "));
            let tokens: BTreeSet<&str> = begun.clone().collect();
            let as_it_should_be = count(&self.folder, job, "effect") == 1
                && count(&self.folder, job, "beside") == 0
                && tokens.len() == begun.count();
            assert!(as_it_should_be, "{job}: {note}");
        }
    }
}

/// What a job has noted.
fn note(folder: &Path, job: &str) -> String {
    fs::read_to_string(folder.join(job)).unwrap_or_default()
}

/// How often it has noted that.
fn count(folder: &Path, job: &str, word: &str) -> usize {
    note(folder, job).lines().filter(|line| line.split(' ').next() == Some(word)).count()
}
