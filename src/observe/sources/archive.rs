//! What a `.crate` holds, to compare it with what was unpacked from it.
//!
//! A `.crate` is a gzipped tar (RFC 1952; POSIX `ustar` and `pax`, GNU's long names). Cargo checks its SHA-256 only
//! while it downloads it: one that is there already is unpacked as it is (`sources/registry/download.rs`, `download`,
//! Cargo 1.95), and where `.cargo-ok` is there nothing is unpacked at all.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use miniz_oxide::inflate::decompress_to_vec_with_limit;
use sha2::{Digest as _, Sha256};

use crate::base::digest::Digest;
use crate::base::encoding::hexadecimal;
use crate::base::regular;
use crate::base::tree::{Entry, Node, Tree};

/// A tar is made of blocks of so many bytes.
const BLOCK: usize = 512;

/// No archive is read that has more bytes: crates.io takes 10 MiB.
const LARGEST: u64 = 512 << 20;

/// For what a tar has besides files: long names, directories, the end.
const BESIDE: u64 = 4 << 20;

/// Cargo's mark that a package is unpacked whole, and nobody else's business.
pub(super) const MARK: &str = ".cargo-ok";

/// One name in an archive.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    File { mode: u32, content: Digest },
    Link(Vec<u8>),
    Directory,
}

/// What stands before a file in a tar, put together from all its blocks.
#[derive(Default)]
struct Header {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<usize>,
}

/// The bytes of an archive, if it is a regular file with this SHA-256 in hexadecimal digits.
pub(crate) fn read_true(path: &Path, sum: &str) -> Option<Vec<u8>> {
    let bytes = regular::read_own(path, LARGEST).ok()?;
    (hexadecimal(&Sha256::digest(&bytes)) == sum).then_some(bytes)
}

/// Whether a tree is what is unpacked from an archive with this checksum; `name` is the directory in it.
pub(super) fn is_unpacked(tree: &Tree, archive: &Path, name: &Path, sum: &str) -> bool {
    let sizes = tree.iter().map(|(_, entry)| entry.stamp.size + 8 * BLOCK as u64);
    let most = sizes.fold(BESIDE, u64::saturating_add);
    let unpacked = read_true(archive, sum).and_then(|bytes| inflate(&bytes, most));
    unpacked.and_then(|tar| items(&tar, name)).is_some_and(|items| is_same(tree, items))
}

fn is_same(tree: &Tree, mut items: BTreeMap<PathBuf, Item>) -> bool {
    let is_mark =
        |path: &Path, entry: &Entry| path == Path::new(MARK) && matches!(entry.node, Node::File(_));
    items.remove(Path::new(MARK));
    let mut others = tree.iter().filter(|(path, entry)| !is_mark(path, entry));
    let is_as_archived = others.all(|(path, entry)| match (items.remove(&path), &entry.node) {
        (Some(Item::File { mode, content }), Node::File(seen)) => {
            content == *seen && is_mode(entry.mode, mode)
        }
        (Some(Item::Link(target)), Node::Symlink(seen)) => target == *seen,
        (Some(Item::Directory), Node::Directory) => entry.mode & 0o700 == 0o700,
        _ => false,
    });
    // What is left of them is not there.
    is_as_archived && items.is_empty()
}

/// Whether a mode is what the archive says, less what somebody's mask took from others than the owner.
fn is_mode(seen: u32, archived: u32) -> bool {
    let (seen, archived) = (seen & 0o7777, archived & 0o777);
    seen & !archived == 0 && seen & 0o700 == archived & 0o700
}

/// What was compressed, if that is no more than so many bytes.
fn inflate(gzip: &[u8], most: u64) -> Option<Vec<u8>> {
    let (head, mut rest) = gzip.split_at_checked(10)?;
    let ([0x1f, 0x8b, 8, flags], _) = head.split_at(4) else { return None };
    if flags & 4 != 0 {
        let (length, after) = rest.split_at_checked(2)?;
        rest = after.get(usize::from(u16::from_le_bytes([length[0], length[1]]))..)?;
    }
    // The file's name, and a comment.
    for flag in [8, 16] {
        if flags & flag != 0 {
            rest = rest.get(memchr::memchr(0, rest)? + 1..)?;
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    decompress_to_vec_with_limit(rest, usize::try_from(most).ok()?).ok()
}

/// All names below a directory of a tar; nothing if it has anything else, or what is not understood.
fn items(tar: &[u8], top: &Path) -> Option<BTreeMap<PathBuf, Item>> {
    let mut items = BTreeMap::new();
    let (mut at, mut header) = (0, Header::default());
    loop {
        let block = tar.get(at..at + BLOCK)?;
        if block.iter().all(|byte| *byte == 0) {
            return Some(items);
        }
        let own = usize::try_from(number(&block[124..136])?).ok()?;
        // What is about the next file has a size of its own.
        let is_about_next = matches!(block[156], b'L' | b'K' | b'x' | b'g');
        let size = header.size.filter(|_| !is_about_next).unwrap_or(own);
        let start = at + BLOCK;
        let data = tar.get(start..start.checked_add(size)?)?;
        at = start.checked_add(size.checked_next_multiple_of(BLOCK)?)?;
        match block[156] {
            b'L' => header.path = Some(until_zero(data).to_vec()),
            b'K' => header.link = Some(until_zero(data).to_vec()),
            b'x' => header.take(data)?,
            b'g' => {}
            kind => {
                let header = std::mem::take(&mut header);
                let path = inside(&header.path.unwrap_or_else(|| name(block)), top)?;
                let link = || header.link.unwrap_or_else(|| until_zero(&block[157..257]).to_vec());
                let item = match kind {
                    b'0' | 0 => {
                        let mode = u32::try_from(number(&block[100..108])?).ok()?;
                        Item::File { mode, content: Digest::of(data) }
                    }
                    b'2' => Item::Link(link()),
                    b'5' => Item::Directory,
                    _ => return None,
                };
                add(&mut items, path, item);
            }
        }
    }
}

/// Adds a name with the directories above it; a later one of the same name replaces an earlier one.
fn add(items: &mut BTreeMap<PathBuf, Item>, path: PathBuf, item: Item) {
    for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        items.entry(above.to_owned()).or_insert(Item::Directory);
    }
    if !path.as_os_str().is_empty() {
        items.insert(path, item);
    }
}

impl Header {
    /// Takes what counts from the lines of a pax header, each `LENGTH KEY=VALUE\n`.
    fn take(&mut self, mut lines: &[u8]) -> Option<()> {
        while !lines.is_empty() {
            let space = memchr::memchr(b' ', lines)?;
            let length: usize = std::str::from_utf8(&lines[..space]).ok()?.parse().ok()?;
            let (line, rest) = lines.split_at_checked(length)?;
            lines = rest;
            let line = line.get(space + 1..)?.strip_suffix(b"\n")?;
            let equals = memchr::memchr(b'=', line)?;
            let value = &line[equals + 1..];
            match &line[..equals] {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ => {}
            }
        }
        Some(())
    }
}

/// A number in octal digits, or in binary where its first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8);
        let is_small = high.iter().skip(1).all(|byte| *byte == 0) && high.first() == Some(&0x80);
        return is_small.then(|| low.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)));
    }
    let text = std::str::from_utf8(until_zero(field)).ok()?.trim();
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn name(block: &[u8]) -> Vec<u8> {
    let name = until_zero(&block[..100]);
    let prefix = until_zero(&block[345..500]);
    if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
        return [prefix, b"/", name].concat();
    }
    name.to_vec()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

/// A path below a directory.
fn inside(path: &[u8], top: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let plain: PathBuf = parts.collect();
    let is_plain = plain.components().all(|part| matches!(part, Component::Normal(_)));
    plain.strip_prefix(top).ok().filter(|_| is_plain).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::base::program;

    /// A package `grain-1`, and its archive as tar makes it in a form.
    fn packed(form: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(80), "f".repeat(90));
        for (path, text) in [("Cargo.toml", "name"), ("src/lib.rs", ""), (&long, "long")] {
            let path = dir.path().join("grain-1").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let run = dir.path().join("grain-1/run");
        fs::write(&run, vec![b'x'; 5000]).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("run", dir.path().join("grain-1/link")).unwrap();
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={form}")).args(["-czf", "a.crate", "grain-1"]);
        tar.current_dir(dir.path());
        assert!(program::ask(tar, "packing").unwrap().status.success());
        let sum = hexadecimal(&Sha256::digest(fs::read(dir.path().join("a.crate")).unwrap()));
        (dir, sum)
    }

    fn is_same(dir: &Path, sum: &str) -> bool {
        let tree = Tree::observe_all(&dir.join("grain-1"), None).unwrap();
        is_unpacked(&tree, &dir.join("a.crate"), Path::new("grain-1"), sum)
    }

    #[test]
    fn a_package_is_what_its_archive_holds_in_each_form_of_tar() {
        for form in ["ustar", "gnu", "pax"] {
            let (dir, sum) = packed(form);
            assert!(is_same(dir.path(), &sum), "{form}");
            fs::write(dir.path().join("grain-1/.cargo-ok"), "ok").unwrap();
            assert!(is_same(dir.path(), &sum), "{form}: what Cargo notes");
            assert!(!is_same(dir.path(), &sum.replace('0', "1")), "{form}: another archive");
        }
    }

    #[test]
    fn whatever_differs_from_the_archive_is_seen() {
        type Change = fn(&Path);
        let changes: [Change; 9] = [
            |top| fs::write(top.join("Cargo.toml"), "eman").unwrap(),
            |top| fs::write(top.join("build.rs"), "").unwrap(),
            |top| fs::create_dir(top.join("benches")).unwrap(),
            |top| fs::remove_file(top.join("src/lib.rs")).unwrap(),
            |top| {
                fs::remove_file(top.join("link")).unwrap();
                std::os::unix::fs::symlink("src", top.join("link")).unwrap();
            },
            |top| fs::set_permissions(top.join("run"), fs::Permissions::from_mode(0o644)).unwrap(),
            |top| fs::set_permissions(top.join("run"), fs::Permissions::from_mode(0o4755)).unwrap(),
            |top| {
                fs::set_permissions(top.join("Cargo.toml"), fs::Permissions::from_mode(0o666))
                    .unwrap();
            },
            |top| {
                fs::rename(top.join("src"), top.join("moved")).unwrap();
                std::os::unix::fs::symlink("moved", top.join("src")).unwrap();
            },
        ];
        for (index, change) in changes.iter().enumerate() {
            let (dir, sum) = packed("gnu");
            change(&dir.path().join("grain-1"));
            assert!(!is_same(dir.path(), &sum), "{index}");
        }
        let (dir, sum) = packed("gnu");
        let narrow = fs::Permissions::from_mode(0o600);
        fs::set_permissions(dir.path().join("grain-1/Cargo.toml"), narrow).unwrap();
        assert!(is_same(dir.path(), &sum), "somebody's mask");
    }

    #[test]
    fn no_more_is_unpacked_than_there_may_be() {
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 64 << 20], 9);
        let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0][..], &bomb].concat();
        assert!(inflate(&gzip, 1 << 20).is_none());
        assert!(inflate(&gzip, 64 << 20).is_some());
        for end in 0..gzip.len().min(64) {
            assert!(inflate(&gzip[..end], 1 << 20).is_none());
        }
    }
}
