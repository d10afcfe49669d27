//! The tree at the tip of a branch of a git repository, in a folder of its own. The user's own `git`
//! fetches it, so that what it knows of servers and keys holds here too.

use std::{
    fmt, fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::Duration,
};

use tokio::process::Command;

use crate::cli::{Failure, status};

/// Git may take so long altogether.
const LONGEST: Duration = Duration::from_mins(5);
/// What git fetched and the tree may together have so many bytes: twice what a package may have.
const BYTES_MAX: u64 = 2 * api::package::UNPACKED_BYTES_MAX;
/// How often it is looked at how large it is.
const LOOK: Duration = Duration::from_millis(500);
/// What git says is cut after so many bytes.
const SAID_BYTES_MAX: usize = 4 << 10;

/// What tells git of the repository that it runs for. In a hook it is set, and leads away from the
/// folder that is meant.
const OF_A_REPOSITORY: [&str; 18] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Has a command know nothing of the repository whose hook this may be.
pub(super) fn outside_of_repositories(command: &mut Command) -> &mut Command {
    OF_A_REPOSITORY.iter().fold(command, |command, name| command.env_remove(name))
}

/// A branch of a repository, `REPO#BRANCH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Branch {
    repository: String,
    branch: String,
}

impl FromStr for Branch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('#').filter(|(repository, _)| !repository.is_empty());
        let Some((repository, branch)) = parts else {
            return Err("write the repository and the branch as `REPO#BRANCH`".to_owned());
        };
        // What git reads as something else than one branch, or takes for an option.
        let is_other = |c: char| c.is_whitespace() || c.is_control() || ":*?[\\^~".contains(c);
        if branch.is_empty() || branch.starts_with(['-', '/']) || branch.contains(is_other) {
            return Err(format!("`{branch}` is no name of a branch"));
        }
        Ok(Self { repository: repository.to_owned(), branch: branch.to_owned() })
    }
}

impl fmt::Display for Branch {
    /// Without the name and password that a URL may have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, branch } = self;
        match self.user() {
            Some(user) => write!(f, "{}#{branch}", repository.replacen(&format!("{user}@"), "", 1)),
            None => write!(f, "{repository}#{branch}"),
        }
    }
}

/// A tree in a folder that goes when this goes.
#[derive(Debug)]
pub(crate) struct Tree {
    scratch: PathBuf,
    /// Where the tree is.
    pub(crate) folder: PathBuf,
    /// Where it is from, with its commit: `REPO#BRANCH@COMMIT`.
    pub(crate) source: String,
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What stays behind is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl Tree {
    /// Fetches the tip of a branch, without what was before it, and without submodules.
    pub(crate) async fn fetch(branch: Branch) -> Result<Self, Failure> {
        let branch = branch.absolute();
        let name = format!("mandate-git-{}", &chassis::random_secret().reveal()[..12]);
        let scratch = std::env::temp_dir().join(name);
        let folder = scratch.join("tree");
        let made = fs::DirBuilder::new().mode(0o700).create(&scratch);
        let made = made.and_then(|()| fs::create_dir(&folder));
        let mut tree = Self { scratch, folder, source: String::new() };
        made.map_err(|cause| Failure::cannot(format!("make `{}`", tree.folder.display()), &cause))?;
        let fetched = tokio::select! {
            fetched = tokio::time::timeout(LONGEST, tree.fill(&branch)) => fetched,
            failure = grows_too_large(&tree.scratch) => return Err(failure),
        };
        let commit = fetched.map_err(|_| {
            let sentence = format!("git took more than {} s with `{branch}`", LONGEST.as_secs());
            Failure::new(status::UNAVAILABLE, sentence)
        })??;
        // What was fetched last has not been looked at yet.
        if size(&tree.scratch) > BYTES_MAX {
            return Err(too_large());
        }
        tree.source = format!("{branch}@{commit}");
        Ok(tree)
    }

    /// Answers the commit.
    async fn fill(&self, branch: &Branch) -> Result<String, Failure> {
        let failed = |said: String| {
            let sentence = format!("git cannot fetch `{branch}`");
            Failure::new(status::UNFIT, sentence).output("git says", &branch.hides(&said))
        };
        self.git(&["init", "--quiet", "--template=", "."]).await?.map_err(failed)?;
        let head = format!("refs/heads/{}", branch.branch);
        let fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--"];
        let fetched = self.git(&[&fetch[..], &[&branch.repository, &head]].concat()).await?;
        fetched.map_err(|said| {
            if said.contains("couldn't find remote ref") {
                let sentence = format!("there is no `{branch}`: the repository has no such branch");
                return Failure::new(status::NOT_FOUND, sentence);
            }
            failed(said)
        })?;
        // As it is in the repository, whatever the user's settings say.
        let set = ["-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null"];
        let checkout = ["checkout", "--quiet", "--detach", "FETCH_HEAD"];
        self.git(&[&set[..], &checkout].concat()).await?.map_err(failed)?;
        let commit = self.git(&["rev-parse", "HEAD"]).await?.map_err(failed)?;
        let history = self.folder.join(".git");
        let removed = fs::remove_dir_all(&history);
        removed
            .map_err(|cause| Failure::cannot(format!("remove `{}`", history.display()), &cause))?;
        Ok(commit.trim().to_owned())
    }

    /// What git printed, or said if it failed.
    async fn git(&self, arguments: &[&str]) -> Result<Result<String, String>, Failure> {
        let mut command = Command::new("git");
        let done = outside_of_repositories(&mut command)
            .args(arguments)
            .current_dir(&self.folder)
            // What it says is looked through, and nobody is there to be asked.
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env_remove("MANDATE_TOKEN")
            .env_remove("MANDATE_PASSWORD")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        let done = done.map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => Failure::new(status::NOT_FOUND, "there is no program `git`")
                .hint("install git, or publish a folder"),
            _ => Failure::cannot("run `git`", &cause),
        })?;
        let printed = if done.status.success() { done.stdout } else { done.stderr };
        let printed = String::from_utf8_lossy(&printed[..printed.len().min(SAID_BYTES_MAX)]);
        Ok(if done.status.success() { Ok(printed.into()) } else { Err(printed.into()) })
    }

    /// The folder of this name in the tree.
    pub(crate) fn at(&self, dir: &Path) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(dir);
        let real = |path: &Path| {
            let cannot = |cause| Failure::cannot(format!("read `{}`", dir.display()), &cause);
            path.canonicalize().map_err(cannot)
        };
        // A link in the tree may lead anywhere.
        if real(&folder)?.starts_with(real(&self.folder)?) {
            return Ok(folder);
        }
        let sentence = format!("`{}` is no folder of the repository", dir.display());
        Err(Failure::new(status::UNFIT, sentence))
    }
}

impl Branch {
    /// The name, and the password if there is one, in a URL.
    fn user(&self) -> Option<&str> {
        let (_, rest) = self.repository.split_once("://")?;
        let authority = rest.split('/').next().unwrap_or(rest);
        authority.rsplit_once('@').map(|(user, _)| user)
    }

    /// What git says, without what is in a URL: a name may be a token, as a password is, and a hook shows
    /// it to everybody who pushes.
    fn hides(&self, said: &str) -> String {
        let Some(user) = self.user() else { return said.to_owned() };
        // Git leaves the password out and says the name.
        let name = user.split(':').next().unwrap_or(user);
        said.replace(&format!("{user}@"), "").replace(&format!("{name}@"), "")
    }

    /// A repository on this machine is named in full: git works in another folder, and whoever reads
    /// of it later is in a third one.
    fn absolute(self) -> Self {
        match Path::new(&self.repository).canonicalize().map(PathBuf::into_os_string) {
            Ok(path) => match path.into_string() {
                Ok(repository) => Self { repository, ..self },
                Err(_) => self,
            },
            Err(_) => self,
        }
    }
}

fn too_large() -> Failure {
    let sentence = format!("the branch has more than {} MiB", BYTES_MAX >> 20);
    Failure::new(status::UNFIT, sentence).hint("publish a branch without what no node needs")
}

/// Ends when the folder has grown too large.
async fn grows_too_large(folder: &Path) -> Failure {
    loop {
        tokio::time::sleep(LOOK).await;
        let folder = folder.to_owned();
        let size = tokio::task::spawn_blocking(move || size(&folder)).await;
        if size.is_ok_and(|size| size > BYTES_MAX) {
            return too_large();
        }
    }
}

/// How many bytes the files in a folder have. What goes meanwhile counts as nothing.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => size(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_named_and_no_password_is_shown() {
        let shown = |text: &str| text.parse::<Branch>().map(|branch| branch.to_string());
        for text in [".#production", "/srv/forum.git#a/b", "git@host:forum.git#main", "a#b#c"] {
            assert_eq!(shown(text), Ok(text.to_owned()));
        }
        for (text, plain) in [
            ("https://ada:secret@host/forum.git#main", "https://host/forum.git#main"),
            ("https://to@ken@host#main", "https://host#main"),
            ("ssh://git@host:22/a@b#main", "ssh://host:22/a@b#main"),
        ] {
            assert_eq!(shown(text), Ok(plain.to_owned()));
        }
        for text in ["", "forum", "#main", "forum#", "a#-x", "a#x:y", "a#x y", "a#*", "a#+\n"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_git_says_names_no_token() {
        let said = |text: &str, said: &str| text.parse::<Branch>().unwrap().hides(said);
        let token = said("https://token@host/x#main", "cannot read for 'https://token@host': no");
        assert_eq!(token, "cannot read for 'https://host': no");
        let password = said("https://ada:secret@host#main", "https://ada@host, ada:secret@host");
        assert_eq!(password, "https://host, host");
        assert_eq!(said("/srv/x#main", "a@b"), "a@b");
    }

    #[test]
    fn what_is_in_a_folder_is_counted_with_what_is_below() {
        let folder = std::env::temp_dir().join(format!("mandate-size-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/c"), [0; 1_000]).unwrap();
        fs::write(folder.join("d"), [0; 24]).unwrap();
        assert_eq!(size(&folder), 1_024);
        fs::remove_dir_all(&folder).unwrap();
    }
}
