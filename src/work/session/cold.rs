//! Cold builds beside the kept directory, to compare with: the sources are a copy of what they were before the
//! warm build, and Cargo unpacks and checks out again what it downloaded.

#![expect(clippy::disallowed_methods, reason = "makes the places of cold builds")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Session;
use super::copies::BUILDS;
use crate::base::fault;
use crate::decide::verdict::Verdict;
use crate::host::attach::Mounts;
use crate::host::link;
use crate::observe::cargo_layout::NOTES;
use crate::store::evict::Trash;
use crate::store::history::{self, Event};

/// A build in an empty directory.
pub(crate) struct Cold {
    pub dir: PathBuf,
    /// The command's exit code.
    pub code: i32,
    /// Its sources, unless they are the checkout itself.
    pub source: Option<PathBuf>,
    /// What in the sources is larder's, or a note of Cargo's to itself, relative to them.
    pub apart: Vec<PathBuf>,
    /// Directories outside where Cargo puts artifacts, and those which it filled instead.
    pub results: Vec<(PathBuf, PathBuf)>,
}

impl Session<'_> {
    /// Whether the policy wants the next use to be verified.
    pub(crate) fn is_due(&self, every: u64) -> bool {
        every > 0
            && self.checkout.target.is_some()
            && self.entry.identity().is_exact()
            && (self.entry.record().uses + 1) % every == 0
    }

    /// The target directory as it was left.
    pub(crate) fn kept(&self) -> PathBuf {
        self.entry.paths().target().clone()
    }

    /// The checkout.
    pub(crate) fn checkout(&self) -> &Path {
        &self.checkout.sources.source
    }

    /// Runs the command with an empty directory in place of the kept one.
    pub(crate) fn build_cold(&self, words: &[OsString], number: u32) -> Result<Cold> {
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
        self.renew_archives()?;
        let source = self.copied(number);
        let mut mounts = match &source {
            Some(copy) => self.attach_copy(number, copy, &home)?,
            None => self.attach(&dir)?,
        };
        self.caches.attach_empty(&caches, &mut mounts)?;
        let places = self.places_inside(&mounts);
        if let Some(copy) = &source {
            places.iter().try_for_each(|place| make_place(self.checkout(), copy, place))?;
        }
        let apart = places.into_iter().chain(self.notes_inside()).collect();
        let ended = self.supervise(words, mounts, None)??;
        Ok(Cold { dir, code: ended.code, source, apart, results: self.results(number) })
    }

    /// The copy at the checkout's own path, and everything else that is mounted there on top of it.
    fn attach_copy(&self, number: u32, copy: &Path, home: &Path) -> Result<Mounts> {
        let mut mounts = Mounts::default();
        self.attach_beside(number, &mut mounts)?;
        mounts.bind(copy, self.checkout())?;
        if let Some(target) = &self.checkout.target {
            mounts.bind(&self.entry.paths().cold(number), target)?;
        }
        if let Some(cargo_home) = &self.checkout.home {
            cargo_home.attach(&mut mounts)?;
            cargo_home.attach_fresh(home, &mut mounts)?;
        }
        let here = std::env::current_dir().context("cannot find the current directory")?;
        if self.is_copied(&here) {
            mounts.start_in(&here)?;
        }
        Ok(mounts)
    }

    /// Where Cargo's units are, attached or left alone.
    pub(super) fn builds_in(&self) -> Option<&Path> {
        self.checkout.target.as_deref().or(self.checkout.sources.built.results.as_deref())
    }

    /// What is mounted in the checkout, and the directory with Cargo's units, relative to it.
    fn places_inside(&self, mounts: &Mounts) -> Vec<PathBuf> {
        let all = mounts.places().chain(self.builds_in());
        let inside = all.filter_map(|place| place.strip_prefix(self.checkout()).ok());
        inside.filter(|place| !place.as_os_str().is_empty()).map(Path::to_owned).collect()
    }

    /// What Cargo notes for itself where it puts artifacts, if that is in the sources, relative to them.
    fn notes_inside(&self) -> Vec<PathBuf> {
        let named = [&self.checkout.sources.built.results, &self.checkout.sources.built.artifacts]
            .into_iter()
            .flatten();
        let inside = named.filter_map(|dir| dir.strip_prefix(self.checkout()).ok());
        inside.flat_map(|dir| NOTES.map(|note| dir.join(note))).collect()
    }

    /// Removes the copies and what the cold builds made.
    pub(crate) fn clear_cold(&self) -> Result<()> {
        let paths = self.entry.paths();
        let mut trash = Trash::new(self.store);
        trash.take(&paths.copies())?;
        for number in BUILDS {
            trash.take(&paths.cold(number))?;
            trash.take(&paths.cold_home(number))?;
            trash.take(&paths.cold_caches(number))?;
        }
        Ok(())
    }

    /// Removes them after a comparison: where nothing can be mounted the way led to the cold builds.
    pub(crate) fn leave_cold(&self) -> Result<()> {
        self.clear_cold()?;
        if let Some(target) = &self.checkout.target {
            link::leave(target, &self.entry.paths().target())?;
        }
        Ok(())
    }

    /// Records what the cold builds told; a stale directory is set aside.
    pub(crate) fn end_cold(&mut self, verdict: Verdict) -> Result<()> {
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
