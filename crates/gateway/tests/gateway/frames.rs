//! HTTP/2 frames as nobody should send them (RFC 9113): what h2spec tries, at the socket.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::World;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const HOST: &str = "forum.localhost";
/// Within which something is said.
const SOON: Duration = Duration::from_secs(5);

/// The kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTING: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// A request without a body, in one frame.
const WHOLE: u8 = END_STREAM | END_HEADERS;

/// What is said to be wrong (7).
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const FRAME_SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field as HPACK (RFC 7541, 6.2.2) writes it without a table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

fn fields(all: &[(&str, &str)]) -> Vec<u8> {
    all.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// `GET /` of the forum with these fields behind it.
fn head(more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", HOST)];
    [fields(&usual), fields(more)].concat()
}

/// What the gateway says: whether anything was answered, and each error.
#[derive(Debug, Default)]
struct Said {
    answers: usize,
    errors: Vec<(u8, u32)>,
}

/// Listens until something was answered, if that `is_enough`, or an error was told.
async fn said(world: &World, frames: &[Vec<u8>], is_enough: bool) -> Said {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(SETTINGS).await.unwrap();
    for frame in frames {
        let _ = stream.write_all(frame).await;
    }
    let mut said = Said::default();
    let reading = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match head[3] {
                HEADERS => said.answers += 1,
                RST_STREAM => said.errors.push((RST_STREAM, code(0))),
                GOAWAY if code(4) != 0 => said.errors.push((GOAWAY, code(4))),
                _ => continue,
            }
            if !said.errors.is_empty() || (is_enough && said.answers > 0) {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(SOON, reading).await;
    said
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTING, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

#[tokio::test]
async fn what_breaks_a_rule_of_frames_ends_the_connection_with_the_reason() {
    let (world, upstream) = World::with_forum().await;
    let get = |stream| frame(HEADERS, WHOLE, stream, &head(&[]));
    let open = || frame(HEADERS, END_HEADERS, 1, &head(&[]));
    let cases: Vec<(&str, Vec<Vec<u8>>, u32)> = vec![
        ("data of no stream", vec![frame(DATA, 0, 0, b"x")], PROTOCOL),
        ("data of a stream that was not opened", vec![frame(DATA, 0, 1, b"x")], PROTOCOL),
        ("a request on no stream", vec![get(0)], PROTOCOL),
        ("a request on a stream of ours", vec![get(2)], PROTOCOL),
        ("a stream below one before", vec![get(5), get(3)], PROTOCOL),
        ("a frame that is too long", vec![frame(PING, 0, 0, &[0; 20_000])], FRAME_SIZE),
        ("settings of another length", vec![frame(SETTING, 0, 0, &[0; 5])], FRAME_SIZE),
        ("settings of a stream", vec![frame(SETTING, 0, 1, &[])], PROTOCOL),
        ("settings that were read, with some", vec![frame(SETTING, 1, 0, &[0; 6])], FRAME_SIZE),
        ("a window that is too large", vec![setting(4, 1 << 31)], FLOW_CONTROL),
        ("pushes, perhaps", vec![setting(2, 2)], PROTOCOL),
        ("frames of no length", vec![setting(5, 1)], PROTOCOL),
        ("a question of another length", vec![frame(PING, 0, 0, &[0; 7])], FRAME_SIZE),
        ("a question on a stream", vec![frame(PING, 0, 1, &[0; 8])], PROTOCOL),
        ("a window by nothing", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 4])], PROTOCOL),
        (
            "a window that overflows",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])],
            FLOW_CONTROL,
        ),
        ("an end of what did not begin", vec![frame(RST_STREAM, 0, 1, &[0; 4])], PROTOCOL),
        ("an end of another length", vec![open(), frame(RST_STREAM, 0, 1, &[0; 3])], FRAME_SIZE),
        ("a head that goes on from nothing", vec![frame(CONTINUATION, 4, 1, &[])], PROTOCOL),
        (
            "something between the parts of a head",
            vec![frame(HEADERS, END_STREAM, 1, &head(&[])), frame(PING, 0, 0, &[0; 8])],
            PROTOCOL,
        ),
        ("a promise", vec![open(), frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 2])], PROTOCOL),
        ("a head that nobody can read", vec![frame(HEADERS, WHOLE, 1, &[0xff; 9])], COMPRESSION),
        ("more padding than there is", vec![open(), frame(DATA, 8, 1, &[9, 0])], PROTOCOL),
    ];
    for (what, frames, code) in cases {
        let said = said(&world, &frames, false).await;
        // The library says the more general of two reasons here and there.
        let is_told = |(kind, it): &(u8, u32)| *kind == GOAWAY && [code, PROTOCOL].contains(it);
        assert!(said.errors.iter().any(is_told), "{what}: {said:?}");
    }
    // One request may have come through before the rule was broken.
    assert!(upstream.hits() <= 1, "{}", upstream.hits());
}

#[tokio::test]
async fn what_breaks_a_rule_of_requests_is_no_request() {
    let (world, upstream) = World::with_forum().await;
    let whole = |block: Vec<u8>| vec![frame(HEADERS, WHOLE, 1, &block)];
    let without = |name: &str| {
        let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", HOST)];
        fields(&usual.iter().copied().filter(|(it, _)| *it != name).collect::<Vec<_>>())
    };
    let posted = |length: &'static str, sent: &[u8]| {
        let mut block = without(":method");
        block.extend(field(":method", "POST"));
        block.extend(field("content-length", length));
        vec![frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, END_STREAM, 1, sent)]
    };
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("capital letters", whole(head(&[("X-App", "1")]))),
        ("a header of one connection", whole(head(&[("connection", "close")]))),
        ("a coding of the older version", whole(head(&[("transfer-encoding", "chunked")]))),
        ("another way to keep it", whole(head(&[("keep-alive", "1")]))),
        ("an upgrade", whole(head(&[("upgrade", "websocket")]))),
        ("trailers and more", whole(head(&[("te", "trailers, gzip")]))),
        ("no method", whole(without(":method"))),
        ("no scheme", whole(without(":scheme"))),
        ("no path", whole(without(":path"))),
        ("an empty path", whole([without(":path"), field(":path", "")].concat())),
        ("two paths", whole(head(&[(":path", "/admin")]))),
        ("two methods", whole(head(&[(":method", "POST")]))),
        ("an answer's field", whole(head(&[(":status", "200")]))),
        ("a field that nobody knows", whole(head(&[(":own", "1")]))),
        ("a pseudo field behind others", whole([field("x", "1"), head(&[])].concat())),
        ("less than it says", posted("5", b"abc")),
        ("more than it says", posted("2", b"abc")),
        ("a line break in a value", whole(head(&[("x", "a\r\nb")]))),
        ("a line break in a name", whole(head(&[("x\r\ny", "a")]))),
        ("a NUL in a value", whole(head(&[("x", "a\0b")]))),
    ];
    for (what, frames) in cases {
        let said = said(&world, &frames, true).await;
        let is_refused = said.errors.iter().any(|(_, code)| *code == PROTOCOL);
        assert!(is_refused || said.answers == 1, "{what}: {said:?}");
        assert_eq!(upstream.hits(), 0, "{what}");
    }
    let said = said(&world, &whole(head(&[])), true).await;
    assert_eq!((said.answers, upstream.hits()), (1, 1));
}

#[tokio::test]
async fn what_is_unusual_but_allowed_is_served() {
    let (world, upstream) = World::with_forum().await;
    let block = head(&[]);
    let (first, rest) = block.split_at(7);
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        (
            "a head in parts",
            vec![
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, 0, 1, &[]),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ],
        ),
        ("a kind that nobody knows", vec![frame(99, 0, 0, b"x"), frame(HEADERS, WHOLE, 1, &block)]),
        ("a setting that nobody knows", vec![setting(99, 1), frame(HEADERS, WHOLE, 1, &block)]),
        (
            "a priority before",
            vec![frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9]), frame(HEADERS, WHOLE, 1, &block)],
        ),
        (
            "padding and a priority inside",
            vec![frame(
                HEADERS,
                WHOLE | 0x28,
                1,
                &[&[3, 0, 0, 0, 0, 9][..], &block, &[0; 3]].concat(),
            )],
        ),
        ("a cookie in crumbs", vec![frame(HEADERS, WHOLE, 1, &head(&[("cookie", "a=1"); 9]))]),
        ("trailers are heard", vec![frame(HEADERS, WHOLE, 1, &head(&[("te", "trailers")]))]),
    ];
    for (place, (what, frames)) in cases.into_iter().enumerate() {
        let said = said(&world, &frames, true).await;
        assert_eq!((said.answers, upstream.hits()), (1, place + 1), "{what}: {said:?}");
    }
}
