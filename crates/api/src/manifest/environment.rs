//! What a manifest adds to the environment of its processes and jobs: the table `[env]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Engine,
    faults::{shown, suggestion},
    reader::{FIELD_NAMES, Node, SECRET_NAMES, Table, VARIABLE_NAMES},
    template::Template,
    volumes,
};

/// A variable that a manifest adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Variable {
    /// The same with any database, or without one.
    Always(Template),
    /// Another with each database product; absent with one that is not named.
    ByEngine(BTreeMap<Engine, Template>),
}

impl Variable {
    /// What it is where that product is used.
    pub(super) fn with(&self, engine: Option<Engine>) -> Option<&Template> {
        match self {
            Self::Always(template) => Some(template),
            Self::ByEngine(templates) => templates.get(&engine?),
        }
    }
}

/// What the platform sets. `DATABASE_URL` is one of them too, and may be respelled.
const RESERVED: [&str; 13] = [
    "PATH",
    "LANG",
    "HOME",
    "TMPDIR",
    "DATA_DIR",
    "HOST",
    "PORT",
    "PUBLIC_URL",
    "MODULES",
    "MAIL_URL",
    "MAIL_FROM",
    "DATABASE_ENGINE",
    "PACKAGE_DIR",
];
const RESERVED_PREFIXES: [&str; 3] = ["MANDATE_", "SETUP_", "VOLUME_"];
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What `{database.…}` can be; what a product has not is missing with it.
const DATABASE: [&str; 8] = [
    "database.url",
    "database.engine",
    "database.host",
    "database.port",
    "database.name",
    "database.user",
    "database.password",
    "database.path",
];

/// What there is to be filled in whatever a manifest says.
const ALWAYS: [&str; 14] = [
    "public_url",
    "host",
    "port",
    "data_dir",
    "release_dir",
    "modules",
    "size.name",
    "size.cpus",
    "size.memory_mib",
    "mail.host",
    "mail.port",
    "mail.user",
    "mail.password",
    "mail.from",
];

/// What a manifest's placeholders can name.
struct Known {
    names: Vec<String>,
    has_database: bool,
}

impl Known {
    fn of(root: &Table<'_>) -> Self {
        let has_database = root.get("database").is_some();
        let mut names: Vec<String> = ALWAYS.map(str::to_owned).into();
        if has_database {
            names.extend(DATABASE.map(str::to_owned));
        }
        let of = |section: &str, rule| {
            root.table(section).map(|table| table.names(rule)).unwrap_or_default()
        };
        // A field that is called `path` is a table, and a text is where the set-up page is.
        names.extend(of("setup", &FIELD_NAMES).iter().map(|name| format!("setup.{name}")));
        names.extend(of("secrets", &SECRET_NAMES).iter().map(|name| format!("secret.{name}")));
        let volumes = root.table("run").map(|run| volumes::names(&run)).unwrap_or_default();
        names.extend(volumes.iter().map(|name| format!("volume.{name}")));
        Self { names, has_database }
    }

    /// Leaves a fault for each placeholder that names nothing.
    fn check(&self, node: &Node<'_>, template: &Template) {
        for name in template.placeholders() {
            if self.names.iter().any(|known| known == name) {
                continue;
            }
            if DATABASE.contains(&name) {
                node.fault(format!("`{{{name}}}` needs a database"), "write `[database]`");
                continue;
            }
            let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
            let problem = format!("there is no `{{{}}}` to fill in", shown(name));
            node.fault(problem, suggestion(name, &known));
        }
    }
}

/// The table `[env]`.
pub(super) fn variables(root: &Table<'_>) -> BTreeMap<String, Variable> {
    let known = Known::of(root);
    let secrets = root.table("secrets").map(|table| table.names(&SECRET_NAMES)).unwrap_or_default();
    let entries = root.table("env").map(|table| table.named(&VARIABLE_NAMES)).unwrap_or_default();
    let read = entries.into_iter().filter_map(|(name, node)| {
        if is_reserved(&name) {
            return node.fail(format!("`{name}` is set by the platform"), "choose another name");
        }
        if secrets.contains(&name.as_str()) {
            return node.fail(format!("`{name}` is a secret already"), "remove one of them");
        }
        let variable = variable(&node, &known)?;
        if name == DATABASE_URL {
            check_database_url(&node, &variable);
        }
        Some((name, variable))
    });
    read.collect()
}

fn variable(node: &Node<'_>, known: &Known) -> Option<Variable> {
    let Some(table) = node.is_table().then(|| node.table()).flatten() else {
        return template(node, known).map(Variable::Always);
    };
    table.only(&["postgres", "sqlite"]);
    if !known.has_database {
        return node.fail("differs by database, and there is none", "write `[database]`");
    }
    let engines = [("postgres", Engine::Postgres), ("sqlite", Engine::Sqlite)];
    let read = engines.into_iter().filter_map(|(word, engine)| {
        let node = table.get(word)?;
        Some((engine, template(&node, known)?))
    });
    Some(Variable::ByEngine(read.collect()))
}

fn template(node: &Node<'_>, known: &Known) -> Option<Template> {
    let template: Template = node.parse_lines()?;
    known.check(node, &template);
    Some(template)
}

/// It may be spelled in another way, and is this instance's database all the same.
fn check_database_url(node: &Node<'_>, variable: &Variable) {
    let templates: Vec<&Template> = match variable {
        Variable::Always(template) => vec![template],
        Variable::ByEngine(templates) => templates.values().collect(),
    };
    let names_it =
        |template: &&Template| template.placeholders().any(|name| name.starts_with("database."));
    if !templates.iter().all(names_it) {
        let problem = "is the instance's own database, and can only be spelled in another way";
        let mend = "write it with `{database.host}`, `{database.path}` and the like";
        node.fault(problem, mend);
    }
}
