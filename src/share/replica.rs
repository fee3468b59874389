//! Replicas: what a build left, sharing its blocks, so that the next build need not wait for a push.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use filetime::FileTime;
use rustix::fs::{Mode, OFlags};

use super::error::ShareError;
use super::manifest::{Entry, What};
use crate::evict::Trash;
use crate::fault;
use crate::store::{Claim, EntryPaths, Lock, Store};
use crate::tree::{Nanoseconds, file_time};

/// A replica of a target directory, removed when it is dropped.
pub(super) struct Replica<'a> {
    store: &'a Store,
    dir: PathBuf,
    _claim: Claim,
}

/// How a file is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By reflink.
    Reflink,
    /// By reflink where the filesystem has them, else byte by byte.
    Anyhow,
}

impl<'a> Replica<'a> {
    /// Makes one of these entries, under the lock of the directory that they are in. Nothing where the filesystem
    /// has no reflinks, or where another push has its replica still.
    pub fn make(
        store: &'a Store,
        paths: &EntryPaths,
        _lock: &Lock,
        entries: &[Entry],
    ) -> Result<Option<Self>, ShareError> {
        let dir = &paths.replica;
        match Claim::try_acquire(dir)? {
            // That of a push that was cut off.
            Some(_claim) => Trash::new(store).take(dir)?,
            None if fs::symlink_metadata(dir).is_ok() => return Ok(None),
            None => {}
        }
        make_dir(dir)?;
        let Some(claim) = Claim::try_acquire(dir)? else {
            return Ok(None);
        };
        let replica = Self { store, dir: dir.clone(), _claim: claim };
        Ok(replica.fill(&paths.target, entries)?.then_some(replica))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether the filesystem could do it.
    fn fill(&self, from: &Path, entries: &[Entry]) -> Result<bool, ShareError> {
        let mut links: HashMap<u32, PathBuf> = HashMap::new();
        for entry in entries {
            let place = self.dir.join(&entry.path);
            match &entry.what {
                What::Directory => make_dir(&place)?,
                What::Symlink(target) => {
                    fault::point("share.make-link");
                    symlink(target, &place).map_err(ShareError::io("make", &place))?;
                }
                What::File { link, .. } => {
                    if let Some(first) = links.get(link).filter(|_| *link > 0) {
                        fault::point("share.link");
                        fs::hard_link(first, &place).map_err(ShareError::io("make", &place))?;
                        continue;
                    }
                    if !copy(&from.join(&entry.path), &place, How::Reflink)? {
                        return Ok(false);
                    }
                    links.insert(*link, place);
                }
            }
        }
        // What is in a directory comes after it, and changes its time.
        for entry in entries.iter().rev() {
            let place = self.dir.join(&entry.path);
            if !matches!(entry.what, What::Symlink(_)) {
                let mode = fs::Permissions::from_mode(entry.mode);
                fault::point("share.set-mode");
                fs::set_permissions(&place, mode)
                    .map_err(ShareError::io("set the mode of", &place))?;
            }
            set_time(&place, entry.mtime)?;
        }
        Ok(true)
    }
}

impl Drop for Replica<'_> {
    fn drop(&mut self) {
        // If it cannot be moved now, the next push or collection does it.
        let _ = Trash::new(self.store).take(&self.dir);
    }
}

fn make_dir(dir: &Path) -> Result<(), ShareError> {
    fault::point("share.make");
    fs::DirBuilder::new().mode(0o700).create(dir).map_err(ShareError::io("make", dir))
}

/// Copies a regular file to where nothing is; never a link. Whether it could be done that way.
pub(super) fn copy(from: &Path, to: &Path, how: How) -> Result<bool, ShareError> {
    fault::point("share.copy");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::open(from, flags, Mode::empty());
    let mut source =
        File::from(source.map_err(|errno| ShareError::io("read", from)(errno.into()))?);
    let mut copy = File::options();
    let copy = copy.write(true).create_new(true).mode(0o600).open(to);
    let mut copy = copy.map_err(ShareError::io("make", to))?;
    if rustix::fs::ioctl_ficlone(&copy, &source).is_ok() {
        return Ok(true);
    }
    match how {
        How::Reflink => Ok(false),
        How::Anyhow => {
            io::copy(&mut source, &mut copy).map_err(ShareError::io("copy", from))?;
            Ok(true)
        }
    }
}

/// Gives a name its modification time.
pub(super) fn set_time(path: &Path, mtime: Nanoseconds) -> Result<(), ShareError> {
    fault::point("share.set-time");
    filetime::set_symlink_file_times(path, FileTime::now(), file_time(mtime))
        .map_err(ShareError::io("set the time of", path))
}
