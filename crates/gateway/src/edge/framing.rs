//! Where the requests of a connection begin and end, watched from beside.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` has two ends, and whoever sent it
//! through a proxy of theirs may mean the other one (RFC 9112, 6.1). The HTTP library takes the
//! second and drops the first before we see it, so the bytes are watched here: only to know which
//! request it was. It never decides where a request ends; if it loses its place, whatever comes
//! later on the connection is ambiguous.

use std::{cell::Cell, rc::Rc};

/// The lines that matter are shorter; of others only the beginning is kept.
const LINE_BYTES_MAX: usize = 128;

/// The number of the first request, from 1 on, that has two ends or comes after one; shared with
/// whoever answers.
#[derive(Debug, Clone)]
pub(super) struct Ambiguity(Rc<Cell<u64>>);

impl Default for Ambiguity {
    fn default() -> Self {
        Self(Rc::new(Cell::new(u64::MAX)))
    }
}

impl Ambiguity {
    /// Whether the connection's request of that number may have two ends.
    pub(super) fn is_about(&self, number: u64) -> bool {
        self.0.get() <= number
    }

    fn begins_at(&self, number: u64) {
        self.0.set(self.0.get().min(number));
    }
}

#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    line: Vec<u8>,
    /// Something of the line was not kept.
    cut: bool,
    head: Head,
    heads: u64,
    ambiguity: Ambiguity,
}

#[derive(Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    /// A length is written at greater length than anybody writes one.
    odd: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Lost,
}

impl Framing {
    pub(super) fn new(ambiguity: Ambiguity) -> Self {
        let (line, head) = (Vec::new(), Head::default());
        Self { state: State::Head, line, cut: false, head, heads: 0, ambiguity }
    }

    /// Whether all that was read belongs to requests that were read to their ends.
    pub(super) fn is_between_requests(&self) -> bool {
        self.state == State::Head && !self.head.begun && self.line.is_empty()
    }

    /// Follows what was read.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Lost => return,
                State::Body(left) | State::ChunkData(left) => {
                    let skipped = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    if *left == 0 {
                        let is_chunk = matches!(self.state, State::ChunkData(_));
                        self.state = if is_chunk { State::ChunkEnd } else { State::Head };
                    }
                }
                State::Head | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let part = &bytes[..end.unwrap_or(bytes.len())];
                    let room = LINE_BYTES_MAX - self.line.len();
                    self.line.extend_from_slice(&part[..part.len().min(room)]);
                    self.cut |= part.len() > room;
                    let Some(end) = end else { return };
                    bytes = &bytes[end + 1..];
                    let line = std::mem::take(&mut self.line);
                    self.state = self.after(line.trim_ascii());
                    if self.state == State::Lost {
                        self.ambiguity.begins_at(self.heads + 1);
                    }
                    self.line = line;
                    self.line.clear();
                    self.cut = false;
                }
            }
        }
    }

    fn after(&mut self, line: &[u8]) -> State {
        match self.state {
            State::Head if line.is_empty() && self.head.begun => self.after_head(),
            State::Head => {
                if self.head.begun {
                    self.read_header(line);
                }
                self.head.begun |= !line.is_empty();
                State::Head
            }
            State::ChunkSize => match chunk_size(line).filter(|_| !self.cut) {
                None => State::Lost,
                Some(0) => State::Trailers,
                Some(size) => State::ChunkData(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::Trailers if line.is_empty() => State::Head,
            State::Trailers => State::Trailers,
            _ => State::Lost,
        }
    }

    fn after_head(&mut self) -> State {
        self.heads += 1;
        let head = std::mem::take(&mut self.head);
        if head.odd || (head.length.is_some() && head.chunked) {
            self.ambiguity.begins_at(self.heads);
            return State::Lost;
        }
        match (head.length, head.chunked) {
            (_, true) => State::ChunkSize,
            (None | Some(0), false) => State::Head,
            (Some(length), false) => State::Body(length),
        }
    }

    fn read_header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.chunked = true;
            self.head.odd |= self.cut;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            self.head.length = Some(length.unwrap_or(0));
            self.head.odd |= self.cut;
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    const SIZED: &str = "POST /a HTTP/1.1\r\nContent-Length: 42\r\n\r\n\
                         Transfer-Encoding: x\nContent-Length: 1\r\n\r\n";
    const CHUNKED: &str = "\r\nPOST /a HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n\
                           15;a=b\r\nContent-Length: 1\r\n\r\n\r\n0\r\nContent-Length: 3\r\n\r\n";
    const TWO_ENDS: &str =
        "POST /a HTTP/1.1\r\nCONTENT-LENGTH: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn followed(parts: &[&[u8]]) -> (u64, Ambiguity) {
        let ambiguity = Ambiguity::default();
        let mut framing = Framing::new(ambiguity.clone());
        for part in parts {
            framing.follow(part);
        }
        (framing.heads, ambiguity)
    }

    #[test]
    fn only_a_request_with_two_ends_is_ambiguous() {
        let fine = [PLAIN, SIZED, CHUNKED, PLAIN].concat();
        let (heads, ambiguity) = followed(&[fine.as_bytes()]);
        assert_eq!(heads, 4);
        assert!((0..5).all(|number| number == 0 || !ambiguity.is_about(number)));
        let (heads, ambiguity) = followed(&[[&fine, TWO_ENDS, PLAIN].concat().as_bytes()]);
        assert_eq!(heads, 5);
        assert!(ambiguity.is_about(5));
    }

    #[test]
    fn a_length_that_is_hidden_behind_much_else_is_ambiguous() {
        let much = " ".repeat(113);
        let zeros = "0".repeat(200);
        let heads = [
            format!("POST /a HTTP/1.1\r\nContent-Length:{much}5\r\n\r\nhello"),
            format!("POST /a HTTP/1.1\r\nContent-Length: {zeros}5\r\n\r\nhello"),
            format!("POST /a HTTP/1.1\r\nTransfer-Encoding:{much}chunked\r\n\r\n0\r\n\r\n"),
        ];
        for head in heads {
            let (_, ambiguity) = followed(&[PLAIN.as_bytes(), head.as_bytes()]);
            assert!(!ambiguity.is_about(1) && ambiguity.is_about(2), "{head}");
        }
    }

    #[test]
    fn what_comes_after_its_place_was_lost_is_ambiguous() {
        let long = "0".repeat(200);
        let head = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for rest in [format!("{long}5\r\nhello"), "5\r\nhello, world\r\n".into()] {
            let (_, ambiguity) = followed(&[head.as_bytes(), rest.as_bytes(), PLAIN.as_bytes()]);
            assert!(!ambiguity.is_about(1) && ambiguity.is_about(2), "{rest}");
        }
    }

    #[test]
    fn it_knows_when_a_request_has_ended() {
        for whole in [PLAIN, SIZED, CHUNKED] {
            let ambiguity = Ambiguity::default();
            let mut framing = Framing::new(ambiguity);
            assert!(framing.is_between_requests());
            for byte in &whole.as_bytes()[..whole.len() - 1] {
                framing.follow(&[*byte]);
                assert!(byte.is_ascii_whitespace() || !framing.is_between_requests());
            }
            assert!(!framing.is_between_requests());
            framing.follow(&whole.as_bytes()[whole.len() - 1..]);
            assert!(framing.is_between_requests());
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(
            cuts in proptest::collection::vec(0usize..400, 0..8)
        ) {
            let text = [PLAIN, CHUNKED, SIZED, CHUNKED, TWO_ENDS].concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut begin = 0;
            for cut in cuts {
                parts.push(&text.as_bytes()[begin..cut]);
                begin = cut;
            }
            parts.push(&text.as_bytes()[begin..]);
            let (heads, ambiguity) = followed(&parts);
            prop_assert_eq!(heads, 5);
            prop_assert!(ambiguity.is_about(5));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(followed(&[&bytes]));
        }
    }
}
