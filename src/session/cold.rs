//! Cold builds beside the kept directory, to compare with.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Use;
use crate::command;
use crate::evict::Trash;
use crate::history::{self, Event};
use crate::link;
use crate::verify::Verdict;

/// A build in an empty directory.
pub struct Cold {
    /// Where it is.
    pub dir: PathBuf,
    /// The command's exit code.
    pub code: i32,
}

impl Use<'_> {
    /// Whether the policy wants this use to be verified.
    pub fn is_due(&self, every: u64) -> bool {
        every > 0
            && self.target.is_some()
            && self.entry.identity().is_exact()
            && self.entry.record().uses % every == 0
    }

    /// The target directory as it was left.
    pub fn kept(&self) -> PathBuf {
        self.entry.paths().target.clone()
    }

    /// Runs the command with an empty directory in place of the kept one.
    pub fn build_cold(&self, words: &[OsString], number: u32) -> Result<Cold> {
        let project = &self.entry.record().project;
        let why = if number == 1 { "to compare" } else { "because it differs" };
        self.output.note(&format!("building {project} cold beside the warm one, {why}"));
        let dir = self.entry.paths().cold(number);
        let caches = self.entry.paths().cold_caches(number);
        let mut trash = Trash::new(self.store);
        for dir in [&dir, &caches] {
            trash.take(dir)?;
            crate::fault::point("session.make");
            std::fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let mut mounts = self.attach(&dir)?;
        self.caches.attach_empty(&caches, &mut mounts)?;
        let ended = command::run(words, mounts, &self.locks(), self.output)?;
        Ok(Cold { dir, code: ended.code })
    }

    /// Records what the cold builds told, and removes them; a stale directory goes with them.
    pub fn end_cold(&mut self, verdict: Verdict) -> Result<()> {
        let mut trash = Trash::new(self.store);
        for number in [1, 2] {
            trash.take(&self.entry.paths().cold(number))?;
            trash.take(&self.entry.paths().cold_caches(number))?;
        }
        if verdict == Verdict::Stale {
            self.entry.remake(self.store)?;
        }
        if let Some(target) = &self.target {
            link::leave(target, &self.entry.paths().target)?;
        }
        let record = self.entry.record();
        let (project, toolchain) = (record.project.clone(), record.toolchain);
        let event = Event::Comparison { project, toolchain, verdict };
        history::remember(self.store, event, self.output);
        Ok(self.entry.verified(verdict)?)
    }
}
