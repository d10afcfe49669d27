//! Going on at an instance's host as the person who is signed in here.
//!
//! The gateway leads here from a host whose application asks for somebody who is signed in, since
//! nobody should type a password where an application could read it. From here a code leads back.

use api::{Problem, identity::CreateSignInCode};
use axum::{
    extract::{Query, State},
    response::{IntoResponse as _, Redirect},
};
use maud::html;
use serde::Deserialize;
use types::{Digest, Host};

use crate::{
    Console,
    answer::{Answer, Page},
    form::{Fields, form},
    headers::FormsLeadTo,
    paths,
    visitor::Person,
};

const PATH: &str = "/enter";

/// Where somebody comes from.
#[derive(Debug, Deserialize)]
pub(crate) struct Way {
    host: String,
    browser: String,
}

impl Way {
    /// The host, and the digest of what the gateway left in the browser there.
    fn read(&self) -> Result<(Host, Digest), Problem> {
        let detail = "the address is not complete: open the page that you want to see again";
        let unclear = || Problem::invalid("way_unclear", detail);
        let host = self.host.parse().map_err(|_| unclear())?;
        let browser = format!("sha256:{}", self.browser).parse().map_err(|_| unclear())?;
        Ok((host, browser))
    }
}

/// The host that `next` leads to by way of this page.
pub(super) fn host_in(next: &str) -> Option<Host> {
    let query = next.strip_prefix(PATH)?.strip_prefix('?')?;
    serde_html_form::from_str::<Way>(query).ok()?.host.parse().ok()
}

/// Asks whether one wants to be known there: any page can lead here.
pub(crate) async fn show(
    State(console): State<Console>,
    person: Person,
    Query(way): Query<Way>,
) -> Answer {
    let (host, browser) = way.read()?;
    let fields = html! {
        input type="hidden" name="host" value=(host);
        input type="hidden" name="browser" value=(browser.hex());
        button autofocus { "Continue" }
    };
    let body = html! {
        section.narrow {
            h1 { "Continue to " (host) }
            div.card {
                p { "You are signed in as " strong { (person.user.email) } ". "
                    (host) " will know that it is you." }
                (form(&person.form_token, PATH, fields))
            }
            p.soft.centred { a href="/" { "Stay here" } }
        }
    };
    let mut response = Page::new(format!("Continue to {host}"), body).into_response();
    response.extensions_mut().insert(FormsLeadTo(console.site.origin(&host)));
    Ok(response)
}

/// Leads back to the host with a code.
pub(crate) async fn go_on(
    State(console): State<Console>,
    person: Person,
    fields: Fields,
) -> Answer {
    let field = |name: &str| fields.get(name).to_owned();
    let (host, browser) = Way { host: field("host"), browser: field("browser") }.read()?;
    let (origin, shown) = (console.site.origin(&host), browser.hex().to_owned());
    let code = person.client.call(CreateSignInCode { host, browser }).await?.code;
    let query = [("code", code.reveal()), ("browser", shown.as_str())];
    let address = paths::with_query(&format!("{origin}/.mandate/enter"), &query);
    Ok(Redirect::to(&address).into_response())
}
