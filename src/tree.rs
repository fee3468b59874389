//! A tree of files as it was seen at one moment: what is there, and what it holds.
//!
//! One observation serves four masters: the checkout, the sources of packages, the places where
//! the C side lives, and the manifest of a target directory. Content is read only where the
//! [`Stamp`] of a file differs from an earlier observation, so that looking again at a tree that
//! nobody touched costs one `lstat` a file.
//!
//! A stamp includes the change time, which no unprivileged program can set back. What changed
//! within the clock's grain of the observation itself is not [`Entry::settled`] and is read
//! again the next time, as git does with its index.

pub mod walk;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

use walk::{Seen, Touch, Wanted};

use crate::digest::{Digest, DigestBuilder};

/// Nanoseconds since the epoch; negative before 1970.
pub type Nanoseconds = i64;

/// The grain of the kernel's file clock, generously.
const GRAIN: Duration = Duration::from_millis(50);

/// The grain assumed where a file's change time has no fraction of a second.
const COARSE_GRAIN: Duration = Duration::from_secs(2);

/// What `lstat` says of a file and what cannot stay the same when its content changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The inode number.
    pub ino: u64,
    /// The size in bytes.
    pub size: u64,
    /// The modification time.
    pub mtime: Nanoseconds,
    /// The change time.
    pub ctime: Nanoseconds,
}

impl Stamp {
    /// The stamp in what `statat` returned.
    #[expect(clippy::cast_sign_loss, reason = "no file has a negative size")]
    #[expect(clippy::cast_possible_wrap, reason = "less than a thousand million nanoseconds")]
    pub fn of_stat(stat: &Stat) -> Self {
        Self {
            ino: stat.st_ino,
            size: stat.st_size as u64,
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    /// The stamp in a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn nanoseconds(seconds: i64, fraction: i64) -> Nanoseconds {
    seconds.saturating_mul(1_000_000_000).saturating_add(fraction)
}

/// The present moment.
pub fn now() -> Nanoseconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(Nanoseconds::MAX)
}

/// What one name in a tree stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// A regular file and its content.
    File(Digest),
    /// A regular file that cannot be read: known by its stamp alone.
    Unreadable,
    /// A symbolic link and where it points.
    Symlink(Vec<u8>),
    /// A directory.
    Directory,
    /// A device, FIFO or socket.
    Special,
}

/// One name in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The permission bits and the file type, as in `st_mode`.
    pub mode: u32,
    /// What it is.
    pub node: Node,
    /// How it looked from outside.
    pub stamp: Stamp,
    /// Whether the stamp alone can vouch for the content the next time.
    pub settled: bool,
}

impl Entry {
    /// Whether both have the same kind, mode and content, whatever their stamps.
    pub fn same_content(&self, other: &Self) -> bool {
        let seen = self.node != Node::Unreadable || self.stamp == other.stamp;
        self.mode == other.mode && self.node == other.node && seen
    }
}

/// A tree of files as it was seen at one moment, by path relative to its root.
///
/// The root itself is not an entry. A root that is a file is one entry with an empty path; a root
/// that does not exist is an empty tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// How a name differs between two observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content, kind or mode differs.
    Changed,
}

/// One difference between two observations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path, relative to the tree's root.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// A tree that could not be observed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct ObserveError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl ObserveError {
    /// What could not be read, and why.
    pub(crate) fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }
}

impl Tree {
    /// Looks at everything below `root` for which `wanted` says yes, without following symlinks
    /// and without leaving the filesystem.
    ///
    /// `wanted` gets the path relative to the root and whether it is a directory; a directory it
    /// does not want is not entered. `before` is an earlier observation of the same root.
    pub fn observe(
        root: &Path,
        before: Option<&Tree>,
        wanted: impl Fn(&Path, bool) -> bool + Sync,
    ) -> Result<Self, ObserveError> {
        Self::observe_touching(root, before, &wanted, &walk::leave)
    }

    /// Like [`Tree::observe`], with a visitor that may change times on the way: a file's content
    /// is read only after its visit, so that what is written to it later shows in its stamp.
    pub fn observe_touching(
        root: &Path,
        before: Option<&Tree>,
        wanted: Wanted<'_>,
        touch: Touch<'_>,
    ) -> Result<Self, ObserveError> {
        let mut found = walk::walk(root, wanted, touch)?;
        let is_directory = |seen: &Seen| FileType::from_raw_mode(seen.mode).is_dir();
        if found.first().is_some_and(|first| first.path.is_empty() && is_directory(first)) {
            found.remove(0);
        }
        let started = now();
        let look = |seen: Seen| look(root, seen, before, started);
        let entries: Result<Vec<_>, _> = found.into_par_iter().with_min_len(64).map(look).collect();
        Ok(Self { entries: entries?.into_iter().flatten().collect() })
    }

    /// Everything below `root`.
    pub fn observe_all(root: &Path, before: Option<&Tree>) -> Result<Self, ObserveError> {
        Self::observe(root, before, |_, _| true)
    }

    /// The digest over paths, kinds, modes, link targets and content; stamps do not count.
    pub fn digest(&self) -> Digest {
        let mut builder = DigestBuilder::default();
        for (path, entry) in &self.entries {
            builder.field(path).field(&entry.mode.to_le_bytes());
            match &entry.node {
                Node::File(digest) => builder.field(digest.as_bytes()),
                Node::Symlink(target) => builder.field(target),
                Node::Unreadable => builder.field(format!("{:?}", entry.stamp).as_bytes()),
                Node::Directory | Node::Special => builder.field(b""),
            };
        }
        builder.finish()
    }

    /// What differs in `self` from an `old` observation, in order of path.
    pub fn changes_since(&self, old: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut push = |path: &[u8], kind| {
            changes.push(Change { path: PathBuf::from(OsStr::from_bytes(path)), kind });
        };
        for (path, entry) in &self.entries {
            match old.entries.get(path) {
                None => push(path, ChangeKind::Added),
                Some(before) if !entry.same_content(before) => push(path, ChangeKind::Changed),
                Some(_) => {}
            }
        }
        for path in old.entries.keys().filter(|path| !self.entries.contains_key(*path)) {
            push(path, ChangeKind::Removed);
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        changes
    }

    /// The number of entries whose stamp another observation of the same content does not have;
    /// `None` if paths, modes, content or modification times differ. Directories' times are left
    /// out: they tell of what is in them.
    pub fn stamps_outdated_in(&self, other: &Self) -> Option<usize> {
        let same_time = |a: &Entry, b: &Entry| {
            a.stamp.mtime == b.stamp.mtime || matches!(a.node, Node::Directory)
        };
        let same = self.entries.len() == other.entries.len()
            && self.entries.iter().zip(&other.entries).all(|((a_path, a), (b_path, b))| {
                a_path == b_path && a.same_content(b) && same_time(a, b)
            });
        let outdated = |(a, b): &(&Entry, &Entry)| a.stamp != b.stamp || a.settled != b.settled;
        same.then(|| self.entries.values().zip(other.entries.values()).filter(outdated).count())
    }

    /// All entries in order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.entries.iter().map(|(path, entry)| (Path::new(OsStr::from_bytes(path)), entry))
    }

    /// The entry at a path relative to the root.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path.as_os_str().as_bytes())
    }

    /// Takes the entry at a path out of the observation.
    pub fn forget(&mut self, path: &Path) -> Option<Entry> {
        self.entries.remove(path.as_os_str().as_bytes())
    }

    /// Puts an entry that was seen later into the observation.
    pub fn remember(&mut self, path: &Path, entry: Entry) {
        self.entries.insert(path.as_os_str().as_bytes().to_vec(), entry);
    }

    /// Keeps only what a condition holds for.
    pub fn retain(&mut self, mut keep: impl FnMut(&Path, &Entry) -> bool) {
        self.entries.retain(|path, entry| keep(Path::new(OsStr::from_bytes(path)), entry));
    }

    /// Takes in everything of another observation that is not known yet.
    pub fn extend(&mut self, other: &Self) {
        for (path, entry) in &other.entries {
            self.entries.entry(path.clone()).or_insert_with(|| entry.clone());
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn look(
    root: &Path,
    seen: Seen,
    before: Option<&Tree>,
    started: Nanoseconds,
) -> Result<Option<(Vec<u8>, Entry)>, ObserveError> {
    let path = Path::new(OsStr::from_bytes(&seen.path));
    if let Some(known) = before.and_then(|tree| tree.get(path)) {
        if known.settled && known.mode == seen.mode && known.stamp == seen.stamp {
            return Ok(Some((seen.path, known.clone())));
        }
    }
    let full = if seen.path.is_empty() { root.to_owned() } else { root.join(path) };
    match node(&full, seen.mode) {
        Ok(node) => {
            let settled = is_settled(seen.stamp.ctime, started);
            Ok(Some((seen.path, Entry { mode: seen.mode, node, stamp: seen.stamp, settled })))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ObserveError { path: full, source }),
    }
}

fn node(path: &Path, mode: u32) -> io::Result<Node> {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => match Digest::of_file(path) {
            Ok(digest) => Ok(Node::File(digest)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Node::Unreadable),
            Err(error) => Err(error),
        },
        FileType::Symlink => {
            Ok(Node::Symlink(std::fs::read_link(path)?.into_os_string().into_vec()))
        }
        FileType::Directory => Ok(Node::Directory),
        _ => Ok(Node::Special),
    }
}

/// Whether a file with this change time cannot have been written to unseen since `started`.
pub(crate) fn is_settled(ctime: Nanoseconds, started: Nanoseconds) -> bool {
    let grain = if ctime % 1_000_000_000 == 0 { COARSE_GRAIN } else { GRAIN };
    let grain = i64::try_from(grain.as_nanos()).unwrap_or(Nanoseconds::MAX);
    ctime.saturating_add(grain) < started
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a"), "one").unwrap();
        fs::write(dir.path().join("b"), "two").unwrap();
        symlink("b", dir.path().join("link")).unwrap();
        dir
    }

    fn paths(changes: &[Change]) -> Vec<(&str, ChangeKind)> {
        changes.iter().map(|change| (change.path.to_str().unwrap(), change.kind)).collect()
    }

    #[test]
    fn every_kind_of_change_is_seen() {
        let dir = sample();
        let old = Tree::observe_all(dir.path(), None).unwrap();
        fs::write(dir.path().join("sub/a"), "eno").unwrap();
        fs::remove_file(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("c"), "").unwrap();
        fs::remove_file(dir.path().join("link")).unwrap();
        symlink("c", dir.path().join("link")).unwrap();
        fs::set_permissions(dir.path().join("sub"), fs::Permissions::from_mode(0o700)).unwrap();
        let new = Tree::observe_all(dir.path(), Some(&old)).unwrap();
        let changes = new.changes_since(&old);
        assert_eq!(
            paths(&changes),
            [
                ("b", ChangeKind::Removed),
                ("c", ChangeKind::Added),
                ("link", ChangeKind::Changed),
                ("sub", ChangeKind::Changed),
                ("sub/a", ChangeKind::Changed),
            ]
        );
        assert_ne!(old.digest(), new.digest());
    }

    #[test]
    fn a_change_within_the_grain_of_the_clock_is_seen() {
        let dir = sample();
        let file = dir.path().join("b");
        for round in 0..200 {
            let old = Tree::observe_all(dir.path(), None).unwrap();
            fs::write(&file, format!("{round:03}")).unwrap();
            let new = Tree::observe_all(dir.path(), Some(&old)).unwrap();
            assert_eq!(paths(&new.changes_since(&old)), [("b", ChangeKind::Changed)]);
        }
    }

    #[test]
    fn times_alone_are_no_change() {
        let dir = sample();
        let old = Tree::observe_all(dir.path(), None).unwrap();
        let past = filetime::FileTime::from_unix_time(1, 0);
        filetime::set_file_mtime(dir.path().join("b"), past).unwrap();
        let new = Tree::observe_all(dir.path(), Some(&old)).unwrap();
        assert_eq!(new.changes_since(&old), []);
        assert_eq!(old.digest(), new.digest());
    }

    #[test]
    fn a_missing_root_is_empty_and_a_file_is_one_entry() {
        let dir = sample();
        assert!(Tree::observe_all(&dir.path().join("none"), None).unwrap().is_empty());
        let file = Tree::observe_all(&dir.path().join("b"), None).unwrap();
        assert_eq!(file.len(), 1);
        assert!(file.get(Path::new("")).is_some());
    }

    #[test]
    fn unwanted_directories_are_not_entered() {
        let dir = sample();
        let tree = Tree::observe(dir.path(), None, |path, _| path != Path::new("sub")).unwrap();
        assert_eq!(
            tree.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            [Path::new("b"), Path::new("link")]
        );
    }
}
