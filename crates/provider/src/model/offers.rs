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
