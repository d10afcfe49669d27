//! What an agent and a holder say to each other, a line of JSON each, and the files that they leave
//! for each other. The agent may be of another version than the holder: a line or a field that is
//! not known is passed over, and what changes its meaning gets another [`VERSION`].

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use types::Secret;

use super::{
    bounds::Bounds,
    due::{Moment, after},
};
use crate::{folder::write_private, users::User};

/// Of what is said and written here.
pub(super) const VERSION: u32 = 1;
/// Where a holder listens, in its folder.
pub(super) const CONTROL: &str = "control";
/// Who the holder is, in its folder: version, pid, start time and boot.
pub(super) const HOLDER: &str = "holder";
/// How the command ended, in the holder's folder; its room is taken before the command begins.
const EXIT: &str = "exit";
/// The room of that file.
const EXIT_BYTES: usize = 1024;
/// The cgroup that is the command's own, in its holder's folder.
pub(super) const CGROUP: &str = "cgroup";
/// A longer reason is cut.
const WHY_CHARS_MAX: usize = 200;

/// What a holder is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// To start a command; said once, at first.
    Launch(Box<Order>),
    /// The lease holds until then.
    Lease(Moment),
    /// To end it.
    End {
        /// How long it may take.
        grace_millis: u64,
        /// Why, as `was stopped, since …`.
        why: String,
    },
}

/// What a holder tells.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tell {
    /// Said to whoever connects, once the command has begun.
    Hello {
        /// Which version the holder speaks.
        version: u32,
        /// What its agent wanted to know again.
        kept: String,
    },
    /// The last line that the command wrote to its progress pipe.
    Progress(String),
}

/// What to start, and how.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// How this program is called.
    pub(super) program: Vec<String>,
    /// What to run.
    pub(super) command: Vec<String>,
    /// Where.
    pub(super) place: PathBuf,
    /// Its whole environment.
    pub(super) variables: BTreeMap<String, Secret>,
    /// Who it runs as, if not the agent's own user.
    pub(super) user: Option<User>,
    /// How much it may take.
    pub(super) bounds: Bounds,
    /// The file for what it prints.
    pub(super) log: PathBuf,
    /// The file that it reads from, if any.
    pub(super) input: Option<PathBuf>,
    /// The file for its standard output, if that does not go to the log.
    pub(super) printed: Option<PathBuf>,
    /// Whether it may tell its progress at descriptor 3.
    pub(super) progress: bool,
    /// Whether it goes on when its agent has gone.
    pub(super) lasting: bool,
    /// How long it may run at most.
    pub(super) limit: Option<Limit>,
    /// Until when its lease holds.
    pub(super) lease: Option<Moment>,
    /// How long it may take to end.
    pub(super) grace_millis: u64,
    /// What the agent wants to be told again.
    pub(super) kept: String,
}

/// How long a command may run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// Until when.
    pub(super) at: Moment,
    /// What is said of it then.
    pub(super) why: String,
}

impl Limit {
    /// So long from now on; `why` as in `was stopped …`.
    pub(crate) fn after(time: Duration, why: String) -> Self {
        Self { at: after(time), why }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// Its status, if it ended by itself.
    #[serde(default)]
    pub(crate) status: Option<i32>,
    /// The signal that ended it.
    #[serde(default)]
    pub(crate) signal: Option<i32>,
    /// Why it was ended, if its holder did that or could not start it.
    #[serde(default)]
    pub(crate) why: Option<String>,
}

impl Exit {
    /// It was ended for this reason, or never began.
    pub(crate) fn because(why: impl Into<String>) -> Self {
        let why: String = why.into();
        Self { why: Some(why.chars().take(WHY_CHARS_MAX).collect()), ..Self::default() }
    }

    /// It was ended, since nobody said in time that its lease goes on.
    pub(crate) const LEASE_LOST: &str = "was stopped, since its lease was not renewed";

    const HOLDER_KILLED: &str = "was ended, since its holder was killed";

    /// It was ended, and nobody meant it.
    pub(super) fn killed_holder() -> Self {
        Self::because(Self::HOLDER_KILLED)
    }

    /// Whether the command is not to blame.
    pub(crate) fn is_holders_fault(&self) -> bool {
        self.why.as_deref() == Some(Self::HOLDER_KILLED)
    }

    /// Whether somebody else may have it by now.
    pub(crate) fn is_lease_lost(&self) -> bool {
        self.why.as_deref() == Some(Self::LEASE_LOST)
    }

    /// Whether it did all that it should.
    pub(crate) fn is_success(&self) -> bool {
        self.status == Some(0) && self.why.is_none()
    }

    /// How it ended, in words.
    pub(crate) fn in_words(&self) -> String {
        match (&self.why, self.status, self.signal) {
            (Some(why), _, _) => why.clone(),
            (None, Some(status), _) => format!("ended with status {status}"),
            (None, None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None, None) => "ended, and how is not known".to_owned(),
        }
    }

    /// Takes the room for it, so that a disk that is full by then is no reason not to know.
    pub(super) fn make_room(folder: &Path) -> io::Result<()> {
        write_private(&folder.join(EXIT), &" ".repeat(EXIT_BYTES))
    }

    /// Writes it in one piece where its room is. It need not outlive the machine: nothing that ran
    /// at one boot is asked about at another.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        let file = fs::OpenOptions::new().write(true).open(folder.join(EXIT))?;
        file.write_all_at(format!("{text:EXIT_BYTES$}").as_bytes(), 0)
    }

    /// How the command of this folder ended, if it has.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(folder.join(EXIT)).ok()?).ok()
    }
}

/// A message as it is sent.
pub(super) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}
