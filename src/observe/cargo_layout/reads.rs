//! By which files it shows what a build used: those that Cargo reads of every unit that it considers, and
//! those that it linked to where users take them.
//!
//! Cargo reads the 16 digits of each unit of a build, fresh or not, before it decides about it
//! (`core/compiler/fingerprint/mod.rs`, `compare_old_fingerprint`, Cargo 1.95).

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::listing::Reader;
use super::stamps::digits_of;
use super::{Layout, LayoutError, Unit};

impl Layout {
    /// Some paths that are about to go, and in place of them the directory of a package of the newer
    /// layout if they are all that is in it.
    pub(crate) fn with_emptied(
        &self,
        paths: BTreeSet<PathBuf>,
    ) -> Result<BTreeSet<PathBuf>, LayoutError> {
        let reader = Reader { target: &self.target };
        let builds: HashSet<PathBuf> =
            self.profiles.iter().map(|profile| profile.path.join("build")).collect();
        let packages = paths
            .iter()
            .filter_map(|path| path.parent())
            .filter(|package| package.parent().is_some_and(|parent| builds.contains(parent)));
        let mut emptied = BTreeSet::new();
        for package in packages.collect::<BTreeSet<&Path>>() {
            if reader.list(package)?.iter().all(|item| paths.contains(&item.path)) {
                emptied.insert(package.to_owned());
            }
        }
        let mut all: BTreeSet<PathBuf> = paths
            .into_iter()
            .filter(|path| !path.parent().is_some_and(|above| emptied.contains(above)))
            .collect();
        all.extend(emptied);
        Ok(all)
    }

    /// The files with Cargo's 16 digits of all units.
    pub(crate) fn digits(&self) -> Result<Vec<PathBuf>, LayoutError> {
        let reader = Reader { target: &self.target };
        let mut files = Vec::new();
        for unit in self.units() {
            files.extend(digits_of(&reader, unit)?);
        }
        Ok(files)
    }

    /// The units one of whose files is the very file that stands where users take it, by their
    /// places in [`Layout::units`].
    pub(crate) fn uplifted_units(&self) -> Result<BTreeSet<usize>, LayoutError> {
        let uplifted = self.profiles.iter().flat_map(|profile| &profile.uplifted);
        let linked: HashSet<_> = uplifted.filter_map(|path| self.linked(path)).collect();
        let mut found = BTreeSet::new();
        for (index, unit) in self.units().enumerate() {
            let artifacts = self.artifacts(unit)?;
            if artifacts.iter().filter_map(|path| self.linked(path)).any(|id| linked.contains(&id))
            {
                found.insert(index);
            }
        }
        Ok(found)
    }

    /// The single files of a unit: in the newer layout they are in `out/`.
    fn artifacts(&self, unit: &Unit) -> Result<Vec<PathBuf>, LayoutError> {
        let reader = Reader { target: &self.target };
        let mut files = unit.paths.clone();
        for path in &unit.paths {
            let inside = reader.list(&path.join("out"))?.into_iter();
            files.extend(inside.map(|item| item.path));
        }
        Ok(files)
    }

    /// Device and inode of a file that has more than one name.
    fn linked(&self, path: &Path) -> Option<(u64, u64)> {
        let file = fs::symlink_metadata(self.absolute(path)).ok()?;
        (file.is_file() && file.nlink() > 1).then(|| (file.dev(), file.ino()))
    }
}
