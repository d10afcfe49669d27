//! What one sees of jobs and queues, and does with them.

use api::Problem;
use http::StatusCode;

use crate::{
    browser::{Browser, text_of},
    world::{OPERATOR_TOKEN, TOKEN, World, data},
};

fn forum() -> String {
    format!("/accounts/{}/instances/{}", data::account(), data::instance_id("forum"))
}

/// What was asked to be changed, without keys.
fn changes(world: &World) -> Vec<String> {
    world.changes().into_iter().map(|(asked, _)| asked).collect()
}

#[tokio::test]
async fn a_queue_says_loudly_what_nobody_would_find_by_waiting() {
    let mut operator = Browser::with_token(World::new().console(), OPERATOR_TOKEN);
    let all = text_of(operator.get("/operate/queues").await);
    assert!(all.contains("draining") && all.contains("paused"), "{all}");
    let page = operator.get("/operate/queues/forum/default").await.to_owned();
    let said = text_of(&page);
    for sentence in [
        "1 job of export, version 3 is stranded.",
        "No release accepts this version.",
        "member 400 of 1,000",
        "Try digest again",
        "bakery-forum.localhost",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    assert!(page.contains("role=\"alert\"") && page.contains("<progress max=\"100\" value=\"40\""));
    assert!(page.contains("data-going=\"\""), "what runs is followed");
    let mail = text_of(operator.get("/operate/queues/forum/mail").await);
    assert!(mail.contains("12 jobs are left. It should be empty by 24 Nov 2026, 12:10:00."));
    assert!(mail.contains("at most 4 run at once"), "{mail}");
}

#[tokio::test]
async fn a_part_of_a_queue_that_cannot_be_had_is_said_to_be_missing() {
    let world = World::new();
    world.refuse("jobs.listJobs", Problem::unavailable("jobs does not answer", 1));
    let mut operator = Browser::with_token(world.console(), OPERATOR_TOKEN);
    let page = operator.get("/operate/queues/forum/default").await.to_owned();
    let said = text_of(&page);
    assert_eq!(operator.status, StatusCode::OK, "the rest is there");
    assert!(said.contains("1 job of export, version 3 is stranded."), "{said}");
    let aside = said.split_once("Set aside at an update").unwrap().1;
    assert!(aside.contains("This cannot be shown now. Jobs does not answer."), "{said}");
    assert!(!page.contains("Put all back"), "nobody knows whether there is anything");
}

#[tokio::test]
async fn a_queue_is_paused_closed_drained_and_its_dead_letters_are_sent_again() {
    let world = World::new();
    let mut operator = Browser::with_token(world.console(), OPERATOR_TOKEN);
    let queue = "/operate/queues/forum/default";
    let drain = [("minutes", "10"), ("gate", "hold")];
    for fields in [&[("paused", "yes")][..], &[("gate", "refuse")], &drain] {
        operator.get(queue).await;
        operator.submit(queue, fields).await;
        assert_eq!((operator.status, operator.location()), (StatusCode::SEE_OTHER, queue));
    }
    operator.get(queue).await;
    operator.submit(&format!("{queue}/replays"), &[]).await;
    assert_eq!(operator.location(), queue);
    let asked = ["jobs.setQueue", "jobs.setQueue", "jobs.setQueue", "jobs.replayJobs"];
    assert_eq!(changes(&world), asked);
    for wrong in [[("minutes", "soon")], [("gate", "ajar")]] {
        operator.get(queue).await;
        operator.submit(queue, &wrong).await;
        assert_eq!(operator.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(changes(&world), asked, "nothing half-made");
}

#[tokio::test]
async fn a_job_that_runs_is_followed_and_stopped_and_one_that_failed_is_tried_again() {
    let world = World::new();
    let mut operator = Browser::with_token(world.console(), OPERATOR_TOKEN);
    let mut ada = Browser::with_token(world.console(), TOKEN);
    let all = data::jobs();
    let pages =
        [("/operate/work".to_owned(), &mut operator), (format!("{}/jobs", forum()), &mut ada)];
    for (jobs, browser) in pages {
        let runs = format!("{jobs}/{}", all[0].job);
        let page = browser.get(&runs).await.to_owned();
        let said = text_of(&page);
        for sentence in ["40 % member 400 of 1,000", "read members.csv", "members.csv", "Stop it"] {
            assert!(said.contains(sentence), "{sentence}: {said}");
        }
        assert!(
            page.contains(&format!("data-live=\"{runs}\"")) && page.contains("data-going=\"\"")
        );
        browser.submit(&format!("{runs}/cancellation"), &[]).await;
        assert_eq!((browser.status, browser.location()), (StatusCode::SEE_OTHER, runs.as_str()));
        let stranded = browser.get(&format!("{jobs}/{}", all[1].job)).await;
        assert!(text_of(stranded).contains("It waits for a release that accepts version 3."));
        let failed = format!("{jobs}/{}", all[2].job);
        browser.get(&failed).await;
        assert!(browser.body.contains("It ended with status 1."), "{}", browser.body);
        browser.submit(&format!("{failed}/replay"), &[]).await;
        assert_eq!(browser.location(), failed);
        browser.get(&format!("{jobs}/{}", all[3].job)).await;
        let main = browser.body.split_once("<main").unwrap().1;
        assert!(!main.contains("<form"), "of what is done nothing is to be decided");
    }
    let asked = ["jobs.cancelJob", "jobs.replayJob", "jobs.cancelJob", "jobs.replayJob"];
    assert_eq!(changes(&world), asked);
}

#[tokio::test]
async fn a_customer_sees_what_an_instance_does_by_itself_and_when() {
    let mut ada = Browser::with_token(World::new().console(), TOKEN);
    let page = ada.get(&forum()).await.to_owned();
    // It is noon on the 24th.
    assert!(text_of(&page).contains("next on 25 Nov 2026, 06:00"), "{}", text_of(&page));
    let newest = format!("{}/jobs/newest", forum());
    assert!(page.contains(&format!("data-live=\"{newest}\"")), "{page}");
    let fragment = ada.get_with(&newest, &[("x-fragment", "1")]).await;
    assert!(fragment.contains("member 400 of 1,000") && !fragment.contains("<html"));
    let waits = format!("/accounts/{}/instances/{}", data::account(), data::instance_id("store"));
    let waits = text_of(ada.get(&waits).await);
    assert!(waits.contains("not while the instance is closed"), "{waits}");
    let failed = text_of(ada.get(&format!("{}/jobs?state=failed", forum())).await);
    assert!(failed.contains("digest") && !failed.contains("member 400"), "{failed}");
    ada.get(&format!("{}/jobs?state=sleeping", forum())).await;
    assert_eq!(ada.status, StatusCode::NOT_FOUND);
}

fn store() -> String {
    format!("/accounts/{}/instances/{}", data::account(), data::instance_id("store"))
}

#[tokio::test]
async fn a_command_is_run_once_and_a_secret_is_made_anew() {
    let world = World::new();
    let mut ada = Browser::with_token(world.console(), TOKEN);
    let (commands, secret) =
        (format!("{}/commands", store()), format!("{}/secrets/SECRET_KEY", store()));
    let said = text_of(ada.get(&store()).await);
    assert!(said.contains("SECRET_KEY") && said.contains("64 hex"), "{said}");
    ada.submit(&commands, &[("program", "./run"), ("arguments", "report\r\n--all")]).await;
    let job = format!("{}/jobs/{}", store(), data::jobs()[0].job);
    assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, job.as_str()));
    let (asked, key) = world.changes().pop().unwrap();
    assert!(asked == "jobs.runCommand" && key.is_some(), "a double click runs it once");
    ada.get(&store()).await;
    ada.submit(&commands, &[("program", "rm"), ("arguments", "-rf")]).await;
    assert_eq!(ada.status, StatusCode::BAD_REQUEST);
    assert!(text_of(&ada.body).contains("runs only"), "{}", ada.body);
    assert!(ada.body.contains(">-rf</textarea>"), "what was filled in is kept");
    ada.get(&store()).await;
    ada.submit(&secret, &[]).await;
    assert_eq!((ada.status, ada.location()), (StatusCode::SEE_OTHER, store().as_str()));
    assert_eq!(changes(&world).pop().unwrap(), "configurator.rotateSecret");
}

#[tokio::test]
async fn only_who_may_run_commands_and_rotate_secrets_is_offered_it() {
    let world = World::new();
    let mut ada = Browser::with_token(world.console(), TOKEN);
    let is_offered =
        |page: &str| [page.contains("id=\"commands\""), page.contains("id=\"secrets\"")];
    assert_eq!(is_offered(ada.get(&store()).await), [true, true], "the owner of the account");
    let grant = data::adas_grants().remove(0);
    let of = |permission: &str, on| {
        let mut own = grant.clone();
        own.grant.given = types::Grantable::Permission(permission.parse().unwrap());
        own.grant.on = on;
        own
    };
    let here = types::Resource::Instance(data::account(), data::instance_id("store"));
    let elsewhere = types::Resource::Instance(data::account(), data::instance_id("forum"));
    world.grant_only(vec![
        of("jobs.runCommand", here.clone()),
        of("configurator.rotateSecret", elsewhere),
    ]);
    assert_eq!(is_offered(ada.get(&store()).await), [true, false]);
    // What has neither shows neither.
    world.grant_only(vec![of("jobs.runCommand", here)]);
    assert_eq!(is_offered(ada.get(&forum()).await), [false, false]);
}
