//! Where the frames of a `WebSocket` begin and end (RFC 6455, 5.2), watched from beside.

/// The longest head of a frame: two bytes, a length of eight, and a mask of four.
const HEAD_BYTES_MAX: usize = 14;
/// What says that nothing more comes.
const CLOSE: u8 = 0x8;
const LAST: u8 = 0x80;
/// The longest reason: a control frame has at most 125 bytes, and the code takes two.
const REASON_BYTES_MAX: usize = 123;

/// Follows the frames of an application, to know when one of ours may stand between them.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    /// So much of the next head has come.
    come: usize,
    /// So much of the frame is still to come.
    left: u64,
    has_closed: bool,
}

impl Frames {
    /// Follows what was read.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some((byte, rest)) = bytes.split_first() else { return };
            self.head[self.come] = *byte;
            (self.come, bytes) = (self.come + 1, rest);
            if self.come == self.head_bytes() {
                (self.left, self.has_closed) = (self.payload_bytes(), self.head[0] & 0xf == CLOSE);
                self.come = 0;
            }
        }
    }

    /// Whether a frame may follow.
    pub(super) const fn are_between(&self) -> bool {
        self.come == 0 && self.left == 0 && !self.has_closed
    }

    /// How long the head is, as far as that is known.
    fn head_bytes(&self) -> usize {
        if self.come < 2 {
            return HEAD_BYTES_MAX;
        }
        let mask = if self.head[1] & LAST == 0 { 0 } else { 4 };
        mask + match self.head[1] & !LAST {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn payload_bytes(&self) -> u64 {
        let long = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        match self.head[1] & !LAST {
            126 => long(&self.head[2..4]),
            127 => long(&self.head[2..10]),
            short => u64::from(short),
        }
    }
}

/// A frame that closes, and says why (RFC 6455, 5.5.1).
pub(super) fn closing(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let length = u8::try_from(end + 2).expect("a reason is that short");
    let mut frame = vec![LAST | CLOSE, length];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(&reason.as_bytes()[..end]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { LAST } else { 0 };
        let mut bytes = vec![LAST | opcode];
        match u16::try_from(length) {
            Ok(short) if short < 126 => bytes.push(mask | u8::try_from(short).unwrap()),
            Ok(long) => {
                bytes.push(mask | 0x7e);
                bytes.extend_from_slice(&long.to_be_bytes());
            }
            Err(_) => {
                bytes.push(mask | 0x7f);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + length + if masked { 4 } else { 0 }, 0xff);
        bytes
    }

    proptest! {
        #[test]
        fn ends_are_found_however_the_bytes_come(
            frames in proptest::collection::vec((0_u8..3, 0_usize..70_000, any::<bool>()), 1..6),
            cut in 1_usize..5_000,
        ) {
            let mut follower = Frames::default();
            for (opcode, length, masked) in frames {
                let bytes = frame(opcode, length, masked);
                let (before, last) = bytes.split_at(bytes.len() - 1);
                for part in before.chunks(cut) {
                    follower.follow(part);
                    prop_assert!(!follower.are_between());
                }
                follower.follow(last);
                prop_assert!(follower.are_between());
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Frames::default().follow(&bytes);
        }
    }

    #[test]
    fn nothing_follows_a_frame_that_closes() {
        let mut frames = Frames::default();
        frames.follow(&closing(1_000, "bye"));
        assert!(!frames.are_between());
    }

    #[test]
    fn a_reason_is_cut_between_letters() {
        let frame = closing(1_008, &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 124, 0x03, 0xf0]);
        assert_eq!(std::str::from_utf8(&frame[4..]).unwrap(), "é".repeat(61));
    }
}
