//! What an instance's code is told.

use std::collections::{BTreeMap, BTreeSet};

use api::manifest::{FieldKind, Manifest};
use types::Secret;

use crate::Mail;

/// What was filled in, and the defaults of fields that there were not when it was.
pub(crate) fn settings(
    manifest: &Manifest,
    filled_in: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let fields = manifest.setup.iter();
    let defaults = fields.filter_map(|(name, field)| Some((name.clone(), field.default.clone()?)));
    defaults.chain(filled_in).collect()
}

/// Without passwords: the service has them from the set-up's jobs, and no request needs them.
pub(crate) fn without_passwords(
    manifest: &Manifest,
    mut settings: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let passwords = manifest.setup.iter().filter(|(_, field)| field.kind == FieldKind::Password);
    for (name, _) in passwords {
        settings.remove(name);
    }
    settings
}

/// What the variables are made of.
pub(crate) struct Told<'a> {
    pub(crate) public_url: String,
    pub(crate) modules: &'a BTreeSet<String>,
    pub(crate) size: String,
    pub(crate) database_url: Option<Secret>,
    pub(crate) mail: Option<&'a Mail>,
    pub(crate) settings: BTreeMap<String, String>,
}

/// The variables of an instance's processes and jobs.
pub(crate) fn variables(told: Told<'_>) -> BTreeMap<String, Secret> {
    let modules: Vec<&str> = told.modules.iter().map(String::as_str).collect();
    let set_up = told.settings.into_iter();
    let set_up = set_up.map(|(name, value)| (format!("SETUP_{}", name.to_uppercase()), value));
    let plain = [
        ("PUBLIC_URL".to_owned(), told.public_url),
        ("MODULES".to_owned(), modules.join(",")),
        ("MANDATE_SIZE".to_owned(), told.size),
    ];
    let plain = plain.into_iter().chain(set_up).map(|(name, value)| (name, Secret::new(value)));
    let mail = told.mail.map(|mail| {
        let from = Secret::new(mail.from.clone());
        [("MAIL_URL".to_owned(), mail.url.clone()), ("MAIL_FROM".to_owned(), from)]
    });
    let database = told.database_url.map(|url| ("DATABASE_URL".to_owned(), url));
    plain.chain(mail.into_iter().flatten()).chain(database).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::setup::tests::manifest;
    use proptest::prelude::*;

    const SETUP: &str = "[setup]\n\
        title = { label = \"Title\", type = \"text\" }\n\
        colour = { label = \"Colour\", type = \"text\", default = \"red\" }\n\
        secret = { label = \"Secret\", type = \"password\" }\n";

    fn filled_in() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("(title|colour|secret|gone)", "[a-z]{0,4}", 0..5)
    }

    proptest! {
        #[test]
        fn what_was_filled_in_counts_before_a_default(filled_in in filled_in()) {
            let settings = settings(&manifest(SETUP), filled_in.clone());
            for (name, value) in &filled_in {
                prop_assert_eq!(settings.get(name), Some(value));
            }
            let colour = filled_in.get("colour").map_or("red", String::as_str);
            prop_assert_eq!(settings["colour"].as_str(), colour);
            let all_but = |names: &BTreeMap<String, String>| {
                names.keys().filter(|name| *name != "colour").cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(all_but(&settings), all_but(&filled_in));
        }

        #[test]
        fn a_request_is_told_all_but_passwords(filled_in in filled_in()) {
            let told = without_passwords(&manifest(SETUP), filled_in.clone());
            let mut expected = filled_in;
            expected.remove("secret");
            prop_assert_eq!(told, expected);
        }

        /// Whatever a field is called, it is told, and hides nothing that the platform tells.
        #[test]
        fn no_field_hides_what_the_platform_tells(
            settings in prop::collection::btree_map("[a-z_]{1,8}|public_url|modules", "[a-z]{0,4}", 0..5),
            modules in prop::collection::btree_set("[a-z]{1,3}", 0..3),
        ) {
            let mail = Mail { url: Secret::new("smtp://mail"), from: "us@here".into() };
            let told = variables(Told {
                public_url: "http://a".into(),
                modules: &modules,
                size: "small".into(),
                database_url: Some(Secret::new("postgres://here")),
                mail: Some(&mail),
                settings: settings.clone(),
            });
            prop_assert_eq!(told.len(), 6 + settings.len());
            prop_assert_eq!(told["MAIL_URL"].reveal(), "smtp://mail");
            prop_assert_eq!(told["PUBLIC_URL"].reveal(), "http://a");
            prop_assert_eq!(told["DATABASE_URL"].reveal(), "postgres://here");
            let list: Vec<String> = modules.into_iter().collect();
            prop_assert_eq!(told["MODULES"].reveal(), list.join(","));
        }
    }
}
