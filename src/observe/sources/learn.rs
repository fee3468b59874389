//! What a build itself brings, and what therefore is no change the next time (decision 16).
//!
//! The state is written before the build. The build then may write `Cargo.lock`, download
//! packages, and name inputs that no unit had named. All of that would count as changed at the
//! next use, because the state does not know it. After a build that succeeded it is taken in,
//! where it is certain that every unit of the build saw it as it is now:
//!
//! - `Cargo.lock`, if it was last changed before the first unit was started;
//! - a package that was nowhere before;
//! - an input that has not changed since the use began.
//!
//! What is not taken in counts as changed: safe, and at worst needless.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::lockfile::{Lockfile, Package};
use super::packages::Packages;
use super::place::Where;
use super::state::{Attempt, SourceState, look_at_input};
use crate::base::moment::Moment;
use crate::base::regular;
use crate::base::tree::{ChangeKind, Entry, Made, Node, ObserveError, Tree};

impl SourceState {
    /// Takes in what the build of this state brought; `place` has the inputs named after it, and `made` the packages of
    /// which units were made, with when the first of them was started.
    /// Says whether the state is another one now and has to be written again.
    pub(crate) fn learn(
        &mut self,
        place: &Where,
        this: Attempt,
        made: &BTreeMap<String, Moment>,
    ) -> Result<bool, ObserveError> {
        let locked = self.learn_lock(place, this)?;
        let packages = self.learn_packages(place, made)?;
        let inputs = self.learn_inputs(place, this)?;
        Ok(locked || packages || inputs)
    }

    /// What units wrote into the checkout while they were made, as it is now: a cold build would
    /// write it too. What the command wrote before the first of them and after the last, it writes
    /// again by itself.
    pub(crate) fn made(&self, seen: &Tree, first_unit: Moment, last_unit: Moment) -> Made {
        let in_time = |_: &[u8], entry: &Entry| {
            (first_unit..=last_unit).contains(&entry.stamp.ctime)
                && !matches!(entry.node, Node::Directory)
        };
        let is_made = |(path, entry): &(PathBuf, &Entry)| {
            path != Path::new("Cargo.lock")
                && !self.checkout.get(path).is_some_and(|known| known.same_content(entry))
        };
        let made = seen.select(in_time).filter(is_made);
        made.map(|(path, entry)| (path.into_os_string().into_vec(), entry.clone())).collect()
    }

    /// Which files somebody wrote, or removed, since this state was seen, whatever is in them now: of what
    /// units saw of them nothing is known. `seen` is the checkout after the command.
    pub(crate) fn edited(&self, seen: &Tree) -> Vec<(PathBuf, Option<Moment>)> {
        let is_file = |tree: &Tree, path: &PathBuf| {
            tree.get(path).is_some_and(|entry| !matches!(entry.node, Node::Directory))
        };
        let written = seen.restamped_since(&self.checkout).into_iter();
        let written = written.filter(|path| is_file(seen, path));
        let written = written.map(|path| {
            let at = seen.get(&path).map(|entry| entry.stamp.ctime);
            (path, at)
        });
        let gone = seen.changes_since(&self.checkout).into_iter();
        let gone = gone.filter(|change| change.kind == ChangeKind::Removed);
        let gone = gone.map(|change| change.path).filter(|path| is_file(&self.checkout, path));
        written.chain(gone.map(|path| (path, None))).collect()
    }

    /// Which of the files that a build wrote into its sources are not there as it wrote them.
    pub(crate) fn unmade(&self, made: &Made) -> Vec<PathBuf> {
        let paths = made.iter().map(|(path, entry)| (Path::new(OsStr::from_bytes(path)), entry));
        let is_there = |path: &Path, entry: &Entry| {
            self.checkout.get(path).is_some_and(|now| now.same_content(entry))
        };
        let gone = paths.filter(|(path, entry)| !is_there(path, entry));
        gone.map(|(path, _)| path.to_owned()).collect()
    }

    fn learn_lock(&mut self, place: &Where, this: Attempt) -> Result<bool, ObserveError> {
        let name = Path::new("Cargo.lock");
        let path = place.source.join(name);
        let seen = Tree::observe_all(&path, None)?;
        let Some(entry) = seen.get(Path::new("")).cloned() else {
            return Ok(false);
        };
        let is_known = self.checkout.get(name).is_some_and(|known| known.same_content(&entry));
        let is_late = this.first_unit.is_some_and(|first| entry.stamp.ctime > first);
        if is_known || is_late {
            return Ok(false);
        }
        let text = regular::text(&path).unwrap_or_default();
        let before = std::mem::replace(&mut self.lock, Lockfile::parse(&text).ok());
        // Of the same name and version, and yet another package.
        let known = before.iter().flat_map(|lock| &lock.packages);
        let known: BTreeMap<_, _> = known.map(|package| (package.id(), package.sum())).collect();
        for package in self.lock.iter().flat_map(|lock| &lock.packages) {
            let id = package.id();
            if known.get(&id).is_some_and(|sum| *sum != package.sum()) {
                self.packages.unlearn(&id);
            }
        }
        self.checkout.remember(name, entry);
        Ok(true)
    }

    /// Takes in packages that were nowhere before, and forgets those of which something may have been compiled that
    /// is not what their checksum says.
    fn learn_packages(
        &mut self,
        place: &Where,
        made: &BTreeMap<String, Moment>,
    ) -> Result<bool, ObserveError> {
        let Some(lock) = &self.lock else {
            return Ok(false);
        };
        let is_asked = |package: &&Package| {
            let is_made = place.downloads.kept && made.contains_key(&package.name);
            package.source.is_some() && (is_made || !self.packages.has(&package.id()))
        };
        let asked = Lockfile { packages: lock.packages.iter().filter(is_asked).cloned().collect() };
        if asked.packages.is_empty() {
            return Ok(false);
        }
        let before = self.packages.clone();
        let found = Packages::observe(place, &asked, Some(&before))?;
        let is_doubtful = |package: &&Package| {
            found.is_doubtful(&package.id(), made.get(&package.name).copied(), &before)
        };
        let doubtful: Vec<String> =
            asked.packages.iter().filter(is_doubtful).map(Package::id).collect();
        let mut learned = self.packages.learn(&asked, &found) > 0;
        for id in doubtful {
            self.packages.unlearn(&id);
            learned = true;
        }
        Ok(learned)
    }

    fn learn_inputs(&mut self, place: &Where, this: Attempt) -> Result<bool, ObserveError> {
        let mut learned = false;
        for path in &place.inputs {
            if self.inputs.contains_key(path) {
                continue;
            }
            let tree = look_at_input(place, path, None)?;
            if tree.iter().all(|(_, entry)| entry.stamp.ctime < this.started) {
                self.inputs.insert(path.clone(), tree);
                learned = true;
            }
        }
        Ok(learned)
    }
}
