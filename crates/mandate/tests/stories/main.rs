//! The whole box as strangers meet it: the built program, real processes, real services, told over
//! HTTP and the command line only.
//!
//! A world is the platform in one of two shapes (every part in one process, or each part as a
//! process of its own) on one of two databases; each flow of the design is told in every one of
//! them. Those that only need accounts and instances of their own are told side by side.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod accessible;
mod applications;
mod bill;
mod by_hand;
mod calendar;
mod chromium;
mod interfaces;
mod isolation;
mod main_job;
mod maintenance;
mod nodes;
mod permissions;
mod refusals;
mod restart;
mod shop;
mod world;

use db::EngineKind::{self, Postgres, Sqlite};
use world::{
    Shape::{self, Apart, Together},
    World,
};

async fn all_is_told(shape: Shape, engine: EngineKind) {
    let mut world = World::start(shape, engine).await;
    main_job::story(&world).await;
    let second = world.another_gateway().await;
    tokio::join!(
        permissions::story(&world, &second),
        maintenance::story(&world, &second),
        refusals::story(&world),
        interfaces::story(&world),
    );
    second.ends_well().await;
    restart::story(&mut world).await;
    world.end().await;
}

#[tokio::test]
async fn in_one_process_on_sqlite() {
    Box::pin(all_is_told(Together, Sqlite)).await;
}

#[tokio::test]
async fn in_one_process_on_postgres() {
    Box::pin(all_is_told(Together, Postgres)).await;
}

#[tokio::test]
async fn in_ten_processes_on_sqlite() {
    Box::pin(all_is_told(Apart, Sqlite)).await;
}

#[tokio::test]
async fn in_ten_processes_on_postgres() {
    Box::pin(all_is_told(Apart, Postgres)).await;
}

#[tokio::test]
async fn a_calendar_server_that_is_not_ours_serves_two_customers() {
    let world = World::start(Together, Sqlite).await;
    Box::pin(calendar::story(&world)).await;
    world.end().await;
}

#[tokio::test]
#[ignore = "it fetches from npm: `./x soak applications` runs it"]
async fn applications_from_npm_keep_what_is_written() {
    Box::pin(applications::notebook(World::start(Together, Sqlite).await)).await;
}

#[tokio::test]
#[ignore = "it fetches much from PyPI: `./x soak applications` runs it"]
async fn applications_from_pypi_serve_two_customers_from_their_databases() {
    Box::pin(applications::documents(World::start(Together, Postgres).await)).await;
}

#[tokio::test]
#[ignore = "it fetches much from PyPI: `./x soak applications` runs it"]
async fn applications_from_pypi_have_a_process_beside_them() {
    Box::pin(applications::discussions(World::start(Together, Sqlite).await)).await;
}

#[tokio::test]
#[ignore = "it fetches much from PyPI: `./x soak applications` runs it"]
async fn applications_from_pypi_have_files_and_do_something_by_themselves() {
    Box::pin(applications::shop(World::start(Together, Postgres).await)).await;
}

async fn three_machines_come_and_go(engine: EngineKind) {
    let mut world = World::start_with(Apart, engine, nodes::QUICKLY).await;
    Box::pin(nodes::story(&mut world)).await;
    world.end().await;
}

#[tokio::test]
async fn three_machines_come_and_go_and_visitors_do_not_notice_on_sqlite() {
    three_machines_come_and_go(Sqlite).await;
}

#[tokio::test]
async fn three_machines_come_and_go_and_visitors_do_not_notice_on_postgres() {
    three_machines_come_and_go(Postgres).await;
}

#[tokio::test]
async fn what_the_readme_says_to_do_by_hand_works() {
    Box::pin(by_hand::story()).await;
}
