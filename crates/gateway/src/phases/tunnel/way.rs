//! One way of a tunnel.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is read at once.
const READ_BYTES_MAX: usize = 32 << 10;

thread_local! {
    /// What is being passed on. Only what cannot be written at once is kept by a tunnel, so one on
    /// which nothing happens has no buffer.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into());
}

/// What is on its way from one side to the other.
#[derive(Default)]
pub(super) struct Way {
    waiting: Vec<u8>,
    written: usize,
    has_ended: bool,
    /// The other side knows that it has ended.
    is_over: bool,
}

impl Way {
    /// A way on which `first` has come already.
    pub(super) fn new(first: &[u8]) -> Self {
        Self { waiting: first.to_vec(), ..Self::default() }
    }

    /// How much has come that is not written yet, in bytes.
    pub(super) fn waiting(&self) -> u64 {
        (self.waiting.len() - self.written) as u64
    }

    /// Passes on what comes; ready when one side has ended and the other knows. `pass` is told of
    /// what is read.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        mut pass: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                ready!(self.poll_written(cx, &mut to))?;
                if self.has_ended {
                    ready!(Pin::new(&mut to).poll_shutdown(cx))?;
                    self.is_over = true;
                    return Poll::Ready(Ok(()));
                }
                let mut read = ReadBuf::new(buffer);
                ready!(Pin::new(&mut from).poll_read(cx, &mut read))?;
                let read = read.filled();
                pass(read);
                self.has_ended = read.is_empty();
                let written = match Pin::new(&mut to).poll_write(cx, read) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => 0,
                };
                self.waiting.extend_from_slice(&read[written..]);
            }
        })
    }

    /// Writes what has come.
    pub(super) fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let more = ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting[self.written..]))?;
            if more == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += more;
        }
        (self.waiting, self.written) = (Vec::new(), 0);
        Pin::new(to).poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn all_of_it_arrives_at_whoever_reads_slowly() {
        let ((mut sender, mut from), (mut to, mut reader)) = (duplex(1 << 20), duplex(7));
        let sent: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        sender.write_all(&sent).await.unwrap();
        drop(sender);
        let (mut way, mut passed) = (Way::new(b"first"), Vec::new());
        let passing =
            poll_fn(|cx| way.poll(cx, &mut from, &mut to, |bytes| passed.extend_from_slice(bytes)));
        let mut got = Vec::new();
        let (passing, read) = tokio::join!(passing, reader.read_to_end(&mut got));
        passing.unwrap();
        read.unwrap();
        assert_eq!(passed, sent);
        assert_eq!(got, [b"first", sent.as_slice()].concat());
    }
}
