//! Choosing a plan, a size and modules, in an order and in a change of one.
//!
//! Prices stand in elements that name themselves, so that the page's script can put those of
//! another choice in their places.

use std::collections::BTreeSet;

use api::manifest::Manifest;
use maud::{Markup, html};

use crate::{form::Fields, prices::Prices, words};

/// What can be chosen, and what is.
pub(crate) struct Choices<'a> {
    pub(crate) manifest: &'a Manifest,
    /// What it costs, if that is known.
    pub(crate) prices: Option<Prices<'a>>,
    pub(crate) size: &'a str,
    pub(crate) modules: &'a BTreeSet<String>,
}

/// The modules that a form was sent with.
pub(crate) fn modules(fields: &Fields) -> BTreeSet<String> {
    fields.all("modules").map(str::to_owned).collect()
}

impl Choices<'_> {
    /// The size: the smallest, while none is chosen that there is.
    pub(crate) fn chosen_size(&self) -> &str {
        let is_known = self.manifest.sizes.contains_key(self.size);
        if is_known { self.size } else { self.sizes().first().copied().unwrap_or_default() }
    }

    /// What a month of all that comes to, before usage.
    pub(crate) fn total(&self) -> Markup {
        let total = self.prices.and_then(|prices| prices.total(self.chosen_size(), self.modules));
        html! {
            div.sum #total data-price="" role="status" {
                @match total {
                    Some(total) => {
                        p { "Together about " strong { (total) " a month" } ", plus usage" }
                        p.soft.small { "For " (self.told()) ", in a month of 730 hours." }
                    },
                    None => p.soft { "The sum cannot be computed at the moment." },
                }
            }
        }
    }

    /// `Basic, Small, Polls and Search`.
    fn told(&self) -> String {
        let plan = self.prices.map(|prices| prices.plan.title.as_str());
        let size = self.manifest.sizes.get(self.chosen_size()).map(|size| size.title.as_str());
        let known = |name: &String| self.manifest.modules.get(name).map(|it| it.title.as_str());
        let modules = self.modules.iter().filter_map(known);
        let parts: Vec<_> = plan.into_iter().chain(size).chain(modules).collect();
        words::listed(&parts)
    }

    /// Both choices.
    pub(crate) fn fieldsets(&self) -> Markup {
        html! {
            fieldset {
                legend { "Size" }
                div.options { @for size in self.sizes() { (self.size(size)) } }
            }
            @if !self.manifest.modules.is_empty() {
                fieldset {
                    legend { "Modules" }
                    div.options {
                        @for name in self.manifest.modules.keys() { (self.module(name)) }
                    }
                }
            }
        }
    }

    /// The smallest first.
    fn sizes(&self) -> Vec<&str> {
        let mut sizes: Vec<_> = self.manifest.sizes.iter().collect();
        sizes.sort_by_key(|(_, size)| (size.memory, size.cpu));
        sizes.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    fn size(&self, name: &str) -> Markup {
        let Some(size) = self.manifest.sizes.get(name) else { return html! {} };
        let is_chosen = self.chosen_size() == name;
        let price = self.prices.and_then(|prices| prices.size(name));
        html! {
            label.option {
                input type="radio" name="size" value=(name) checked[is_chosen] required;
                span.what {
                    strong { (size.title) }
                    span.soft {
                        (words::processors(size.cpu)) ", " (words::memory(size.memory)) " of memory"
                    }
                }
                span.price id={ "price-of-size-" (name) } data-price="" {
                    @if let Some((hour, month)) = price { (month) span.soft { (hour) } }
                }
            }
        }
    }

    fn module(&self, name: &str) -> Markup {
        let Some(module) = self.manifest.modules.get(name) else { return html! {} };
        let price = self.prices.and_then(|prices| prices.module(name));
        html! {
            label.option {
                input type="checkbox" name="modules" value=(name)
                    checked[self.modules.contains(name)];
                span.what {
                    strong { (module.title) }
                    @if !module.summary.is_empty() { span.soft { (module.summary) } }
                    @if !module.requires.is_empty() {
                        span.soft { "Needs " (self.titles(&module.requires)) }
                    }
                }
                span.price id={ "price-of-module-" (name) } data-price="" {
                    @if let Some(price) = price { (price) }
                }
            }
        }
    }

    fn titles(&self, names: &[String]) -> String {
        let known = |name: &String| self.manifest.modules.get(name).map(|module| &module.title);
        let titles = names.iter().map(|name| known(name).unwrap_or(name).as_str());
        words::listed(&titles.collect::<Vec<_>>())
    }
}
