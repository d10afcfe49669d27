//! The pages, by noun.

mod accounts;
mod audit;
mod bill;
mod catalogue;
mod commands;
mod decisions;
mod enter;
mod entry;
mod explanation;
mod grants;
mod instance;
mod instance_jobs;
mod instances;
mod job;
mod jobs;
mod mine;
mod nodes;
mod offer;
mod operators;
mod orders;
mod password;
mod previews;
mod problems;
mod queue;
mod queues;
mod releases;
mod rollouts;
mod secrets;
mod updates;
mod users;

use axum::{
    Router,
    routing::{get, post},
};

use crate::{Console, answer::Failure};

/// Where each page is.
pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/", get(entry::home))
        .route("/sign-in", get(entry::sign_in_page).post(entry::sign_in))
        .route("/sign-out", post(entry::sign_out))
        .route("/enter", get(enter::show).post(enter::go_on))
        .route("/register", get(entry::register_page).post(entry::register))
        .route("/forgot-password", get(password::forgot_page).post(password::forgot))
        .route("/reset-password", get(password::reset_page).post(password::reset))
        .route("/password", get(password::change_page).post(password::change))
        .route("/mine", get(mine::list))
        .route("/problems", get(problems::list))
        .route("/problems/{code}", get(problems::show))
        .route("/catalogue", get(catalogue::list))
        .route("/catalogue/{service}", get(offer::show).post(offer::order))
        .merge(of_accounts())
        .route("/operate/services", get(releases::services))
        .route("/operate/services/{service}", get(releases::show))
        .route("/operate/services/{service}/releases/{release}", get(previews::show))
        .route("/operate/services/{service}/rollouts", get(rollouts::list))
        .route("/operate/services/{service}/rollouts/{number}", get(rollouts::show))
        .route("/operate/nodes", get(nodes::list))
        .route("/operate/nodes/{node}/drain", post(nodes::drain))
        .route("/operate/nodes/{node}/refill", post(nodes::refill))
        .route("/operate/nodes/{node}/removal", post(nodes::remove))
        .route("/operate/grants", get(operators::list))
        .route("/operate/grants/{grant}/revocation", post(operators::revoke))
        .route("/operate/queues", get(queues::list))
        .route("/operate/queues/{service}/{class}", get(queue::show).post(queue::set))
        .route("/operate/queues/{service}/{class}/replays", post(queue::replay))
        .route("/operate/work", get(jobs::list))
        .route("/operate/work/{job}", get(job::show))
        .route("/operate/work/{job}/cancellation", post(job::cancel))
        .route("/operate/work/{job}/replay", post(job::replay))
        .route("/operate/accounts", get(accounts::list))
        .fallback(lost)
}

/// Everything that belongs to a customer.
fn of_accounts() -> Router<Console> {
    let pages = Router::new()
        .route("/instances", get(instances::list))
        .route("/instances/{instance}", get(instance::show))
        .route("/instances/{instance}/jobs", get(instance_jobs::list))
        .route("/instances/{instance}/jobs/newest", get(instance_jobs::newest))
        .route("/instances/{instance}/jobs/{job}", get(job::of_instance))
        .route("/instances/{instance}/jobs/{job}/cancellation", post(job::cancel_of_instance))
        .route("/instances/{instance}/jobs/{job}/replay", post(job::replay_of_instance))
        .route("/instances/{instance}/subscription", post(instance::change))
        .route("/instances/{instance}/maintenance", post(instance::maintain))
        .route("/instances/{instance}/suspension", post(instance::suspend))
        .route("/instances/{instance}/secrets/{secret}", post(instance::rotate))
        .route("/instances/{instance}/commands", post(instance::run))
        .route("/orders", get(orders::list))
        .route("/orders/{order}", get(orders::show))
        .route("/users", get(users::list).post(users::add))
        .route("/grants", post(grants::create))
        .route("/grants/{grant}/revocation", post(grants::revoke))
        .route("/bill", get(bill::show))
        .route("/bill/verification", post(bill::verify))
        .route("/bill/lines/{line}", get(explanation::show))
        .route("/audit", get(audit::list));
    Router::new().nest("/accounts/{account}", pages)
}

async fn lost() -> Failure {
    Failure::not_found("page")
}
