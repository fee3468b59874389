//! A directory that begins with a copy of what a more trusted domain left (decision 107).

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;

use super::copy::copy;
use super::sharing::is_cold;
use super::waiting::wait_for_cargo;
use crate::base::names::DomainName;
use crate::base::path_error::At;
use crate::base::{atomic, fault, regular};
use crate::observe::identity::{Identity, IdentityRecord, Veil, Way};
use crate::output::{Output, Progress, one_line, seconds, size};
use crate::store::evict::Trash;
use crate::store::{EntryPaths, EntryRecord, Lock, Store, boot_id};
use crate::work::project::{Project, in_identity};
use crate::work::sweep;

/// The directory of another domain.
struct Origin<'a> {
    domain: &'a DomainName,
    identity: Identity,
    paths: EntryPaths,
}

/// The directory of a use that is not open yet: one of this use alone goes again if that does not come about.
pub(super) struct Unopened<'a> {
    store: &'a Store,
    dir: Option<PathBuf>,
}

impl<'a> Unopened<'a> {
    pub(super) fn of(store: &'a Store, project: &Project, paths: &EntryPaths) -> Self {
        Self { store, dir: project.is_throwaway().then(|| paths.dir.clone()) }
    }

    /// From here on the session has it.
    pub(super) fn opened(mut self) {
        self.dir = None;
    }
}

impl Drop for Unopened<'_> {
    fn drop(&mut self) {
        // What cannot be removed now, a collection removes.
        let _ = self.dir.iter().try_for_each(|dir| Trash::new(self.store).take(dir));
    }
}

/// Locks the directory of an identity. Where nothing was built there yet, it begins with a copy of what is kept
/// in the nearest domain that it may begin from; that one is only read. Nobody waits for one with the other in
/// hand.
pub(super) fn lock(
    store: &Store,
    project: &Project,
    identity: &Identity,
    veil: &Veil,
    output: Output,
) -> Result<Lock> {
    let paths = store.entry(&project.name, identity.id());
    loop {
        let lock = project.lock(store, identity.id(), output)?;
        if !is_cold(&paths) {
            return Ok(lock);
        }
        let Some(origin) = Origin::find(store, project, identity)? else {
            if let Some(nearest) = project.begins_from().first() {
                output.note(&format!(
                    "nothing is kept of {} in domain {nearest} that fits here; building cold",
                    project.name
                ));
            }
            return Ok(lock);
        };
        if project.way == Way::Symlink {
            output.note(&format!(
                "nothing can be mounted here, so that paths would differ: {} does not begin with what \
                 domain {} left",
                project.name, origin.domain
            ));
            return Ok(lock);
        }
        if let Some(theirs) = Lock::try_acquire(&origin.paths.lock(), "larder run")? {
            let identity = identity.recorded(veil)?;
            let locks = (&lock, &theirs);
            if let Err(error) = origin.copy(store, project, &paths, &identity, locks, output) {
                let (name, domain) = (&project.name, origin.domain);
                output.warning(&format!(
                    "{name} does not begin with what domain {domain} left, building cold: {}",
                    one_line(&error)
                ));
            }
            return Ok(lock);
        }
        drop(lock);
        project.lock(store, origin.identity.id(), output)?;
    }
}

impl<'a> Origin<'a> {
    /// The nearest one that has something.
    fn find(store: &Store, project: &'a Project, identity: &Identity) -> Result<Option<Self>> {
        for domain in project.begins_from() {
            let identity = identity.in_domain(&in_identity(domain))?;
            let paths = store.entry(&project.name, identity.id());
            let origin = Self { domain, identity, paths };
            if origin.record().is_some() {
                return Ok(Some(origin));
            }
        }
        Ok(None)
    }

    /// The record of what a build can go on with.
    fn record(&self) -> Option<EntryRecord> {
        let record = atomic::read_json::<EntryRecord>(&self.paths.record()).ok()??;
        let is_usable = record.successes > 0
            && record.belongs_to(&self.paths)
            && record.unkept.is_none()
            && !record.lost_to_another_boot(&boot_id());
        is_usable.then_some(record)
    }

    /// Puts a copy of it in the place of another one; both are locked.
    fn copy(
        &self,
        store: &Store,
        project: &Project,
        to: &EntryPaths,
        identity: &IdentityRecord,
        (lock, _theirs): (&Lock, &Lock),
        output: Output,
    ) -> Result<()> {
        let started = Instant::now();
        let Some(record) = self.record().filter(|_| !sweep::is_pending(&self.paths)) else {
            // It went, or was left half swept, since it was looked at.
            return Ok(());
        };
        let _progress = Progress::step(output, "copying what another domain left");
        let _cargo = wait_for_cargo(&self.paths.target(), project.settings.wait, output)?;
        let record = record.begun_from(identity);
        let made = self.fill(store, &to.staging(), identity, &record);
        if let Err(error) = made.and_then(|()| Ok(store.adopt(to, lock)?)) {
            // If it cannot be moved now, a collection does it.
            let _ = Trash::new(store).take(&to.staging());
            return Err(error);
        }
        let (all, time) = (size(record.size), seconds(started.elapsed().as_secs_f64()));
        let (name, domain) = (&project.name, self.domain);
        output.note(&format!("{name} begins with what domain {domain} left: {all} in {time}"));
        Ok(())
    }

    /// The data and all records, brought to disk; the record of the directory last.
    fn fill(
        &self,
        store: &Store,
        staging: &Path,
        identity: &IdentityRecord,
        record: &EntryRecord,
    ) -> Result<()> {
        Trash::new(store).take(staging)?;
        fault::point("start.make");
        atomic::make_inner(staging).at("make", staging)?;
        let records = [self.paths.state(), self.paths.manifest(), self.paths.kept()];
        let trees = [self.paths.target(), self.paths.cargo(), self.paths.caches()];
        for part in trees.iter().chain(&records) {
            if part.symlink_metadata().is_ok() {
                copy(part, &in_staging(staging, part), &[])?;
            }
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
