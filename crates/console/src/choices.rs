//! Choosing a size and modules, in an order and in a change of one.

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
        let is_known = self.manifest.sizes.contains_key(self.size);
        let is_chosen =
            if is_known { self.size == name } else { self.sizes().first() == Some(&name) };
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
                @if let Some((hour, month)) = price { span.price { (hour) span.soft { (month) } } }
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
                @if let Some(price) = price { span.price { (price) } }
            }
        }
    }

    fn titles(&self, names: &[String]) -> String {
        let known = |name: &String| self.manifest.modules.get(name).map(|module| &module.title);
        let titles = names.iter().map(|name| known(name).unwrap_or(name).as_str());
        titles.collect::<Vec<_>>().join(" and ")
    }
}
