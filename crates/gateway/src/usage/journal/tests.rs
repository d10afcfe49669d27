use super::*;
use crate::usage::sender;
use types::{AccountId, InstanceId};

fn event(number: u64) -> UsageEvent {
    UsageEvent {
        event: format!("req_{number}"),
        at: Timestamp::from_micros(1),
        account: AccountId::named(&["a"]),
        instance: InstanceId::named(&["i"]),
        meter: "requests".to_owned(),
        quantity: number,
        note: "GET /*".to_owned(),
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gateway-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self, now: i64) -> Journal {
        Journal::open(&self.0, Timestamp::from_micros(now)).unwrap()
    }

    /// All events with their epochs and numbers, as they would be sent.
    fn all(&self) -> Vec<(u64, u64, u64)> {
        let segments = segment::list(&self.0).unwrap();
        let numbered = segments.into_iter().flat_map(|segment| {
            let events = segment::read(&segment.path(&self.0)).unwrap();
            (segment.first..).zip(events).map(move |(n, event)| (segment.epoch, n, event.quantity))
        });
        numbered.collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_cut_at_any_byte_keeps_its_whole_lines_and_its_numbers() {
    let folder = Folder::new("cut");
    let journal = folder.open(7);
    journal.append(&[event(0)]).unwrap();
    journal.append(&[event(1), event(2)]).unwrap();
    journal.append(&[event(3)]).unwrap();
    let path = journal.active().segment.path(&folder.0);
    drop(journal);
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..=bytes.len() {
        let folder = Folder::new("cut-at");
        std::fs::create_dir_all(&folder.0).unwrap();
        std::fs::write(folder.0.join(path.file_name().unwrap()), &bytes[..cut]).unwrap();
        let journal = folder.open(8);
        journal.append(&[event(9)]).unwrap();
        drop(journal);
        let lines = bytes[..cut].split(|byte| *byte == b'\n').count() - 1;
        let kept = [0, 1, 3, 4][lines];
        let mut expected: Vec<_> = (0..kept).map(|n| (7, n, n)).collect();
        expected.push((7, kept, 9));
        assert_eq!(folder.all(), expected, "cut at {cut}");
    }
}

#[test]
fn numbers_go_on_when_everything_was_sent_and_the_process_starts_again() {
    let folder = Folder::new("again");
    let journal = folder.open(1);
    journal.append(&[event(0), event(1)]).unwrap();
    journal.close_active().unwrap();
    for segment in journal.closed().unwrap() {
        assert_eq!(journal.read_for_good(segment).unwrap().len(), 2);
        journal.remove(segment).unwrap();
    }
    assert!(journal.closed().unwrap().is_empty());
    drop(journal);
    let journal = folder.open(2);
    journal.append(&[event(2)]).unwrap();
    drop(journal);
    assert_eq!(folder.all(), [(1, 2, 2)]);
}

#[test]
fn a_lost_end_in_the_middle_begins_a_new_epoch_and_uses_no_number_twice() {
    let folder = Folder::new("lost");
    let journal = folder.open(1);
    journal.append(&[event(0)]).unwrap();
    journal.append(&[event(1)]).unwrap();
    let first = journal.active().segment.path(&folder.0);
    journal.close_active().unwrap();
    journal.append(&[event(2)]).unwrap();
    journal.close_active().unwrap();
    drop(journal);
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes[..bytes.len() - 3]).unwrap();
    let journal = folder.open(50);
    journal.append(&[event(3)]).unwrap();
    drop(journal);
    let all = folder.all();
    let quantities: Vec<u64> = all.iter().map(|(.., quantity)| *quantity).collect();
    assert_eq!(quantities, [0, 2, 3]);
    let places: std::collections::BTreeSet<_> = all.iter().map(|(e, n, _)| (*e, *n)).collect();
    assert_eq!(places.len(), all.len());
    assert_eq!(all[1].1, 0, "a new epoch begins at 0: {all:?}");
}

#[test]
fn one_journal_has_one_writer() {
    let folder = Folder::new("two");
    let _first = folder.open(1);
    assert!(Journal::open(&folder.0, Timestamp::from_micros(2)).is_err());
}

#[test]
fn a_torn_line_is_not_followed_in_its_file() {
    let folder = Folder::new("torn");
    let journal = folder.open(1);
    journal.append(&[event(0)]).unwrap();
    {
        let mut active = journal.active();
        active.file.write_all(b"[{\"ev").unwrap();
        active.torn = true;
    }
    journal.append(&[event(1)]).unwrap();
    drop(journal);
    assert_eq!(folder.all(), [(1, 0, 0), (1, 1, 1)]);
}

impl Journal {
    /// Makes every write fail, as on a full disk, until the folder is called as before.
    pub(crate) fn fail(&self) -> PathBuf {
        let away = self.folder.with_extension("away");
        std::fs::rename(&self.folder, &away).unwrap();
        self.active().file = File::open("/dev/null").unwrap();
        away
    }

    pub(crate) fn recover(&self, away: &Path) {
        std::fs::rename(away, &self.folder).unwrap();
    }

    /// The quantities that are written, in their order.
    pub(crate) fn quantities(folder: &Path) -> Vec<u64> {
        let segments = segment::list(folder).unwrap().into_iter();
        let events = segments.flat_map(|place| segment::read(&place.path(folder)).unwrap());
        events.map(|event| event.quantity).collect()
    }
}

#[test]
fn what_cannot_be_written_is_absent_or_owed_and_never_lost() {
    let folder = Folder::new("full");
    let journal = folder.open(7);
    journal.append(&[event(0)]).unwrap();
    let away = journal.fail();
    assert!(journal.append(&[event(1)]).is_err(), "its answer is held back");
    journal.owe(vec![event(2)]);
    assert!(journal.append(&[]).is_err(), "what is owed does not pile up");
    assert!(journal.append(&[event(3)]).is_err());
    assert!(journal.sync().is_err(), "and is not called safe");
    journal.recover(&away);
    journal.append(&[event(4)]).unwrap();
    assert_eq!(folder.all(), [(7, 0, 0), (7, 1, 2), (7, 2, 4)]);
}

struct Away;

impl api::Transport for Away {
    fn send(&self, _: http::Request<bytes::Bytes>) -> api::http::Sending<'_> {
        let (to, why) = ("billing".into(), "away".into());
        Box::pin(async { Err(api::http::TransportError { to, why }) })
    }
}

#[tokio::test]
async fn what_was_written_is_synced_while_billing_is_away() {
    let folder = Folder::new("synced");
    let journal = std::sync::Arc::new(folder.open(1));
    let nobody: Option<std::sync::Arc<str>> = None;
    let away = api::Client::new(std::sync::Arc::new(Away), std::sync::Arc::new(nobody));
    let sending =
        tokio::spawn(sender::send(std::sync::Arc::clone(&journal), away, "gateway/a".into()));
    for number in 0..6 {
        journal.append(&[event(number)]).unwrap();
        assert!(journal.active().dirty);
        let synced = async {
            while journal.active().dirty || !journal.active().behind.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        // Busy machines take longer than half a second; billing is asked ever more rarely.
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), synced).await;
        assert!(waited.is_ok(), "a power cut would take it");
    }
    sending.abort();
}

const CHILD: &str = "GATEWAY_TEST_JOURNAL";

/// Runs in a process of its own: writes without end, and says so after each line.
#[test]
#[ignore = "run by `a_killed_process_loses_nothing_that_it_released`, in a process of its own"]
fn child() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let journal = Journal::open(Path::new(&folder), Timestamp::from_micros(1)).unwrap();
    for number in 0.. {
        journal.append(&[event(number), event(number)]).unwrap();
        if number % 100 == 99 {
            journal.close_active().unwrap();
        }
        println!("released {number}");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_released() {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };
    for lines in [1, 7, 250] {
        let folder = Folder::new(&format!("killed-{lines}"));
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "usage::journal::tests::child", "--ignored", "--nocapture"])
            .env(CHILD, &folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut released = Vec::new();
        let number =
            |line: String| line.split("released ").nth(1).and_then(|n| n.parse::<u64>().ok());
        while released.len() < lines {
            released.extend(number(output.next().unwrap().unwrap()));
        }
        process.kill().unwrap();
        // What it said before it died is in the pipe; the last line may be torn.
        released.extend(output.map_while(Result::ok).filter_map(number));
        process.wait().unwrap();
        drop(folder.open(2));
        let all = folder.all();
        let whole = all.len() as u64 / 2;
        let expected: Vec<_> = (0..whole * 2).map(|n| (1, n, n / 2)).collect();
        assert_eq!(all, expected);
        let last = released.len() as u64 - 1;
        assert!(whole > last, "{whole} written, {last} released");
    }
}
