//! git's index: what it says without the times in it.
//!
//! The format is that of `gitformat-index(5)`, versions 2 to 4, and is read here because a build's
//! sandbox need not have git, and because it takes a fraction of starting it. An index in a form
//! that is not understood (split, damaged) counts by its raw bytes: then a fresh clone looks
//! changed, which is safe.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, DigestBuilder};
use crate::base::moment::Moment;
use crate::base::regular;
use crate::base::tree::{Stamp, is_settled};

/// An index that is larger is none that somebody works with.
pub(super) const LARGEST: u64 = 1 << 28;

/// Bytes of an entry before the object's name (ctime, mtime, dev, ino, mode, uid, gid, size).
const STAT: usize = 40;

/// The mode's place among them.
const MODE: std::ops::Range<usize> = 24..28;

/// An index as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// What its entries say.
    pub digest: Digest,
    stamp: Stamp,
    settled: bool,
}

impl Index {
    pub(super) fn unsettle(&mut self) {
        self.settled = false;
    }

    /// Reads an index, unless it is the one of before; nothing if there is none.
    pub(super) fn read(path: &Path, oid: usize, before: Option<&Self>) -> io::Result<Option<Self>> {
        let started = Moment::now();
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let stamp = Stamp::of(&metadata);
        if let Some(known) = before.filter(|known| known.settled && known.stamp == stamp) {
            return Ok(Some(*known));
        }
        let content = regular::read(path, LARGEST)?;
        let digest = entries(&content, oid).unwrap_or_else(|| Digest::of(&content));
        Ok(Some(Self { digest, stamp, settled: is_settled(stamp.ctime, started) }))
    }
}

/// One entry of an index.
pub(super) struct IndexEntry<'a> {
    /// Where it begins: with what `lstat` said of its file.
    pub at: usize,
    mode: &'a [u8],
    object: &'a [u8],
    flags: u16,
    extended: &'a [u8],
    /// Its path, from the top of the working tree.
    pub name: &'a [u8],
}

/// One digest over mode, object, flags and name of every entry.
fn entries(content: &[u8], oid: usize) -> Option<Digest> {
    let mut builder = DigestBuilder::default();
    each(content, oid, |entry| {
        builder.field(entry.mode).field(entry.object);
        builder.field(&(entry.flags & 0xf000).to_be_bytes());
        builder.field(entry.extended).field(entry.name);
    })?;
    Some(builder.finish())
}

/// Hands on entry after entry; nothing if the index is in a form that is not understood, which may only be
/// seen at its end.
pub(super) fn each(
    content: &[u8],
    oid: usize,
    mut found: impl FnMut(&IndexEntry<'_>),
) -> Option<()> {
    let mut rest = content.strip_prefix(b"DIRC")?;
    let version = number(&mut rest)?;
    let count = number(&mut rest)?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut name = Vec::new();
    for _ in 0..count {
        let entry = rest;
        let stat = take(&mut rest, STAT)?;
        let object = take(&mut rest, oid)?;
        let flags = u16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
        let extended = if version > 2 && flags & 0x4000 != 0 { 2 } else { 0 };
        let extended = take(&mut rest, extended)?;
        if version == 4 {
            let keep = name.len().checked_sub(variable(&mut rest)?)?;
            name.truncate(keep);
        } else {
            name.clear();
        }
        let end = rest.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(take(&mut rest, end)?);
        let (at, mode) = (content.len() - entry.len(), &stat[MODE]);
        found(&IndexEntry { at, mode, object, flags, extended, name: &name });
        let used = entry.len() - rest.len();
        // Filled up with 1 to 8 zeros to a multiple of eight; in version 4, one zero.
        take(&mut rest, if version == 4 { 1 } else { 8 - used % 8 })?;
    }
    is_whole(rest, oid).then_some(())
}

/// Whether what follows the entries has no extension that changes what they mean: such have a
/// name in lower case. `sdir` only says that directories may be among the entries.
fn is_whole(mut rest: &[u8], oid: usize) -> bool {
    while rest.len() > oid {
        let Some(name) = take(&mut rest, 4) else {
            return false;
        };
        if name[0].is_ascii_lowercase() && name != b"sdir" {
            return false;
        }
        let size = number(&mut rest).and_then(|size| usize::try_from(size).ok());
        if size.and_then(|size| take(&mut rest, size)).is_none() {
            return false;
        }
    }
    rest.len() == oid
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

/// git's number of variable width (`varint.c`).
fn variable(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let byte = take(rest, 1)?[0];
        value = value.checked_mul(128)?.checked_add(usize::from(byte & 127))?;
        if byte & 128 == 0 {
            return Some(value);
        }
        value = value.checked_add(1)?;
    }
}
