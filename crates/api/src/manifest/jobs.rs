//! What workers can run: the tables `[jobs.<name>]`.

use std::{
    fmt::{self, Display},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{Cron, TimeZone, as_text};

use super::{
    faults::suggestion,
    reader::{NAMES, Node, Table},
    values,
};

/// The class of jobs whose manifest names none.
pub const DEFAULT_CLASS: &str = "default";
/// The class of the jobs of set-ups, which run the current release's `migrate` and `seed` before an
/// instance is open.
pub const SETUP_CLASS: &str = "setup";
/// The job that runs a command once, and the class of such jobs. Its result says how the command
/// ended, `{"status":1}`.
pub const COMMAND_JOB: &str = "command";
/// The class of commands that are run once.
pub const COMMAND_CLASS: &str = "commands";
const VERSION_MAX: u32 = 1_000_000;
const PRIORITY_MAX: i32 = 1_000;
const DAY: Duration = Duration::from_hours(24);

/// What a worker can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobCommand {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Raised when an older job's payload is no longer understood; from 1 on.
    pub version: u32,
    /// Which versions it understands; its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts: Option<Versions>,
    /// Turns the payload of an older version into one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Vec<String>>,
    /// Which of the service's queues it waits in.
    #[serde(default = "default_class")]
    pub class: String,
    /// Of an instance's jobs the one with the highest priority comes first, -1,000 to 1,000.
    #[serde(default)]
    pub priority: i32,
    /// How often it is tried.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// For how long it may run before it is stopped.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// The pause before the second attempt; doubled before each further one.
    #[serde(default = "default_backoff")]
    pub backoff_seconds: u32,
    /// For how long it is kept, with what it came to, when it has ended.
    #[serde(default = "default_keep")]
    pub keep_seconds: u32,
    /// How many run at the same time.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// When it runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Cron>,
    /// By whose clocks.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// What becomes of a run whose time has passed.
    #[serde(default)]
    pub missed: Missed,
    /// Instances' runs begin within so long, each always at the same moment of it.
    #[serde(default)]
    pub spread_seconds: u32,
}

fn default_class() -> String {
    DEFAULT_CLASS.to_owned()
}

const fn default_attempts() -> u32 {
    3
}

const fn default_timeout() -> u32 {
    600
}

const fn default_backoff() -> u32 {
    1
}

const fn default_keep() -> u32 {
    30 * 86_400
}

impl JobCommand {
    /// The versions of jobs that it understands.
    pub fn versions(&self) -> Versions {
        self.accepts.unwrap_or(Versions { from: self.version, to: self.version })
    }
}

/// Some versions of a job, one after the other: `2-3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Versions {
    from: u32,
    to: u32,
}

impl Versions {
    /// The first and the last.
    pub const fn ends(self) -> (u32, u32) {
        (self.from, self.to)
    }

    /// Whether it is one of them.
    pub fn contains(self, version: u32) -> bool {
        (self.from..=self.to).contains(&version)
    }
}

/// Why a text does not name versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("names no versions: write the first and the last from 1 on, such as `2-3`")]
pub struct VersionsError;

impl FromStr for Versions {
    type Err = VersionsError;
    fn from_str(text: &str) -> Result<Self, VersionsError> {
        let number = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse::<u32>().ok().filter(|_| plain);
            number.filter(|number| (1..=VERSION_MAX).contains(number))
        };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (number(from), number(to)) {
            (Some(from), Some(to)) if from <= to => Ok(Self { from, to }),
            _ => Err(VersionsError),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        if from == to { write!(f, "{from}") } else { write!(f, "{from}-{to}") }
    }
}

as_text!(Versions, VersionsError);

/// How many of a job run at the same time; as many as there is room for if absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Concurrency {
    /// For one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<u32>,
    /// For all instances together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u32>,
}

/// What becomes of scheduled runs whose time passed while nothing could be queued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out.
    Skip,
    /// The last of them is made up for.
    #[default]
    Once,
    /// Each is made up for, the last hundred at most.
    All,
}

pub(super) fn job(name: &str, table: &Table<'_>) -> Option<JobCommand> {
    table.only(&[
        "command",
        "version",
        "accepts",
        "upgrade",
        "class",
        "priority",
        "attempts",
        "timeout",
        "concurrency",
        "backoff",
        "keep",
        "schedule",
        "time_zone",
        "missed",
        "spread",
    ]);
    if is_reserved(name) {
        table.fault(format!("`{name}` is a job of the platform's own"), "choose another name");
    }
    let command = table.need("command", "command = [\"./app\", \"…\"]").and_then(|n| n.command());
    let version = number(table, "version", 1..=VERSION_MAX, 1);
    let accepts = table.get("accepts").and_then(|node| accepts(&node, version));
    let upgrade = table.get("upgrade").and_then(|node| upgrade(&node, version, accepts));
    let class = table.get("class").map_or_else(|| Some(default_class()), |node| class(&node));
    let priority = number(table, "priority", -PRIORITY_MAX..=PRIORITY_MAX, 0);
    let attempts = number(table, "attempts", 1..=100, default_attempts());
    let second = Duration::from_secs(1);
    let timeout = duration(table, "timeout", second..=DAY, default_timeout());
    let backoff = duration(table, "backoff", second..=Duration::from_hours(1), default_backoff());
    let keep = duration(table, "keep", Duration::from_mins(1)..=365 * DAY, default_keep());
    let concurrency = table.get("concurrency").map_or_else(
        || Some(Concurrency::default()),
        |node| node.table().map(|table| concurrency(&table)),
    );
    let schedule = table.get("schedule").and_then(|node| node.parse::<Cron>());
    for key in ["time_zone", "missed", "spread"] {
        if let Some(node) = table.get(key).filter(|_| table.get("schedule").is_none()) {
            node.fault("means nothing without a schedule", "write `schedule = \"0 6 * * *\"`");
        }
    }
    let time_zone = table.get("time_zone").map_or_else(|| Some(TimeZone::default()), |n| zone(&n));
    let choices = [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All)];
    let missed = table.get("missed").map_or(Some(Missed::default()), |node| node.one_of(&choices));
    let spread = duration(table, "spread", Duration::ZERO..=DAY, 0);
    Some(JobCommand {
        command: command?,
        version: version?,
        accepts,
        upgrade,
        class: class?,
        priority: priority?,
        attempts: attempts?,
        timeout_seconds: timeout?,
        backoff_seconds: backoff?,
        keep_seconds: keep?,
        concurrency: concurrency?,
        schedule,
        time_zone: time_zone?,
        missed: missed?,
        spread_seconds: spread?,
    })
}

/// Whether a job's name is one of those that the platform gives.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(name, "migrate" | "seed" | "check" | COMMAND_JOB)
}

fn number<T>(table: &Table<'_>, key: &str, range: RangeInclusive<T>, otherwise: T) -> Option<T>
where
    T: TryFrom<i128> + PartialOrd + Display,
{
    table.get(key).map_or(Some(otherwise), |node| node.number(range))
}

pub(super) fn duration(
    table: &Table<'_>,
    key: &str,
    range: RangeInclusive<Duration>,
    otherwise: u32,
) -> Option<u32> {
    let Some(node) = table.get(key) else { return Some(otherwise) };
    values::duration_of(&node, &range).and_then(|duration| u32::try_from(duration.as_secs()).ok())
}

fn accepts(node: &Node<'_>, version: Option<u32>) -> Option<Versions> {
    let accepts: Versions = node.parse()?;
    let Some(version) = version.filter(|version| !accepts.contains(*version)) else {
        return Some(accepts);
    };
    let (from, to) = accepts.ends();
    let whole = Versions { from: from.min(version), to: to.max(version) };
    node.fail(
        format!("leaves out version {version}, which this release queues"),
        format!("write `\"{whole}\"`"),
    )
}

fn upgrade(
    node: &Node<'_>,
    version: Option<u32>,
    accepts: Option<Versions>,
) -> Option<Vec<String>> {
    let command = node.command()?;
    let older = |version: u32| accepts.is_some_and(|accepts| accepts.ends().0 < version);
    match version.filter(|version| !older(*version)) {
        None => Some(command),
        Some(1) => node.fail("there is no version before 1", "remove it"),
        Some(version) => node.fail(
            "has nothing to upgrade: no older version is accepted",
            format!("write `accepts = \"{}-{version}\"`", version - 1),
        ),
    }
}

fn class(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if [SETUP_CLASS, COMMAND_CLASS].contains(&text) {
        let problem = format!("`{text}` is a queue of the platform's own");
        return node.fail(problem, "choose another name");
    }
    if (NAMES.holds)(text) { Some(text.to_owned()) } else { node.fail("is not a name", NAMES.mend) }
}

fn concurrency(table: &Table<'_>) -> Concurrency {
    table.only(&["instance", "total"]);
    let limit = |key| number(table, key, 1..=10_000, 0_u32).filter(|limit| *limit > 0);
    Concurrency { instance: limit("instance"), total: limit("total") }
}

fn zone(node: &Node<'_>) -> Option<TimeZone> {
    let text = node.text()?;
    if let Ok(zone) = text.parse() {
        return Some(zone);
    }
    let names = TimeZone::names();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    match suggestion(text, &known) {
        near if near.starts_with("did you mean") => {
            node.fail(format!("`{}` is not a time zone", super::faults::shown(text)), near)
        }
        _ => node.parse(),
    }
}
