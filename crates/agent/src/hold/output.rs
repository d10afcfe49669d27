//! The end of what a command printed, as its holder wrote it down, for the platform: without
//! secrets.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use types::Secret;

use super::{
    log::former,
    reading::{self, Place},
};

/// The platform takes at most this much.
const TAIL_BYTES_MAX: usize = 8 << 10;
/// More is read, so that a secret is still known as one where the tail is cut.
const READ_BYTES: usize = TAIL_BYTES_MAX + (4 << 10);
/// A shorter value is more likely a word than a secret.
const SECRET_BYTES_MIN: usize = 6;

/// What a command prints. Clones are the same output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    /// `None` if it never began.
    log: Option<PathBuf>,
    secrets: Arc<[Secret]>,
}

impl Output {
    /// What stands in a log file, in which `secrets` are never shown.
    pub(crate) fn hiding(log: PathBuf, mut secrets: Vec<Secret>) -> Self {
        secrets.retain(|secret| secret.reveal().len() >= SECRET_BYTES_MIN);
        // A password stands in a URL too: the longest is hidden first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        Self { log: Some(log), secrets: secrets.into() }
    }

    /// The end of it as text, at most 8 KiB, without control characters but line ends and tabs.
    pub(crate) fn tail(&self) -> String {
        let Some(log) = &self.log else { return String::new() };
        let mut bytes = last_of(log, READ_BYTES);
        if bytes.len() < READ_BYTES {
            let mut before = last_of(&former(log), READ_BYTES - bytes.len());
            before.append(&mut bytes);
            bytes = before;
        }
        let mut text = self.hide(&String::from_utf8_lossy(&bytes));
        text.retain(|c| !c.is_control() || c == '\n' || c == '\t');
        last_bytes(&text, TAIL_BYTES_MAX).to_owned()
    }

    /// What follows a place in it, at most `most` bytes of whole lines, and of the end of it at most so
    /// many lines; and the place after that. `None` if nothing can be read.
    pub(crate) fn read(
        &self,
        after: Option<Place>,
        lines: Option<usize>,
        most: usize,
    ) -> Option<(String, Place)> {
        let (bytes, place) = reading::on(self.log.as_ref()?, after, most / 2).ok()?;
        let mut text = self.hide(&String::from_utf8_lossy(&bytes));
        text.retain(|c| !c.is_control() || c == '\n' || c == '\t');
        let skipped = lines.map_or(0, |lines| text.lines().count().saturating_sub(lines));
        let start: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
        Some((last_bytes(&text[start..], most).to_owned(), place))
    }

    /// A text without secrets.
    pub(crate) fn hide(&self, text: &str) -> String {
        let hide = |text: String, secret: &Secret| text.replace(secret.reveal(), "[secret]");
        self.secrets.iter().fold(text.to_owned(), hide)
    }

    /// How much was printed; differs when there is more.
    pub(crate) fn size(&self) -> u64 {
        let about = self.log.as_ref().and_then(|log| log.metadata().ok());
        about.map_or(0, |about| about.len())
    }

    /// The tail after the end of what an earlier process printed, so that why that one ended is
    /// still to be seen.
    pub(crate) fn tail_after(&self, former: &str) -> String {
        let former = last_bytes(former, TAIL_BYTES_MAX / 2);
        let text = format!("{former}\n--- started again ---\n{}", self.tail());
        last_bytes(&text, TAIL_BYTES_MAX).to_owned()
    }

    /// The tail with a remark of the agent's own at its end.
    pub(crate) fn tail_with(&self, remark: &str) -> String {
        let tail = self.tail();
        let break_line = if tail.is_empty() || tail.ends_with('\n') { "" } else { "\n" };
        last_bytes(&format!("{tail}{break_line}{remark}"), TAIL_BYTES_MAX).to_owned()
    }
}

/// The last `most` bytes of a file; nothing if it is not there.
fn last_of(path: &Path, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let size = file.metadata().map_or(0, |about| about.len());
        let start = size.saturating_sub(most as u64);
        // What cannot be read is not shown.
        let _ = file.seek(SeekFrom::Start(start));
        let _ = file.take(most as u64).read_to_end(&mut bytes);
    }
    bytes
}

/// The last `most` bytes of a text, or fewer, so that no character is cut.
pub(crate) fn last_bytes(text: &str, most: usize) -> &str {
    let start = text.len().saturating_sub(most);
    let start = (start..=text.len()).find(|place| text.is_char_boundary(*place));
    &text[start.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::{super::log::LogFile, *};
    use crate::tests::Folder;

    fn output(secrets: &[&str], parts: &[&[u8]]) -> (Folder, Output) {
        let folder = Folder::new();
        let path = folder.path().join("output.log");
        let mut log = LogFile::open(path.clone());
        for part in parts {
            log.write(part);
        }
        (folder, Output::hiding(path, secrets.iter().map(|text| Secret::new(*text)).collect()))
    }

    #[test]
    fn the_end_is_kept_and_no_secret_is_shown() {
        let parts: [&[u8]; 3] =
            [b"begin ", &vec![b'x'; READ_BYTES], b"password hunter22, no\0\x1b[31m \xff end"];
        let (_folder, output) = output(&["hunter22", "no"], &parts);
        let tail = output.tail();
        assert!(tail.len() <= TAIL_BYTES_MAX && tail.ends_with("[secret], no[31m \u{fffd} end"));
        assert!(!tail.contains("begin") && !tail.contains("hunter"));
    }

    #[test]
    fn a_secret_that_is_cut_is_hidden_too() {
        let secret = "s3cret-".repeat(10);
        let parts: [&[u8]; 2] = [secret.as_bytes(), &vec![b'.'; TAIL_BYTES_MAX - 20]];
        let (_folder, output) = output(&[&secret], &parts);
        assert!(!output.tail().contains("s3cret"));
    }

    #[test]
    fn a_log_does_not_grow_and_its_end_is_read_across_files() {
        let megabyte = vec![b'.'; (1 << 20) + 1];
        let parts: [&[u8]; 4] = [&megabyte, &megabyte, b"before", b" after"];
        let (folder, output) = output(&[], &parts);
        let files = std::fs::read_dir(folder.path()).unwrap();
        let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(size < 2 << 20, "{size}");
        assert!(output.tail().ends_with("...before after"));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(last_bytes("aéb", 2), "b");
        assert_eq!(last_bytes("aéb", 3), "éb");
        assert_eq!(last_bytes("ab", 10), "ab");
    }
}
