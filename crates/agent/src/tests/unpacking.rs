//! Packages as nobody should make them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use bytes::Bytes;
use proptest::prelude::*;
use tar::{EntryType, Header};
use types::Digest;

use super::{
    Folder,
    packages::{Package, archive},
};
use crate::releases::{
    package::{PackageError, unpack_beside, verify},
    unpack::{Limits, UnpackError, unpack},
};

struct Item<'a> {
    path: &'a [u8],
    kind: EntryType,
    link: &'a str,
    content: &'a [u8],
}

fn file<'a>(path: &'a str, content: &'a [u8]) -> Item<'a> {
    Item { path: path.as_bytes(), kind: EntryType::Regular, link: "", content }
}

fn link<'a>(path: &'a str, target: &'a str) -> Item<'a> {
    Item { path: path.as_bytes(), kind: EntryType::Symlink, link: target, content: b"" }
}

/// An archive whose paths nobody has looked at.
fn raw(items: &[Item<'_>]) -> Bytes {
    archive(|tar| {
        for item in items {
            let mut header = Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..item.path.len()].copy_from_slice(item.path);
            header.set_entry_type(item.kind);
            header.set_link_name_literal(item.link).unwrap();
            header.set_size(item.content.len() as u64);
            header.set_mode(0o6777);
            header.set_cksum();
            tar.append(&header, item.content).unwrap();
        }
    })
}

fn try_unpack(package: &[u8]) -> (Folder, Result<(), UnpackError>) {
    let folder = Folder::new();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let limits = Limits { bytes: 1 << 20, entries: 100 };
    let outcome = unpack(package, &inner, limits);
    let outside: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(outside.len(), 1, "something was written outside");
    (folder, outcome)
}

fn refused(items: &[Item<'_>]) -> String {
    try_unpack(&raw(items)).1.unwrap_err().to_string()
}

#[test]
fn a_proper_package_is_unpacked() {
    let items = [
        file("./bin/tool", b"#!/bin/sh"),
        link("bin/alias", "tool"),
        link("lib/deep/up", "../../bin/tool"),
        link("here", "."),
    ];
    let (folder, outcome) = try_unpack(&raw(&items));
    outcome.unwrap();
    let inner = folder.path().join("inner");
    let mode = fs::metadata(inner.join("bin/tool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "no set-user-id, not writable by all");
    assert_eq!(fs::read(inner.join("lib/deep/up")).unwrap(), b"#!/bin/sh");
}

#[test]
fn long_names_are_taken() {
    let long = format!("{}end", "folder/".repeat(40));
    let package = archive(|tar| {
        let mut header = Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        tar.append_data(&mut header, &long, &b"x"[..]).unwrap();
    });
    let (folder, outcome) = try_unpack(&package);
    outcome.unwrap();
    assert!(folder.path().join("inner").join(long).is_file());
}

#[test]
fn nothing_leads_out() {
    for path in ["../evil", "a/../../evil", "/tmp/evil", "a/../b", ".."] {
        assert!(refused(&[file(path, b"x")]).contains("leads out"), "{path}");
    }
    for (path, target) in [
        ("a", "/etc/passwd"),
        ("a", ".."),
        ("a/b", "../../x"),
        ("a/b", "c/../../../x"),
        // Step by step: `s` is the top, so a step up from it is one too many.
        ("t", "deep/dir/s/.."),
        ("a", "//x"),
    ] {
        let items = [link("deep/dir/s", "../.."), link(path, target)];
        assert!(refused(&items).contains("the link `"), "{path} -> {target}");
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let through = [link("a", "b"), file("a/x", b"x")];
    assert!(refused(&through).contains("twice"));
    let later = [file("b/y", b"y"), link("a", "b"), link("a/x", "y")];
    assert!(refused(&later).contains("twice"));
    let over = [link("a", "b"), file("a", b"x")];
    assert!(refused(&over).contains("twice"));
    let twice = [file("a", b"x"), file("a", b"y")];
    assert!(refused(&twice).contains("twice"));
    let below_a_file = [file("a", b"x"), file("a/b", b"y")];
    assert!(refused(&below_a_file).contains("twice"));
}

#[test]
fn only_files_folders_and_links_are_made() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::Link] {
        let item = Item { path: b"x", kind, link: "/etc/passwd", content: b"" };
        assert!(refused(&[item]).contains("neither a file"), "{kind:?}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let large = vec![0; 2 << 20];
    assert!(refused(&[file("zeros", &large)]).contains("more than 1048576 bytes"));
    let names: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let many: Vec<Item<'_>> = names.iter().map(|name| file(name, b"")).collect();
    assert!(refused(&many).contains("more than 100 files"));
    let name = vec![b'a'; 512 << 10];
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let long = || Item { path: b"n", kind, link: "", content: &name };
        let first = refused(&[long(), file("x", b"x")]);
        assert!(first.contains("bytes"), "{kind:?} is no content");
        let later = refused(&[file("w", &large[..9_000]), long(), file("x", b"x")]);
        assert!(later.contains("bytes"), "{kind:?} is no content");
    }
}

#[test]
fn what_is_cut_or_no_archive_is_refused() {
    let whole = raw(&[file("a", &[7; 5_000]), file("b", &[9; 5_000])]);
    for length in [0, 3, whole.len() / 2, whole.len() - 1] {
        assert!(try_unpack(&whole[..length]).1.is_err(), "{length} bytes");
    }
    assert!(try_unpack(b"not a package").1.is_err());
}

#[test]
fn the_signature_is_checked() {
    let (release, _) = Package::new("serve").pack();
    verify(&release).unwrap();
    let mut other = release.clone();
    other.digest = Digest::of(b"another package");
    assert!(matches!(verify(&other), Err(PackageError::Signature)));
    let mut forged = release.clone();
    forged
        .signature
        .replace_range(..2, if forged.signature.starts_with("00") { "01" } else { "00" });
    assert!(matches!(verify(&forged), Err(PackageError::Signature)));
    let mut renamed = release.clone();
    renamed.service = "other".parse().unwrap();
    assert!(matches!(verify(&renamed), Err(PackageError::Signature)));
    let mut keyless = release;
    keyless.public_key = "zz".repeat(32);
    assert!(matches!(verify(&keyless), Err(PackageError::Signature)));
}

#[test]
fn the_manifest_inside_is_the_one_that_counts() {
    let folder = Folder::new();
    let place = folder.path().join("release");
    let (mut release, bytes) = Package::new("serve").pack();
    release.manifest.run.web.command = vec!["sh".into(), "-c".into(), "evil".into()];
    let refused = unpack_beside(&release, &bytes[..], &place);
    assert!(matches!(refused, Err(PackageError::OtherManifest(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_links_and_files_together_lead_out(
        items in proptest::collection::vec(
            (proptest::bool::ANY, path(), path(), 0u8..4), 1..12)
    ) {
        let items: Vec<Item<'_>> = items
            .iter()
            .map(|(is_link, path, target, _)| {
                if *is_link { link(path, target) } else { file(path, b"x") }
            })
            .collect();
        let (folder, outcome) = try_unpack(&raw(&items));
        if outcome.is_ok() {
            all_inside(&folder.path().join("inner"), &folder.path().join("inner"));
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![Just("a"), Just("b"), Just("c"), Just(".."), Just("."), Just("")];
    proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn all_inside(folder: &Path, root: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if let Ok(real) = entry.path().canonicalize() {
            assert!(real.starts_with(root), "{} leads out", entry.path().display());
        }
        if entry.file_type().unwrap().is_dir() {
            all_inside(&entry.path(), root);
        }
    }
}
