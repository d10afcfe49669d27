//! The ports at which replicas listen: the agent's own table, so that no two replicas are ever told
//! of the same one. A port that was used rests before somebody else gets it: a gateway may not have
//! heard yet that its replica is gone, and would send one customer's requests to another's process.

use std::{
    collections::HashMap,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener},
    ops::RangeInclusive,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddress, UnixDatagram},
    },
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    folder::{remove_file, write_private},
    machine,
};

/// The ports of a node. Clones are the same ports.
#[derive(Clone)]
pub(crate) struct Ports(Arc<Stock>);

struct Stock {
    ip: IpAddr,
    numbers: Vec<u16>,
    /// A file for each port that is used or rests, so that the next agent lets it rest too.
    folder: PathBuf,
    rest: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: usize,
    taken: HashMap<u16, Taken>,
}

struct Taken {
    /// No other agent of this machine gives the port away meanwhile.
    claim: Option<UnixDatagram>,
    /// Until when it rests; `None` while it is used.
    until: Option<Instant>,
}

/// A port that is one replica's until this value is dropped.
pub(crate) struct Port {
    stock: Arc<Stock>,
    number: u16,
}

impl Ports {
    /// The ports of `range` at `ip`. Those that the kernel gives to whoever does not mind are passed
    /// over, unless there are no others. What an earlier agent used rests first.
    pub(crate) fn open(
        ip: IpAddr,
        range: RangeInclusive<u16>,
        folder: PathBuf,
        rest: Duration,
    ) -> io::Result<Self> {
        let numbers = candidates(range, machine::ephemeral_ports());
        // Agents that start together do not try the same ports one after the other.
        let next = rand::random_range(0..numbers.len().max(1));
        let mut table = Table { next, taken: HashMap::new() };
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name();
            if let Some(number) = name.to_str().and_then(|name| name.parse().ok()) {
                let until = Some(Instant::now() + rest);
                table.taken.insert(number, Taken { claim: claim_of(number).ok(), until });
            }
        }
        let table = Mutex::new(table);
        Ok(Self(Arc::new(Stock { ip, numbers, folder, rest, table })))
    }

    /// The port of a replica that an earlier agent had started.
    pub(crate) fn keep(&self, number: u16) -> io::Result<Port> {
        let mut table = self.0.table();
        if table.taken.get(&number).is_some_and(|taken| taken.until.is_none()) {
            return Err(io::Error::other(format!("two replicas have the port {number}")));
        }
        write_private(&self.0.file(number), "")?;
        // Without the claim it is still its own, as long as it listens.
        let claim = table.taken.remove(&number).and_then(|taken| taken.claim);
        let claim = claim.or_else(|| claim_of(number).ok());
        table.taken.insert(number, Taken { claim, until: None });
        Ok(Port { stock: Arc::clone(&self.0), number })
    }

    /// A port that is nobody's and at which nobody listens.
    pub(crate) fn take(&self) -> io::Result<Port> {
        let stock = &self.0;
        let mut table = stock.table();
        stock.forget_the_rested(&mut table);
        let count = stock.numbers.len();
        for place in (table.next..count).chain(0..table.next) {
            let number = stock.numbers[place];
            if table.taken.contains_key(&number) {
                continue;
            }
            let Ok(claim) = claim_of(number) else { continue };
            if TcpListener::bind((stock.ip, number)).is_err() {
                continue;
            }
            write_private(&stock.file(number), "")?;
            table.taken.insert(number, Taken { claim: Some(claim), until: None });
            table.next = (place + 1) % count;
            return Ok(Port { stock: Arc::clone(stock), number });
        }
        Err(io::Error::other(format!(
            "all {count} ports of this node are used, rest after use, or are others': \
             give the agent more by `--replica-ports`"
        )))
    }
}

impl Stock {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nobody panics while holding it")
    }

    fn file(&self, number: u16) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn forget_the_rested(&self, table: &mut Table) {
        let now = Instant::now();
        table.taken.retain(|number, taken| {
            let rested = taken.until.is_some_and(|until| until <= now);
            // With a file that stays, it rests once more after the next start.
            let _ = if rested { remove_file(&self.file(*number)) } else { Ok(()) };
            !rested
        });
    }
}

impl Port {
    /// Where its replica listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((self.stock.ip, self.number))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(taken) = self.stock.table().taken.get_mut(&self.number) {
            taken.until = Some(Instant::now() + self.stock.rest);
        }
    }
}

/// Claims a port among the agents of this machine, or of this network namespace: the name is free
/// again when the agent ends, however it ends.
fn claim_of(number: u16) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&UnixAddress::from_abstract_name(format!("mandate-port-{number}"))?)
}

/// The ports of `range` that are not in `ephemeral`; all of them if there would be none.
fn candidates(range: RangeInclusive<u16>, ephemeral: Option<RangeInclusive<u16>>) -> Vec<u16> {
    let kernels = |number: &u16| ephemeral.as_ref().is_some_and(|range| range.contains(number));
    let own: Vec<u16> = range.clone().filter(|number| !kernels(number)).collect();
    if own.is_empty() && !range.is_empty() {
        tracing::warn!(
            ?range,
            "the kernel gives these ports to everybody: name others by `--replica-ports`"
        );
        return range.collect();
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Folder;
    use std::net::Ipv4Addr;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Four ports that nobody else's test uses.
    fn range() -> RangeInclusive<u16> {
        let first = 14_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 4;
        first..=first + 3
    }

    #[tokio::test]
    async fn a_port_is_ones_alone_and_rests_after_use() {
        let minute = Duration::from_mins(1);
        let (folder, elsewhere) = (Folder::new(), Folder::new());
        let open = |folder: &Folder, rest| {
            Ports::open(LOCAL, range(), folder.path().to_owned(), rest).unwrap()
        };
        let ports = open(&folder, minute);
        let occupied = TcpListener::bind((LOCAL, *range().start())).unwrap();
        let taken: Vec<Port> = (0..3).map(|_| ports.take().unwrap()).collect();
        let numbers: Vec<u16> = taken.iter().map(|port| port.address().port()).collect();
        assert!(!numbers.contains(range().start()), "somebody listens there");
        assert!(ports.take().is_err(), "each is given once: {numbers:?}");
        // Another agent on this machine has a table of its own.
        assert!(open(&elsewhere, minute).take().is_err());
        drop((taken, occupied));
        let left = ports.take().unwrap().address().port();
        assert_eq!(left, *range().start(), "the others rest");
        // The agent that comes after one that was killed lets them rest too.
        drop(ports);
        assert!(open(&folder, minute).take().is_err());
        let ports = open(&folder, Duration::ZERO);
        let all: Vec<Port> = (0..4).map(|_| ports.take().unwrap()).collect();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), all.len());
        // What an earlier agent started keeps its port, also before it listens.
        drop((all, ports));
        let ports = open(&folder, Duration::ZERO);
        let kept = ports.keep(*range().start()).unwrap();
        assert!(ports.keep(kept.address().port()).is_err(), "it is one replica's");
        let others: Vec<Port> = (0..3).map(|_| ports.take().unwrap()).collect();
        assert!(others.iter().all(|port| port.address() != kept.address()));
        assert!(ports.take().is_err());
    }

    #[test]
    fn the_kernels_own_ports_are_passed_over() {
        assert_eq!(candidates(10..=14, Some(12..=20)), [10, 11]);
        assert_eq!(candidates(10..=12, None), [10, 11, 12]);
        assert_eq!(candidates(10..=12, Some(1..=20)), [10, 11, 12], "better than none");
    }
}
