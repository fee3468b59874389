//! What a manifest may hold.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn id(digit: char) -> FullId {
    FullId::try_from(digit.to_string().repeat(64)).unwrap()
}

fn manifest(entries: Vec<PushEntry>) -> PushManifest {
    let (files, bytes) = totals(&entries).unwrap();
    let scope = Scope {
        project: "bread".parse().unwrap(),
        toolchain: crate::base::names::ToolchainId(Digest::of(b"x")),
        source: "/build/bread".to_owned(),
        cargo_home: "/cargo".to_owned(),
    };
    let records = Records {
        identity: b"{}".to_vec(),
        state: vec![1],
        left: vec![2],
        successes: 1,
        cold_seconds: Some(2.5),
        seconds: 2.5,
    };
    PushManifest {
        scope,
        repository: id('a'),
        snapshot: id('b'),
        counter: 1,
        signer: "a@b".to_owned(),
        created: 1_000_000,
        expires: 2_000_000,
        files,
        bytes,
        entries,
        records,
    }
}

fn file(path: &str, link: u32) -> PushEntry {
    let what = What::File { size: 3, digest: Digest::of(b"abc"), link };
    PushEntry { path: path.to_owned(), mode: 0o644, mtime: Moment(7), what }
}

fn directory(path: &str) -> PushEntry {
    PushEntry { path: path.to_owned(), mode: 0o755, mtime: Moment(7), what: What::Directory }
}

fn link(path: &str, target: &str) -> PushEntry {
    PushEntry {
        path: path.to_owned(),
        mode: 0o777,
        mtime: Moment(7),
        what: What::Symlink(target.to_owned()),
    }
}

#[test]
fn what_is_encoded_is_decoded_and_nothing_else_is() {
    let manifest = manifest(vec![directory("a"), file("a/b", 0), link("a/c", "b")]);
    let bytes = manifest.encode().unwrap();
    assert_eq!(PushManifest::decode(&bytes).unwrap(), manifest);
    for cut in 0..bytes.len() {
        assert!(PushManifest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_manifest_has_the_bytes_that_it_always_had() {
    let manifest = manifest(vec![directory("a"), file("a/b", 0), link("a/c", "b")]);
    crate::base::atomic::tests::assert_golden("push", &manifest.encode().unwrap());
}

#[test]
fn a_manifest_of_another_format_is_refused() {
    let bytes = manifest(Vec::new()).encode().unwrap();
    assert_eq!(u32::from(bytes[0]), PUSH_FORMAT);
    for other in [PUSH_FORMAT - 1, PUSH_FORMAT + 1] {
        let bytes = [&[u8::try_from(other).unwrap()], &bytes[1..]].concat();
        let refused = PushManifest::decode(&bytes).unwrap_err();
        assert_eq!(refused, format!("it has format {other}, this larder knows {PUSH_FORMAT}"));
    }
}

#[test]
fn a_manifest_holds_only_what_a_target_directory_may_hold() {
    let good = vec![
        directory("a"),
        directory("a/d"),
        file("a/b", 1),
        file("a/c", 1),
        link("a/d/e", "../b"),
        link("a/f", "d/e"),
    ];
    manifest(good.clone()).check_entries().unwrap();
    let bad: [(&str, PushEntry); 17] = [
        ("twice", file("a/b", 0)),
        ("absolute", file("/etc/passwd", 0)),
        ("leads out", file("../x", 0)),
        ("leads out", file("a/../../x", 0)),
        ("leads out", file("a/.", 0)),
        ("empty", file("a//x", 0)),
        ("empty", file("", 0)),
        ("no directory", file("b/x", 0)),
        ("no directory", file("a/f/x", 0)),
        ("no file has", file("a/\0", 0)),
        ("no file has", file(&"x".repeat(256), 0)),
        ("setuid", PushEntry { mode: 0o4755, ..file("x", 0) }),
        ("leaves", link("x", "/etc/passwd")),
        ("leaves", link("x", "../x")),
        ("leaves", link("a/d/x", "../../../x")),
        ("leaves", link("a/x", "d/../b")),
        ("another file", PushEntry { mode: 0o600, ..file("x", 1) }),
    ];
    for (why, entry) in bad {
        let mut entries = good.clone();
        let shown = format!("{entry:?}");
        entries.push(entry);
        let refused = manifest(entries).check_entries().unwrap_err();
        assert!(refused.contains(why), "{shown}: {refused}");
    }
}

#[test]
fn totals_are_those_of_the_entries() {
    let entries = vec![file("a", 0), file("b", 1), file("c", 1)];
    assert_eq!(totals(&entries), Some((3, 6)));
    let more = PushManifest { bytes: 7, ..manifest(entries.clone()) };
    assert!(more.check_entries().is_err());
    let huge = |path: &str| PushEntry {
        what: What::File { size: u64::MAX, digest: Digest::of(b""), link: 0 },
        ..file(path, 0)
    };
    assert_eq!(totals(&[huge("a"), huge("b")]), None);
    let overflowing = PushManifest { entries: vec![huge("a"), huge("b")], ..manifest(entries) };
    assert!(overflowing.check_entries().is_err());
}

#[test]
fn times_are_looked_at_from_both_sides() {
    let manifest = manifest(Vec::new());
    let day = AHEAD.as_secs();
    for good in [1_000_000 - day, 1_000_000, 1_999_999] {
        manifest.check_times(good).unwrap();
    }
    assert!(manifest.check_times(1_000_000 - day - 1).unwrap_err().contains("clocks"));
    for late in [2_000_000, u64::MAX] {
        assert!(manifest.check_times(late).unwrap_err().contains("expired"));
    }
    let odd = PushManifest { created: u64::MAX, expires: u64::MAX, ..manifest };
    assert!(odd.check_times(0).is_err());
}

#[test]
fn a_tree_is_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/one"), "1").unwrap();
    fs::hard_link(path("d/one"), path("d/two")).unwrap();
    fs::write(path("three"), "333").unwrap();
    fs::set_permissions(path("three"), fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::symlink("three", path("link")).unwrap();
    let found = entries(&Tree::observe_all(dir.path(), None).unwrap()).unwrap();
    let shown: Vec<(&str, u32, u32)> = found
        .iter()
        .map(|entry| {
            let link = if let What::File { link, .. } = entry.what { link } else { 9 };
            (entry.path.as_str(), entry.mode, link)
        })
        .collect();
    let wanted = [
        ("d", 0o755, 9),
        ("d/one", 0o644, 1),
        ("d/two", 0o644, 1),
        ("link", 0o777, 9),
        ("three", 0o4755, 0),
    ];
    assert_eq!(shown, wanted);
    rustix::fs::mknodat(rustix::fs::CWD, path("odd"), FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert!(entries(&Tree::observe_all(dir.path(), None).unwrap()).unwrap_err().contains("odd"));
}

#[test]
fn too_many_names_are_let_go_of_and_refused() {
    let one = file(&"x".repeat(200), 0);
    let many = manifest(vec![one; MOST_ENTRIES + 10]);
    let read = PushManifest::decode(&many.encode().unwrap()).unwrap();
    assert_eq!(read.entries.len(), MOST_ENTRIES + 1);
    let why = read.check_entries().unwrap_err();
    assert_eq!(why, format!("it has more than {MOST_ENTRIES} names"));
    let mut long = manifest(Vec::new());
    long.records.state = vec![0; LONGEST_RECORD + 1];
    assert!(long.check_entries().unwrap_err().contains("state has more than"));
}
