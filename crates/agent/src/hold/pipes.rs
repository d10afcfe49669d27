//! What a command prints and how far it says it is, as its holder reads it.

use std::{
    io::{self, ErrorKind, PipeReader, Read as _},
    path::PathBuf,
};

use rustix::event::{PollFd, PollFlags};

use super::log::LogFile;

/// So much is read before somebody else is heard, however much there is.
const READS_MAX: usize = 64;
/// A longer line of progress is none.
const LINE_BYTES_MAX: usize = 4 << 10;

/// The ends at which a holder reads.
pub(super) struct Pipes {
    output: Option<PipeReader>,
    log: LogFile,
    progress: Option<PipeReader>,
    /// The line of progress that has begun.
    line: Vec<u8>,
}

impl Pipes {
    pub(super) fn new(
        output: PipeReader,
        progress: Option<PipeReader>,
        log: PathBuf,
    ) -> io::Result<Self> {
        for pipe in progress.iter().chain([&output]) {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { output: Some(output), log: LogFile::open(log), progress, line: Vec::new() })
    }

    /// Whether somebody may still print.
    pub(super) fn is_open(&self) -> bool {
        self.output.is_some()
    }

    /// What is to be waited for.
    pub(super) fn watch<'p>(&'p self, fds: &mut Vec<PollFd<'p>>) {
        let pipes = self.output.iter().chain(&self.progress);
        fds.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    }

    /// Reads what there is; the last whole line of progress, if there is a new one.
    pub(super) fn read(&mut self) -> Option<String> {
        let log = &mut self.log;
        read(&mut self.output, |bytes| log.write(bytes));
        let (line, mut last) = (&mut self.line, None);
        read(&mut self.progress, |bytes| {
            for byte in bytes {
                match byte {
                    b'\n' => last = String::from_utf8(std::mem::take(line)).ok(),
                    _ if line.len() < LINE_BYTES_MAX => line.push(*byte),
                    _ => {}
                }
            }
        });
        last
    }
}

fn read(pipe: &mut Option<PipeReader>, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 << 10];
    for _ in 0..READS_MAX {
        let Some(open) = pipe else { return };
        match open.read(&mut buffer) {
            Ok(count @ 1..) => take(&buffer[..count]),
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => return,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            // Nobody can write to it any more.
            _ => *pipe = None,
        }
    }
}
