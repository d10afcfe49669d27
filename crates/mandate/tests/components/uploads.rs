//! Packages are sent and read in parts, and whoever was interrupted goes on.

use std::time::Duration;

use api::{
    Client, Kind, Problem,
    releases::{
        GetPackage, GetPackagePart, PACKAGE_BYTES_MAX, PACKAGE_PART_BYTES_MAX, PackageState,
        PutPackage, PutPackagePart,
    },
};
use bytes::Bytes;
use db::EngineKind;
use types::Digest;

use crate::world::{World, eventually, put_package};

/// Bytes of which each part is another.
pub(crate) fn noise(length: usize) -> Bytes {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

pub(crate) async fn there(client: &Client, digest: &Digest) -> PackageState {
    client.call(GetPackage { digest: digest.clone() }).await.unwrap()
}

/// Sends what stands at `offset` of a package.
pub(crate) async fn send(
    client: &Client,
    (digest, offset): (&Digest, u64),
    part: Bytes,
) -> Result<(), Problem> {
    client.upload(PutPackagePart { digest: digest.clone(), offset }, part).await
}

pub(crate) async fn complete(client: &Client, package: &Bytes) -> Result<(), Problem> {
    let (digest, bytes) = (Digest::of(package), package.len() as u64);
    client.call(PutPackage { digest, bytes }).await.map(drop)
}

/// Reads a package part by part.
pub(crate) async fn read(client: &Client, digest: &Digest) -> Result<Vec<u8>, Problem> {
    let mut whole = Vec::new();
    loop {
        let (digest, offset) = (digest.clone(), whole.len() as u64);
        match client.download(GetPackagePart { digest, offset }).await? {
            part if part.is_empty() => return Ok(whole),
            part => whole.extend_from_slice(&part),
        }
    }
}

stories! {
    async fn a_package_goes_and_comes_in_parts(world: &World) {
        let operator = world.operator().await;
        let package = noise(PACKAGE_PART_BYTES_MAX + 1_000);
        let digest = Digest::of(&package);
        assert_eq!(there(&operator, &digest).await, PackageState { bytes: 0, whole: false });
        let (first, rest) = (package.slice(..PACKAGE_PART_BYTES_MAX), PACKAGE_PART_BYTES_MAX as u64);
        // Nothing is left out, and a part that is sent again changes nothing.
        let early = send(&operator, (&digest, rest), package.slice(PACKAGE_PART_BYTES_MAX..)).await;
        assert_eq!(early.unwrap_err().code, "package_parts_missing");
        for _ in 0..2 {
            send(&operator, (&digest, 0), first.clone()).await.unwrap();
        }
        let late = send(&operator, (&digest, rest + 1), "x".into()).await.unwrap_err();
        assert!(late.detail.contains(&format!("only {rest} bytes")), "{late}");
        let early = complete(&operator, &package).await.unwrap_err();
        assert_eq!((early.kind, early.code.as_str()), (Kind::Conflict, "package_parts_missing"));
        assert_eq!(read(&operator, &digest).await.unwrap_err().kind, Kind::NotFound);
        assert_eq!(there(&operator, &digest).await, PackageState { bytes: rest, whole: false });

        send(&operator, (&digest, rest), package.slice(PACKAGE_PART_BYTES_MAX..)).await.unwrap();
        // To say twice that it is whole is to say it once.
        for _ in 0..2 {
            complete(&operator, &package).await.unwrap();
        }
        let bytes = package.len() as u64;
        assert_eq!(there(&operator, &digest).await, PackageState { bytes, whole: true });
        assert!(read(&operator, &digest).await.unwrap() == package);
        let (_, node) = world.node("one").await;
        assert!(read(&node, &digest).await.unwrap() == package);
    }

    async fn what_is_sent_is_what_was_named_and_has_limits(world: &World) {
        let operator = world.operator().await;
        let named = Digest::of(b"these bytes");
        send(&operator, (&named, 0), "other bytes".into()).await.unwrap();
        let complete = || operator.call(PutPackage { digest: named.clone(), bytes: 11 });
        assert_eq!(complete().await.unwrap_err().code, "wrong_digest");
        assert_eq!(there(&operator, &named).await.bytes, 0, "all of it is sent again");
        put_package(&operator, b"these bytes").await.unwrap();

        let large = noise(PACKAGE_PART_BYTES_MAX + 1);
        let refused = send(&operator, (&named, 0), large).await.unwrap_err();
        assert_eq!(refused.code, "body_too_long");
        for offset in [PACKAGE_BYTES_MAX - 1, u64::MAX] {
            let refused = send(&operator, (&named, offset), "xy".into()).await.unwrap_err();
            assert_eq!(refused.code, "package_size");
        }
        for number in 0..16_u8 {
            send(&operator, (&Digest::of(&[number]), 0), "x".into()).await.unwrap();
        }
        let one_more = Digest::of(b"one more");
        let refused = send(&operator, (&one_more, 0), "x".into()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (Kind::Exhausted, "too_many_uploads"));
        // Whoever has begun goes on.
        send(&operator, (&Digest::of(&[7]), 1), "x".into()).await.unwrap();
        world.advance(Duration::from_hours(23));
        let operator = world.operator().await;
        send(&operator, (&Digest::of(&[7]), 2), "x".into()).await.unwrap();
        world.advance(Duration::from_hours(2));
        let again = async || send(&operator, (&one_more, 0), "x".into()).await.is_ok();
        eventually("those of yesterday are forgotten", again, |is_taken| *is_taken).await;
        let last = async || there(&operator, &Digest::of(&[7])).await.bytes;
        eventually("all of them", last, |bytes| *bytes == 0).await;
        let left = async || std::fs::read_dir(world.data.join("packages/uploads")).unwrap().count();
        eventually("no file stays that nobody asks for", left, |left| *left == 1).await;
    }
}

#[tokio::test]
async fn whoever_was_interrupted_goes_on_after_the_platform_was_killed() {
    let world = World::start("uploads-killed", EngineKind::Sqlite).await;
    let package = noise(2 * PACKAGE_PART_BYTES_MAX);
    let digest = Digest::of(&package);
    let sent = PACKAGE_PART_BYTES_MAX as u64;
    let part = package.slice(..PACKAGE_PART_BYTES_MAX);
    send(&world.operator().await, (&digest, 0), part).await.unwrap();
    let data = world.close().await;
    let moment = "2026-12-01T01:00:00Z";
    let world = Box::pin(World::start_in(data, EngineKind::Sqlite, moment, async |_| {})).await;
    let operator = world.operator().await;
    assert_eq!(there(&operator, &digest).await, PackageState { bytes: sent, whole: false });
    let rest = package.slice(PACKAGE_PART_BYTES_MAX..);
    send(&operator, (&digest, sent), rest).await.unwrap();
    complete(&operator, &package).await.unwrap();
    assert!(read(&operator, &digest).await.unwrap() == package);
    world.end().await;
}
