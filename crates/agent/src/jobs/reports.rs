//! Reports of all jobs of a node, several in one request if they come at the same moment.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use api::{
    Kind, Problem,
    jobs::{Report, ReportJobs, Verdict},
};
use tokio::sync::oneshot;

use crate::Node;

/// So long others are waited for.
const GATHERING: Duration = Duration::from_millis(5);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// A request's body is limited.
const BYTES_MAX: usize = 512 << 10;

type Answer = Result<Verdict, Problem>;

/// Reports that wait to be sent.
pub(super) struct Reports {
    node: Arc<Node>,
    waiting: Mutex<Vec<(Report, oneshot::Sender<Answer>)>>,
}

impl Reports {
    pub(super) fn new(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self { node, waiting: Mutex::default() })
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Report, oneshot::Sender<Answer>)>> {
        self.waiting.lock().expect("nobody panics while holding it")
    }

    /// Tells how a job is going, and hears what is to become of it.
    pub(super) async fn tell(self: &Arc<Self>, report: Report) -> Answer {
        let (sender, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting();
            waiting.push((report, sender));
            waiting.len() == 1
        };
        if is_first {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.send().await });
        }
        answer.await.unwrap_or_else(|_| Err(Problem::unavailable("the node stops", 1)))
    }

    async fn send(&self) {
        tokio::time::sleep(GATHERING).await;
        let mut waiting = std::mem::take(&mut *self.waiting());
        while !waiting.is_empty() {
            let mut bytes = 0;
            let fits = waiting.iter().take_while(|(report, _)| {
                let first = bytes == 0;
                bytes += size(report);
                first || bytes <= BYTES_MAX
            });
            let count = fits.count();
            let rest = waiting.split_off(count);
            self.send_together(std::mem::replace(&mut waiting, rest)).await;
        }
    }

    async fn send_together(&self, told: Vec<(Report, oneshot::Sender<Answer>)>) {
        let (reports, senders): (Vec<Report>, Vec<_>) = told.into_iter().unzip();
        let answers = match self.ask(reports.clone()).await {
            // Whose fault it is can only be told by itself.
            Err(problem) if problem.kind == Kind::Invalid && reports.len() > 1 => {
                let mut answers = Vec::new();
                for report in reports {
                    let answer = self.ask(vec![report]).await;
                    answers.push(answer.and_then(|mut verdicts| verdicts.remove(0)));
                }
                answers
            }
            Err(problem) => vec![Err(problem); reports.len()],
            Ok(verdicts) => verdicts,
        };
        for (sender, answer) in senders.into_iter().zip(answers) {
            // Whoever asked may have given up.
            let _ = sender.send(answer);
        }
    }

    /// One answer for each report.
    async fn ask(&self, reports: Vec<Report>) -> Result<Vec<Answer>, Problem> {
        let jobs: Vec<_> = reports.iter().map(|report| report.job).collect();
        let asking = self.node.client.call(ReportJobs { node: self.node.id, reports });
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let late = |_| Err(Problem::unavailable("the platform takes too long", 1));
        let told = answer.unwrap_or_else(late)?.reports;
        let verdict = |job| {
            let of_job = told.iter().find(|told| told.job == job).map(|told| told.verdict);
            of_job.ok_or_else(|| Problem::unavailable("the report was not answered", 1))
        };
        Ok(jobs.into_iter().map(verdict).collect())
    }
}

fn size(report: &Report) -> usize {
    serde_json::to_vec(report).map_or(BYTES_MAX, |text| text.len())
}
