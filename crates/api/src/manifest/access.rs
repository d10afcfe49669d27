//! From the text of `mandate.toml` to what requests mean: its permissions and routes.

use types::Name;

use super::{
    Access, Level, Pattern, PermissionEntry, Route,
    faults::{shown, suggestion},
    jobs::is_reserved,
    reader::{NAMES, Node, Table, VERBS},
};

pub(super) fn permission(table: &Table<'_>) -> Option<PermissionEntry> {
    table.only(&["title", "level"]);
    let title = table.need("title", "title = \"…\"").and_then(|node| node.words());
    let levels = [("read", Level::Read), ("write", Level::Write), ("admin", Level::Admin)];
    let level = table.need("level", "level = \"write\"").and_then(|node| node.one_of(&levels));
    Some(PermissionEntry { title: title?, level: level? })
}

pub(super) fn routes(root: &Table<'_>, service: Option<&Name>) -> Option<Vec<Route>> {
    let Some(node) = root.get("routes") else { return Some(Vec::new()) };
    // A permission that could not be read is still one that the author named.
    let known = root.table("permissions").map(|table| table.names(&VERBS)).unwrap_or_default();
    let jobs = root.table("jobs").map(|table| table.names(&NAMES)).unwrap_or_default();
    let mut routes = Vec::new();
    let mut whole = true;
    for part in node.list("write each route under a line `[[routes]]`")? {
        match part.table().and_then(|table| route(&table, service, (&known, &jobs))) {
            Some(route) => routes.push(route),
            None => whole = false,
        }
    }
    whole.then_some(routes)
}

fn route(
    table: &Table<'_>,
    service: Option<&Name>,
    (known, jobs): (&[&str], &[&str]),
) -> Option<Route> {
    table.only(&["match", "permission", "access", "job"]);
    let pattern = table.need("match", "match = \"GET /*\"").and_then(|node| request(&node));
    let access = match (table.get("permission"), table.get("access")) {
        (Some(node), None) => allowed(&node, service, known),
        (None, Some(node)) => node.one_of(&[("public", Access::Public)]),
        (Some(_), Some(node)) => node.fail("a route has a permission or is public", "remove one"),
        (None, None) => {
            table.fault(
                "it is not said who may make this request",
                "write `permission = \"…\"` or `access = \"public\"`",
            );
            None
        }
    };
    let job = match table.get("job") {
        None => Some(None),
        Some(node) => job(&node, pattern.as_ref(), jobs).map(Some),
    };
    Some(Route { pattern: pattern?, access: access?, job: job? })
}

/// The job that a request becomes: one that changes something, since looking at a page must not.
fn job(node: &Node<'_>, pattern: Option<&Pattern>, jobs: &[&str]) -> Option<String> {
    let name = node.text()?;
    if is_reserved(name) {
        return node.fail(format!("`{name}` is not for visitors"), "name another job");
    }
    if !jobs.contains(&name) {
        let problem = format!("there is no job `{}`", shown(name));
        let mend = if jobs.is_empty() {
            format!("write `[jobs.{}]` with its command", shown(name))
        } else {
            suggestion(name, jobs)
        };
        return node.fail(problem, mend);
    }
    let method = pattern.map(|pattern| pattern.method().unwrap_or("*"));
    if let Some(method) = method.filter(|method| ["GET", "HEAD", "OPTIONS", "*"].contains(method)) {
        return node.fail(
            format!("a request by `{method}` cannot become a job: it may only look"),
            "write `POST`, `PUT`, `PATCH` or `DELETE` before the path",
        );
    }
    Some(name.to_owned())
}

/// A pattern that says its method: a forgotten one must not open every method.
pub(super) fn request(node: &Node<'_>) -> Option<Pattern> {
    let pattern: Pattern = node.parse()?;
    if node.text()?.starts_with('/') {
        return node.fail(
            "does not say which method",
            format!("write `GET {pattern}`, or `* {pattern}` for every method"),
        );
    }
    Some(pattern)
}

fn allowed(node: &Node<'_>, service: Option<&Name>, known: &[&str]) -> Option<Access> {
    let text = node.text()?;
    let (namespace, verb) = text.split_once('.').map_or((None, text), |(n, v)| (Some(n), v));
    let own = |namespace: &&str| service.is_none_or(|service| service.as_str() == *namespace);
    if let (Some(other), Some(service)) = (namespace.filter(|name| !own(name)), service) {
        let other = shown(other);
        return node.fail(
            format!("`{other}` is another namespace: a service may only name its own permissions"),
            format!("name one of `{service}`"),
        );
    }
    if !known.contains(&verb) {
        let problem = format!("there is no permission `{}`", shown(verb));
        let mend = if known.is_empty() {
            "write it under `[permissions]`".to_owned()
        } else {
            suggestion(verb, known)
        };
        return node.fail(problem, mend);
    }
    format!("{}.{verb}", service?).parse().ok().map(Access::Permission)
}
