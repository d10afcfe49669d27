//! Whether a price book prices what a manifest offers: all of it, and nothing else.

use std::collections::BTreeMap;

use super::{Plan, PriceBook};
use crate::manifest::{
    Faults, Manifest,
    reader::{Reader, Table},
    suggestion,
};

impl PriceBook {
    /// Every size, module and meter that the manifest has, and its jobs if it has any, must have a
    /// price in every plan, and nothing else may. `file_name` and `text` are what the book was
    /// parsed from, so that a fault can name its line.
    pub fn check_against(
        &self,
        file_name: &str,
        text: &str,
        manifest: &Manifest,
    ) -> Result<(), Faults> {
        Reader::read(file_name, text, |root| {
            let (priced, offered) = (&self.service, &manifest.service.name);
            if priced != offered {
                let problem =
                    format!("these are prices of `{priced}`, and the manifest is of `{offered}`");
                root.fault_near(&["service"], &problem, format!("write `{offered}`"));
            }
            for (name, plan) in &self.plans {
                check_plan(root, name, plan, manifest);
            }
            Some(())
        })
    }
}

fn check_plan(root: &Table<'_>, name: &str, plan: &Plan, manifest: &Manifest) {
    let example = "{ per_hour = \"0.01\", minimum_seconds = 60 }";
    compare(root, &[name, "sizes"], &plan.sizes, &manifest.sizes, example);
    let example = "{ monthly = \"1.00\" }";
    compare(root, &[name, "modules"], &plan.modules, &manifest.modules, example);
    let example = "{ model = \"per_unit\", unit = \"0.001\" }";
    compare(root, &[name, "meters"], &plan.meters, &manifest.meters, example);
    let path = ["plans", name, "jobs"];
    match (&plan.jobs, manifest.has_jobs()) {
        (None, true) => root.fault_near(
            &path,
            "the service has jobs, and they have no price",
            "write `jobs = { per_second = \"0.0001\" }`".to_owned(),
        ),
        (Some(_), false) => {
            root.fault_near(&path, "the service has no jobs", "remove it".to_owned());
        }
        _ => {}
    }
}

fn compare<P, O>(
    root: &Table<'_>,
    [plan, section]: &[&str; 2],
    priced: &BTreeMap<String, P>,
    offered: &BTreeMap<String, O>,
    example: &str,
) {
    let kind = section.trim_end_matches('s');
    for name in offered.keys().filter(|name| !priced.contains_key(*name)) {
        let problem = format!("the {kind} `{name}` has no price");
        let mend = format!("write `{section}.{name} = {example}`");
        root.fault_near(&["plans", plan, section, name], &problem, mend);
    }
    let there: Vec<&str> = offered.keys().map(String::as_str).collect();
    for name in priced.keys().filter(|name| !offered.contains_key(*name)) {
        let problem = format!("the service has no {kind} `{name}`");
        let mend = suggestion(name, &there);
        root.fault_near(&["plans", plan, section, name], &problem, mend);
    }
}
