//! How what runs on a node is kept apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How what runs on a node is kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Isolation {
    /// Why everything runs as the agent's own user; absent if each instance has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_user: Option<String>,
    /// Whether cgroups bound processor time, memory and processes; if not, priority and limits do as
    /// far as they can.
    pub cgroups: bool,
}

impl Isolation {
    /// In two sentences. That nothing bounds what is stored is said of every node.
    pub fn in_words(&self) -> String {
        let users = match &self.one_user {
            None => "Each instance has a user of its own".to_owned(),
            Some(why) => format!("Everything runs as the agent's own user: {why}"),
        };
        let bounds = match (self.cgroups, self.one_user.is_none()) {
            (true, _) => "cgroups bound processor time, memory and processes",
            (false, true) => {
                "without cgroups memory is watched, processes are counted by user, and processor \
                 time is given by priority"
            }
            (false, false) => {
                "without cgroups memory is watched, and processor time is given by priority"
            }
        };
        format!("{users}; {bounds}. Nothing bounds how much each of them stores.")
    }
}
