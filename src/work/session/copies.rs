//! What a cold build has copies of, as it was before the warm one: the sources, and what it would find or change
//! outside of them: git directories of linked working trees and of repositories that enclose the sources, and
//! directories in which Cargo puts finished artifacts.

#![expect(clippy::disallowed_methods, reason = "makes the places of copies of the sources")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Session;
use super::copy::copy;
use crate::base::fault;
use crate::host::attach::Mounts;
use crate::observe::identity::Way;
use crate::observe::sources::{self, Original};
use crate::output::Progress;
use crate::store::evict::Trash;

/// So many cold builds there are at most.
pub(super) const BUILDS: [u32; 2] = [1, 2];

/// A directory outside of the sources of which each cold build has a copy.
pub(super) struct Beside {
    place: PathBuf,
    /// What in it is no copy but mounted, absolute.
    shared: Vec<PathBuf>,
    /// Whether it is the command's to fill.
    is_result: bool,
}

impl Session<'_> {
    /// Copies the sources as they are before the command, once for each cold build.
    pub(crate) fn copy_sources(&mut self) -> Result<()> {
        let paths = self.entry.paths().clone();
        Trash::new(self.store).take(&paths.copies())?;
        let why = if self.checkout.way == Way::Symlink {
            "nothing can be mounted here"
        } else if self.store.root().starts_with(self.checkout()) {
            "the store is inside of them"
        } else {
            let _progress = Progress::step(self.output, "copying the sources");
            make(&paths.copies())?;
            return self.copy_all();
        };
        self.output.note(&format!(
            "the cold build has the sources as the warm one leaves them, and what cargo unpacked before: {why}"
        ));
        Ok(())
    }

    fn copy_all(&mut self) -> Result<()> {
        let paths = self.entry.paths().clone();
        let target: Vec<PathBuf> = self.builds_in().map(Path::to_owned).into_iter().collect();
        let mut dot_gits = Vec::new();
        for number in BUILDS {
            dot_gits = copy(self.checkout(), &paths.cold_source(number), |path| {
                target.iter().any(|built| path == built)
            })?;
        }
        let originals = sources::originals(&self.checkout.sources, &dot_gits);
        self.beside = self.found_beside(&originals);
        for number in BUILDS {
            for (index, beside) in self.beside.iter().enumerate() {
                beside.copy(&paths.cold_beside(number, index))?;
            }
            let copy = paths.cold_source(number);
            for original in &originals {
                let is_its = |beside: &Beside| original.elsewhere() == Some(&beside.place);
                let index = self.beside.iter().position(is_its);
                let git_dir = index.map(|index| paths.cold_beside(number, index));
                let carried = original.carry_over(&copy, git_dir.as_deref());
                carried.with_context(|| {
                    format!("cannot change the index in {}; make room", copy.display())
                })?;
            }
        }
        Ok(())
    }

    /// What lies outside, those that hold others first: so they are mounted.
    fn found_beside(&self, originals: &[Original]) -> Vec<Beside> {
        let git = originals.iter().filter_map(Original::elsewhere).map(|place| Beside {
            place: place.to_owned(),
            shared: sources::shared(place),
            is_result: false,
        });
        let results = self.results_outside().into_iter();
        let results = results.map(|place| Beside { place, shared: Vec::new(), is_result: true });
        let mut beside: Vec<Beside> = git.chain(results).collect();
        beside.retain(|beside| !self.store.root().starts_with(&beside.place));
        beside.sort_by(|one, other| one.place.cmp(&other.place));
        beside.dedup_by(|one, other| one.place == other.place);
        beside
    }

    /// Where Cargo puts finished artifacts, if neither in the sources nor in what is attached, and if it holds
    /// nothing that has to stay where it is.
    fn results_outside(&self) -> Vec<PathBuf> {
        let sources = &self.checkout.sources;
        let real = |path: &Path| fs::canonicalize(path).unwrap_or(path.to_owned());
        let known = [Some(self.checkout()), self.checkout.target.as_deref()].into_iter().flatten();
        let known: Vec<PathBuf> = known.map(real).collect();
        let downloads =
            [&sources.downloads.registry, &sources.downloads.git].map(|path| real(path));
        // Where nothing of Cargo's is attached, they are among units, of which nobody knows what they were before.
        let results = sources.built.results.as_ref().filter(|_| self.checkout.target.is_some());
        let named = [results, sources.built.artifacts.as_ref()].into_iter().flatten();
        let named = named.map(|path| real(path));
        let outside = named.filter(|path| !known.iter().any(|known| path.starts_with(known)));
        let holds_none =
            |path: &PathBuf| !known.iter().chain(&downloads).any(|known| known.starts_with(path));
        let (beside, holding): (Vec<_>, Vec<_>) = outside.partition(holds_none);
        for path in holding {
            let path = path.display();
            self.output.note(&format!("{path} is not compared, because it holds the sources or Cargo's home; give artifacts a directory of their own"));
        }
        beside
    }

    /// The copy that a cold build has, or is about to have.
    pub(crate) fn copied(&self, number: u32) -> Option<PathBuf> {
        Some(self.entry.paths().cold_source(number)).filter(|copy| copy.is_dir())
    }

    /// Where Cargo puts finished artifacts, and the copy that a cold build has of that.
    pub(crate) fn results(&self, number: u32) -> Vec<(PathBuf, PathBuf)> {
        let all = self.beside.iter().enumerate().filter(|(_, beside)| beside.is_result);
        let paths = self.entry.paths();
        all.map(|(index, it)| (it.place.clone(), paths.cold_beside(number, index))).collect()
    }

    /// Whether a directory is in the sources, or in what else has a copy.
    pub(super) fn is_copied(&self, dir: &Path) -> bool {
        let places = self.beside.iter().map(|beside| beside.place.as_path());
        let mut all = places.chain([self.checkout()]);
        all.any(|place| fs::canonicalize(place).is_ok_and(|place| dir.starts_with(place)))
    }

    /// Mounts the copies of what is outside of the sources.
    pub(super) fn attach_beside(&self, number: u32, mounts: &mut Mounts) -> Result<()> {
        for (index, beside) in self.beside.iter().enumerate() {
            let copy = self.entry.paths().cold_beside(number, index);
            if !beside.place.is_dir() {
                continue;
            }
            for place in &beside.shared {
                mounts.bind_whole(place, &beside.in_copy(&copy, place))?;
            }
            mounts.bind_whole(&copy, &beside.place)?;
        }
        Ok(())
    }
}

impl Beside {
    fn copy(&self, to: &Path) -> Result<()> {
        if !self.place.is_dir() {
            return make(to);
        }
        copy(&self.place, to, |path| self.shared.iter().any(|shared| path == shared))?;
        self.shared.iter().try_for_each(|place| make(&self.in_copy(to, place)))
    }

    fn in_copy(&self, copy: &Path, place: &Path) -> PathBuf {
        copy.join(place.strip_prefix(&self.place).unwrap_or(place))
    }
}

fn make(dir: &Path) -> Result<()> {
    fault::point("session.make");
    fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))
}
