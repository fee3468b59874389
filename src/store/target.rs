//! What larder itself does inside a target directory, and what it remembers of it.

#![expect(
    clippy::disallowed_methods,
    reason = "sets times, and replaces files, in a kept directory"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use filetime::FileTime;
use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::moment::Moment;
use crate::base::path_error::{At, PathError};
use crate::base::tree::{Made, Tree};
use crate::base::{copy, fault, regular};
use crate::decide::needed::Needed;
use crate::observe::identity::Mentions;
use crate::observe::trace::Traces;

/// What the last close left in a target directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TargetManifest {
    /// All that stays; no uplifted files and no `incremental/`.
    pub tree: Tree,
    /// What is beside Cargo's files, single files and whole directories, relative, as bytes; and the
    /// packages in whose units' runs it may have been made. Where that is none, the command made it.
    pub extras: BTreeMap<Vec<u8>, BTreeSet<String>>,
    /// The same of extras that a push left out, where this was pulled: they are not there.
    pub unsent: BTreeMap<Vec<u8>, BTreeSet<String>>,
    /// Packages of which an artifact was changed in place after Cargo finished it.
    pub tampered: BTreeSet<String>,
    /// Absolute inputs that the units name, as the compiler sees them, as bytes.
    pub inputs: BTreeSet<Vec<u8>>,
    /// What the build wrote into its own sources.
    pub made: Made,
    /// Files of the checkout that somebody wrote while the command ran, and of which it is not known in what
    /// state units saw them; relative, as bytes.
    pub edited: BTreeSet<Vec<u8>>,
    /// Texts in the build scripts and proc macros of local packages that may be paths.
    pub mentions: BTreeSet<Vec<u8>>,
    /// Names of variables in programs and in packages from outside, by the content of these.
    pub memory: BTreeMap<Digest, Mentions>,
    /// Which units the last successful use did not need.
    pub needed: Needed,
    /// What units looked up outside of the directory while they were made.
    pub traces: Traces,
}

impl TargetManifest {
    /// Everything that has another stamp than in an older manifest, or that is not in it: files
    /// whose data, and directories whose entries, may not be on disk yet.
    pub(crate) fn fresh_since(&self, before: Option<&Self>) -> Vec<PathBuf> {
        let nothing = Tree::default();
        self.tree.restamped_since(before.map_or(&nothing, |before| &before.tree))
    }

    /// How many stamps of this manifest another one of the same directory does not have; `None`
    /// if it says something else.
    pub(crate) fn outdated_in(&self, other: &Self) -> Option<usize> {
        let same = self.extras == other.extras
            && self.unsent == other.unsent
            && self.tampered == other.tampered
            && self.inputs == other.inputs
            && self.mentions == other.mentions
            && self.memory == other.memory
            && self.needed == other.needed
            && self.traces == other.traces
            && self.made == other.made
            && self.edited == other.edited;
        self.tree.stamps_outdated_in(&other.tree).filter(|_| same)
    }
}

/// Gives a file that shares its inode with others a copy of its own, with the same bytes, mode
/// and modification time: what a script then does to it (strip, say) is not done to the cache.
///
/// The copy is made in `beside`, a directory of the same filesystem where half of one is found.
pub(crate) fn unshare(path: &Path, beside: &Path) -> Result<bool, PathError> {
    let metadata = fs::symlink_metadata(path).at("copy", path)?;
    if !metadata.is_file() || metadata.nlink() < 2 {
        return Ok(false);
    }
    fault::point("store.copy");
    let new = tempfile::Builder::new().prefix(".larder-").tempfile_in(beside).at("copy", path)?;
    fault::point("store.fill-copy");
    let source = regular::open_own(path).at("copy", path)?;
    copy::fill(&source, new.as_file(), &copy::unwatched).at("copy", path)?;
    new.as_file().set_permissions(metadata.permissions()).at("copy", path)?;
    let mtime = FileTime::from_last_modification_time(&metadata);
    filetime::set_file_mtime(new.path(), mtime).at("copy", path)?;
    fault::point("store.rename-copy");
    new.persist(path).at("copy", path)?;
    Ok(true)
}

/// Sets modification times back to what the last close left: Cargo decides by them.
pub(crate) fn restore_times(target: &Path, times: &[(PathBuf, Moment)]) -> Result<(), PathError> {
    for (path, mtime) in times {
        let path = target.join(path);
        let mtime = mtime.file_time();
        let atime = FileTime::now();
        fault::point("store.set-time");
        filetime::set_symlink_file_times(&path, atime, mtime).at("set the time of", &path)?;
    }
    Ok(())
}

/// Gives files of a target directory another content, each in one step.
pub(crate) fn rewrite(target: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<(), PathError> {
    for (path, content) in files {
        let path = target.join(path);
        // Half of one is not found in the target directory.
        let beside = path.strip_prefix(target).ok().and(target.parent()).or(path.parent());
        let beside = beside.unwrap_or(target);
        fault::point("store.rewrite");
        let new =
            tempfile::Builder::new().prefix(".larder-").tempfile_in(beside).at("write", &path)?;
        fs::write(new.path(), content).at("write", &path)?;
        let permissions = fs::symlink_metadata(&path).at("write", &path)?.permissions();
        fs::set_permissions(new.path(), permissions).at("write", &path)?;
        new.persist(&path).at("write", &path)?;
    }
    Ok(())
}

/// Makes it show which of some files are read from now on, by an access time that no clock gives.
/// Says whether that can be told: not where the filesystem does not note it, as under `noatime`.
///
/// Under `relatime`, which is the default, the kernel sets the access time of a file that is read
/// if it is not later than the modification or change time (Linux 6.1, `fs/inode.c`,
/// `relatime_need_update`). This sets the change time.
pub(crate) fn watch_reads(target: &Path, files: &[PathBuf]) -> bool {
    let mut files = files.iter().map(|file| target.join(file)).filter(|file| file.is_file());
    notes_reads(target).unwrap_or(false) && files.all(|file| forget_reads(&file).is_ok())
}

/// Tried beside the target directory, which may be empty yet.
fn notes_reads(target: &Path) -> io::Result<bool> {
    let parent = target.parent().unwrap_or(target);
    let probe = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
    fs::write(probe.path(), "read me")?;
    forget_reads(probe.path())?;
    fs::read(probe.path())?;
    was_read(probe.path())
}

fn forget_reads(file: &Path) -> io::Result<()> {
    filetime::set_file_atime(file, FileTime::zero())
}

fn was_read(file: &Path) -> io::Result<bool> {
    Ok(FileTime::from_last_access_time(&fs::metadata(file)?) > FileTime::zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_shows() {
        let outer = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir_in(outer.path()).unwrap();
        let files = ["a", "b", "gone"].map(PathBuf::from);
        fs::write(dir.path().join("a"), "a").unwrap();
        fs::write(dir.path().join("b"), "b").unwrap();
        assert!(watch_reads(dir.path(), &files), "the tests need a filesystem with access times");
        let was_read = |file: &str| was_read(&dir.path().join(file)).unwrap();
        assert!(!was_read("a") && !was_read("b"));
        fs::read(dir.path().join("b")).unwrap();
        assert!(!was_read("a") && was_read("b"));
    }

    #[test]
    fn an_unshared_file_is_the_same_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (cached, uplifted) = (dir.path().join("cached"), dir.path().join("app"));
        fs::write(&cached, "bytes").unwrap();
        filetime::set_file_mtime(&cached, FileTime::from_unix_time(7, 9)).unwrap();
        fs::hard_link(&cached, &uplifted).unwrap();
        assert!(unshare(&uplifted, dir.path()).unwrap());
        assert!(!unshare(&uplifted, dir.path()).unwrap());
        fs::write(&uplifted, "stripped").unwrap();
        assert_eq!(fs::read_to_string(&cached).unwrap(), "bytes");
        assert_eq!(fs::metadata(&cached).unwrap().mtime(), 7);
    }
}
