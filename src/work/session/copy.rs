//! A copy of a tree, of the sources for a cold build or of what a domain left: times, modes, names and symlinks are
//! those of the original, as with `cp -a --reflink=auto`.
//!
//! What is mounted in the checkout comes along as files. What cannot be read is there, empty, and cannot be
//! read in the copy either. Sockets, FIFOs and devices mean nothing without who made them.

#![expect(clippy::disallowed_methods, reason = "copies the sources")]

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use filetime::FileTime;
use walkdir::{DirEntry, WalkDir};

use crate::base::{copy, fault, regular};

/// Makes at `to`, where nothing is yet, a copy of `from` but for what is left out, with all below it. Returns every
/// `.git` in it, relative to it.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    is_left_out: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut copy = Copy { links: HashMap::new() };
    let mut dot_gits = Vec::new();
    let mut directories = Vec::new();
    let is_wanted = |item: &DirEntry| !is_left_out(item.path());
    for item in WalkDir::new(from).into_iter().filter_entry(is_wanted) {
        let item = match item {
            Ok(item) => item,
            Err(error) if is_passed_over(&error) => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot copy {}", from.display()));
            }
        };
        let below = item.path().strip_prefix(from).unwrap_or(Path::new(""));
        let place = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
        let made = item.metadata().map_err(io::Error::from).and_then(|metadata| {
            copy.one(item.path(), &place, &metadata)?;
            Ok(metadata)
        });
        match made {
            Ok(metadata) => {
                dot_gits.extend(is_dot_git(below).then(|| below.to_owned()));
                directories.extend(metadata.is_dir().then_some((place, metadata)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = item.path().display();
                return Err(error).with_context(|| {
                    format!("cannot copy {path}; make room or mend its permissions")
                });
            }
        }
    }
    // Last: what is put into a directory changes its times, and not all may be written to.
    for (place, metadata) in directories.iter().rev() {
        give(place, metadata).with_context(|| format!("cannot copy {}", place.display()))?;
    }
    Ok(dot_gits)
}

/// Whether a path is that of a `.git`, and not inside of one.
fn is_dot_git(path: &Path) -> bool {
    let is = |part: Component<'_>| part.as_os_str() == ".git";
    let mut parts = path.components();
    parts.next_back().is_some_and(is) && !parts.any(is)
}

/// What vanished meanwhile, and directories that nobody may look into.
fn is_passed_over(error: &walkdir::Error) -> bool {
    let kind = error.io_error().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied))
}

/// A copy that is being made.
struct Copy {
    /// Where files with several names were copied to, by filesystem and inode.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copy {
    fn one(&mut self, from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
        fault::point("verify.copy");
        if metadata.is_dir() {
            return fs::create_dir(to);
        }
        if metadata.is_symlink() {
            symlink(fs::read_link(from)?, to)?;
            return give(to, metadata);
        }
        if !metadata.is_file() {
            return Ok(());
        }
        if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&inode) {
                return fs::hard_link(first, to);
            }
            self.links.insert(inode, to.to_owned());
        }
        let source = match regular::open_own(from) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            other => Some(other?),
        };
        let made = copy::make(to)?;
        source.map_or(Ok(()), |source| copy::fill(&source, &made, &copy::unwatched))?;
        give(to, metadata)
    }
}

/// Gives a copy the owner, the mode and the times of what it was copied from.
fn give(place: &Path, metadata: &Metadata) -> io::Result<()> {
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.gid() == rustix::process::getegid().as_raw();
    if !is_own {
        // Only root may; whoever may not has a copy of his own.
        let _ = lchown(place, Some(metadata.uid()), Some(metadata.gid()));
    }
    if !metadata.is_symlink() {
        fs::set_permissions(place, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    }
    let accessed = FileTime::from_last_access_time(metadata);
    let modified = FileTime::from_last_modification_time(metadata);
    filetime::set_symlink_file_times(place, accessed, modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_times_modes_links_and_all_but_what_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("closed")).unwrap();
        fs::create_dir_all(from.join("target/debug")).unwrap();
        fs::create_dir_all(from.join("part/.git/modules/.git")).unwrap();
        fs::write(from.join("closed/file"), "text").unwrap();
        fs::hard_link(from.join("closed/file"), from.join("other")).unwrap();
        symlink("nowhere", from.join("link")).unwrap();
        let past = FileTime::from_unix_time(1_000_000_000, 7);
        for name in ["closed/file", "closed", "link", ""] {
            filetime::set_symlink_file_times(from.join(name), past, past).unwrap();
        }
        fs::set_permissions(from.join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
        let dot_gits = copy(&from, &to, |path| path == from.join("target")).unwrap();
        assert_eq!(dot_gits, [PathBuf::from("part/.git")]);
        for name in ["closed/file", "other", "closed", "link", ""] {
            let look = |top: &Path| fs::symlink_metadata(top.join(name)).unwrap();
            let (old, new) = (look(&from), look(&to));
            assert_eq!((old.mode(), old.mtime_nsec()), (new.mode(), new.mtime_nsec()), "{name}");
            assert_eq!(old.mtime(), new.mtime(), "{name}");
        }
        assert_eq!(fs::metadata(to.join("other")).unwrap().nlink(), 2);
        assert!(!to.join("target").exists());
        fs::set_permissions(from.join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(to.join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
