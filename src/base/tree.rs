//! A tree of files as it was seen at one moment: what is there, and what it holds.
//!
//! Trees share what they have in common: an observation of what nobody touched is the earlier one,
//! directory by directory, so that comparing the two costs nothing and keeping both no memory.
//!
//! One observation serves four masters: the checkout, the sources of packages, the places where
//! the C side lives, and the manifest of a target directory. Content is read only where the
//! [`Stamp`] of a file differs from an earlier observation, so that looking again at a tree that
//! nobody touched costs one `lstat` a file.
//!
//! A stamp includes the change time, which no unprivileged program can set back. What changed
//! within the clock's grain of the observation itself is not [`Entry::settled`] and is read (decision 11)
//! again the next time, as git does with its index.

pub(crate) mod below;
mod compare;
pub(crate) mod descend;
mod directory;
mod limits;
mod observe;
pub(crate) mod walk;

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use self::directory::Directory;
use crate::base::digest::{Digest, DigestBuilder};
use crate::base::moment::Moment;

/// What `lstat` says of a file and what cannot stay the same when its content changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    pub ino: u64,
    /// The size in bytes.
    pub size: u64,
    pub mtime: Moment,
    pub ctime: Moment,
}

impl Stamp {
    /// The stamp in what `statat` returned.
    #[expect(clippy::cast_sign_loss, reason = "no file has a negative size")]
    #[expect(clippy::cast_possible_wrap, reason = "less than a thousand million nanoseconds")]
    pub fn of_stat(stat: &Stat) -> Self {
        Self {
            ino: stat.st_ino,
            size: stat.st_size as u64,
            mtime: Moment::of(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime: Moment::of(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    /// The stamp in a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: Moment::modified(metadata),
            ctime: Moment::of(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Waits until whatever is written from then on has a later time than this one: longer than the grain of the
/// clock by which files get theirs. A time in the future is not waited for.
pub(crate) fn wait_until_past(moment: Moment) {
    while moment <= Moment::now() && !is_settled(moment, Moment::now()) {
        std::thread::sleep(Duration::from_millis(5));
    }
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
    pub node: Node,
    /// How it looked from outside.
    pub stamp: Stamp,
    /// Whether the stamp alone can vouch for the content the next time.
    pub settled: bool,
}

/// So long a checkout takes at most, with a copy of it: a file's modification and change time may be so
/// far apart though nobody set the one on purpose (decision 78).
const CHECKOUT: Duration = Duration::from_secs(600);

/// So far apart they may be where a program asked for the time and then gave it to the file.
const TICK: Duration = Duration::from_millis(10);

impl Entry {
    /// Whether somebody gave it its modification time on purpose, as archives and `git restore-mtime` do:
    /// such a time is content.
    pub fn is_dated(&self) -> bool {
        self.stamp.mtime.apart(self.stamp.ctime) > CHECKOUT
    }

    /// Whether it has a time from before it came here, as what is moved or copied with its time: whoever goes by
    /// time may have made something meanwhile, and did not see that it came.
    fn is_older_than_its_place(&self) -> bool {
        self.stamp.mtime + TICK < self.stamp.ctime
    }

    /// Whether it has the same content as before, and another time that somebody gave it on purpose, or
    /// gave it before; or the time of now, where it had one by which its coming was not seen.
    fn is_redated(&self, before: &Self) -> bool {
        self.same_content(before)
            && self.stamp.mtime != before.stamp.mtime
            && !matches!(self.node, Node::Directory)
            && (self.is_dated()
                || before.is_dated()
                || (before.is_older_than_its_place() && !self.is_older_than_its_place()))
    }

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    top: Arc<Directory>,
}

/// Single files that a build wrote into its own sources, by path relative to them.
pub(crate) type Made = BTreeMap<Vec<u8>, Entry>;

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

    /// Whether it is of something in a directory.
    pub(crate) fn is_in(&self, dir: &Path) -> bool {
        self.path.starts_with(dir)
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
        let top = observe::observe(root, before.map(|before| &before.top), None, &wanted)?;
        Ok(Self { top })
    }

    /// The same of a tree that has to keep within limits: what is beyond them is an error, found before anything of
    /// it is read.
    pub(crate) fn observe_within(
        root: &Path,
        before: Option<&Tree>,
        limits: Limits,
        wanted: impl Fn(&Path, bool) -> bool + Sync,
    ) -> Result<Self, ObserveError> {
        let before = before.map(|before| &before.top);
        let top = observe::observe(root, before, Some(limits), &wanted)?;
        Ok(Self { top })
    }

    /// Everything below `root`.
    pub fn observe_all(root: &Path, before: Option<&Tree>) -> Result<Self, ObserveError> {
        Self::observe(root, before, |_, _| true)
    }

    /// The digest over paths, kinds, modes, link targets and content; stamps do not count.
    pub fn digest(&self) -> Digest {
        let mut builder = DigestBuilder::default();
        for (path, entry) in self.iter() {
            builder.field(path.as_os_str().as_bytes()).field(&entry.mode.to_le_bytes());
            match &entry.node {
                Node::File(digest) => builder.field(digest.as_bytes()),
                Node::Symlink(target) => builder.field(target),
                Node::Unreadable => builder.field(format!("{:?}", entry.stamp).as_bytes()),
                Node::Directory | Node::Special => builder.field(b""),
            };
        }
        builder.finish()
    }

    /// All entries in order of path, a directory before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (PathBuf, &Entry)> {
        self.select(|_, _| true)
    }

    /// The entries that a condition on their name and what they are holds for.
    pub fn select(
        &self,
        wanted: impl Fn(&[u8], &Entry) -> bool,
    ) -> impl Iterator<Item = (PathBuf, &Entry)> {
        self.top.select(wanted)
    }

    /// The entry at a path relative to the root.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.top.get(path.as_os_str().as_bytes())
    }

    /// What is below a directory, as a tree of its own.
    #[must_use]
    pub fn below(&self, path: &Path) -> Self {
        let inside = self.top.at(path.as_os_str().as_bytes()).cloned();
        Self { top: inside.unwrap_or_default() }
    }

    /// Puts an entry that was seen later into the observation, if its directory is in it.
    pub fn remember(&mut self, path: &Path, entry: Entry) {
        Directory::put(&mut self.top, path.as_os_str().as_bytes(), entry);
    }

    /// Takes a path, and all below it, out of the observation.
    pub fn forget(&mut self, path: &Path) {
        Directory::remove(&mut self.top, path.as_os_str().as_bytes());
    }

    /// Makes it an observation of another machine: no stamp of it vouches for any content here.
    pub fn unsettle(&mut self) {
        Directory::unsettle(&mut self.top);
    }

    /// Whether nothing was there.
    pub fn is_empty(&self) -> bool {
        self.top.is_empty()
    }
}

pub(crate) use limits::Limits;
pub(crate) use observe::is_settled;

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
        assert_eq!(file.iter().count(), 1);
        assert!(file.get(Path::new("")).is_some());
    }

    #[test]
    fn a_path_of_any_length_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let script = format!(
            "cd '{}'; for i in $(seq 40); do mkdir {name}; cd {name}; done; echo >x; ln -s x l",
            dir.path().display()
        );
        assert!(
            std::process::Command::new("bash").args(["-ec", &script]).status().unwrap().success()
        );
        let tree = Tree::observe_all(dir.path(), None).unwrap();
        assert_eq!(tree.iter().count(), 42);
        let again = Tree::observe_all(dir.path(), Some(&tree)).unwrap();
        assert!(again.changes_since(&tree).is_empty());
    }

    #[test]
    fn what_is_beyond_a_limit_is_an_error() {
        let dir = sample();
        let limits = Limits { depth: 1, path: 3, names: 4, holes: 1 << 30 };
        let look = |limits: Limits| Tree::observe_within(dir.path(), None, limits, |_, _| true);
        let seen = look(limits).unwrap();
        assert_eq!(seen, Tree::observe_all(dir.path(), None).unwrap());
        for (why, limits) in [
            ("directories deep", Limits { depth: 0, ..limits }),
            ("path has more than", Limits { path: 2, ..limits }),
            ("names are in", Limits { names: 3, ..limits }),
        ] {
            let error = look(limits).unwrap_err();
            assert!(error.source.to_string().contains(why), "{error:?}");
        }
        let file = fs::File::create(dir.path().join("b")).unwrap();
        file.set_len(40 << 30).unwrap();
        let error = look(limits).unwrap_err();
        assert!(error.path.ends_with("b") && error.source.to_string().contains("sparse"));
        // What is on the disk is read, however long it takes.
        file.set_len(8 << 20).unwrap();
        look(Limits { holes: 1 << 20, ..limits }).unwrap_err();
        fs::write(dir.path().join("b"), vec![1; 8 << 20]).unwrap();
        look(Limits { holes: 1 << 20, ..limits }).unwrap();
    }

    #[test]
    fn unwanted_directories_are_not_entered() {
        let dir = sample();
        let tree = Tree::observe(dir.path(), None, |path, _| path != Path::new("sub")).unwrap();
        assert_eq!(
            tree.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            [PathBuf::from("b"), PathBuf::from("link")]
        );
    }

    #[test]
    fn what_nobody_touched_is_shared() {
        let dir = sample();
        fs::create_dir_all(dir.path().join("deep/er/empty")).unwrap();
        fs::write(dir.path().join("deep/er/file"), "three").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        let old = Tree::observe_all(dir.path(), None).unwrap();
        let new = Tree::observe_all(dir.path(), Some(&old)).unwrap();
        assert!(Arc::ptr_eq(&old.top, &new.top));
        fs::write(dir.path().join("deep/er/file"), "four").unwrap();
        let new = Tree::observe_all(dir.path(), Some(&old)).unwrap();
        assert!(!Arc::ptr_eq(&old.top, &new.top));
        assert_eq!(paths(&new.changes_since(&old)), [("deep/er/file", ChangeKind::Changed)]);
        assert_eq!(new, Tree::observe_all(dir.path(), None).unwrap());
    }

    #[test]
    fn order_is_by_component_and_every_path_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/z", "a-b/c", "a.b", "b/a/c", "b/a-/c"] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), path).unwrap();
        }
        let tree = Tree::observe_all(dir.path(), None).unwrap();
        let all: Vec<PathBuf> = tree.iter().map(|(path, _)| path).collect();
        let expected = ["a", "a/z", "a-b", "a-b/c", "a.b", "b", "b/a", "b/a/c", "b/a-", "b/a-/c"];
        assert_eq!(all, expected.map(PathBuf::from));
        assert!(all.iter().all(|path| tree.get(path).is_some()));
        assert!(
            ["", "a/", "a/y", "c", "a/z/q"].iter().all(|path| tree.get(Path::new(path)).is_none())
        );
        let copy: Tree = postcard::from_bytes(&postcard::to_stdvec(&tree).unwrap()).unwrap();
        assert_eq!(copy, tree);
    }

    #[test]
    fn what_is_forgotten_is_as_if_it_had_never_been_there() {
        let dir = sample();
        fs::create_dir_all(dir.path().join("deep/er")).unwrap();
        fs::write(dir.path().join("deep/er/file"), "three").unwrap();
        let mut tree = Tree::observe_all(dir.path(), None).unwrap();
        for path in ["deep/er/file", "sub", "none", "b/none"] {
            tree.forget(Path::new(path));
        }
        fs::remove_file(dir.path().join("deep/er/file")).unwrap();
        fs::remove_dir_all(dir.path().join("sub")).unwrap();
        let left = Tree::observe_all(dir.path(), None).unwrap();
        // How many stamps differ depends on how much time has passed; what is there does not.
        assert!(left.stamps_outdated_in(&tree).is_some());
        assert_eq!(left.digest(), tree.digest());
        let copy: Tree = postcard::from_bytes(&postcard::to_stdvec(&tree).unwrap()).unwrap();
        assert_eq!(copy, tree);
    }

    #[test]
    fn a_change_under_a_directory_that_became_a_file_is_every_name_below() {
        let dir = sample();
        let old = Tree::observe_all(dir.path(), None).unwrap();
        fs::remove_dir_all(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub"), "").unwrap();
        let new = Tree::observe_all(dir.path(), Some(&old)).unwrap();
        assert_eq!(
            paths(&new.changes_since(&old)),
            [("sub", ChangeKind::Changed), ("sub/a", ChangeKind::Removed)]
        );
    }
}
