//! Cold builds beside the kept directory, to compare with: the sources are a copy of what they were before the
//! warm build, and Cargo unpacks and checks out again what it downloaded.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Use;
use crate::attach::Mounts;
use crate::command;
use crate::evict::Trash;
use crate::fault;
use crate::history::{self, Event};
use crate::identity::Way;
use crate::link;
use crate::output::Progress;
use crate::sources;
use crate::verify::{self, Verdict};

/// So many cold builds there are at most.
const BUILDS: [u32; 2] = [1, 2];

/// A build in an empty directory.
pub struct Cold {
    /// Where it is.
    pub dir: PathBuf,
    /// The command's exit code.
    pub code: i32,
    /// Its sources, unless they are the checkout itself.
    pub source: Option<PathBuf>,
    /// What is larder's in the sources, relative to them.
    pub places: Vec<PathBuf>,
}

impl Use<'_> {
    /// Whether the policy wants the next use to be verified.
    pub fn is_due(&self, every: u64) -> bool {
        every > 0
            && self.target.is_some()
            && self.entry.identity().is_exact()
            && (self.entry.record().uses + 1) % every == 0
    }

    /// The target directory as it was left.
    pub fn kept(&self) -> PathBuf {
        self.entry.paths().target.clone()
    }

    /// The checkout.
    pub fn checkout(&self) -> &Path {
        &self.sources.source
    }

    /// Copies the sources as they are before the command, once for each cold build.
    pub fn copy_sources(&self) -> Result<()> {
        let paths = self.entry.paths();
        Trash::new(self.store).take(&paths.copies)?;
        let source = self.checkout();
        let why = if self.way == Way::Symlink {
            "nothing can be mounted here"
        } else if self.store.root().starts_with(source) {
            "the store is inside of them"
        } else {
            let _progress = Progress::step(self.output, "copying the sources");
            fault::point("session.make");
            fs::create_dir(&paths.copies)
                .with_context(|| format!("cannot make {}", paths.copies.display()))?;
            let target: Vec<PathBuf> = self.builds_in().map(Path::to_owned).into_iter().collect();
            let copy = |number| {
                let copy = paths.cold_source(number);
                verify::copy(source, &copy, &target)?;
                sources::refresh_copy(&copy);
                Ok(())
            };
            return BUILDS.into_iter().try_for_each(copy);
        };
        self.output.note(&format!(
            "the cold build has the sources as the warm one leaves them, and what cargo unpacked before: {why}"
        ));
        Ok(())
    }

    /// The copy that a cold build has, or is about to have.
    pub fn copied(&self, number: u32) -> Option<PathBuf> {
        Some(self.entry.paths().cold_source(number)).filter(|copy| copy.is_dir())
    }

    /// Runs the command with an empty directory in place of the kept one.
    pub fn build_cold(&self, words: &[OsString], number: u32) -> Result<Cold> {
        let project = &self.entry.record().project;
        let why = if number == 1 { "to compare" } else { "because it differs" };
        self.output.note(&format!("building {project} cold beside the warm one, {why}"));
        let paths = self.entry.paths();
        let (dir, home) = (paths.cold(number), paths.cold_home(number));
        let caches = paths.cold_caches(number);
        let mut trash = Trash::new(self.store);
        for dir in [&dir, &home, &caches] {
            trash.take(dir)?;
            fault::point("session.make");
            fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let source = self.copied(number);
        let mut mounts = match &source {
            Some(copy) => self.attach_copy(copy, &dir, &home)?,
            None => self.attach(&dir)?,
        };
        self.caches.attach_empty(&caches, &mut mounts)?;
        let places = self.places_inside(&mounts);
        if let Some(copy) = &source {
            places.iter().try_for_each(|place| make_place(self.checkout(), copy, place))?;
        }
        let ended = command::run(words, mounts, &self.locks(), self.output)?;
        Ok(Cold { dir, code: ended.code, source, places })
    }

    /// The copy at the checkout's own path, and everything else that is mounted there on top of it.
    fn attach_copy(&self, copy: &Path, dir: &Path, home: &Path) -> Result<Mounts> {
        let mut mounts = Mounts::default();
        mounts.bind(copy, self.checkout())?;
        if let Some(target) = &self.target {
            mounts.bind(dir, target)?;
        }
        if let Some(cargo_home) = &self.home {
            cargo_home.attach(&mut mounts)?;
            cargo_home.attach_fresh(home, &mut mounts)?;
        }
        let here = std::env::current_dir().context("cannot find the current directory")?;
        if fs::canonicalize(self.checkout()).is_ok_and(|source| here.starts_with(source)) {
            mounts.start_in(&here)?;
        }
        Ok(mounts)
    }

    /// Where Cargo's units are, attached or left alone.
    fn builds_in(&self) -> Option<&Path> {
        self.target.as_deref().or(self.sources.results.as_deref())
    }

    /// What is mounted in the checkout, and the directory with Cargo's units, relative to it.
    fn places_inside(&self, mounts: &Mounts) -> Vec<PathBuf> {
        let all = mounts.places().chain(self.builds_in());
        let inside = all.filter_map(|place| place.strip_prefix(self.checkout()).ok());
        inside.filter(|place| !place.as_os_str().is_empty()).map(Path::to_owned).collect()
    }

    /// Removes the copies and what the cold builds made.
    pub fn clear_cold(&self) -> Result<()> {
        let paths = self.entry.paths();
        let mut trash = Trash::new(self.store);
        trash.take(&paths.copies)?;
        for number in BUILDS {
            trash.take(&paths.cold(number))?;
            trash.take(&paths.cold_home(number))?;
            trash.take(&paths.cold_caches(number))?;
        }
        Ok(())
    }

    /// Removes them after a comparison: where nothing can be mounted the way led to the cold builds.
    pub fn leave_cold(&self) -> Result<()> {
        self.clear_cold()?;
        if let Some(target) = &self.target {
            link::leave(target, &self.entry.paths().target)?;
        }
        Ok(())
    }

    /// Records what the cold builds told; a stale directory is set aside.
    pub fn end_cold(&mut self, verdict: Verdict) -> Result<()> {
        if verdict == Verdict::Stale {
            self.entry.remake(self.store)?;
        }
        self.leave_cold()?;
        let record = self.entry.record();
        let (project, toolchain) = (record.project.clone(), record.toolchain);
        let event = Event::Comparison { project, toolchain, verdict };
        history::remember(self.store, event, self.output);
        Ok(self.entry.verified(verdict)?)
    }
}

/// Makes in a copy of the sources what something is mounted on: a file for a file, and else a directory.
fn make_place(source: &Path, copy: &Path, place: &Path) -> Result<()> {
    let made = copy.join(place);
    if made.symlink_metadata().is_ok() {
        return Ok(());
    }
    fault::point("session.make");
    let make = || {
        if source.join(place).is_file() {
            made.parent().map_or(Ok(()), fs::create_dir_all)?;
            return fs::write(&made, "");
        }
        fs::create_dir_all(&made)
    };
    make().with_context(|| format!("cannot make {}", made.display()))
}
