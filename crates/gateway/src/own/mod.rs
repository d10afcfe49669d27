//! The gateway's own pages at an instance's host, below `/.mandate/`: set-up, sign-in and jobs.
//!
//! These, and requests that become jobs, are the only ones on which a component is asked, and only
//! so many at once (`Front::desk`).

mod job;
mod setup;
mod sign_in;

use std::{sync::Arc, time::Duration};

use api::{Kind, Problem, configurator::Route};
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use types::JobId;

use crate::{
    answer::{Body, Stop, problem},
    front::Front,
    pages,
    visit::Visit,
};
pub(crate) use job::job_address;
pub(crate) use setup::sets_up;
pub(crate) use sign_in::sign_in_address;

/// The longest form that is read, in bytes.
const FORM_BYTES_MAX: usize = 64 << 10;
const FORM_FIELDS_MAX: usize = 100;
const FORM_TIME_MAX: Duration = Duration::from_secs(10);

/// A page of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Setup,
    SignIn,
    Enter,
    SignOut,
    Job(JobId),
    Unknown,
}

/// Which page of our own a path is; `None` if it is the application's.
pub(crate) fn page(path: &str) -> Option<Page> {
    let below = path.strip_prefix("/.mandate")?;
    match below.trim_end_matches('/') {
        "/setup" => Some(Page::Setup),
        "/sign-in" => Some(Page::SignIn),
        "/enter" => Some(Page::Enter),
        "/sign-out" => Some(Page::SignOut),
        rest if rest.starts_with("/jobs/") => {
            Some(rest["/jobs/".len()..].parse().map_or(Page::Unknown, Page::Job))
        }
        rest if rest.is_empty() || rest.starts_with('/') => Some(Page::Unknown),
        _ => None,
    }
}

pub(crate) async fn answer(
    front: &Arc<Front>,
    visit: &mut Visit,
    route: &Route,
    page: Page,
    body: Incoming,
) -> Result<Response<Body>, Stop> {
    match (page, &visit.head.method.clone()) {
        (Page::Setup, &Method::GET | &Method::HEAD) => setup::show(front, visit, route).await,
        (Page::Setup, &Method::POST) => setup::submit(front, visit, route, body).await,
        (Page::SignIn, &Method::GET | &Method::HEAD) => Ok(sign_in::begin(front, visit, route)),
        (Page::Enter, &Method::GET) => sign_in::enter(front, visit, route).await,
        (Page::SignOut, &Method::GET | &Method::HEAD) => Ok(sign_in::show_way_out(route)),
        (Page::SignOut, &Method::POST) => sign_in::leave(front, visit, route).await,
        (Page::Job(job), &Method::GET | &Method::HEAD) => job::show(front, visit, route, job).await,
        (Page::Unknown, _) => Err(Problem::not_found("page").into()),
        _ => {
            let detail = "use GET for this page and POST for its form";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Err(problem(Kind::Invalid, status, "method_not_allowed", detail).into())
        }
    }
}

/// A closed instance as a page that looks again by itself.
pub(crate) fn waiting(front: &Front, problem: &Problem, visit: &Visit) -> Response<Body> {
    let problem = Problem { request: Some(visit.id), ..problem.clone() };
    let page = pages::waiting(front, &problem);
    let mut response = pages::respond(StatusCode::SERVICE_UNAVAILABLE, page);
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The fields of a form that was sent.
async fn form(visit: &Visit, body: Incoming) -> Result<Vec<(String, String)>, Problem> {
    let kind = visit.head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !essence.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        let detail = "send the form as `application/x-www-form-urlencoded`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(problem(Kind::Invalid, status, "form_expected", detail));
    }
    let unreadable =
        || Problem::invalid("form_unreadable", "the form could not be read; send it again");
    let reading = Limited::new(body, FORM_BYTES_MAX).collect();
    let read = tokio::time::timeout(FORM_TIME_MAX, reading).await.map_err(|_| unreadable())?;
    let bytes = match read {
        Ok(body) => body.to_bytes(),
        Err(cause) if cause.is::<LengthLimitError>() => {
            let detail = format!("the form is longer than {FORM_BYTES_MAX} bytes: shorten it");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(problem(Kind::Invalid, status, "form_too_long", detail));
        }
        Err(_) => return Err(unreadable()),
    };
    let fields: Vec<(String, String)> =
        serde_html_form::from_bytes(&bytes).map_err(|_| unreadable())?;
    if fields.len() > FORM_FIELDS_MAX {
        return Err(unreadable());
    }
    Ok(fields)
}

/// What a query says of `name`, unescaped.
fn query_field(visit: &Visit, name: &str) -> Option<String> {
    let query = visit.head.uri.query()?;
    let fields: Vec<(String, String)> = serde_html_form::from_str(query).ok()?;
    fields.into_iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_pages_are_below_one_folder() {
        assert_eq!(page("/.mandate/setup"), Some(Page::Setup));
        assert_eq!(page("/.mandate/setup/"), Some(Page::Setup));
        assert_eq!(page("/.mandate/sign-in"), Some(Page::SignIn));
        let job = JobId::named(&["a"]);
        assert_eq!(page(&job_address(job)), Some(Page::Job(job)));
        assert_eq!(page("/.mandate/jobs/x"), Some(Page::Unknown));
        assert_eq!(page("/.mandate"), Some(Page::Unknown));
        assert_eq!(page("/.mandate/x"), Some(Page::Unknown));
        assert_eq!(page("/.mandates"), None);
        assert_eq!(page("/x/.mandate/setup"), None);
    }
}
