//! `mandate.toml`: what a service is, and how to run it.
//!
//! A [`Manifest`] that was [parsed](Manifest::parse) keeps every rule of this module; one that was
//! read from JSON is believed, since it only ever comes from a component that had parsed it.

mod access;
mod check;
mod environment;
mod faults;
mod files;
mod fillings;
mod jobs;
mod parse;
mod path;
mod pattern;
mod processes;
pub(crate) mod reader;
mod secrets;
mod template;
mod upgrades;
mod values;
mod volumes;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Name, Permission};

use crate::labels::Labels;

pub use check::JOB_MILLISECONDS;
pub(crate) use check::is_reserved_meter;
pub use environment::Variable;
pub(crate) use faults::suggestion;
pub use faults::{Fault, Faults};
pub use files::VOLUMES;
pub use jobs::{
    COMMAND_CLASS, COMMAND_JOB, Concurrency, DEFAULT_CLASS, JobCommand, Missed, SETUP_CLASS,
    Versions, VersionsError,
};
pub use path::normalise;
pub use pattern::{Pattern, PatternError, Status};
pub use processes::{Check, FILES, Process, Protocol, WEB};
pub use secrets::{Alphabet, SecretForm, SecretFormError};
pub use template::{Template, TemplateError, Values};
pub use values::{bytes, duration, thousandths, title_of};

/// What a service is, and how to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// What it is called.
    pub service: Service,
    /// How its package is made ready before it is packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// How it is run.
    pub run: Run,
    /// What runs beside `web`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub processes: BTreeMap<String, Process>,
    /// The folders that are served as they are, by the paths of requests: of the release, or of the
    /// instance if they begin with [`VOLUMES`].
    #[serde(default, rename = "static", skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What database each instance gets; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// The fields of the set-up page, in the file's order.
    pub setup: Vec<(String, Field)>,
    /// Where the application asks for its set-up itself; then there are no fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_path: Option<String>,
    /// What customers may take or leave.
    pub modules: BTreeMap<String, Module>,
    /// What may be allowed, by the verb without the service's name.
    pub permissions: BTreeMap<String, PermissionEntry>,
    /// What requests mean; the first match counts.
    pub routes: Vec<Route>,
    /// What is counted.
    pub meters: BTreeMap<String, Meter>,
    /// How big an instance may be; at least one.
    pub sizes: BTreeMap<String, Size>,
    /// What workers can run, beside the database's `migrate` and `seed`.
    pub jobs: BTreeMap<String, JobCommand>,
    /// What its processes and jobs find in their environment beside what the platform says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Variable>,
    /// What is made by chance for each instance, and stays until it is rotated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretForm>,
    /// On which nodes it runs.
    #[serde(default, skip_serializing_if = "Placement::is_anywhere")]
    pub placement: Placement,
}

/// On which nodes a service runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// The labels that a node must have.
    #[serde(default)]
    pub labels: Labels,
}

impl Placement {
    fn is_anywhere(&self) -> bool {
        self.labels.is_empty()
    }
}

/// What a service is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its name: the namespace of its permissions.
    pub name: Name,
    /// Its name for people.
    pub title: String,
    /// What it is, in a sentence; may be empty.
    pub summary: String,
    /// How instances share processes; `dedicated` unless said otherwise.
    pub tenancy: Tenancy,
    /// Whether `/Admin` is another path than `/admin` to the application; if not, whoever may not
    /// ask for one may not ask for the other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact_paths: bool,
    /// The protocols that a connection may go on with after a request that asks for it (RFC 9110,
    /// 7.8), in small letters: `websocket` unless said otherwise.
    #[serde(default = "upgrades::usual", skip_serializing_if = "upgrades::are_usual")]
    pub upgrades: Vec<String>,
}

/// How instances share processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tenancy {
    /// The same processes for all instances, told apart by host.
    Shared,
    /// Processes of its own for each instance.
    Dedicated,
}

/// How a package is made ready before it is packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// Run by the publisher in the manifest's folder.
    pub command: Vec<String>,
}

/// How a service is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The process that answers requests.
    #[serde(flatten)]
    pub web: Process,
    /// Run once after unpacking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Vec<String>>,
    /// Says, after an instance's database was migrated, whether the release can serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Vec<String>>,
    /// Folders of an instance that outlive its processes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Programs that may be run once with arguments of whoever asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// A database product.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// `PostgreSQL`.
    Postgres,
    /// A file of `SQLite`.
    Sqlite,
}

/// What database each instance gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Database {
    /// What the service can use, the best first; at least one.
    pub engines: Vec<Engine>,
    /// The number of the shape that the release's code needs; raised when `migrate` has something
    /// to do.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub schema: u32,
    /// Whether the code of the release before can go on with that shape: then nobody is kept out
    /// while `migrate` runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compatible: bool,
    /// Brings the database to the release's shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate: Option<Vec<String>>,
    /// Fills a new database, once, after `migrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Vec<String>>,
    /// For how long each of them may run, and `check` after them, before it is stopped.
    #[serde(default = "migration_timeout")]
    pub timeout_seconds: u32,
}

/// For how many seconds each may run if nothing is said: a migration of a large database takes its time.
pub(crate) const fn migration_timeout() -> u32 {
    900
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_one(number: &u32) -> bool {
    *number == 1
}

/// A field of the set-up page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// What it asks for.
    pub label: String,
    /// What can be put in.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// What can be chosen; empty unless it is a choice.
    pub options: Vec<String>,
    /// What an empty field means; without it the field must be filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// A sentence of help; may be empty.
    pub help: String,
}

/// What can be put in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A line of text.
    Text,
    /// An e-mail address.
    Email,
    /// A secret.
    Password,
    /// One of some options.
    Choice,
}

/// What customers may take or leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Module {
    /// Its name for people.
    pub title: String,
    /// What it is, in a sentence; may be empty.
    pub summary: String,
    /// Paths, of any method, that are closed to instances without it.
    pub routes: Vec<Pattern>,
    /// The modules that it needs.
    pub requires: Vec<String>,
}

/// Something that may be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionEntry {
    /// What it allows, in words.
    pub title: String,
    /// How much it allows.
    pub level: Level,
}

/// How much a permission allows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// To see.
    Read,
    /// To change.
    Write,
    /// To change who may do what.
    Admin,
}

/// What a request means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Which requests.
    pub pattern: Pattern,
    /// Who may make them.
    pub access: Access,
    /// The job that such a request becomes; the application does not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// Who may make a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everybody.
    Public,
    /// Who has this permission, `forum.addUsers`, on the instance.
    Permission(Permission),
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meter {
    /// Its name for people.
    pub title: String,
    /// The name of one, in the plural: `requests`.
    pub unit: String,
    /// What of a request is counted.
    pub count: Count,
    /// Which requests; all if absent.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Which answers; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// What of a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// One for each.
    Requests,
    /// The bytes of its body.
    BytesIn,
    /// The bytes of its answer's body.
    BytesOut,
    /// Its time in milliseconds.
    Duration,
}

/// How big an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Size {
    /// Its name for people.
    pub title: String,
    /// Processor time in thousandths of a processor.
    pub cpu: u32,
    /// Memory in bytes.
    pub memory: u64,
}

impl Manifest {
    /// Reads `mandate.toml`. All faults are told, not only the first.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Faults> {
        reader::Reader::read(file_name, text, parse::manifest)
    }

    /// The places of the two routes that decide about a request, both of which must let it through:
    /// the first that matches it to the letter, and the first that covers it however it is spelled
    /// (the same one, if the application's paths are exact). `None` if none matches to the letter.
    /// Here and below, `path` must come from [`normalise`].
    pub fn deciding(&self, method: &str, path: &str) -> Option<[usize; 2]> {
        let letter = self.routes.iter().position(|route| route.pattern.matches(method, path))?;
        let freely = self.routes.iter().position(|route| self.closes(&route.pattern, method, path));
        Some([letter, freely.unwrap_or(letter)])
    }

    /// The modules that a path belongs to however it is spelled, which must all be on.
    pub fn modules_of(&self, path: &str) -> impl Iterator<Item = (&str, &Module)> {
        let exact = self.service.exact_paths;
        let owns = move |route: &Pattern| {
            if exact { route.matches_path(path) } else { route.covers_path(path) }
        };
        let modules = self.modules.iter().map(|(name, module)| (name.as_str(), module));
        modules.filter(move |(_, module)| module.routes.iter().any(owns))
    }

    /// Whether a path is the application's own set-up page, or below it.
    pub fn is_setup(&self, path: &str) -> bool {
        let below = |own: &str| {
            let rest = path.strip_prefix(own.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.setup_path.as_deref().is_some_and(below)
    }

    /// The meters that count an answered request, however it is spelled.
    pub fn meters_of(
        &self,
        method: &str,
        path: &str,
        status: u16,
    ) -> impl Iterator<Item = (&str, &Meter)> {
        self.meters.iter().map(|(name, meter)| (name.as_str(), meter)).filter(move |(_, meter)| {
            meter.pattern.as_ref().is_none_or(|pattern| self.closes(pattern, method, path))
                && meter.status.is_none_or(|wanted| wanted.matches(status))
        })
    }

    /// Whether a pattern that guards something means a request.
    fn closes(&self, pattern: &Pattern, method: &str, path: &str) -> bool {
        if self.service.exact_paths {
            return pattern.matches(method, path);
        }
        pattern.covers(method, path)
    }

    /// The number of the shape that its databases have; 0 without one.
    pub fn schema(&self) -> u32 {
        self.database.as_ref().map_or(0, |database| database.schema)
    }

    /// Whether workers ever run something for it.
    pub fn has_jobs(&self) -> bool {
        let of_database =
            |database: &Database| database.migrate.is_some() || database.seed.is_some();
        let has_own = !self.jobs.is_empty() || !self.run.commands.is_empty();
        has_own || self.database.as_ref().is_some_and(of_database)
    }
}
