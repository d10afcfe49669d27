//! Reading on in what a command prints, across the file that was set aside.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::log::former;

/// How far a log was read: the number of the file, and its bytes.
pub(crate) type Place = (u64, u64);

/// At most `most` bytes of whole lines that follow a place, and the place after them. Without a place
/// it is the end of the log. A line that is longer than all of that is cut.
pub(super) fn on(log: &Path, after: Option<Place>, most: usize) -> io::Result<(Vec<u8>, Place)> {
    let (current, number, size) = open(log)?;
    let before = open(&former(log)).ok();
    let (file, number, size, from) = match (after, before) {
        (None, _) => (current, number, size, size.saturating_sub(most as u64)),
        (Some((known, offset)), _) if known == number => (current, number, size, offset),
        // What was set aside is read to its end first; what is older is forgotten.
        (Some((known, offset)), Some((file, former, length)))
            if known != former || offset < length =>
        {
            (file, former, length, if known == former { offset } else { 0 })
        }
        (Some(_), _) => (current, number, size, 0),
    };
    let mut bytes = part(file, from, most)?;
    let is_all = from + bytes.len() as u64 >= size;
    let is_end = after.is_none();
    if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
        bytes.truncate(last + 1);
    } else if is_all && bytes.len() < most {
        // The line goes on.
        bytes.clear();
    }
    let place = (number, from + bytes.len() as u64);
    if is_end && from > 0 {
        // The first one is a part of a line.
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..first);
    }
    Ok((bytes, place))
}

fn open(path: &Path) -> io::Result<(File, u64, u64)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    Ok((file, about.ino(), about.len()))
}

fn part(mut file: File, from: u64, most: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{super::log::LogFile, *};
    use crate::tests::Folder;

    #[test]
    fn a_log_is_read_on_by_whole_lines_also_when_it_was_set_aside() {
        let folder = Folder::new();
        let path = folder.path().join("output.log");
        let mut log = LogFile::open(path.clone());
        let read = |after| {
            let (bytes, place) = on(&path, after, 64).unwrap();
            (String::from_utf8(bytes).unwrap(), place)
        };
        log.write(b"one\ntwo\nthr");
        let (text, place) = read(None);
        assert_eq!(text, "one\ntwo\n");
        assert_eq!(read(Some(place)), (String::new(), place), "the line goes on");
        log.write(b"ee\n");
        let (text, place) = read(Some(place));
        assert_eq!(text, "three\n");
        // The file grows too large, and is set aside by what is written next.
        let line = [&[b'.'; 31][..], b"\n"].concat();
        (0..=(1 << 15)).for_each(|_| log.write(&line));
        log.write(b"after\n");
        let (mut place, mut all) = (place, String::new());
        loop {
            let (text, next) = read(Some(place));
            if text.is_empty() && next == place {
                break;
            }
            all.push_str(&text);
            place = next;
        }
        assert_eq!(all.lines().count(), (1 << 15) + 2);
        assert!(all.ends_with(".\nafter\n"));
        // Only the end, of which the first line is whole.
        assert_eq!(on(&path, None, 8).unwrap().0, b"after\n");
        // Who was away for longer goes on where there is something.
        assert!(read(Some((1, 5))).0.starts_with("one\ntwo\n"));
        // A line that is too long is cut, and reading goes on.
        log.write(&[b'x'; 100]);
        let (text, next) = read(Some(place));
        assert_eq!((text.len(), next.1), (64, place.1 + 64));
    }
}
