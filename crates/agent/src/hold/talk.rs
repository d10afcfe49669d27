//! A holder's side of its conversations: the agent that started it, and those that come later. None
//! of them can make it wait.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
};

use rustix::event::{PollFd, PollFlags};

use super::wire::{Ask, Tell, VERSION, line};

/// So many talk at once; nobody but an agent of this node can.
const LINES_MAX: usize = 8;
/// A longer line is nothing that an agent says.
const LINE_BYTES_MAX: usize = 1 << 20;

/// All conversations.
pub(super) struct Talk {
    listener: UnixListener,
    lines: Vec<Line>,
    hello: Vec<u8>,
    progress: Vec<u8>,
    /// Counts what is in `progress`.
    revision: u64,
    lasting: bool,
}

struct Line {
    stream: UnixStream,
    is_first: bool,
    heard: Vec<u8>,
    unsaid: Vec<u8>,
    /// The progress that was told last.
    told: u64,
    open: bool,
}

impl Talk {
    /// With the agent that started it. If it is not `lasting` it goes with that agent.
    pub(super) fn new(
        listener: UnixListener,
        agent: UnixStream,
        kept: String,
        lasting: bool,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let hello = line(&Tell::Hello { version: VERSION, kept })?;
        let progress = Vec::new();
        let mut this = Self { listener, lines: vec![], hello, progress, revision: 0, lasting };
        this.begin(agent, true)?;
        Ok(this)
    }

    fn begin(&mut self, stream: UnixStream, is_first: bool) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let unsaid = self.hello.clone();
        self.lines.push(Line { stream, is_first, heard: vec![], unsaid, told: 0, open: true });
        Ok(())
    }

    /// What is to be waited for.
    pub(super) fn watch<'t>(&'t self, fds: &mut Vec<PollFd<'t>>) {
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        for line in &self.lines {
            let out = if line.unsaid.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            fds.push(PollFd::new(&line.stream, PollFlags::IN | out));
        }
    }

    /// The newest progress is told to everybody, once they hear.
    pub(super) fn progress(&mut self, said: &str) -> io::Result<()> {
        self.progress = line(&Tell::Progress(said.to_owned()))?;
        self.revision += 1;
        Ok(())
    }

    /// Hears and says what can be without waiting; what was asked.
    pub(super) fn serve(&mut self) -> Vec<Ask> {
        while self.lines.len() < LINES_MAX
            && let Ok((stream, _)) = self.listener.accept()
        {
            // One that fails so early asks again.
            let _ = self.begin(stream, false);
        }
        let mut asked = Vec::new();
        for line in &mut self.lines {
            line.hear(&mut asked);
            line.say();
            if line.unsaid.is_empty() && line.told != self.revision {
                line.told = self.revision;
                line.unsaid.clone_from(&self.progress);
                line.say();
            }
        }
        self.lines.retain(|line| line.open);
        asked
    }

    /// Whether the agent has gone without which it is not to go on.
    pub(super) fn is_deserted(&self) -> bool {
        !self.lasting && !self.lines.iter().any(|line| line.is_first)
    }
}

impl Line {
    fn hear(&mut self, asked: &mut Vec<Ask>) {
        let mut buffer = [0; 4 << 10];
        while self.open {
            match self.stream.read(&mut buffer) {
                Ok(count @ 1..) => self.heard.extend(&buffer[..count]),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                _ => self.open = false,
            }
            while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                asked.extend(serde_json::from_slice(&line).ok());
            }
            self.open &= self.heard.len() < LINE_BYTES_MAX;
        }
    }

    fn say(&mut self) {
        while !self.unsaid.is_empty() {
            match self.stream.write(&self.unsaid) {
                Ok(count @ 1..) => drop(self.unsaid.drain(..count)),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => return,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                _ => {
                    self.open = false;
                    return;
                }
            }
        }
    }
}
