//! The system's users that what runs here runs as: one for each instance, and a group for each
//! service, so that nobody reads, signals or fills what is another's.
//!
//! They are numbers and no more: nobody signs in as them, so no file of the system names them. Which
//! number is whose stands in a file of the agent's folder; none is ever given to somebody else, nor
//! by another agent of the machine ([`ranges`]).

mod ranges;

use std::{
    collections::BTreeMap,
    fs, io,
    ops::Range,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, fchown, mkdirat, openat},
    io::Errno,
    process::{geteuid, getuid},
};
use serde::{Deserialize, Serialize};
use types::{InstanceId, Name};

use crate::{
    folder::{private_folder, read_text, write_lasting, write_private},
    machine,
};
use ranges::Ranges;

/// So many numbers are an agent's.
const COUNT: u32 = 65_536;
/// Above what systems give to people, daemons and containers, and below what programs take for
/// negative.
const NUMBERS: Range<u32> = 1_900_000_000..2_140_000_000;
/// The table, in the agent's folder.
const FILE: &str = "users.json";
/// Where the agents of a machine agree on which numbers are whose.
const RANGES: &str = "/var/lib/mandate/users.json";
/// To change owners, to pass over permissions, to signal others, to become another user, and to see
/// who listens where.
const CAPABILITIES: [(u32, &str); 7] = [
    (0, "CHOWN"),
    (1, "DAC_OVERRIDE"),
    (3, "FOWNER"),
    (5, "KILL"),
    (6, "SETGID"),
    (7, "SETUID"),
    (19, "SYS_PTRACE"),
];

/// A user that is one instance's, and the group of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// The users of a node.
pub(crate) struct Users {
    file: PathBuf,
    /// `Err` says why there are none.
    table: Result<Mutex<Table>, String>,
}

/// Which numbers are whose.
#[derive(Default, Serialize, Deserialize)]
struct Table {
    first: u32,
    count: u32,
    /// By what they are for: a service, an instance of it, or its build hooks.
    given: BTreeMap<String, u32>,
}

impl Users {
    /// The users of the agent whose folder is `root`.
    pub(crate) fn open(root: &Path, one_user: bool) -> io::Result<Self> {
        let file = root.join(FILE);
        let chosen = one_user.then(|| "it was started with `--one-user`".to_owned());
        let table = match chosen.or_else(|| missing(root)) {
            Some(why) => Err(why),
            None => Ok(Mutex::new(Table::open(&file, Path::new(RANGES))?)),
        };
        Ok(Self { file, table })
    }

    /// Why what runs here runs as the agent's own user, if it does.
    pub(crate) fn missing(&self) -> Option<&str> {
        self.table.as_ref().err().map(String::as_str)
    }

    /// The user of an instance, or of a service whose processes serve all instances; `None` if there
    /// are none here.
    pub(crate) fn of(
        &self,
        service: &Name,
        instance: Option<InstanceId>,
    ) -> io::Result<Option<User>> {
        self.give(service, instance.map(|instance| instance.to_string()))
    }

    /// The user of a service's build hooks.
    pub(crate) fn of_builds(&self, service: &Name) -> io::Result<Option<User>> {
        self.give(service, Some("build".to_owned()))
    }

    fn give(&self, service: &Name, whose: Option<String>) -> io::Result<Option<User>> {
        let Ok(table) = &self.table else { return Ok(None) };
        let mut table = table.lock().expect("nobody panics while holding it");
        let known = table.given.len();
        let group = table.number(service.to_string())?;
        let user = whose.map(|whose| table.number(format!("{service}/{whose}")));
        let user = user.transpose()?.unwrap_or(group);
        if table.given.len() != known {
            // Written before anything is done under it: a number has one owner for good.
            table.write(&self.file)?;
        }
        Ok(Some(User { user, group }))
    }
}

impl Table {
    /// The table in a file of the agent's folder. Its numbers are no other agent's of those that keep
    /// to `ranges`.
    fn open(file: &Path, ranges: &Path) -> io::Result<Self> {
        let root = file.parent().unwrap_or(file);
        let first_of = |root: &Path| Some(Self::read(&root.join(FILE)).ok()??.first);
        let mut ranges = match Ranges::open(ranges, first_of) {
            Ok(ranges) => Some(ranges),
            Err(cause) => {
                let file = ranges.display();
                tracing::warn!(
                    %cause,
                    "`{file}` cannot be used: another agent of this machine may choose the same users"
                );
                None
            }
        };
        let mut take = |first| ranges.as_mut().map_or(Ok(()), |ranges| ranges.take(first, root));
        if let Some(table) = Self::read(file)? {
            take(table.first)?;
            return Ok(table);
        }
        let first = Self::choose(|first| ranges.as_ref().is_none_or(|it| it.is_free(first)));
        let table = Self { first, count: COUNT, given: BTreeMap::new() };
        table.write(file)?;
        ranges.map_or(Ok(()), |mut ranges| ranges.take(first, root))?;
        Ok(table)
    }

    fn read(file: &Path) -> io::Result<Option<Self>> {
        let text = read_text(file)?;
        text.map(|text| serde_json::from_str(&text).map_err(io::Error::from)).transpose()
    }

    /// The first number of a range that nobody has who runs, nor who is known.
    fn choose(is_free: impl Fn(u32) -> bool) -> u32 {
        let taken = machine::users();
        let starts: Vec<u32> = NUMBERS.step_by(COUNT as usize).collect();
        loop {
            let first = starts[rand::random_range(0..starts.len())];
            if is_free(first) && !taken.iter().any(|user| (first..first + COUNT).contains(user)) {
                return first;
            }
        }
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        write_lasting(file, &text)
    }

    fn number(&mut self, whose: String) -> io::Result<u32> {
        if let Some(number) = self.given.get(&whose) {
            return Ok(*number);
        }
        let place = u32::try_from(self.given.len()).unwrap_or(u32::MAX);
        if place >= self.count {
            let why = format!("all {} users of this node are given: add a node", self.count);
            return Err(io::Error::other(why));
        }
        let number = self.first + place;
        self.given.insert(whose, number);
        Ok(number)
    }
}

/// Why nothing can run as another user here; `None` if it can.
fn missing(root: &Path) -> Option<String> {
    if !geteuid().is_root() || !getuid().is_root() {
        return Some("the agent is not root".to_owned());
    }
    let own = machine::capabilities();
    let lacks = CAPABILITIES.iter().find(|(number, _)| own >> number & 1 == 0);
    if let Some((_, name)) = lacks {
        return Some(format!("the agent has no CAP_{name}"));
    }
    if !machine::maps_users(&NUMBERS) {
        let Range { start, end } = NUMBERS;
        return Some(format!("this container has no users from {start} to {end}"));
    }
    let closed = impassable(root.parent()?)?;
    let closed = closed.display();
    Some(format!("nobody but root may pass through `{closed}`: say `chmod o+x {closed}`"))
}

/// The uppermost folder on the way to `path` through which others may not pass.
pub(crate) fn impassable(path: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    let is_closed = |path: &&&Path| fs::metadata(path).is_ok_and(|about| about.mode() & 0o001 == 0);
    above.iter().find(is_closed).map(|path| path.to_path_buf())
}

/// Makes `path`, which stands in a folder of the agent's own, a folder that only this user can look
/// into; the agent's own if there is none.
pub(crate) fn folder_of(path: &Path, user: Option<User>) -> io::Result<()> {
    private_folder(path)?;
    user.map_or(Ok(()), |user| user.take_over(path))
}

/// Makes a folder below one that this user may have filled, for them alone: a link that was put on the
/// way leads nobody elsewhere, and what is there already stays whose it is.
pub(crate) fn folder_within(above: &Path, below: &[&str], user: Option<User>) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(CWD, above, flags, Mode::empty())?;
    for (depth, name) in below.iter().enumerate() {
        let is_new = match mkdirat(&at, *name, Mode::from_raw_mode(0o700)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(cause) => return Err(cause.into()),
        };
        at = openat(&at, *name, flags, Mode::empty()).map_err(|cause| match cause {
            Errno::NOTDIR | Errno::LOOP => {
                let path = below[..=depth].join("/");
                io::Error::other(format!("`{path}` of the instance is no folder: remove it"))
            }
            cause => cause.into(),
        })?;
        if let Some(user) = user.filter(|_| is_new) {
            let (uid, gid) = (Uid::from_raw(user.user), Gid::from_raw(user.group));
            fchown(&at, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// Writes a file that this user alone can read; the agent's own if there is none. The whole text or
/// nothing.
pub(crate) fn write_for(user: Option<User>, path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("fresh");
    write_private(&fresh, text)?;
    user.map_or(Ok(()), |user| user.own(&fresh))?;
    fs::rename(&fresh, path)
}

/// Who a file was written for, if it is there and not the agent's own.
pub(crate) fn reader_of(path: &Path) -> Option<User> {
    let about = fs::symlink_metadata(path).ok()?;
    let is_others = about.uid() != geteuid().as_raw();
    is_others.then(|| User { user: about.uid(), group: about.gid() })
}

/// Makes an instance's own file of SQLite its user's, with the folder that it has for itself. Says
/// why not, if the user cannot have it.
pub(crate) fn hand_over(url: &str, instance: InstanceId, user: User) -> Result<(), String> {
    let path = url.strip_prefix("sqlite:///").map(Path::new).filter(|path| path.is_absolute());
    let Some(folder) = path.and_then(Path::parent) else { return Ok(()) };
    if folder.file_name().and_then(|name| name.to_str()) != Some(&instance.to_string()) {
        return Err("its database is in a folder with others, where it was made before".to_owned());
    }
    if let Some(closed) = folder.parent().and_then(impassable) {
        return Err(format!("nobody but root may pass through `{}`", closed.display()));
    }
    let taken = user.take_over(folder);
    taken.map_err(|cause| format!("its database cannot be given to it: {cause}"))
}

impl User {
    /// Gives a file or a folder that stands in a folder of the agent's own to this user.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        // Whatever it is by now: what a link leads to is not meant.
        Ok(chownat(CWD, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives a folder with all that is in it to this user, if it is not theirs yet. What others can
    /// put something into is never given away: it might be a link to what is not theirs.
    pub(crate) fn take_over(self, folder: &Path) -> io::Result<()> {
        let owner = fs::symlink_metadata(folder)?.uid();
        if owner == self.user {
            return Ok(());
        }
        if owner != geteuid().as_raw() {
            let folder = folder.display();
            return Err(io::Error::other(format!("`{folder}` is the user {owner}'s")));
        }
        self.own_all(folder)
    }

    /// Refuses a folder that this user has filled with a name of what is not theirs: whoever is given
    /// the folder would be given that.
    pub(crate) fn check_all(self, path: &Path) -> io::Result<()> {
        let about = fs::symlink_metadata(path)?;
        if about.is_dir() {
            for entry in fs::read_dir(path)? {
                self.check_all(&entry?.path())?;
            }
        } else if about.nlink() > 1 && about.uid() != self.user {
            let path = path.display();
            return Err(io::Error::other(format!("`{path}` is a name of another's file")));
        }
        Ok(())
    }

    fn own_all(self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.own_all(&entry?.path())?;
            }
        }
        self.own(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Folder;

    #[test]
    fn a_number_is_ones_for_good() {
        let folder = Folder::new();
        let file = folder.path().join("users.json");
        let ranges = folder.path().join("ranges.json");
        let table = || Table::open(&file, &ranges).unwrap();
        let open = || Users { file: file.clone(), table: Ok(table().into()) };
        let (store, forum): (Name, Name) = ("store".parse().unwrap(), "forum".parse().unwrap());
        let [a, b] = ["a", "b"].map(|name| Some(InstanceId::named(&[name])));
        let all = |users: &Users| -> Vec<User> {
            let instances = [(&store, a), (&store, b), (&forum, None)];
            let of = instances.map(|(service, instance)| users.of(service, instance).unwrap());
            of.into_iter().chain([users.of_builds(&store).unwrap()]).flatten().collect()
        };
        let users = open();
        let given = all(&users);
        let mut numbers: Vec<u32> = given.iter().map(|user| user.user).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 4, "{given:?}");
        assert!(numbers.iter().all(|number| NUMBERS.contains(number)));
        assert_eq!((given[0].group, given[3].group), (given[1].group, given[1].group));
        assert_ne!(given[0].group, given[2].group);
        assert_eq!(all(&open()), given, "also under the next agent");
    }

    #[test]
    fn no_two_agents_of_a_machine_have_the_same_numbers() {
        let folder = Folder::new();
        let ranges = folder.path().join("of the machine/users.json");
        let file = |agent: &str| {
            let root = folder.path().join(agent);
            fs::create_dir_all(&root).unwrap();
            root.join(FILE)
        };
        let first = |agent: &str| Table::open(&file(agent), &ranges).map(|table| table.first);
        let one = first("one").unwrap();
        assert_eq!(first("one").unwrap(), one, "also under the next agent");
        // What is in the file is all that anybody can go by: the agent does not run.
        let known = |first| Ranges::open(&ranges, |_| Some(one)).unwrap().is_free(first);
        assert!(!known(one) && known(one + COUNT));
        // A folder that was copied has the numbers of another's.
        fs::copy(file("one"), file("copied")).unwrap();
        let refused = first("copied").unwrap_err().to_string();
        assert!(
            refused.contains("those of the agent at `") && refused.contains("one`"),
            "{refused}"
        );
        // One that was moved is the same agent, and one that is gone has none.
        fs::rename(folder.path().join("one"), folder.path().join("moved")).unwrap();
        assert_eq!(first("moved").unwrap(), one);
        assert!(first("copied").is_err());
        fs::remove_dir_all(folder.path().join("moved")).unwrap();
        assert_eq!(first("copied").unwrap(), one);
    }

    #[test]
    fn no_more_are_given_than_there_are() {
        let mut table = Table { first: 7, count: 2, given: BTreeMap::new() };
        let mut number = |whose: &str| table.number(whose.to_owned());
        assert_eq!([number("a").unwrap(), number("b").unwrap(), number("a").unwrap()], [7, 8, 7]);
        assert!(number("c").unwrap_err().to_string().contains("add a node"));
    }
}
