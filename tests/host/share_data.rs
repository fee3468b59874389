//! What somebody who may write to the repository can put into the data of a push, each refused before anything is
//! where builds look.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use larder::FullId;
use larder::manifest::What;

use crate::share_forge::{Attack, Forge, file, mknod, node, some_file, try_all, with_entry};

/// What the data hold that the manifest does not say.
const DATA: &[Attack] = &[
    ("more", &["not in the manifest"], |forge, mut manifest| {
        fs::write(forge.path("release/deps/libmore.rlib"), "more").unwrap();
        forge.publish_tree(&mut manifest);
    }),
    ("fewer", &["not in the snapshot"], |forge, mut manifest| {
        let path = manifest.entries[some_file(&manifest)].path.clone();
        fs::remove_file(forge.path(&path)).unwrap();
        forge.publish_tree(&mut manifest);
    }),
    ("others", &["not in the manifest"], |forge, mut manifest| {
        let path = manifest.entries[some_file(&manifest)].path.clone();
        fs::rename(forge.path(&path), forge.path(&format!("{path}x"))).unwrap();
        forge.publish_tree(&mut manifest);
    }),
    ("other content", &["its content is not that of the manifest"], |forge, mut manifest| {
        let path = forge.path(&manifest.entries[some_file(&manifest)].path);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        forge.publish_tree(&mut manifest);
    }),
    ("setuid", &["has mode 4755 in the snapshot"], |forge, mut manifest| {
        let path = forge.path(&manifest.entries[some_file(&manifest)].path);
        fs::set_permissions(path, fs::Permissions::from_mode(0o4755)).unwrap();
        forge.publish_tree(&mut manifest);
    }),
    ("setgid and sticky", &["has mode 3755 in the snapshot"], |forge, mut manifest| {
        fs::set_permissions(forge.path("release/deps"), fs::Permissions::from_mode(0o3755))
            .unwrap();
        forge.publish_tree(&mut manifest);
    }),
    ("a device", &["is a chardev in the snapshot"], |forge, mut manifest| {
        mknod(&forge.path("x"), rustix::fs::FileType::CharacterDevice);
        with_entry(&mut manifest, "x", 0o644, file(0));
        forge.publish_tree(&mut manifest);
    }),
    ("a FIFO", &["is a fifo in the snapshot"], |forge, mut manifest| {
        mknod(&forge.path("x"), rustix::fs::FileType::Fifo);
        with_entry(&mut manifest, "x", 0o644, file(0));
        forge.publish_tree(&mut manifest);
    }),
    ("a link in place of a file", &["is a symlink in the snapshot"], |forge, mut manifest| {
        symlink("/etc/passwd", forge.path("x")).unwrap();
        with_entry(&mut manifest, "x", 0o644, file(6));
        forge.publish_tree(&mut manifest);
    }),
    ("a link that points elsewhere", &["it points elsewhere"], |forge, mut manifest| {
        symlink("/etc/passwd", forge.path("x")).unwrap();
        with_entry(&mut manifest, "x", 0o777, What::Symlink("release".to_owned()));
        forge.publish_tree(&mut manifest);
    }),
    ("two names of one file", &["is linked to another file"], |forge, mut manifest| {
        fs::write(forge.path("x"), "forged").unwrap();
        fs::hard_link(forge.path("x"), forge.path("y")).unwrap();
        with_entry(&mut manifest, "x", 0o644, file(6));
        with_entry(&mut manifest, "y", 0o644, file(6));
        forge.publish_tree(&mut manifest);
    }),
    ("a bomb", &["bytes in the snapshot"], |forge, mut manifest| {
        let path = forge.path(&manifest.entries[some_file(&manifest)].path);
        fs::File::options().write(true).open(path).unwrap().set_len(1 << 28).unwrap();
        forge.publish_tree(&mut manifest);
    }),
    ("a bomb of many files", &["not in the manifest"], |forge, mut manifest| {
        for number in 0..3000 {
            fs::write(forge.path(&format!("release/deps/{number}")), "").unwrap();
        }
        forge.publish_tree(&mut manifest);
    }),
    (
        "a snapshot that is not there",
        &["restic failed listing the snapshot"],
        |forge, mut manifest| {
            manifest.snapshot = FullId::try_from("1".repeat(64)).unwrap();
            forge.publish(&manifest);
        },
    ),
];

/// What restic itself never writes.
const FORGED: &[Attack] = &[
    (
        "a name that leads out, forged",
        &["has the name .., which leads out"],
        |forge, mut manifest| {
            forge.forge(&mut manifest, &[node("..", "file", 0o644)]);
            forge.publish(&manifest);
        },
    ),
    (
        "a longer name that leads out, forged",
        &["has the name ../../b/larder.toml"],
        |forge, mut manifest| {
            forge.forge(&mut manifest, &[node("../../b/larder.toml", "file", 0o644)]);
            forge.publish(&manifest);
        },
    ),
    ("an absolute name, forged", &["has the name /tmp/larder-forged"], |forge, mut manifest| {
        forge.forge(&mut manifest, &[node("/tmp/larder-forged", "file", 0o644)]);
        forge.publish(&manifest);
    }),
    ("a name twice, forged", &["not in the manifest, or twice"], |forge, mut manifest| {
        manifest.entries.clear();
        with_entry(&mut manifest, "x", 0o644, file(6));
        forge.forge(&mut manifest, &[node("x", "file", 0o644), node("x", "file", 0o644)]);
        forge.publish(&manifest);
    }),
    (
        "a device that says to be a file, forged",
        &["is a file that says to be something else"],
        |forge, mut manifest| {
            manifest.entries.clear();
            with_entry(&mut manifest, "x", 0o644, file(6));
            let mode = 0o644 | (1 << 26);
            forge.forge(&mut manifest, &[node("x", "file", mode)]);
            forge.publish(&manifest);
        },
    ),
];

#[test]
fn data_that_are_not_those_of_the_manifest_are_refused() {
    try_all(DATA);
}

#[test]
fn what_only_a_forger_writes_is_refused() {
    try_all(FORGED);
}

#[test]
fn owners_and_attributes_of_others_do_not_arrive() {
    let forge = Forge::new();
    let mut manifest = forge.begin();
    let path = manifest.entries[some_file(&manifest)].path.clone();
    let place = forge.path(&path);
    std::os::unix::fs::chown(&place, Some(12345), Some(12345)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    let has_attributes = rustix::fs::setxattr(&place, "user.larder", b"x", flags).is_ok();
    assert!(has_attributes, "the tests need a filesystem with extended attributes");
    forge.publish_tree(&mut manifest);
    forge.lab.pull().succeeds();
    let pulled = forge.lab.entry("b").unwrap().join("target").join(path);
    let metadata = fs::symlink_metadata(&pulled).unwrap();
    let own = rustix::process::geteuid().as_raw();
    assert_eq!((metadata.uid(), metadata.gid()), (own, rustix::process::getegid().as_raw()));
    let mut names = [0u8; 1024];
    assert_eq!(rustix::fs::llistxattr(&pulled, &mut names).unwrap(), 0);
    assert_eq!(forge.lab.build("b"), 0);
}

#[test]
fn a_damaged_repository_is_refused_wherever_it_is_damaged() {
    let forge = Forge::new();
    let files = |dir: &str| -> Vec<PathBuf> {
        let walk =
            walkdir::WalkDir::new(forge.lab.path("repository").join(dir)).sort_by_file_name();
        let files = walk.into_iter().map(Result::unwrap).filter(|item| item.file_type().is_file());
        files.map(walkdir::DirEntry::into_path).collect()
    };
    for dir in ["data", "index", "snapshots", "keys"] {
        for truncate in [false, true] {
            let good = forge.begin();
            forge.publish(&good);
            for file in files(dir) {
                let mut bytes = fs::read(&file).unwrap();
                let middle = bytes.len() / 2;
                if truncate {
                    bytes.truncate(middle);
                } else {
                    bytes[middle] ^= 0x10;
                }
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                fs::write(&file, bytes).unwrap();
            }
            let said = forge.lab.pull();
            assert_eq!(said.code, 1, "{dir}, truncated: {truncate}: {said:#?}");
            assert!(said.stderr.contains("larder: error: "), "{said:#?}");
            forge.lab.has_nothing("b");
        }
    }
}
