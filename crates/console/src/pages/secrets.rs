//! The secrets of an instance: their names, and having one made anew. Nobody is shown one.

use api::{
    configurator::{Instance, RotateSecret},
    manifest::Manifest,
};
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect},
};
use maud::{Markup, html};
use types::{AccountId, InstanceId};

use crate::{
    answer::Answer,
    form::{Fields, form},
    pages::instance::refused,
    paths,
    visitor::Person,
};

/// Nothing if the instance has none.
pub(crate) fn section(person: &Person, instance: &Instance, manifest: &Manifest) -> Markup {
    let path = paths::instance(instance.account, instance.instance);
    html! {
        @if !manifest.secrets.is_empty() {
            section.card #secrets {
                h2 { "Secrets" }
                p.soft { "The platform made them for this instance, and shows them to nobody." }
                @for (name, made_of) in &manifest.secrets {
                    details {
                        summary { code { (name) } span.soft.small.end { (made_of) } }
                        p {
                            "The application is started again with another one. What it signed or \
                             encrypted with this one may be worth nothing then: sessions, for example."
                        }
                        (form(&person.form_token, &format!("{path}/secrets/{name}"), html! {
                            button.danger { "Make it anew" }
                        }))
                    }
                }
            }
        }
    }
}

pub(crate) async fn rotate(
    person: Person,
    Path((account, instance, secret)): Path<(AccountId, InstanceId, String)>,
    fields: Fields,
) -> Answer {
    match person.client.call(RotateSecret { account, instance, secret }).await {
        Ok(_) => Ok(Redirect::to(&paths::instance(account, instance)).into_response()),
        Err(problem) => refused(&person, (account, instance), fields, problem).await,
    }
}
