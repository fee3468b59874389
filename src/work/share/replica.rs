//! Replicas: what a build left, sharing its blocks, so that the next build need not wait for a push (decision 72).

#![expect(clippy::disallowed_methods, reason = "makes symlinks of what is pushed")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::ShareError;
use super::files::{link_to, make_dir, reflink, set_mode, set_time};
use super::manifest::{PushEntry, What};
use crate::base::fault;
use crate::base::path_error::At;
use crate::store::evict::Trash;
use crate::store::{Claim, EntryPaths, Lock, Store};

/// A replica of a target directory, removed when it is dropped.
pub(super) struct Replica<'a> {
    store: &'a Store,
    dir: PathBuf,
    _claim: Claim,
}

impl<'a> Replica<'a> {
    /// Makes one of these entries, under the lock of the directory that they are in. Nothing where the filesystem
    /// has no reflinks, or where another push has its replica still.
    pub(super) fn make(
        store: &'a Store,
        paths: &EntryPaths,
        _lock: &Lock,
        entries: &[PushEntry],
    ) -> Result<Option<Self>, ShareError> {
        let dir = &paths.replica();
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
        Ok(replica.fill(&paths.target(), entries)?.then_some(replica))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether the filesystem could do it.
    fn fill(&self, from: &Path, entries: &[PushEntry]) -> Result<bool, ShareError> {
        let mut links: HashMap<u32, PathBuf> = HashMap::new();
        for entry in entries {
            let place = self.dir.join(&entry.path);
            match &entry.what {
                What::Directory => make_dir(&place)?,
                What::Symlink(target) => {
                    fault::point("share.make-link");
                    symlink(target, &place).at("make", &place)?;
                }
                What::File { link, .. } => {
                    if let Some(first) = links.get(link).filter(|_| *link > 0) {
                        link_to(first, &place)?;
                        continue;
                    }
                    if !reflink(&from.join(&entry.path), &place)? {
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
                set_mode(&place, entry.mode)?;
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
