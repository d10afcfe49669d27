//! What a process prints: the end of it for the platform, without secrets, and a little more in a
//! file that does not grow.

use std::{
    collections::VecDeque,
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver};
use types::Secret;

use crate::folder::remove_file;

/// The platform takes at most this much.
pub(crate) const TAIL_BYTES_MAX: usize = 8 << 10;
/// More is kept, so that a secret is still known as one where the tail is cut.
const KEPT_BYTES: usize = TAIL_BYTES_MAX + (4 << 10);
/// A log file is set aside when it is as large, and the one before it is forgotten.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A shorter value is more likely a word than a secret.
const SECRET_BYTES_MIN: usize = 6;

/// The end of what a process prints. Clones are the same output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    secrets: Vec<Secret>,
}

impl Output {
    /// Output in which `secrets` are never shown.
    pub(crate) fn hiding(secrets: Vec<Secret>) -> Self {
        let mut secrets = secrets;
        secrets.retain(|secret| secret.reveal().len() >= SECRET_BYTES_MIN);
        // A password stands in a URL too: the longest is hidden first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        Self(Arc::new(Mutex::new(Kept { bytes: VecDeque::new(), secrets })))
    }

    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().expect("nobody panics while holding it");
        kept.bytes.extend(bytes);
        let superfluous = kept.bytes.len().saturating_sub(KEPT_BYTES);
        kept.bytes.drain(..superfluous);
    }

    /// The end of it as text, at most 8 KiB, without control characters but line ends and tabs.
    pub(crate) fn tail(&self) -> String {
        let kept = self.0.lock().expect("nobody panics while holding it");
        let bytes: Vec<u8> = kept.bytes.iter().copied().collect();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        for secret in &kept.secrets {
            text = text.replace(secret.reveal(), "[secret]");
        }
        text.retain(|c| !c.is_control() || c == '\n' || c == '\t');
        last_bytes(&text, TAIL_BYTES_MAX).to_owned()
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

/// Removes a log file, with the one that was set aside.
pub(crate) fn remove_log(path: &Path) -> std::io::Result<()> {
    remove_file(path).and_then(|()| remove_file(&path.with_extension("log.1")))
}

/// The last `most` bytes of a text, or fewer, so that no character is cut.
pub(crate) fn last_bytes(text: &str, most: usize) -> &str {
    let start = text.len().saturating_sub(most);
    let start = (start..=text.len()).find(|place| text.is_char_boundary(*place));
    &text[start.unwrap_or(text.len())..]
}

/// Reads what comes through `pipe` until nobody can write to it any more. It is read as fast as it
/// comes, whatever becomes of the file: a process never waits for its log.
pub(crate) async fn pump(mut pipe: Receiver, output: Output, log: PathBuf) {
    let mut file = LogFile::open(log);
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        output.push(&buffer[..count]);
        file.write(&buffer[..count]);
    }
}

/// A file that is set aside when it is large. Writes go to the page cache and are short.
struct LogFile {
    path: PathBuf,
    file: Option<fs::File>,
    size: u64,
}

impl LogFile {
    fn open(path: PathBuf) -> Self {
        let file = append_to(&path);
        let size =
            file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |about| about.len());
        Self { path, file, size }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.size > FILE_BYTES_MAX {
            // If it cannot be set aside it is begun anew: it must not grow.
            if fs::rename(&self.path, self.path.with_extension("log.1")).is_err() {
                let _ = fs::remove_file(&self.path);
            }
            *self = Self { path: self.path.clone(), file: append_to(&self.path), size: 0 };
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.size += bytes.len() as u64;
        }
    }
}

fn append_to(path: &Path) -> Option<fs::File> {
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_no_secret_is_shown() {
        let output = Output::hiding(vec![Secret::new("hunter22"), Secret::new("no")]);
        output.push(b"begin ");
        output.push(&vec![b'x'; KEPT_BYTES]);
        output.push(b"password hunter22, no\0\x1b[31m \xff end");
        let tail = output.tail();
        assert!(tail.len() <= TAIL_BYTES_MAX && tail.ends_with("[secret], no[31m \u{fffd} end"));
        assert!(!tail.contains("begin") && !tail.contains("hunter"));
    }

    #[test]
    fn a_secret_that_is_cut_is_hidden_too() {
        let secret = "s3cret-".repeat(10);
        let output = Output::hiding(vec![Secret::new(&secret)]);
        output.push(secret.as_bytes());
        output.push(&vec![b'.'; TAIL_BYTES_MAX - 20]);
        assert!(!output.tail().contains("s3cret"));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(last_bytes("aéb", 2), "b");
        assert_eq!(last_bytes("aéb", 3), "éb");
        assert_eq!(last_bytes("ab", 10), "ab");
    }
}
