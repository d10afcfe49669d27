//! The folders of an instance that outlive its processes: `volumes` of `[run]`.

use super::{
    Tenancy,
    reader::{FIELD_NAMES, Node, Table},
};

const MEND: &str = "write a list of names such as `[\"uploads\"]`";
const COUNT_MAX: usize = 20;

/// The names that stand there, good or not.
pub(super) fn names<'t>(run: &Table<'t>) -> Vec<&'t str> {
    nodes(run).iter().filter_map(Node::text).collect()
}

fn nodes<'t>(run: &Table<'t>) -> Vec<Node<'t>> {
    run.get("volumes").and_then(|node| node.list(MEND)).unwrap_or_default()
}

/// The volumes of a service.
pub(super) fn volumes(run: &Table<'_>, tenancy: Option<Tenancy>) -> Vec<String> {
    let mut volumes: Vec<String> = Vec::new();
    let Some(list) = run.get("volumes") else { return volumes };
    if tenancy == Some(Tenancy::Shared) {
        list.fault(
            "volumes are an instance's own, and one process serves all instances",
            "remove them, or write `tenancy = \"dedicated\"`",
        );
    }
    for node in nodes(run) {
        match node.text() {
            Some(name) if !(FIELD_NAMES.holds)(name) => {
                node.fault("is not a name", FIELD_NAMES.mend);
            }
            Some(name) if volumes.iter().any(|other| other == name) => {
                node.fault(format!("`{name}` is named twice"), "remove one");
            }
            Some(_) if volumes.len() == COUNT_MAX => {
                node.fault("is one volume too many", format!("write at most {COUNT_MAX}"));
            }
            Some(name) => volumes.push(name.to_owned()),
            None => {}
        }
    }
    volumes
}
