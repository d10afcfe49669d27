//! Usage on its way to billing: appended to a file before the answer it is owed for goes out.
//!
//! **Shape.** A segment is a file `EPOCH-FIRST.usage` of lines; a line is a JSON array of events,
//! written with one `write(2)`. An event's number is `FIRST` plus its place in the file, so the
//! numbers follow without gaps and need not be written. One segment is active and grows; closed
//! ones never change, and are sent, cut into batches from their beginning, and then removed. A
//! batch that is sent again after a crash is therefore the very same batch, and billing counts it
//! once.
//!
//! **What a crash does.** When the process is killed, what was written stays, since it is the
//! machine's by then; a line that was torn was not released. A new process begins a new segment
//! after the whole lines of the last one. When the machine dies, up to a second may be lost: what
//! was written is synced twice a second, whatever billing does, and a segment once more before it
//! is sent. So nothing that billing has seen can be lost here, and no number is used twice. If a
//! segment did lose its end, those that follow begin a new epoch.
//!
//! **A full disk.** A line that cannot be written is taken back whole, and the answer is not
//! released: nothing is served that cannot be billed. What is owed for the body of an answer that
//! is on its way already is kept in memory until it can be written, and goes before anything else;
//! until then no further answer is released.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use api::billing::UsageEvent;
use types::Timestamp;

use super::segment::{self, Segment};

/// A segment is closed when it is this long.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

pub(crate) struct Journal {
    folder: PathBuf,
    active: Mutex<Active>,
    /// Held for as long as the journal is open: two writers would use numbers twice.
    _lock: File,
}

struct Active {
    segment: Segment,
    file: File,
    events: u64,
    bytes: u64,
    /// A line was torn and could not be taken back: nothing may follow it in this file.
    torn: bool,
    /// Something was written since the file was last synced.
    dirty: bool,
    /// Files before this one that were not synced to their ends.
    behind: Vec<File>,
    /// What could not be written and is owed all the same.
    owed: Vec<UsageEvent>,
}

impl Journal {
    /// Opens the journal in `folder`, which is made if it is not there. Fails if another process
    /// has it open.
    pub(crate) fn open(folder: &Path, now: Timestamp) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|_| {
            io::Error::other("another process has it open: stop that one, or use another folder")
        })?;
        let epoch = u64::try_from(now.micros()).unwrap_or(0);
        let next = segment::mend(folder, epoch)?.unwrap_or(Segment { epoch, first: 0 });
        let active = Active::begin(folder, next)?;
        Ok(Self { folder: folder.to_owned(), active: Mutex::new(active), _lock: lock })
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().expect("nobody panics while holding it")
    }

    /// Writes `events` down, after what is still owed. When this has returned, the end of this
    /// process does not lose them; if it fails, none of them is written.
    pub(crate) fn append(&self, events: &[UsageEvent]) -> io::Result<()> {
        let mut line = Line::default();
        line.add(events)?;
        self.append_line(line)
    }

    /// The same, for events that are written already.
    pub(super) fn append_line(&self, line: Line) -> io::Result<()> {
        let mut active = self.active();
        active.settle(&self.folder)?;
        if line.events == 0 {
            return Ok(());
        }
        active.write(&self.folder, line)
    }

    /// Writes down what is owed for an answer that is on its way already: now, or as soon as it can
    /// be written.
    pub(crate) fn owe(&self, events: Vec<UsageEvent>) {
        let mut active = self.active();
        active.owed.extend(events);
        if let Err(cause) = active.settle(&self.folder) {
            let events = active.owed.len();
            tracing::error!(%cause, events, "usage cannot be written and is kept in memory");
        }
    }

    /// Makes what was written safe from the end of the machine.
    pub(super) fn sync(&self) -> io::Result<()> {
        let files = {
            let mut active = self.active();
            active.settle(&self.folder)?;
            let newest = active.dirty.then(|| active.file.try_clone()).transpose()?;
            active.dirty = false;
            active.behind.drain(..).chain(newest).collect::<Vec<_>>()
        };
        if files.is_empty() {
            return Ok(());
        }
        for file in &files {
            file.sync_data()?;
        }
        File::open(&self.folder)?.sync_all()
    }

    /// Closes the active segment, if there is something in it.
    pub(super) fn close_active(&self) -> io::Result<()> {
        let mut active = self.active();
        if active.events > 0 {
            active.follow(&self.folder)?;
        }
        Ok(())
    }

    /// The segments that no longer change, oldest first.
    pub(super) fn closed(&self) -> io::Result<Vec<Segment>> {
        let active = self.active().segment;
        let all = segment::list(&self.folder)?;
        Ok(all.into_iter().filter(|segment| *segment != active).collect())
    }

    /// The events of a closed segment, which after this cannot be lost any more.
    pub(super) fn read_for_good(&self, segment: Segment) -> io::Result<Vec<UsageEvent>> {
        File::open(&self.folder)?.sync_all()?;
        let path = segment.path(&self.folder);
        File::open(&path)?.sync_all()?;
        segment::read(&path)
    }

    pub(super) fn remove(&self, segment: Segment) -> io::Result<()> {
        std::fs::remove_file(segment.path(&self.folder))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let mut active = self.active();
        if active.settle(&self.folder).is_err() {
            tracing::error!(events = ?active.owed, "usage could not be written and is lost");
        }
    }
}

/// Events as they stand in a file.
#[derive(Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    events: u64,
}

impl Line {
    /// Adds `events`, or none of them.
    pub(super) fn add(&mut self, events: &[UsageEvent]) -> io::Result<()> {
        let before = self.bytes.len();
        for event in events {
            self.bytes.push(if self.bytes.is_empty() { b'[' } else { b',' });
            if let Err(cause) = serde_json::to_writer(&mut self.bytes, event) {
                self.bytes.truncate(before);
                return Err(cause.into());
            }
        }
        self.events += events.len() as u64;
        Ok(())
    }

    fn ended(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"]\n");
        self.bytes
    }
}

fn opened(folder: &Path, segment: Segment) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(segment.path(folder))?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

impl Active {
    fn begin(folder: &Path, segment: Segment) -> io::Result<Self> {
        let (file, bytes) = opened(folder, segment)?;
        let (behind, owed) = (Vec::new(), Vec::new());
        Ok(Self { segment, file, events: 0, bytes, torn: false, dirty: true, behind, owed })
    }

    /// Goes on with the segment after this one.
    fn follow(&mut self, folder: &Path) -> io::Result<()> {
        let first = self.segment.first + self.events;
        if self.events == 0 {
            // The same name: what was torn is all there is.
            self.file.set_len(0)?;
        }
        let segment = Segment { first, ..self.segment };
        let (file, bytes) = opened(folder, segment)?;
        let before = std::mem::replace(&mut self.file, file);
        if std::mem::replace(&mut self.dirty, true) {
            self.behind.push(before);
        }
        (self.segment, self.events, self.bytes, self.torn) = (segment, 0, bytes, false);
        Ok(())
    }

    /// Writes what is owed.
    fn settle(&mut self, folder: &Path) -> io::Result<()> {
        if self.owed.is_empty() {
            return Ok(());
        }
        let mut line = Line::default();
        line.add(&self.owed)?;
        self.write(folder, line)?;
        self.owed.clear();
        Ok(())
    }

    fn write(&mut self, folder: &Path, line: Line) -> io::Result<()> {
        let (events, line) = (line.events, line.ended());
        if self.torn || self.bytes >= SEGMENT_BYTES_MAX {
            self.follow(folder)?;
        }
        match self.file.write_all(&line) {
            Ok(()) => {
                self.dirty = true;
                self.bytes += line.len() as u64;
                self.events += events;
                Ok(())
            }
            Err(cause) => {
                self.torn = self.file.set_len(self.bytes).is_err();
                Err(cause)
            }
        }
    }
}

#[cfg(test)]
mod tests;
