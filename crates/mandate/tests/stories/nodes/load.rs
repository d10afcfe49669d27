//! Visitors and whoever asks for jobs, the whole time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{Browser, World, until};

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
        let browsers: Vec<Browser> =
            hosts.iter().map(|host| world.browser(host).into_program()).collect();
        let goes_on = Arc::new(AtomicBool::new(true));
        let asks = Arc::clone(&goes_on);
        let task = tokio::spawn(async move {
            let mut asked = BTreeSet::new();
            for (browser, note) in browsers.iter().cycle().zip(notes.iter().cycle()) {
                if !asks.load(Ordering::Relaxed) {
                    break;
                }
                let answer = browser.post_json("/notes", note).await;
                match answer.status {
                    202 => drop(asked.insert(answer.json()["job"].as_str().unwrap().to_owned())),
                    // While `jobs` is away. Nothing was done, or nobody relies on it.
                    503 => {}
                    _ => panic!("{answer:?}"),
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            asked
        });
        Self { folder, goes_on, task }
    }

    /// Each that was taken was done, however often it was begun; and no two attempts at one were
    /// under way at once, or had the same token.
    pub(super) async fn had_their_effect_once(self) {
        self.goes_on.store(false, Ordering::Relaxed);
        let asked = self.task.await.unwrap();
        assert!(asked.len() > 50, "{} jobs", asked.len());
        let note = |job: &String| fs::read_to_string(self.folder.join(job)).unwrap_or_default();
        let count = |job, word| note(job).lines().filter(|line| line.starts_with(word)).count();
        until("each job has had its effect", async || {
            asked.iter().all(|job| count(job, "effect ") > 0)
        })
        .await;
        for job in &asked {
            let begun: Vec<String> = note(job).lines().map(str::to_owned).collect();
            let begun = begun.iter().filter(|line| line.starts_with("begins "));
            let tokens: BTreeSet<&String> = begun.clone().collect();
            let as_it_should_be = count(job, "effect ") == 1
                && count(job, "beside ") == 0
                && tokens.len() == begun.count();
            assert!(as_it_should_be, "{job}: {}", note(job));
        }
    }
}
