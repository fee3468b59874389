//! The manifest of a push: what it is of, what is in it, and what it may never hold.
//!
//! Encoded it is postcard's form of [`PushManifest`], after its format's number. It is decoded only after its
//! signature was verified; but a key may be stolen, so that what it claims is looked at all the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::fs::FileType;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::engine::FullId;
use super::scope::Scope;
use crate::base::digest::Digest;
use crate::base::moment::Moment;
use crate::base::tree::{Node, Tree};

/// The number of the encoding.
const PUSH_FORMAT: u32 = 3;

/// No manifest is longer.
pub const LONGEST: u64 = 128 * 1024 * 1024;

/// No more names are in it: that takes some 100 MB of memory while it is looked at.
pub const MOST_ENTRIES: usize = 500_000;

/// No record of it has more bytes: what they describe takes many times that in memory.
pub const LONGEST_RECORD: usize = 32 * 1024 * 1024;

/// No path of an entry is longer (`PATH_MAX` of Linux), no name in it (`NAME_MAX`).
const LONGEST_PATH: usize = 4096;
const LONGEST_NAME: usize = 255;

/// How far the clock of who pushed may be ahead of this one.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushManifest {
    /// Whose directory it is.
    pub scope: Scope,
    /// The id of the repository that it is in.
    pub repository: FullId,
    /// The snapshot with the data.
    pub snapshot: FullId,
    /// Rises with each push of the scope.
    pub counter: u64,
    /// The principal that signs.
    pub signer: String,
    /// When it was made, in seconds since the epoch.
    pub created: u64,
    /// From when on it counts no longer.
    pub expires: u64,
    /// How many entries there are.
    pub files: u64,
    /// The bytes of all regular files, each inode once.
    pub bytes: u64,
    /// All that is in the target directory, a directory before what is in it.
    #[serde(deserialize_with = "few")]
    pub entries: Vec<PushEntry>,
    /// What the records of the directory say besides.
    pub records: Records,
}

/// The records of a directory, as its last close left them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Records {
    /// `identity.json`
    pub identity: Vec<u8>,
    /// The state of the sources.
    pub state: Vec<u8>,
    /// What the last close left, without the tree: the entries are that.
    pub left: Vec<u8>,
    /// How many uses succeeded.
    pub successes: u64,
    /// Seconds of the cold build.
    pub cold_seconds: Option<f64>,
    /// Seconds of the last use.
    pub seconds: f64,
}

/// One name in a target directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushEntry {
    /// The path, relative to the target directory.
    pub path: String,
    /// Permission bits, nine of them.
    pub mode: u32,
    /// The modification time, in nanoseconds since the epoch.
    pub mtime: Moment,
    /// What the name stands for.
    pub what: What,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The BLAKE3 of its content.
        digest: Digest,
        /// The number that all names of one inode share; 0 for a file with one name.
        link: u32,
    },
    /// A symbolic link, and where it points.
    Symlink(String),
}

/// The entries of a tree that was observed; why it cannot be shared otherwise.
pub fn entries(tree: &Tree) -> Result<Vec<PushEntry>, String> {
    let mut names: HashMap<u64, u32> = HashMap::new();
    for (_, entry) in tree.iter().filter(|(_, entry)| matches!(entry.node, Node::File(_))) {
        *names.entry(entry.stamp.ino).or_default() += 1;
    }
    let mut links: HashMap<u64, u32> = HashMap::new();
    let mut entries = Vec::new();
    for (path, entry) in tree.iter() {
        let shown = path.display().to_string();
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map(str::to_owned);
            text.map_err(|_| format!("{shown} is not UTF-8"))
        };
        let what = match &entry.node {
            Node::Directory => What::Directory,
            Node::Symlink(target) => What::Symlink(text(target)?),
            Node::File(digest) => {
                let ino = entry.stamp.ino;
                let next = u32::try_from(links.len() + 1).unwrap_or(u32::MAX);
                let is_linked = names.get(&ino).is_some_and(|count| *count > 1);
                let link = if is_linked { *links.entry(ino).or_insert(next) } else { 0 };
                What::File { size: entry.stamp.size, digest: *digest, link }
            }
            Node::Unreadable => return Err(format!("{shown} cannot be read")),
            Node::Special => return Err(format!("{shown} is neither file, directory nor link")),
        };
        let mode = entry.mode & 0o7777;
        entries.push(PushEntry {
            path: text(path.as_os_str().as_bytes())?,
            mode,
            mtime: entry.stamp.mtime,
            what,
        });
    }
    Ok(entries)
}

/// How many entries there are, and the bytes of their files, each inode once; nothing if no number is so
/// large.
pub fn totals(entries: &[PushEntry]) -> Option<(u64, u64)> {
    let mut seen = BTreeSet::new();
    let mut bytes = 0u64;
    for entry in entries {
        if let What::File { size, link, .. } = entry.what {
            if link == 0 || seen.insert(link) {
                bytes = bytes.checked_add(size)?;
            }
        }
    }
    Some((u64::try_from(entries.len()).ok()?, bytes))
}

impl PushManifest {
    /// The bytes that are signed.
    pub fn encode(&self) -> postcard::Result<Vec<u8>> {
        postcard::to_stdvec(&(PUSH_FORMAT, self))
    }

    /// The manifest in such bytes; why there is none otherwise.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        match postcard::take_from_bytes::<u32>(bytes) {
            Ok((PUSH_FORMAT, rest)) => {
                postcard::from_bytes(rest).map_err(|error| error.to_string())
            }
            Ok((other, _)) => {
                Err(format!("it has format {other}, this larder knows {PUSH_FORMAT}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether it is of the right time; `now` in seconds since the epoch.
    pub fn check_times(&self, now: u64) -> Result<(), String> {
        let day = |seconds: u64| {
            let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            at.filter(|_| seconds < 253_402_300_800)
                .map_or_else(|| "never".to_owned(), crate::output::moment)
        };
        if self.created > now.saturating_add(AHEAD.as_secs()) {
            let made = day(self.created);
            return Err(format!(
                "it was made at {made}, after this machine's {}: one of the clocks is wrong",
                day(now)
            ));
        }
        if self.expires <= now {
            let (end, now) = (day(self.expires), day(now));
            return Err(format!("it expired at {end}, and this machine's clock says {now}"));
        }
        Ok(())
    }

    /// Whether it holds only what a target directory may hold.
    pub fn check_entries(&self) -> Result<(), String> {
        self.records.check()?;
        check_count(self.entries.len())?;
        if totals(&self.entries) != Some((self.files, self.bytes)) {
            return Err("its totals are not those of its entries".to_owned());
        }
        check_entries(&self.entries)
    }
}

impl Records {
    /// Whether none is so long that nobody would take it.
    pub fn check(&self) -> Result<(), String> {
        let all = [("identity", &self.identity), ("state", &self.state), ("record", &self.left)];
        match all.into_iter().find(|(_, bytes)| bytes.len() > LONGEST_RECORD) {
            Some((name, _)) => Err(format!("its {name} has more than {LONGEST_RECORD} bytes")),
            None => Ok(()),
        }
    }
}

fn check_count(count: usize) -> Result<(), String> {
    if count > MOST_ENTRIES {
        Err(format!("it has more than {MOST_ENTRIES} names"))
    } else {
        Ok(())
    }
}

/// Takes so many entries that it shows when there are too many, and lets go of the rest one by one.
fn few<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<PushEntry>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<PushEntry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = all.next_element()? {
                if entries.len() <= MOST_ENTRIES {
                    entries.push(entry);
                }
            }
            Ok(entries)
        }
    }
    input.deserialize_seq(Few)
}

/// Whether entries are only what a target directory may hold.
pub fn check_entries(entries: &[PushEntry]) -> Result<(), String> {
    check_count(entries.len())?;
    let mut known: BTreeMap<&str, bool> = BTreeMap::from([("", true)]);
    let mut linked: HashMap<u32, (u64, Digest, u32, Moment)> = HashMap::new();
    for entry in entries {
        let path = entry.path.as_str();
        let shown = path.escape_debug();
        check_path(path).map_err(|why| format!("{shown}: {why}"))?;
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        if known.get(above) != Some(&true) {
            return Err(format!("{shown} is in no directory of it"));
        }
        if known.insert(path, entry.what == What::Directory).is_some() {
            return Err(format!("{shown} is in it twice"));
        }
        if entry.mode & !0o777 != 0 {
            return Err(format!("{shown} is setuid, setgid or sticky"));
        }
        match &entry.what {
            What::Directory | What::File { link: 0, .. } => {}
            What::Symlink(target) => check_target(path, target)
                .map_err(|why| format!("{shown} is a link to {}: {why}", target.escape_debug()))?,
            What::File { size, digest, link } => {
                let one = (*size, *digest, entry.mode, entry.mtime);
                if *linked.entry(*link).or_insert(one) != one {
                    return Err(format!("{shown} is linked to another file"));
                }
            }
        }
    }
    Ok(())
}

/// Whether a path is plain: relative, without `.` and `..`, and none that the system would cut.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("the name is absolute");
    }
    if path.len() > LONGEST_PATH || path.contains('\0') {
        return Err("no file has such a name");
    }
    for name in path.split('/') {
        match name {
            "" => return Err("a name is empty"),
            "." | ".." => return Err("it leads out of the directory"),
            name if name.len() > LONGEST_NAME => return Err("no file has such a name"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a link at a path leads to somewhere in the tree, whatever is there.
fn check_target(path: &str, target: &str) -> Result<(), &'static str> {
    if target.is_empty() || target.len() > LONGEST_PATH || target.contains('\0') {
        return Err("no link points there");
    }
    if target.starts_with('/') {
        return Err("it leaves the directory");
    }
    // Of names that lead through other links nobody knows where they come out: only what goes up first and
    // down then is followed here, and each link is held to the same.
    let mut depth = path.split('/').count() - 1;
    let mut has_gone_down = false;
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." if has_gone_down || depth == 0 => return Err("it leaves the directory"),
            ".." => depth -= 1,
            _ => has_gone_down = true,
        }
    }
    Ok(())
}

/// The file type bits of an entry, as `st_mode` has them.
pub fn file_type(what: &What) -> FileType {
    match what {
        What::Directory => FileType::Directory,
        What::File { .. } => FileType::RegularFile,
        What::Symlink(_) => FileType::Symlink,
    }
}

#[cfg(test)]
mod tests;
