//! The files of the journal.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use api::billing::UsageEvent;

const SUFFIX: &str = ".usage";

/// Names a file: from which event of which epoch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) epoch: u64,
    pub(super) first: u64,
}

impl Segment {
    pub(super) fn path(self, folder: &Path) -> PathBuf {
        // Names sort as numbers do.
        folder.join(format!("{:020}-{:020}{SUFFIX}", self.epoch, self.first))
    }

    fn of(name: &str) -> Option<Self> {
        let (epoch, first) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, first: first.parse().ok()? })
    }
}

/// The segments in `folder`, oldest first.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        all.extend(entry?.file_name().to_str().and_then(Segment::of));
    }
    all.sort_unstable();
    Ok(all)
}

/// The events of the whole lines of a file.
pub(super) fn read(path: &Path) -> io::Result<Vec<UsageEvent>> {
    let bytes = std::fs::read(path)?;
    let mut events = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        match serde_json::from_slice::<Vec<UsageEvent>>(line) {
            Ok(read) => events.extend(read),
            // Only a machine that died can leave such a line behind.
            Err(cause) => {
                tracing::error!(file = %path.display(), %cause, "a line of usage is lost");
            }
        }
    }
    Ok(events)
}

/// A segment as it was found, how many events it has, and where these are now.
struct Found {
    segment: Segment,
    events: u64,
    place: Segment,
}

/// Makes what an earlier process left fit to go on from: torn lines are cut off, and what does not
/// follow on what is before it begins an epoch of its own. Answers where to go on, if there was
/// anything.
pub(super) fn mend(folder: &Path, now: u64) -> io::Result<Option<Segment>> {
    let all = list(folder)?;
    // No epoch is used twice, whatever the clock says.
    let mut newest = all.last().map_or(0, |last| last.epoch);
    let mut before: Option<Found> = None;
    for segment in all {
        cut_torn_line(&segment.path(folder))?;
        let events = read(&segment.path(folder))?.len() as u64;
        let place = match &before {
            Some(before) if before.segment.epoch == segment.epoch => {
                if before.segment.first + before.events == segment.first {
                    Segment { first: before.place.first + before.events, ..before.place }
                } else {
                    newest = now.max(newest + 1);
                    Segment { epoch: newest, first: 0 }
                }
            }
            _ => segment,
        };
        if place != segment {
            tracing::error!(
                ?segment,
                ?place,
                "usage was lost with the machine; numbers begin anew"
            );
            std::fs::rename(segment.path(folder), place.path(folder))?;
        }
        before = Some(Found { segment, events, place });
    }
    Ok(before.map(|last| Segment { first: last.place.first + last.events, ..last.place }))
}

fn cut_torn_line(path: &Path) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < bytes.len() {
        OpenOptions::new().write(true).open(path)?.set_len(whole as u64)?;
    }
    Ok(())
}
