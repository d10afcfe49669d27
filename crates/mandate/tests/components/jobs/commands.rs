//! Commands that are run once.

use api::{
    Kind, Problem,
    jobs::{COMMAND_JOB, Enqueued, InstanceState, JobState, NewJob, Outcome, PutJobs, RunCommand},
};
use serde_json::json;

use super::{Shop, Worker, definition, digest, name, release, report};
use crate::world::{MANIFEST, World};

/// What a manifest that names commands says of its jobs.
fn definitions() -> PutJobs {
    let run = "[run]\ncommands = [\"./manage.py\"]";
    let text = MANIFEST.replace("NAME", "forum").replace("[run]", run);
    let manifest = api::manifest::Manifest::parse("mandate.toml", &text).unwrap();
    PutJobs::of(name("forum"), digest("release"), &manifest)
}

async fn with_commands(world: &World) -> Shop {
    let jobs = definitions().jobs;
    let jobs: Vec<_> = jobs.iter().map(|(name, job)| (name.as_str(), job.clone())).collect();
    release(world, "forum", "release", 1, &jobs).await;
    Shop::of(world, "forum", "one").await
}

impl Shop {
    async fn runs(&self, words: &[&str]) -> Result<Enqueued, Problem> {
        let (account, instance) = (self.account, self.instance);
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        self.operator.call(RunCommand { account, instance, command }).await
    }
}

stories! {
    async fn a_command_is_run_with_the_arguments_of_whoever_asks(world: &World) {
        let shop = with_commands(world).await;
        let worker = Worker::join(world, "one").await;
        let words = ["./manage.py", "createsuperuser", "--name", "a b"];
        let job = shop.runs(&words).await.unwrap().jobs[0];
        let lease = worker.lease(1).await.remove(0);
        assert_eq!((lease.job, lease.name.as_str()), (job, COMMAND_JOB));
        assert_eq!(lease.command, words);
        assert!(lease.payload.is_null(), "nothing is to be read");
        let ended = api::jobs::Report {
            result: Some(json!({ "status": 3 })),
            ..report(&lease, Outcome::Succeeded)
        };
        worker.tell(vec![ended]).await;
        let seen = shop.seen(job).await;
        assert_eq!((seen.state, seen.result), (JobState::Succeeded, Some(json!({ "status": 3 }))));
        let failed = shop.runs(&words).await.unwrap().jobs[0];
        let lease = worker.lease(1).await.remove(0);
        worker.report(&lease, Outcome::Again).await;
        assert_eq!(shop.state(failed).await, JobState::Failed, "it is tried once");
    }

    async fn what_is_not_named_is_not_run(world: &World) {
        release(world, "store", "plain", 1, &[("work", definition())]).await;
        let plain = Shop::of(world, "store", "two").await;
        let refused = plain.runs(&["./manage.py"]).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, "command"));
        assert!(refused.detail.contains("`commands = [\"./manage.py\"]` under `[run]`"), "{refused}");
        let shop = with_commands(world).await;
        let long = "x".repeat(4_001);
        for (words, part) in [
            (&["./other.py", "x"][..], "allows `./manage.py`"),
            (&["sh", "-c", "./manage.py"], "allows `./manage.py`"),
            (&[], "1 to 100 words"),
            (&["./manage.py", &long], "1 to 100 words"),
            (&["./manage.py", "a\0b"], "1 to 100 words"),
        ] {
            let refused = shop.runs(words).await.unwrap_err();
            assert_eq!((refused.kind, refused.code.as_str()), (Kind::Invalid, "command"));
            assert!(refused.detail.contains(part), "{refused}");
        }
        // Nor by the way that an application has.
        let payload = json!(["./manage.py", "flush"]);
        let new = NewJob { name: COMMAND_JOB.into(), payload, ..NewJob::default() };
        assert_eq!(shop.asks(vec![new]).await.unwrap_err().code, "name");
        assert!(Worker::join(world, "one").await.lease(10).await.is_empty());
    }

    async fn a_command_waits_until_its_instance_is_open(world: &World) {
        let shop = with_commands(world).await;
        shop.is(world, InstanceState::Closed).await;
        shop.runs(&["./manage.py"]).await.unwrap();
        let worker = Worker::join(world, "one").await;
        assert!(worker.lease(1).await.is_empty());
        shop.is(world, InstanceState::Open).await;
        assert_eq!(worker.lease(1).await.len(), 1);
        shop.is(world, InstanceState::Ended).await;
        assert_eq!(shop.runs(&["./manage.py"]).await.unwrap_err().code, "instance_ended");
    }
}
