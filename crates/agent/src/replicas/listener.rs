//! Whether it is a replica that listens at its address, and nobody else: an answer from there is
//! believed only then. Otherwise a process that took the port first would answer for the replica,
//! and be sent what is another customer's.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustix::process::Pid;

use crate::{hold::Surveys, machine::Seen};

/// The state of a socket that listens, as the kernel's tables have it.
const LISTENING: &str = "0A";
/// A socket may be closed while its owner is looked for; then it is looked for once more.
const LOOKS: u32 = 2;

/// Who listens at an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    Nobody,
    /// The replica alone.
    Replica,
    /// Somebody else, perhaps beside it.
    Other,
}

/// Where a replica is to listen.
pub(crate) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) holder: Pid,
    /// The sockets that were shown to be the replica's. A socket stays whose it is.
    proven: BTreeSet<u64>,
}

impl Listener {
    pub(crate) fn new(address: SocketAddr, holder: Pid) -> Self {
        Self { address, holder, proven: BTreeSet::new() }
    }

    /// Looks who listens now.
    pub(crate) async fn look(&mut self, surveys: &Surveys) -> io::Result<Listening> {
        for _ in 0..LOOKS {
            let address = self.address;
            let there = blocking(move || sockets_at(address)).await?;
            let verdict = judge(&there, &self.proven);
            if verdict != Listening::Other {
                return Ok(verdict);
            }
            let members = surveys.fresh().await.below(self.holder);
            self.proven = blocking(move || Ok(sockets_of(&members))).await?;
            let verdict = judge(&there, &self.proven);
            self.proven.retain(|socket| there.contains(socket));
            if verdict == Listening::Replica {
                return Ok(verdict);
            }
        }
        Ok(Listening::Other)
    }
}

/// Where the processes below a holder listen, in words; nothing if that is nowhere.
pub(super) async fn elsewhere(holder: Pid, surveys: &Surveys) -> Option<String> {
    let members = surveys.fresh().await.below(holder);
    let found = blocking(move || {
        let own = sockets_of(&members);
        let mut found = BTreeSet::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let Ok(table) = File::open(table) else { continue };
            let all = listeners(BufReader::new(table))?.into_iter();
            found.extend(all.filter(|(_, socket)| own.contains(socket)).map(|(at, _)| at));
        }
        Ok(found)
    });
    let found: Vec<String> = found.await.ok()?.iter().map(SocketAddr::to_string).collect();
    (!found.is_empty()).then(|| found.join(" and "))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|cause| Err(io::Error::other(cause)))
}

/// Whose the sockets are that listen at an address, if `own` are the replica's.
fn judge(there: &BTreeSet<u64>, own: &BTreeSet<u64>) -> Listening {
    match there {
        there if there.is_empty() => Listening::Nobody,
        there if there.is_subset(own) => Listening::Replica,
        _ => Listening::Other,
    }
}

/// The sockets that listen where a connection to `address` may end: at it, or at all addresses.
fn sockets_at(address: SocketAddr) -> io::Result<BTreeSet<u64>> {
    let mut sockets = listening(BufReader::new(File::open("/proc/net/tcp")?), address)?;
    // A kernel without IPv6 has no such table.
    if let Ok(table) = File::open("/proc/net/tcp6") {
        sockets.extend(listening(BufReader::new(table), address)?);
    }
    Ok(sockets)
}

/// The same, in one of the kernel's tables. The sockets that listen are its first lines, so a busy
/// machine's connections are not read.
fn listening(table: impl BufRead, address: SocketAddr) -> io::Result<BTreeSet<u64>> {
    let own = |at: SocketAddr| {
        let ip = at.ip();
        at.port() == address.port() && (ip.is_unspecified() || ip == address.ip().to_canonical())
    };
    let all = listeners(table)?.into_iter();
    Ok(all.filter(|(at, _)| own(*at)).map(|(_, socket)| socket).collect())
}

/// All sockets that listen, in one of the kernel's tables, and where.
fn listeners(table: impl BufRead) -> io::Result<Vec<(SocketAddr, u64)>> {
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let line = line?;
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (Some(local), Some(&LISTENING)) = (fields.get(1), fields.get(3)) else { break };
        let inode = fields.get(9).and_then(|inode| inode.parse().ok());
        if let (Some(at), Some(inode)) = (local_address(local), inode) {
            found.push((SocketAddr::from(at), inode));
        }
    }
    Ok(found)
}

/// `0100007F:1F90`: words of the machine's own byte order, and a port.
fn local_address(text: &str) -> Option<(IpAddr, u16)> {
    let (words, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for place in (0..words.len()).step_by(8) {
        let word = u32::from_str_radix(words.get(place..place + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::from(Ipv4Addr::from(four)),
        Err(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some((ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

/// The sockets that these processes hold.
fn sockets_of(processes: &[Seen]) -> BTreeSet<u64> {
    let open = |seen: &Seen| std::fs::read_dir(format!("/proc/{}/fd", seen.pid.as_raw_nonzero()));
    let files = processes.iter().filter_map(|seen| open(seen).ok()).flatten().flatten();
    let socket = |file: std::fs::DirEntry| {
        let target = std::fs::read_link(file.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    files.filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;
    use std::net::TcpListener;

    #[test]
    fn a_replica_is_heard_only_where_nobody_else_listens() {
        let set = |sockets: &[u64]| sockets.iter().copied().collect::<BTreeSet<u64>>();
        assert_eq!(judge(&set(&[]), &set(&[1])), Listening::Nobody);
        assert_eq!(judge(&set(&[1, 2]), &set(&[1, 2, 3])), Listening::Replica);
        assert_eq!(judge(&set(&[1, 4]), &set(&[1, 2, 3])), Listening::Other);
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st …\n\
            0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 101 0 11 1\n\
            1: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 101 0 12 1\n\
            2: 0200007F:1F90 00000000:0000 0A 0:0 0:0 0 101 0 13 1\n\
            3: 0100007F:1F91 00000000:0000 0A 0:0 0:0 0 101 0 14 1\n\
            4: 0000000000000000FFFF00000100007F:1F90 0:0 0A 0:0 0:0 0 101 0 15 1\n\
            5: 0100007F:1F90 0100007F:9999 01 0:0 0:0 0 101 0 16 1\n";
        if cfg!(target_endian = "little") {
            let found = listening(table.as_bytes(), "127.0.0.1:8080".parse().unwrap()).unwrap();
            assert_eq!(found, [11, 12, 15].into());
        }
    }

    #[test]
    fn this_process_listens_where_it_does() {
        let me = [machine::process(rustix::process::getpid()).unwrap()];
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            // Not every machine has IPv6.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let there = sockets_at(asked).unwrap();
            assert_eq!(judge(&there, &sockets_of(&me)), Listening::Replica, "{address}");
            assert_eq!(judge(&there, &BTreeSet::new()), Listening::Other, "{address}");
            drop(listener);
            assert_eq!(sockets_at(asked).unwrap(), BTreeSet::new());
        }
    }
}
