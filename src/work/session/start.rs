//! A directory that begins with a copy of what a more trusted domain left (decision 107).

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use super::origin::Origin;
use super::sharing::is_cold;
use super::waiting::wait_for_cargo;
use crate::base::names::DomainName;
use crate::observe::identity::{Identity, IdentityRecord, Veil, Way};
use crate::output::{Output, Progress, one_line, seconds, size};
use crate::store::evict::Trash;
use crate::store::{EntryPaths, Lock, Store};
use crate::work::project::{Project, in_identity};

/// The directory of another domain.
struct OfDomain<'a> {
    domain: &'a DomainName,
    identity: Identity,
    origin: Origin,
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
        let Some(theirs) = OfDomain::find(store, project, identity)? else {
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
                project.name, theirs.domain
            ));
            return Ok(lock);
        }
        if let Some(held) = Lock::try_acquire(&theirs.origin.paths.lock(), "larder run")? {
            let identity = identity.recorded(veil)?;
            let locks = (&lock, &held);
            if let Err(error) = theirs.copy(store, project, &paths, &identity, locks, output) {
                let (name, domain) = (&project.name, theirs.domain);
                output.warning(&format!(
                    "{name} does not begin with what domain {domain} left, building cold: {}",
                    one_line(&error)
                ));
            }
            return Ok(lock);
        }
        drop(lock);
        project.lock(store, theirs.identity.id(), output)?;
    }
}

impl<'a> OfDomain<'a> {
    /// The nearest one that has something.
    fn find(store: &Store, project: &'a Project, identity: &Identity) -> Result<Option<Self>> {
        for domain in project.begins_from() {
            let identity = identity.in_domain(&in_identity(domain))?;
            let origin = Origin { paths: store.entry(&project.name, identity.id()) };
            if origin.record().is_some() {
                return Ok(Some(Self { domain, identity, origin }));
            }
        }
        Ok(None)
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
        // It may have gone since it was looked at.
        let Some(record) = self.origin.record() else { return Ok(()) };
        let _progress = Progress::step(output, "copying what another domain left");
        let _cargo = wait_for_cargo(&self.origin.paths.target(), project.settings.wait, output)?;
        let record = record.begun_from(identity);
        self.origin.copy(store, to, (identity, &record), None, lock)?;
        let (all, time) = (size(record.size), seconds(started.elapsed().as_secs_f64()));
        let (name, domain) = (&project.name, self.domain);
        output.note(&format!("{name} begins with what domain {domain} left: {all} in {time}"));
        Ok(())
    }
}
