//! What customers say, measured by the manifest: the modules they want, the set-up they fill in.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Field, FieldKind, Manifest, Module,
    faults::{quoted, shown},
};

/// The most characters that a field of the set-up page takes.
const MAX_VALUE: usize = 500;

/// The meter of what jobs took, in milliseconds: the platform counts it by itself.
pub const JOB_MILLISECONDS: &str = "job_milliseconds";

/// Whether a meter's name is one that the platform counts by itself.
pub(crate) fn is_reserved_meter(name: &str) -> bool {
    name == JOB_MILLISECONDS
}

impl Manifest {
    /// Whether these modules can be taken together. The error is a sentence for the customer.
    pub fn check_modules(&self, wanted: &BTreeSet<String>) -> Result<(), String> {
        for name in wanted {
            let Some(module) = self.modules.get(name) else {
                let (service, name) = (&self.service.name, shown(name));
                if self.modules.is_empty() {
                    return Err(format!("there is no module `{name}`: `{service}` has none"));
                }
                let there = quoted(self.modules.keys().map(String::as_str));
                return Err(format!("there is no module `{name}`: `{service}` has {there}"));
            };
            if let Some(missing) = module.requires.iter().find(|other| !wanted.contains(*other)) {
                return Err(format!("`{name}` needs `{missing}`: take `{missing}` too"));
            }
        }
        Ok(())
    }

    /// The values of a set-up page with what was left out filled in from the defaults, or what is
    /// wrong with each field, in a sentence. A sentence never repeats a password.
    pub fn check_setup(
        &self,
        values: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, BTreeMap<String, String>> {
        let mut checked = BTreeMap::new();
        let mut wrong = BTreeMap::new();
        for (name, field) in &self.setup {
            let given = values.get(name).map_or("", String::as_str);
            // A space is part of a password, and a slip of the finger everywhere else.
            let given = if field.kind == FieldKind::Password { given } else { given.trim() };
            let value = match (given, &field.default) {
                ("", None) => Err("must be filled in".to_owned()),
                ("", Some(default)) => Ok(default.as_str()),
                (given, _) => is_value(field, given).map(|()| given),
            };
            match value {
                Ok(value) => drop(checked.insert(name.clone(), value.to_owned())),
                Err(sentence) => drop(wrong.insert(name.clone(), sentence)),
            }
        }
        let known = |name: &str| self.setup.iter().any(|(field, _)| field == name);
        for name in values.keys().filter(|name| !known(name)).take(20) {
            wrong.insert(shown(name), "there is no such field: leave it out".to_owned());
        }
        if wrong.is_empty() { Ok(checked) } else { Err(wrong) }
    }
}

/// Whether a text may stand in a field; if not, a sentence `problem: mend`.
pub(super) fn is_value(field: &Field, text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_VALUE {
        return Err(format!("is too long: write at most {MAX_VALUE} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character: remove it".to_owned());
    }
    match field.kind {
        FieldKind::Email if !text.is_empty() && !crate::is_email(text) => Err(format!(
            "`{}` is not an e-mail address: write one such as `ada@example.com`",
            shown(text)
        )),
        FieldKind::Choice if !field.options.iter().any(|option| option == text) => {
            let options = quoted(field.options.iter().map(String::as_str));
            Err(format!("`{}` is not an option: choose one of {options}", shown(text)))
        }
        _ => Ok(()),
    }
}

/// The way from a module through its requirements back to itself, told for the first name of each
/// circle only.
pub(super) fn circle(modules: &BTreeMap<String, Module>, start: &str) -> Option<Vec<String>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        for next in modules.get(name).into_iter().flat_map(|module| &module.requires) {
            if next == start {
                let mut way = vec![name.to_owned()];
                while let Some(name) = way.last().and_then(|name| before.get(name.as_str())) {
                    way.push((*name).to_owned());
                }
                way.retain(|name| name != start);
                way.reverse();
                return way.iter().all(|name| start < name.as_str()).then_some(way);
            }
            if !before.contains_key(next.as_str()) {
                before.insert(next, name);
                open.push(next);
            }
        }
    }
    None
}
