//! A database that failed, in the words of the interfaces.

use api::Problem;

/// A database that failed, as a caller hears of it; the log says why. What may pass is worth another
/// try; what stays wrong is not asked for again.
pub fn database_failed(component: &str, cause: &db::Error) -> Problem {
    let why = cause as &dyn std::error::Error;
    tracing::error!(component, cause = why, "the database failed");
    if cause.may_pass() {
        let detail = format!("{component} cannot reach its database at the moment; try again");
        Problem::unavailable(detail, 1)
    } else {
        Problem::internal()
    }
}
