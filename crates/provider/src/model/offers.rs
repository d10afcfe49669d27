//! What can be taken.

use std::collections::BTreeSet;

use api::{billing::Priced, provider::Offer};

use crate::Error;

/// What of an offer has a price; nothing if it cannot be taken at all.
pub(crate) fn narrowed(offer: &Offer, priced: &Priced) -> Option<Offer> {
    let mut offer = offer.clone();
    offer.plans = priced.plans.iter().cloned().collect();
    offer.manifest.sizes.retain(|size, _| priced.sizes.contains(size));
    offer.manifest.modules.retain(|module, _| priced.modules.contains(module));
    let can_be_taken = !offer.plans.is_empty() && !offer.manifest.sizes.is_empty();
    can_be_taken.then_some(offer)
}

/// The plan that was named, or the only one there is.
pub(crate) fn chosen_plan(offer: &Offer, plan: Option<String>) -> Result<String, Error> {
    let (service, plans) = (offer.service.clone(), listed(&offer.plans));
    match (plan, offer.plans.as_slice()) {
        (Some(plan), known) if known.contains(&plan) => Ok(plan),
        (Some(plan), _) => Err(Error::Plan { service, plan, plans }),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Error::WhichPlan { service, plans }),
    }
}

/// Whether an instance can have these modules and this size.
pub(crate) fn check(offer: &Offer, modules: &BTreeSet<String>, size: &str) -> Result<(), Error> {
    if !offer.manifest.sizes.contains_key(size) {
        let sizes: Vec<&String> = offer.manifest.sizes.keys().collect();
        let size = size.chars().take(60).collect();
        return Err(Error::Size { service: offer.service.clone(), size, sizes: listed(&sizes) });
    }
    offer.manifest.check_modules(modules).map_err(Error::Modules)
}

fn listed(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::manifest::Manifest;

    const MANIFEST: &str = r#"
[service]
name = "forum"
title = "Forum"

[run]
command = ["./serve"]

[modules]
polls = { title = "Polls", routes = ["/polls"] }
badges = { title = "Badges", routes = ["/badges"], requires = ["polls"] }

[sizes]
small = { title = "Small", cpu = 0.5, memory = "256MiB" }
large = { title = "Large", cpu = 1.0, memory = "512MiB" }
"#;

    fn offer(plans: &[&str]) -> Offer {
        let manifest = Manifest::parse("mandate.toml", MANIFEST);
        let manifest = manifest.unwrap_or_else(|faults| panic!("{faults}"));
        Offer {
            service: "forum".parse().unwrap(),
            release: types::Digest::of(b"package"),
            manifest,
            plans: plans.iter().map(ToString::to_string).collect(),
        }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_has_no_price_is_not_shown_and_what_cannot_be_taken_not_at_all() {
        let narrowed = |plans: &[&str], sizes: &[&str], modules: &[&str]| {
            let (plans, sizes, modules) = (names(plans), names(sizes), names(modules));
            let service = "forum".parse().unwrap();
            super::narrowed(&offer(&["basic", "pro"]), &Priced { service, plans, sizes, modules })
        };
        let shown = narrowed(&["pro"], &["small"], &["polls"]).unwrap();
        assert_eq!(shown.plans, ["pro"]);
        assert_eq!(shown.manifest.sizes.keys().collect::<Vec<_>>(), ["small"]);
        assert_eq!(shown.manifest.modules.keys().collect::<Vec<_>>(), ["polls"]);
        assert_eq!(narrowed(&[], &["small"], &["polls"]), None);
        assert_eq!(narrowed(&["pro"], &[], &["polls"]), None);
    }

    #[test]
    fn a_plan_is_named_unless_there_is_one_only() {
        let chosen = |plans: &[&str], plan: Option<&str>| {
            chosen_plan(&offer(plans), plan.map(str::to_owned))
        };
        assert_eq!(chosen(&["basic"], None).unwrap(), "basic");
        assert_eq!(chosen(&["basic", "pro"], Some("pro")).unwrap(), "pro");
        assert!(matches!(chosen(&["basic", "pro"], None), Err(Error::WhichPlan { .. })));
        assert!(matches!(chosen(&["basic"], Some("gold")), Err(Error::Plan { .. })));
    }

    #[test]
    fn a_size_must_be_there_and_modules_go_together() {
        let check = |modules: &[&str], size| check(&offer(&["basic"]), &names(modules), size);
        assert!(check(&["polls", "badges"], "large").is_ok());
        assert!(matches!(check(&[], "huge"), Err(Error::Size { .. })));
        assert!(matches!(check(&["badges"], "small"), Err(Error::Modules(_))));
        assert!(matches!(check(&["chess"], "small"), Err(Error::Modules(_))));
    }
}
