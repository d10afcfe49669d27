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

/// A database that cannot be used at a start, as whoever has started the program reads it, and nobody
/// else: with the reason.
pub(crate) fn cannot_start(component: &str, cause: &db::Error) -> Problem {
    let mut detail = format!("{component} cannot use its database");
    let first: &dyn std::error::Error = cause;
    for why in std::iter::successors(Some(first), |why| why.source()) {
        let why = why.to_string();
        // Some repeat what they come from.
        if !detail.contains(&why) {
            detail = format!("{detail}: {why}");
        }
    }
    Problem { detail, ..Problem::internal() }
}
