//! The protocols that a connection may go on with after a request.

use super::{
    Service,
    faults::shown,
    reader::{Node, Table},
};

const WEBSOCKET: &str = "websocket";
const UPGRADES_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 40;

pub(super) fn usual() -> Vec<String> {
    vec![WEBSOCKET.to_owned()]
}

pub(super) fn are_usual(upgrades: &[String]) -> bool {
    upgrades == [WEBSOCKET]
}

impl Service {
    /// Of the protocols that somebody asks for, in their order, the first that the application
    /// speaks.
    pub fn upgrade<'a>(&self, mut asked: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        asked.find(|it| self.upgrades.iter().any(|known| known.eq_ignore_ascii_case(it)))
    }
}

pub(super) fn upgrades(table: &Table<'_>) -> Vec<String> {
    let Some(node) = table.get("upgrades") else { return usual() };
    let list = node.list("write a list such as `[\"websocket\"]`").unwrap_or_default();
    if list.len() > UPGRADES_MAX {
        node.fault("names too many protocols", format!("write at most {UPGRADES_MAX}"));
    }
    list.iter().filter_map(upgrade).collect()
}

fn upgrade(node: &Node<'_>) -> Option<String> {
    let name = node.text()?;
    let signs =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(signs) {
        return node.fail(
            format!("`{}` is not a protocol", shown(name)),
            "write its name in small letters, such as `websocket`",
        );
    }
    if name.starts_with("h2") || name.starts_with("http") || name.starts_with("tls") {
        return node
            .fail(format!("requests inside `{name}` would be judged by nobody"), "leave it out");
    }
    Some(name.to_owned())
}
