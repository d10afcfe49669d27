//! From the text of `mandate.toml` to a manifest, section by section.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use types::Name;

use super::{
    Count, Database, Engine, Field, FieldKind, Manifest, Meter, Module, Package, Pattern,
    Placement, Service, Size, Tenancy,
    access::{permission, request, routes},
    check, environment,
    faults::{choice, quoted, shown},
    files,
    jobs::{duration, job},
    migration_timeout, processes,
    reader::{FIELD_NAMES, LABELS, NAMES, NameRule, Node, Table, VERBS},
    secrets, title_of, upgrades, values,
};
use crate::labels::{LABELS_MAX, is_label};

pub(super) fn manifest(root: &Table<'_>) -> Option<Manifest> {
    root.only(&[
        "service",
        "package",
        "run",
        "processes",
        "static",
        "database",
        "setup",
        "modules",
        "permissions",
        "routes",
        "meters",
        "sizes",
        "jobs",
        "env",
        "secrets",
        "placement",
    ]);
    let service = root.need("service", "[service]").and_then(|node| service(&node.table()?));
    let package = root.table("package").and_then(|table| package(&table));
    let tenancy = service.as_ref().map(|service| service.tenancy);
    let run = processes::run(root, tenancy);
    let files = files::files(root, tenancy);
    let database = root.table("database").and_then(|table| database(&table));
    let setup_path = setup_path(root);
    let setup = setup(root, setup_path.is_some());
    let modules = modules(root);
    let permissions: BTreeMap<_, _> =
        named(root, "permissions", &VERBS, |_, table| permission(table)).into_iter().collect();
    let routes = routes(root, service.as_ref().map(|service| &service.name));
    let meters = named(root, "meters", &NAMES, meter).into_iter().collect();
    let jobs = named(root, "jobs", &NAMES, job).into_iter().collect();
    let env = environment::variables(root);
    let secrets = secrets::secrets(root, tenancy);
    let sizes: BTreeMap<_, _> = named(root, "sizes", &NAMES, size).into_iter().collect();
    let placement = root.table("placement").map(|table| placement(&table)).unwrap_or_default();
    let any = root.need("sizes", "[sizes.small]").and_then(|node| node.table());
    if let Some(table) = any.filter(Table::is_empty) {
        table.fault("has no size", "write `[sizes.small]`");
    }
    let (run, processes) = run?;
    Some(Manifest {
        service: service?,
        package,
        run,
        processes,
        files,
        database,
        setup,
        setup_path,
        modules,
        permissions,
        routes: routes?,
        meters,
        sizes,
        jobs,
        env,
        secrets,
        placement,
    })
}

fn placement(table: &Table<'_>) -> Placement {
    table.only(&["labels"]);
    let labels = table.table("labels").map(|labels| labels.named(&LABELS)).unwrap_or_default();
    if labels.len() > LABELS_MAX {
        table.fault("asks for too many labels", format!("write at most {LABELS_MAX}"));
    }
    let mend = "write letters, digits, `-`, `_`, `.` or `/`, at most 60 of them";
    let labels = labels.into_iter().filter_map(|(name, node)| {
        let value = node.text()?;
        if !is_label(value) {
            return node.fail(format!("`{}` cannot stand in a label", shown(value)), mend);
        }
        Some((name, value.to_owned()))
    });
    Placement { labels: labels.collect() }
}

/// The tables `[section.<name>]` that could be read, in the order of the file.
fn named<T>(
    root: &Table<'_>,
    section: &str,
    rule: &NameRule,
    read: impl Fn(&str, &Table<'_>) -> Option<T>,
) -> Vec<(String, T)> {
    let entries = root.table(section).map(|table| table.named(rule)).unwrap_or_default();
    let values = entries.into_iter().map(|(name, node)| {
        let value = node.table().and_then(|table| read(&name, &table))?;
        Some((name, value))
    });
    values.flatten().collect()
}

/// A text that may be left out.
fn optional(table: &Table<'_>, key: &str) -> String {
    table.get(key).and_then(|node| node.words()).unwrap_or_default()
}

/// A title that may be left out, since the name says it too.
fn title(table: &Table<'_>, name: &str) -> Option<String> {
    match table.get("title") {
        Some(node) => node.words(),
        None => Some(title_of(name)),
    }
}

fn command(table: &Table<'_>, key: &str) -> Option<Vec<String>> {
    table.need(key, &format!("{key} = [\"./app\", \"…\"]"))?.command()
}

fn optional_command(table: &Table<'_>, key: &str) -> Option<Vec<String>> {
    table.get(key)?.command()
}

fn service(table: &Table<'_>) -> Option<Service> {
    table.only(&["name", "title", "summary", "tenancy", "exact_paths", "upgrades"]);
    let name = table.need("name", "name = \"…\"").and_then(|node| {
        let name: Name = node.parse()?;
        if crate::is_reserved(name.as_str()) {
            return node.fail(format!("`{name}` is a part of the platform"), "choose another name");
        }
        if name.as_str().len() > 40 {
            return node.fail("is too long", "write at most 40 characters");
        }
        Some(name)
    });
    let title = table.need("title", "title = \"…\"").and_then(|node| node.words());
    let summary = optional(table, "summary");
    let tenancies = [("shared", Tenancy::Shared), ("dedicated", Tenancy::Dedicated)];
    let tenancy = table.get("tenancy").and_then(|node| node.one_of(&tenancies));
    let tenancy = tenancy.unwrap_or(Tenancy::Dedicated);
    let exact_paths = table.get("exact_paths").and_then(|node| node.truth()).unwrap_or(false);
    let upgrades = upgrades::upgrades(table);
    Some(Service { name: name?, title: title?, summary, tenancy, exact_paths, upgrades })
}

fn package(table: &Table<'_>) -> Option<Package> {
    table.only(&["command"]);
    Some(Package { command: command(table, "command")? })
}

/// The highest number of a database's shape.
const SCHEMA_MAX: u32 = 999_999_999;

/// For how long `migrate` and what goes with it may run.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

fn database(table: &Table<'_>) -> Option<Database> {
    table.only(&["engines", "schema", "compatible", "migrate", "seed", "timeout"]);
    let known = [("postgres", Engine::Postgres), ("sqlite", Engine::Sqlite)];
    let example = "engines = [\"postgres\", \"sqlite\"]";
    let engines = table.need("engines", example).and_then(|node| {
        let mut engines = Vec::new();
        let list = node.list(&format!("write `{example}`"))?;
        if list.is_empty() {
            return node.fail("names no engine", format!("write `{example}`"));
        }
        for part in list {
            match part.one_of(&known) {
                Some(engine) if engines.contains(&engine) => {
                    part.fault("is named twice", "remove it");
                }
                Some(engine) => engines.push(engine),
                None => {}
            }
        }
        Some(engines)
    });
    let migrate = optional_command(table, "migrate");
    let seed = optional_command(table, "seed");
    let schema = match table.get("schema") {
        Some(node) => node.number(1..=SCHEMA_MAX)?,
        None => 1,
    };
    let compatible = table.get("compatible");
    if let Some(node) = compatible.as_ref().or(table.get("schema").as_ref())
        && migrate.is_none()
    {
        node.fault("means nothing without `migrate`", "write what brings a database to it");
    }
    let compatible = compatible.and_then(|node| node.truth()).unwrap_or(false);
    let timeout_seconds = duration(table, "timeout", TIMEOUTS, migration_timeout());
    let (engines, timeout_seconds) = (engines?, timeout_seconds?);
    Some(Database { engines, schema, compatible, migrate, seed, timeout_seconds })
}

/// The fields of the set-up page, in the file's order.
fn setup(root: &Table<'_>, has_page: bool) -> Vec<(String, Field)> {
    let entries = root.table("setup").map(|table| table.named(&FIELD_NAMES)).unwrap_or_default();
    let fields = entries.into_iter().filter(|(name, node)| name != "path" || node.is_table());
    let fields = fields.filter_map(|(name, node)| {
        if has_page {
            return node.fail("is asked for by nobody: the set-up page is `path`", "remove one");
        }
        let field = field(&node.table()?)?;
        Some((name, field))
    });
    fields.collect()
}

/// The application's own set-up page; a field may be called `path` too, and is a table.
fn setup_path(root: &Table<'_>) -> Option<String> {
    let node = root.table("setup")?.get("path").filter(|node| !node.is_table())?;
    let text = node.text()?;
    if super::normalise(text).as_deref() == Some(text) {
        return Some(text.to_owned());
    }
    node.fail(format!("`{}` is not a path", shown(text)), "write a plain path such as `/install`")
}

fn field(table: &Table<'_>) -> Option<Field> {
    table.only(&["label", "type", "options", "default", "help"]);
    let label = table.need("label", "label = \"…\"").and_then(|node| node.words());
    let kinds = [
        ("text", FieldKind::Text),
        ("email", FieldKind::Email),
        ("password", FieldKind::Password),
        ("choice", FieldKind::Choice),
    ];
    let kind = match table.get("type") {
        None => Some(FieldKind::Text),
        Some(node) => node.one_of(&kinds),
    };
    let options = options(table, kind);
    let default = table.get("default").and_then(|node| node.text().map(str::to_owned));
    let help = optional(table, "help");
    let field = Field { label: label?, kind: kind?, options, default, help };
    if let (Some(default), Some(node)) = (&field.default, table.get("default")) {
        if field.kind == FieldKind::Password {
            node.fault("a password that everybody can read protects nothing", "remove it");
        } else if field.kind == FieldKind::Choice && field.options.is_empty() {
            // That is told already, and every default would be wrong.
        } else if let Err(sentence) = check::is_value(&field, default) {
            node.refuse(&sentence);
        }
    }
    Some(field)
}

/// A choice needs options; nothing else may have them.
fn options(table: &Table<'_>, kind: Option<FieldKind>) -> Vec<String> {
    let example = "options = [\"light\", \"dark\"]";
    let Some(node) = table.get("options") else {
        if kind == Some(FieldKind::Choice) {
            drop(table.need("options", example));
        }
        return Vec::new();
    };
    if kind.is_some_and(|kind| kind != FieldKind::Choice) {
        node.fault("only a choice has options", "remove it, or write `type = \"choice\"`");
    }
    let list = node.list(&format!("write `{example}`"));
    let options = list.as_ref().map(|list| list.iter().filter_map(Node::words).collect::<Vec<_>>());
    if list.is_some_and(|list| list.is_empty()) {
        node.fault("has no option", format!("write `{example}`"));
    }
    options.unwrap_or_default()
}

fn modules(root: &Table<'_>) -> BTreeMap<String, Module> {
    let entries = root.table("modules").map(|table| table.named(&NAMES)).unwrap_or_default();
    let names = root.table("modules").map(|table| table.names(&NAMES)).unwrap_or_default();
    let mut modules = BTreeMap::new();
    let mut taken: BTreeMap<Pattern, &str> = BTreeMap::new();
    for (name, node) in &entries {
        let Some(table) = node.table() else { continue };
        table.only(&["title", "summary", "routes", "requires"]);
        let title = table.need("title", "title = \"…\"").and_then(|node| node.words());
        let summary = optional(&table, "summary");
        let routes = module_routes(&table, name, &mut taken);
        let requires = requires(&table, name, &names);
        if let Some(title) = title {
            modules.insert(name.clone(), Module { title, summary, routes, requires });
        }
    }
    for (name, node) in &entries {
        if let Some(way) = check::circle(&modules, name) {
            let way = quoted(way.iter().map(String::as_str));
            node.fault(
                format!("`{name}` requires itself by way of {way}"),
                "remove one of these requirements",
            );
        }
    }
    modules
}

fn module_routes<'n>(
    table: &Table<'_>,
    module: &'n str,
    taken: &mut BTreeMap<Pattern, &'n str>,
) -> Vec<Pattern> {
    let mut routes = Vec::new();
    let mend = "write a list of paths such as `[\"/polls\", \"/polls/*\"]`";
    for node in table.get("routes").and_then(|node| node.list(mend)).unwrap_or_default() {
        let Some(route) = node.parse::<Pattern>() else { continue };
        if let Some(method) = route.method() {
            node.fault(
                format!("a module owns a path for every method, not only for `{method}`"),
                "write the path alone",
            );
        }
        if let Some(other) = taken.insert(route.clone(), module) {
            node.fault(format!("`{route}` is already a route of `{other}`"), "remove one of them");
        }
        routes.push(route);
    }
    routes
}

fn requires(table: &Table<'_>, module: &str, names: &[&str]) -> Vec<String> {
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != module).collect();
    let mut requires = Vec::new();
    let mend = "write a list of modules such as `[\"polls\"]`";
    for node in table.get("requires").and_then(|node| node.list(mend)).unwrap_or_default() {
        match node.text() {
            Some(name) if name == module => {
                node.fault("a module cannot require itself", "remove it");
            }
            Some(name) if requires.iter().any(|other| other == name) => {
                node.fault(format!("`{name}` is required twice"), "remove one");
            }
            Some(name) if others.contains(&name) => requires.push(name.to_owned()),
            Some(name) => {
                node.fault(format!("there is no module `{}`", shown(name)), choice(&others));
            }
            None => {}
        }
    }
    requires
}

fn meter(name: &str, table: &Table<'_>) -> Option<Meter> {
    table.only(&["title", "unit", "count", "match", "status"]);
    if check::is_reserved_meter(name) {
        table.fault("is what the platform counts jobs' time by", "choose another name");
    }
    let title = title(table, name);
    let counts = [
        ("requests", Count::Requests),
        ("bytes_in", Count::BytesIn),
        ("bytes_out", Count::BytesOut),
        ("duration", Count::Duration),
    ];
    let count = table.need("count", "count = \"requests\"").and_then(|node| node.one_of(&counts));
    let unit = match table.get("unit") {
        Some(node) => node.words(),
        None => count.map(|count| unit_of(count).to_owned()),
    };
    let pattern = table.get("match").and_then(|node| request(&node));
    let status = table.get("status").and_then(|node| node.parse());
    Some(Meter { title: title?, unit: unit?, count: count?, pattern, status })
}

const fn unit_of(count: Count) -> &'static str {
    match count {
        Count::Requests => "requests",
        Count::BytesIn | Count::BytesOut => "bytes",
        Count::Duration => "milliseconds",
    }
}

fn size(name: &str, table: &Table<'_>) -> Option<Size> {
    table.only(&["title", "cpu", "memory"]);
    let title = title(table, name);
    let cpu = table.need("cpu", "cpu = 0.5").and_then(|node| values::cpu(&node));
    let memory = table.need("memory", "memory = \"256MiB\"").and_then(|node| values::memory(&node));
    Some(Size { title: title?, cpu: cpu?, memory: memory? })
}
