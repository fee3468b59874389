//! How short git writes the name of an object.
//!
//! That follows from how many objects are in packs, and from the other objects whose names begin alike
//! (`object-name.c`, `repo_find_unique_abbrev_r`, and `packfile.c`, `repo_approximate_object_count`, git 2.47). Read here
//! because git itself may not be asked about everybody's repository, and because it takes a fraction of starting it.
//! What is in another form (an index over several packs, refs in a table) is not read: there git has to be asked.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::encoding::hexadecimal;
use crate::base::regular;

/// The digits that git writes at least where nobody configures it (`FALLBACK_DEFAULT_ABBREV`).
const LEAST: u32 = 7;

/// Nor does it write fewer wherever it is told how many (`MINIMUM_ABBREV`).
const FEWEST: u32 = 4;

/// So many stores in a row are followed by git (`object-file.c`, `link_alt_odb_entry`); whether more are one after the
/// other is not looked at.
const DEEPEST: usize = 5;

/// What decides how short git writes an object's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Abbreviation {
    /// The digits that it has by default.
    digits: u32,
    /// Those that tell it from all others: as many as a build asks for (`core.abbrev`, `--short=4`), if they are enough.
    unique: u32,
}

impl Abbreviation {
    /// Of an object by its name in hexadecimal digits, in these stores of objects. Nothing where git would find it by what
    /// is not understood.
    pub(super) fn of(name: &str, stores: &[PathBuf]) -> Option<Self> {
        let (mut count, mut unique) = (0u64, FEWEST);
        for store in stores {
            let pack = store.join("pack");
            let files = fs::read_dir(&pack).into_iter().flatten().flatten();
            let files = files.map(|file| file.path());
            let names: BTreeSet<PathBuf> = files.filter(|path| !is_apart(path)).collect();
            for index in names {
                let pack = Pack::open(&index, name.len() / 2).ok()?;
                count += u64::from(pack.count);
                unique = unique.max(pack.unique(name).ok()?);
            }
            unique = unique.max(loose(store, name));
        }
        let bits = u64::BITS - count.leading_zeros();
        Some(Self { digits: LEAST.max(bits.div_ceil(2)).max(unique), unique })
    }
}

/// Whether a file beside packs says nothing of which objects there are: a pack itself, and what goes by its name.
fn is_apart(path: &Path) -> bool {
    const APART: [&str; 6] = ["pack", "rev", "bitmap", "mtimes", "keep", "promisor"];
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    APART.contains(&ending) || name.starts_with(b"tmp_") || name.starts_with(b".tmp")
}

#[cfg(test)]
impl Abbreviation {
    pub(super) fn in_digits(self) -> (u32, u32) {
        (self.digits, self.unique)
    }
}

/// The stores of objects that a store borrows from, itself among them; nothing where git may find others than these.
/// `place` tells where a path is that git wrote down, relative to a directory.
pub(super) fn stores(
    own: PathBuf,
    place: impl Fn(&Path, &[u8]) -> PathBuf,
) -> Option<Vec<PathBuf>> {
    let mut all = BTreeSet::from([own.clone()]);
    let mut next = vec![own];
    while let Some(store) = next.pop() {
        let text = match regular::read(&store.join("info/alternates"), regular::TEXT) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => return None,
        };
        let lines = text.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
            // A quoted name would have to be read as C is.
            if line.starts_with(b"\"") || all.len() > DEEPEST {
                return None;
            }
            let lent = place(&store, line);
            if all.insert(lent.clone()) {
                next.push(lent);
            }
        }
    }
    Some(all.into_iter().collect())
}

/// The digits that tell an object from the loose ones of a store.
fn loose(store: &Path, name: &str) -> u32 {
    let Some((first, rest)) = name.split_at_checked(2) else { return 0 };
    let files = fs::read_dir(store.join(first)).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let others = names.filter(|other| other.len() == rest.len() && other != rest);
    others.map(|other| 2 + differing(&other, rest)).max().unwrap_or_default()
}

/// The first digit, counted from one, in which two names differ.
fn differing(one: &str, other: &str) -> u32 {
    let alike = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    u32::try_from(alike + 1).unwrap_or(u32::MAX)
}

/// The index of a pack (`gitformat-pack(5)`, versions 1 and 2).
struct Pack {
    file: File,
    /// Where the table of names begins, how far its rows are apart, and where in a row the name is.
    table: (u64, u64, u64),
    count: u32,
}

impl Pack {
    fn open(path: &Path, oid: usize) -> io::Result<Self> {
        const FANOUT: u64 = 256 * 4;
        let is_pack = path.extension().is_some_and(|ending| ending == "idx");
        if !is_pack || !path.with_extension("pack").is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let file = regular::open(path)?;
        let mut head = [0; 8];
        file.read_exact_at(&mut head, 0)?;
        let oid = oid as u64;
        let (fanout, row, name) = match head {
            [0xff, b't', b'O', b'c', 0, 0, 0, 2] => (8, oid, 0),
            [0xff, b't', b'O', b'c', ..] => return Err(io::ErrorKind::InvalidData.into()),
            _ => (0, 4 + oid, 4),
        };
        let mut count = [0; 4];
        file.read_exact_at(&mut count, fanout + FANOUT - 4)?;
        let count = u32::from_be_bytes(count);
        let table = (fanout + FANOUT, row, name);
        // git takes no index that is too short for its table.
        if table.0 + u64::from(count) * row > file.metadata()?.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { file, table, count })
    }

    fn name(&self, row: u32, len: usize) -> io::Result<String> {
        let (start, row_len, inside) = self.table;
        let mut name = vec![0; len];
        self.file.read_exact_at(&mut name, start + u64::from(row) * row_len + inside)?;
        Ok(hexadecimal(&name))
    }

    /// The digits that tell an object from the others of this pack: from those before and behind it in order.
    fn unique(&self, name: &str) -> io::Result<u32> {
        let at = |row: u32| self.name(row, name.len() / 2);
        let (mut from, mut to) = (0, self.count);
        while from < to {
            let middle = from + (to - from) / 2;
            if at(middle)?.as_str() < name { from = middle + 1 } else { to = middle }
        }
        let beside = from.saturating_sub(1)..from.saturating_add(2).min(self.count);
        let mut most = 0;
        for other in beside.map(at) {
            let other = other?;
            most = if other == name { most } else { most.max(differing(&other, name)) };
        }
        Ok(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_somewhere() {
        assert_eq!(differing("abcd", "abce"), 4);
        assert_eq!(differing("abcd", "bbcd"), 1);
    }

    #[test]
    fn what_is_not_understood_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let pack = dir.path().join("pack");
        std::fs::create_dir(&pack).unwrap();
        let index = pack.join("pack-1.idx");
        std::fs::write(pack.join("pack-1.pack"), "").unwrap();
        let name = "ab".repeat(20);
        let of = || Abbreviation::of(&name, &[dir.path().to_owned()]);
        let huge = [&b"\xfftOc\0\0\0\x02"[..], &[0xff; 1024]].concat();
        let newer = [&b"\xfftOc\0\0\0\x03"[..], &[0; 1024]].concat();
        for bytes in [&b""[..], b"\xfftOc", &huge, &newer, &[0xff; 1028]] {
            std::fs::write(&index, bytes).unwrap();
            assert_eq!(of(), None);
        }
        std::fs::remove_file(&index).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &index).unwrap();
        assert_eq!(of(), None);
        std::fs::remove_file(&index).unwrap();
        assert_eq!(of(), Some(Abbreviation { digits: LEAST, unique: FEWEST }));
        std::fs::write(pack.join("multi-pack-index"), "").unwrap();
        assert_eq!(of(), None);
    }

    #[test]
    fn stores_are_followed_as_far_as_they_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        let borrow = |from: &str, line: &str| {
            std::fs::create_dir_all(dir.path().join(from).join("info")).unwrap();
            std::fs::write(dir.path().join(from).join("info/alternates"), line).unwrap();
        };
        let found = || {
            stores(dir.path().join("a"), |store, line| {
                store.join("..").join(std::str::from_utf8(line).unwrap())
            })
        };
        borrow("a", "# b\n\nb\n");
        assert_eq!(found().unwrap().len(), 2);
        borrow("a", "\"b\"\n");
        assert_eq!(found(), None);
        borrow("a", "b\nc\nd\ne\nf\ng\n");
        assert_eq!(found(), None);
    }
}
