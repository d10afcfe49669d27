//! The secrets of an instance: their names, and having one made anew. Nobody is shown one.

use api::{configurator::Instance, manifest::Manifest};
use maud::{Markup, html};

use crate::{form::form, paths, visitor::Person};

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
