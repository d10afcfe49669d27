//! The gateway's own pages at an instance's host, below `/.mandate/`: set-up, sign-in and jobs.
//!
//! These, and requests that become jobs, are the only ones on which a component is asked, and only
//! so many at once (`State::call_slot`).

mod job;
mod setup;
mod sign_in;

use std::time::Duration;

use api::{Kind, Problem, configurator::Route};
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::{
    phases::{stop::Stop, visit::Visit},
    render::Body,
    request::page::Page,
    state::State,
};
pub(crate) use setup::sets_up;

/// The longest form that is read, in bytes.
const FORM_BYTES_MAX: usize = 64 << 10;
const FORM_FIELDS_MAX: usize = 100;
const FORM_TIME_MAX: Duration = Duration::from_secs(10);

pub(crate) async fn answer(
    state: &State,
    visit: &mut Visit,
    route: &Route,
    page: Page,
    body: Incoming,
) -> Result<Response<Body>, Stop> {
    match (page, &visit.head.method.clone()) {
        (Page::Setup, &Method::GET | &Method::HEAD) => setup::show(state, visit, route).await,
        (Page::Setup, &Method::POST) => setup::submit(state, visit, route, body).await,
        (Page::SignIn, &Method::GET | &Method::HEAD) => Ok(sign_in::begin(state, visit, route)),
        (Page::Enter, &Method::GET) => sign_in::enter(state, visit, route).await,
        (Page::SignOut, &Method::GET | &Method::HEAD) => Ok(sign_in::show_way_out(route)),
        (Page::SignOut, &Method::POST) => sign_in::leave(state, visit, route).await,
        (Page::Job(job), &Method::GET | &Method::HEAD) => job::show(state, visit, route, job).await,
        (Page::Unknown, _) => Err(Problem::not_found("page").into()),
        _ => {
            let detail = "use GET for this page and POST for its form";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Err(Problem::new(Kind::Invalid, "method_not_allowed", detail)
                .with_status(status)
                .into())
        }
    }
}

/// The fields of a form that was sent.
async fn form(visit: &Visit, body: Incoming) -> Result<Vec<(String, String)>, Problem> {
    let kind = visit.head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !essence.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        let detail = "send the form as `application/x-www-form-urlencoded`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(Kind::Invalid, "form_expected", detail).with_status(status));
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
            return Err(Problem::new(Kind::Invalid, "form_too_long", detail).with_status(status));
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
