//! Jobs after jobs, jobs that are taken back, and jobs that are tried again.

use api::{
    Kind,
    jobs::{CancelJob, Job, JobState, ListJobs, NewJob, Outcome, ReplayJob, ReplayJobs, Verdict},
};
use types::JobId;

use super::{Shop, Worker, name, report, work};

async fn cancel(shop: &Shop, job: JobId) -> Result<Job, api::Problem> {
    let (account, instance) = (shop.account, shop.instance);
    shop.operator.call(CancelJob { account, instance, job }).await
}

async fn replay(shop: &Shop, job: JobId) -> Result<Job, api::Problem> {
    let (account, instance) = (shop.account, shop.instance);
    shop.operator.call(ReplayJob { account, instance, job }).await
}

fn after(jobs: &[JobId]) -> NewJob {
    NewJob { after: jobs.to_vec(), ..work() }
}

stories! {
    async fn one_waits_for_all_that_come_before_it(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let earlier = shop.queue(3).await;
        let last = shop.queue_one(after(&earlier)).await;
        let seen = shop.seen(last).await;
        assert_eq!(seen.state, JobState::Blocked);
        assert_eq!(seen.waits_for.unwrap(), "the job `work` before it");
        let leases = worker.lease(10).await;
        assert_eq!(leases.len(), 3);
        worker.tell(leases[..2].iter().map(|l| report(l, Outcome::Succeeded)).collect()).await;
        assert_eq!(shop.state(last).await, JobState::Blocked);
        worker.report(&leases[2], Outcome::Succeeded).await;
        assert_eq!(worker.lease(10).await[0].job, last);
        let ready = shop.queue_one(after(&earlier)).await;
        assert_eq!(shop.state(ready).await, JobState::Ready, "they have succeeded already");
    }

    async fn one_may_wait_for_a_job_that_runs(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        shop.queue(1).await;
        let lease = worker.lease(1).await.remove(0);
        let follower = shop.queue_one(after(&[lease.job])).await;
        assert_eq!(shop.state(follower).await, JobState::Blocked);
        worker.report(&lease, Outcome::Succeeded).await;
        assert_eq!(worker.lease(1).await[0].job, follower);
    }

    async fn what_comes_after_a_failure_ends_like_it(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let first = shop.queue(2).await;
        let second = shop.queue_one(after(&first)).await;
        let third = shop.queue_one(after(&[second])).await;
        let leases = worker.lease(2).await;
        worker.report(&leases[0], Outcome::Refused).await;
        for job in [second, third] {
            let seen = shop.seen(job).await;
            assert_eq!(seen.state, JobState::Failed);
            assert_eq!(seen.problem.unwrap(), "`work`, which comes before it, failed");
        }
        // The other one that it waited for changes nothing any more.
        worker.report(&leases[1], Outcome::Succeeded).await;
        assert_eq!(shop.state(second).await, JobState::Failed);
        // Also what is queued only afterwards.
        let late = shop.queue_one(after(&[leases[0].job])).await;
        assert_eq!(shop.state(late).await, JobState::Failed);
        let waiting = shop.queue(1).await[0];
        let follower = shop.queue_one(after(&[waiting])).await;
        cancel(&shop, waiting).await.unwrap();
        let seen = shop.seen(follower).await;
        assert_eq!(seen.state, JobState::Cancelled);
        assert_eq!(seen.problem.unwrap(), "`work`, which comes before it, was cancelled");
    }

    async fn what_is_taken_back_does_not_run_and_what_runs_is_stopped(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let [waits, runs, done, lost] = *shop.queue(4).await else { panic!("four") };
        assert_eq!(cancel(&shop, waits).await.unwrap().state, JobState::Cancelled);
        assert_eq!(cancel(&shop, waits).await.unwrap().state, JobState::Cancelled, "twice is once");
        let leases = worker.lease(10).await;
        assert_eq!(leases.len(), 3);
        let of = |job| leases.iter().find(|lease| lease.job == job).unwrap();
        for job in [runs, done, lost] {
            assert_eq!(cancel(&shop, job).await.unwrap().state, JobState::Running);
            assert_eq!(worker.report(of(job), Outcome::Running).await, Verdict::Stop);
        }
        assert_eq!(worker.report(of(runs), Outcome::Cancelled).await, Verdict::Kept);
        worker.report(of(done), Outcome::Succeeded).await;
        worker.report(of(lost), Outcome::Lost).await;
        assert_eq!(shop.state(runs).await, JobState::Cancelled);
        assert_eq!(shop.state(done).await, JobState::Succeeded, "it was quicker");
        assert_eq!(shop.state(lost).await, JobState::Cancelled, "it is not tried again");
        assert_eq!(cancel(&shop, done).await.unwrap_err().code, "job_ended");
    }

    async fn dead_letters_are_listed_and_tried_again(world: &World) {
        let shop = Shop::open(world).await;
        let worker = Worker::join(world, "one").await;
        let jobs = shop.queue(5).await;
        assert_eq!(replay(&shop, jobs[0]).await.unwrap_err().code, "job_not_ended");
        let leases = worker.lease(5).await;
        worker.tell(leases.iter().map(|lease| report(lease, Outcome::Refused)).collect()).await;
        let failed = ListJobs {
            state: Some(JobState::Failed),
            name: Some("work".into()),
            service: Some(name("forum")),
            ..ListJobs::default()
        };
        assert_eq!(shop.operator.call(failed.clone()).await.unwrap().items.len(), 5);
        let again = replay(&shop, jobs[0]).await.unwrap();
        assert_eq!((again.state, again.attempts), (JobState::Ready, 0));
        let all = |limit| ReplayJobs {
            service: name("forum"),
            class: "default".into(),
            name: Some("work".into()),
            set_aside: false,
            limit,
        };
        assert_eq!(shop.operator.call(all(Some(3))).await.unwrap().replayed, 3);
        assert_eq!(shop.operator.call(all(None)).await.unwrap().replayed, 1);
        assert_eq!(shop.operator.call(all(None)).await.unwrap().replayed, 0);
        assert!(shop.operator.call(failed).await.unwrap().items.is_empty());
        let again = worker.lease(10).await;
        assert_eq!(again.len(), 5);
        let first = again.iter().find(|lease| lease.job == jobs[0]).unwrap();
        let old = leases.iter().find(|lease| lease.job == jobs[0]).unwrap();
        assert!(first.token > old.token, "tokens count on");
        assert_eq!(first.attempt, 1);
        let missing = replay(&shop, JobId::named(&["no"])).await.unwrap_err();
        assert_eq!(missing.kind, Kind::NotFound);
    }
}
