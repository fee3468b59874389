//! Pulling: what was found is listed, restored, looked at, and put in its place.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::Share;
use super::engine::{Engine, FullId, Node};
use super::error::ShareError;
use super::listing::Listing;
use super::manifest::{PushEntry, PushManifest};
use super::select::AcceptedPush;
use super::staging::Staging;
use crate::base::atomic;
use crate::base::key::Mark;
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::path_error::At;
use crate::observe::identity::IdentityRecord;
use crate::output::Stopwatch;
use crate::store::history::{Event, Transfer};
use crate::store::{EntryPaths, EntryRecord, Lock, Store};

/// What a directory is pulled for, as this store keeps it.
pub(crate) struct Own {
    pub identity: IdentityRecord,
    /// Variables that the directory does not depend on.
    pub variables: BTreeMap<String, Mark>,
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Pulled {
    pub toolchain: ToolchainId,
    /// The snapshot with the data.
    pub snapshot: FullId,
    /// The number of the push.
    pub counter: u64,
    pub signer: String,
    /// Names in the directory.
    pub files: u64,
    pub bytes: u64,
    /// Of these, what was here already.
    pub bytes_kept: u64,
    /// Of these, what had to be fetched, before compression; where that is known.
    pub bytes_fetched: Option<u64>,
    /// How long it took.
    pub seconds: f64,
}

impl Pulled {
    /// For the store's history.
    pub(crate) fn event(&self, project: &ProjectName) -> Event {
        Event::Pull(Transfer {
            project: project.clone(),
            toolchain: self.toolchain,
            counter: self.counter,
            signer: Some(self.signer.clone()),
            bytes: self.bytes,
            sent: None,
            seconds: self.seconds,
        })
    }
}

impl AcceptedPush {
    /// Whether a directory is that of this push, or of a later one. A later one that was seen here would have had this
    /// one refused; if it had not, who signed it is believed no longer.
    pub(crate) fn is_there_already(&self, store: &Store, paths: &EntryPaths) -> bool {
        let record = atomic::read_json::<EntryRecord>(&paths.record()).ok().flatten();
        let shared = record.and_then(|record| record.shared);
        let seen = store.seen(&self.manifest.scope.tag()).unwrap_or_default();
        let was_seen = |counter| seen.first().is_some_and(|highest| highest.counter >= counter);
        shared.is_some_and(|shared| {
            (shared.counter > self.manifest.counter && !was_seen(shared.counter))
                || (shared.counter == self.manifest.counter
                    && shared.snapshot == self.manifest.snapshot.as_str())
        })
    }
}

impl Share<'_> {
    /// Restores what was found in the place of the directory that the lock is of.
    pub(crate) fn take(
        &self,
        found: &AcceptedPush,
        own: &Own,
        paths: &EntryPaths,
        lock: &Lock,
    ) -> Result<Pulled, ShareError> {
        let started = Instant::now();
        let mut watch = Stopwatch::default();
        let manifest = &found.manifest;
        let _cargo = super::hold_cargo(&paths.target())?;
        for why in &found.passed_over {
            self.output.note(&format!("passed over: {why}"));
        }
        self.check_room(manifest)?;
        self.check_listing(&manifest.snapshot, &manifest.entries, found.listed.as_deref())?;
        watch.step("list");
        // Before anything is there: whatever comes of this pull, an older push is not accepted again.
        self.see(manifest, &found.by)?;
        let staging = Staging::begin(self.store, paths, lock, manifest)?;
        let seeded = staging.seed()?;
        watch.step("take over");
        // restic leaves these as they are, so that the disk can work meanwhile.
        let (restored, synced) = rayon::join(
            || self.engine.restore(&manifest.snapshot, staging.target()),
            || staging.sync(&seeded.paths),
        );
        let (restored, ()) = (restored?, synced?);
        watch.step("restore");
        let settled = staging.settle()?;
        watch.step("settle");
        staging.sync(&settled.paths)?;
        watch.step("sync");
        let tree = staging.verify(&settled)?;
        watch.step("verify");
        let identity = own.identity.as_that_of(&found.identity);
        let key = self.key(&manifest.repository)?;
        staging.complete(&identity, tree, |state| state.compare_by(&key, &own.variables))?;
        self.trim_cache();
        watch.step("complete");
        self.output.detail(&watch.summary());
        Ok(Pulled {
            toolchain: manifest.scope.toolchain,
            snapshot: manifest.snapshot.clone(),
            counter: manifest.counter,
            signer: manifest.signer.clone(),
            files: manifest.files,
            bytes: manifest.bytes,
            bytes_kept: seeded.bytes,
            bytes_fetched: restored.bytes,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Whether it fits on the store's filesystem, beside what is there.
    fn check_room(&self, manifest: &PushManifest) -> Result<(), ShareError> {
        let root = self.store.root();
        let free = rustix::fs::statvfs(root);
        let free = free.at("read", root)?;
        let bytes = free.f_bavail.saturating_mul(free.f_frsize);
        let has_inodes = free.f_files == 0 || free.f_favail >= manifest.files;
        if manifest.bytes <= bytes && has_inodes {
            return Ok(());
        }
        let (needs, has) = (crate::output::size(manifest.bytes), crate::output::size(bytes));
        let why = format!("it takes {needs} and {} files, and {has} are free", manifest.files);
        Err(ShareError::refused(format!("push {}", manifest.counter), why))
    }

    /// Whether a snapshot holds these entries, and nothing else; `listed` is what it holds, if it was asked before.
    pub(super) fn check_listing(
        &self,
        snapshot: &FullId,
        entries: &[PushEntry],
        listed: Option<&[Node]>,
    ) -> Result<(), ShareError> {
        let refused = |why| ShareError::refused(format!("snapshot {}", snapshot.short()), why);
        let mut listing = Listing::of(entries);
        let mut take = |node: &Node| listing.take(node).map_err(refused);
        match listed {
            Some(nodes) => nodes.iter().try_for_each(take)?,
            None => self.engine.list(snapshot, &mut |node| take(&node))?,
        }
        listing.finish().map_err(refused)
    }
}
