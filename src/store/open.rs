//! One use of a target directory, from lock to release.

#![expect(clippy::disallowed_methods, reason = "makes target directories")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::entry::{Closed, EntryRecord, Opened, UseRecord, Verification, boot_id};
use super::error::StoreError;
use super::layout::{EntryPaths, Store};
use super::listing;
use super::lock::Lock;
use crate::base::digest::Digest;
use crate::base::names::ProjectName;
use crate::base::path_error::{At, PathError};
use crate::base::quantity::Usage;
use crate::base::{atomic, fault, regular};
use crate::decide::policy::Unused;
use crate::decide::remade::Remade;
use crate::decide::verdict::Verdict;
use crate::observe::identity::IdentityRecord;
use crate::store::evict::{self, EvictError, Trash};

/// The tag that Cargo writes only into a target directory that it made itself
/// (cargo 1.95, `src/cargo/core/compiler/layout.rs`).
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # This target directory is kept by larder.\n";

/// Files that are synced at a time: they mostly wait for the same commit of the journal.
const SYNCING: usize = 16;

/// A target directory that is locked: only through it can the directory and its records be
/// changed.
#[derive(Debug)]
pub(crate) struct OpenEntry {
    paths: EntryPaths,
    record: EntryRecord,
    identity: IdentityRecord,
    lock: Lock,
    is_new: bool,
    /// Whether the use before came to its end, and its size with it.
    is_measured: bool,
}

/// A target directory that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is broken could not be set aside.
    #[error(transparent)]
    Evict(#[from] EvictError),
}

impl OpenEntry {
    /// Opens the directory of an identity under its lock, and makes it where there is none.
    ///
    /// A directory that cannot be trusted (no record, a damaged one, a machine that went down
    /// during its last use) is moved to the trash first; the reason is returned.
    pub(crate) fn open(
        store: &Store,
        project: &ProjectName,
        identity: IdentityRecord,
        lock: Lock,
    ) -> Result<(Self, Option<String>), OpenError> {
        let paths = store.entry(project, identity.id());
        let (kept, broken) = match judge(&paths) {
            Ok(kept) => (kept, None),
            Err(reason) => (None, Some(reason)),
        };
        if let Some(record) = kept {
            let is_measured = record.is_measured();
            let entry = Self { paths, record, identity, lock, is_new: false, is_measured };
            entry.mend_identity()?;
            return Ok((entry, None));
        }
        if broken.is_some() {
            Trash::new(store).take(&paths.dir)?;
        }
        let record = EntryRecord::new(project.clone(), &identity);
        let entry = Self { paths, record, identity, lock, is_new: true, is_measured: false };
        entry.make()?;
        Ok((entry, broken))
    }

    /// Where things are.
    pub(crate) fn paths(&self) -> &EntryPaths {
        &self.paths
    }

    /// What is recorded.
    pub(crate) fn record(&self) -> &EntryRecord {
        &self.record
    }

    /// What the directory is compiled with.
    pub(crate) fn identity(&self) -> &IdentityRecord {
        &self.identity
    }

    /// The lock.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Whether this use found no directory.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the recorded size is that of what the use found.
    pub(crate) fn is_measured(&self) -> bool {
        self.is_measured
    }

    /// Moves the whole content to the trash and begins anew, under the same lock.
    pub(crate) fn remake(&mut self, store: &Store) -> Result<(), OpenError> {
        Trash::new(store).take(&self.paths.dir)?;
        self.record = EntryRecord::new(self.record.project.clone(), &self.identity);
        (self.is_new, self.is_measured) = (true, false);
        self.make().map_err(OpenError::Store)
    }

    /// Removes a directory of which nothing stays, with its lock: what of it is in the trash goes with the next scraps.
    pub(crate) fn discard(self, store: &Store) -> Result<(), OpenError> {
        Trash::new(store).take_replaced(&self.paths)?;
        evict::remove_lock(store, &self.paths.lock(), self.lock)?;
        Ok(evict::remove_project(store, &self.record.project)?)
    }

    /// Records, durably, that a use begins. From here on a crash is noticed.
    pub(crate) fn begin(
        &mut self,
        cold: bool,
        why: Vec<String>,
        remade: Remade,
    ) -> Result<(), StoreError> {
        let opened = Opened { at: SystemTime::now(), boot: boot_id() };
        self.record.uses += 1;
        self.record.last = Some(UseRecord { opened, cold, why, remade, closed: None });
        self.save()
    }

    /// Notes where the loader's cache leads to while something was made, to be recorded with the close.
    pub(crate) fn note_loader(&mut self, loader: Digest) {
        self.record.loaders.insert(loader);
    }

    /// Brings to disk what is new in the target directory, then records, durably, how the use
    /// ended.
    pub(crate) fn close(
        &mut self,
        closed: Closed,
        measured: Option<(Usage, Vec<Unused>)>,
        changed: &[PathBuf],
    ) -> Result<(), StoreError> {
        sync_files(&self.paths.target(), changed)?;
        let cold = self.record.last.as_ref().is_some_and(|last| last.cold);
        if closed.outcome == super::Outcome::Succeeded {
            self.record.successes += 1;
            if cold {
                self.record.cold_seconds = Some(closed.seconds);
            }
        }
        if let Some((usage, unused)) = measured {
            (self.record.size, self.record.inodes) = (usage.bytes, usage.inodes);
            self.record.unused = unused;
        }
        if let Some(last) = &mut self.record.last {
            last.closed = Some(closed);
        }
        self.save()
    }

    /// Records how the use ended, and that what it left is not kept: the next one begins anew.
    pub(crate) fn give_up(
        &mut self,
        closed: Closed,
        why: String,
        usage: Usage,
    ) -> Result<(), StoreError> {
        self.record.unkept = Some(why);
        self.close(closed, Some((usage, Vec::new())), &[])
    }

    /// Records what a comparison with a cold build told.
    pub(crate) fn verified(&mut self, verdict: Verdict) -> Result<(), StoreError> {
        self.record.verified = Some(Verification { at: SystemTime::now(), verdict });
        self.save()
    }

    fn save(&self) -> Result<(), StoreError> {
        Ok(atomic::write_json(&self.paths.record(), &self.record)?)
    }

    /// Record first, then the directory: a directory without a record is never trusted.
    fn make(&self) -> Result<(), StoreError> {
        fault::point("store.make-entry");
        atomic::make_inner(&self.paths.dir).at("make", &self.paths.dir)?;
        self.save_identity()?;
        self.save()?;
        fault::point("store.make-target");
        fs::create_dir_all(self.paths.target()).at("make", self.paths.target())?;
        fault::point("store.tag-target");
        let tag = self.paths.target().join("CACHEDIR.TAG");
        Ok(fs::write(&tag, TAG).at("make", &tag)?)
    }
}

impl OpenEntry {
    /// The identity is known, whatever became of its record: the directory bears its digest.
    fn mend_identity(&self) -> Result<(), StoreError> {
        match regular::read_own(&self.paths.identity(), regular::TEXT) {
            Ok(recorded) if recorded == self.identity.encoded()? => Ok(()),
            _ => self.save_identity(),
        }
    }

    fn save_identity(&self) -> Result<(), StoreError> {
        Ok(atomic::write(&self.paths.identity(), &self.identity.encoded()?, 0o644)?)
    }
}

/// The record of a directory that may be used, `None` where there is no directory, or why the
/// directory may not be used (decision 14).
fn judge(paths: &EntryPaths) -> Result<Option<EntryRecord>, String> {
    if fs::symlink_metadata(&paths.dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        return Ok(None);
    }
    let record = listing::record(paths)?;
    let plain_target = fs::symlink_metadata(paths.target()).is_ok_and(|target| target.is_dir());
    if record.lost_to_another_boot(&boot_id()) {
        Err("the machine went down during its last use".to_owned())
    } else if let Some(why) = record.unkept {
        Err(why)
    } else if !plain_target {
        Err("its target directory was gone".to_owned())
    } else {
        Ok(Some(record))
    }
}

/// Brings files to disk, many at a time, so that the filesystem can commit them together.
///
/// Only this directory's own files: to sync the whole filesystem would wait for whatever else is
/// being written there, such as the image.
pub(crate) fn sync_files(dir: &Path, files: &[PathBuf]) -> Result<(), StoreError> {
    let sync = |path: &PathBuf| {
        let path = dir.join(path);
        // A FIFO or a device has nothing that is to be on disk.
        if fs::symlink_metadata(&path).is_ok_and(|it| !it.is_file() && !it.is_dir()) {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => {
                fault::point("store.sync-file");
                rustix::fs::fsync(file).at("sync", &path)
            }
            // A symlink has no data, and what is gone needs none.
            Err(Errno::LOOP | Errno::NOENT | Errno::ACCESS) => Ok(()),
            Err(error) => Err(PathError::new("sync", &path, error)),
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(SYNCING).build();
    let pool = pool.map_err(io::Error::other).at("sync", dir)?;
    Ok(pool.install(|| files.par_iter().try_for_each(sync))?)
}
