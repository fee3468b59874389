//! A kept directory from which another one begins: what of it is copied, and how it takes its place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::copy::copy;
use super::sharing::usable;
use crate::base::path_error::At;
use crate::base::{atomic, fault, regular};
use crate::observe::identity::IdentityRecord;
use crate::store::evict::Trash;
use crate::store::{EntryPaths, EntryRecord, Lock, Store, TargetManifest};
use crate::work::sweep;

/// A directory that is only read.
pub(super) struct Origin {
    pub paths: EntryPaths,
}

/// What is taken of a directory, if not all of it.
pub(super) struct Part {
    /// What stays behind of `target/`, with all below it; relative to it.
    pub left_out: BTreeSet<PathBuf>,
    /// What is known of the rest.
    pub manifest: TargetManifest,
}

impl Origin {
    /// The record of what a build can go on with.
    pub(super) fn record(&self) -> Option<EntryRecord> {
        usable(&self.paths).filter(|record| {
            record.successes > 0
                && record.belongs_to(&self.paths)
                && !sweep::is_pending(&self.paths)
        })
    }

    /// Puts a copy of it, or of a part, in the place of another one; both are locked.
    pub(super) fn copy(
        &self,
        store: &Store,
        to: &EntryPaths,
        records: (&IdentityRecord, &EntryRecord),
        part: Option<&Part>,
        lock: &Lock,
    ) -> Result<()> {
        let made = self.fill(store, &to.staging(), records, part);
        if let Err(error) = made.and_then(|()| Ok(store.adopt(to, lock)?)) {
            // If it cannot be moved now, a collection does it.
            let _ = Trash::new(store).take(&to.staging());
            return Err(error);
        }
        Ok(())
    }

    /// The data and all records, brought to disk; the record of the directory last.
    fn fill(
        &self,
        store: &Store,
        staging: &Path,
        (identity, record): (&IdentityRecord, &EntryRecord),
        part: Option<&Part>,
    ) -> Result<()> {
        Trash::new(store).take(staging)?;
        fault::point("start.make");
        atomic::make_inner(staging).at("make", staging)?;
        let records = [self.paths.state(), self.paths.manifest(), self.paths.kept()];
        let trees = [self.paths.target(), self.paths.cargo(), self.paths.caches()];
        let target = self.paths.target();
        let is_left_out = |path: &Path| {
            let inside = path.strip_prefix(&target).ok();
            part.zip(inside).is_some_and(|(part, inside)| part.left_out.contains(inside))
        };
        for from in trees.iter().chain(&records) {
            if from.symlink_metadata().is_ok() {
                copy(from, &in_staging(staging, from), is_left_out)?;
            }
        }
        if let Some(part) = part {
            let place = in_staging(staging, &self.paths.manifest());
            atomic::write_binary(&place, &part.manifest)?;
        }
        let place = in_staging(staging, &self.paths.identity());
        atomic::write(&place, &identity.encoded()?, 0o644)?;
        if !record.throwaway {
            let directory = regular::open_directory(staging).at("open", staging)?;
            fault::point("start.sync");
            rustix::fs::syncfs(&directory).at("sync", staging)?;
        }
        atomic::write_json(&in_staging(staging, &self.paths.record()), record)?;
        Ok(())
    }
}

fn in_staging(staging: &Path, part: &Path) -> PathBuf {
    staging.join(part.file_name().unwrap_or_default())
}
