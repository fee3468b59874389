//! What work that was cut off left behind: halves of records, cold builds, locks of nothing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{COLLECTOR, CollectError, rescan};
use crate::base::names::{ProjectName, ToolchainId};
use crate::observe::cargo_layout::CargoLocks;
use crate::store::evict::{self, Trash};
use crate::store::{Claim, EntryPaths, Guard, Lock, Names, Store};
use crate::work::sweep;

/// Moves everything of that kind into the trash, or removes it; says how many there were.
pub(crate) fn tidy(store: &Store, guard: &Guard) -> (usize, Vec<anyhow::Error>) {
    let mut tidying = Tidying { store, trash: Trash::new(store), count: 0, errors: Vec::new() };
    match store.projects() {
        Ok(projects) => projects.iter().for_each(|project| tidying.project(project)),
        Err(error) => tidying.errors.push(error.into()),
    }
    tidying.top(guard);
    (tidying.count, tidying.errors)
}

/// Removes the directories of projects that hold nothing. One that is not empty stays; a build that
/// begins makes it again.
pub(crate) fn remove_vacant(store: &Store) {
    for project in store.projects().unwrap_or_default() {
        let _ = evict::remove_project(store, &project);
    }
}

struct Tidying<'a> {
    store: &'a Store,
    trash: Trash<'a>,
    count: usize,
    errors: Vec<anyhow::Error>,
}

impl Tidying<'_> {
    fn project(&mut self, project: &ProjectName) {
        let names = match self.store.names(project) {
            Ok(names) => names,
            Err(error) => return self.errors.push(error.into()),
        };
        let Names { directories, locks, pins, pulls, pushes, copies, alive: _, others: _ } = names;
        for id in &pulls {
            let done = self.half_pulled(&self.store.entry(project, *id));
            self.note(done);
        }
        for id in &pushes {
            let done = self.half_pushed(&self.store.entry(project, *id));
            self.note(done);
        }
        for id in &copies {
            let done = self.copied(&self.store.entry(project, *id));
            self.note(done);
        }
        for id in &directories {
            let done = self.directory(project, *id);
            self.note(done);
        }
        let gone = locks.iter().chain(&pins).filter(|id| !directories.contains(id));
        for id in gone.collect::<BTreeSet<&ToolchainId>>() {
            let done = self.lock_of_nothing(&self.store.entry(project, *id));
            self.note(done);
        }
    }

    fn note(&mut self, done: Result<usize, CollectError>) {
        match done {
            Ok(count) => self.count += count,
            Err(error) => self.errors.push(error.into()),
        }
    }

    /// Whatever a directory holds besides its records and `target/`, and what a sweep has yet to take.
    /// The size that is recorded is that of before, so it is measured again.
    fn directory(&mut self, project: &ProjectName, id: ToolchainId) -> Result<usize, CollectError> {
        let paths = self.store.entry(project, id);
        let strangers = strangers(&paths.dir, EntryPaths::has);
        let record = || self.store.row(project, id, false).record;
        let is_cut_off = sweep::is_pending(&paths);
        if strangers.is_empty() && !is_cut_off && record().is_ok_and(|record| record.is_measured())
        {
            return Ok(0);
        }
        let Some(_lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
            return Ok(0);
        };
        for path in &strangers {
            self.trash.take(path)?;
        }
        if is_cut_off {
            let Some(_cargo) = CargoLocks::try_hold(&paths.target())? else {
                return Ok(strangers.len());
            };
            sweep::finish(self.store, &paths)?;
        }
        rescan::mend(&paths, record())?;
        Ok(strangers.len() + usize::from(is_cut_off))
    }

    /// What was being pulled when it was cut off. Who pulls has the directory's lock.
    fn half_pulled(&mut self, paths: &EntryPaths) -> Result<usize, CollectError> {
        let Some(_lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
            return Ok(0);
        };
        self.trash.take(&paths.staging())?;
        Ok(1)
    }

    /// What was being pushed when it was cut off. Who pushes has a claim on it.
    fn half_pushed(&mut self, paths: &EntryPaths) -> Result<usize, CollectError> {
        let Some(_lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
            return Ok(0);
        };
        let Some(_claim) = Claim::try_acquire(&paths.replica())? else {
            return Ok(0);
        };
        self.trash.take(&paths.replica())?;
        Ok(1)
    }

    /// Copies of sources for cold builds that were cut off. Who verifies has the directory's lock.
    fn copied(&mut self, paths: &EntryPaths) -> Result<usize, CollectError> {
        let Some(_lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
            return Ok(0);
        };
        self.trash.take(&paths.copies())?;
        Ok(1)
    }

    fn lock_of_nothing(&mut self, paths: &EntryPaths) -> Result<usize, CollectError> {
        let Some(lock) = Lock::try_acquire(&paths.lock(), COLLECTOR)? else {
            return Ok(0);
        };
        if std::fs::symlink_metadata(&paths.dir).is_ok() {
            return Ok(0);
        }
        evict::remove_pin(self.store, &paths.pin())?;
        evict::remove_lock(self.store, &paths.lock(), lock)?;
        Ok(1)
    }

    /// Halves of the store's own records, if nobody else works in the store.
    fn top(&mut self, guard: &Guard) {
        let root = self.store.root().to_owned();
        let mut places = vec![root.clone()];
        places.extend(["bin", "observed", "projects"].map(|name| root.join(name)));
        // Pins are written beside the directories.
        let projects = self.store.projects().unwrap_or_default();
        places.extend(projects.iter().map(|project| self.store.project(project)));
        let halves: Vec<PathBuf> =
            places.iter().flat_map(|place| strangers(place, |name| !is_half(name))).collect();
        if halves.is_empty() {
            return;
        }
        let done = guard.if_alone(self.store, || {
            for path in halves {
                let done = evict::remove_half(self.store, &path).map(|()| 1);
                self.note(done.map_err(CollectError::from));
            }
        });
        self.note(done.map(|()| 0).map_err(CollectError::from));
    }
}

fn is_half(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(".new-")
}

/// The paths in a directory whose names are not known there.
fn strangers(dir: &Path, known: impl Fn(&OsStr) -> bool) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(dir).into_iter().flatten().flatten();
    inside.filter(|entry| !known(&entry.file_name())).map(|entry| entry.path()).collect()
}
