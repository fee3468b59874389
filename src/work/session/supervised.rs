//! A command in an attached directory: what it inherits, and what of the store it can only read.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::Session;
use crate::host::attach::Mounts;
use crate::host::command::{self, CommandError, Ended};
use crate::observe::identity::Way;
use crate::observe::trace::Recorder;
use crate::output;
use crate::store::{Sign, evict};

impl Session<'_> {
    /// Runs a command. What it inherits shows others that it lives, even if larder is killed, and nothing else: no
    /// lock of larder's reaches it (decision 102).
    pub(super) fn supervise(
        &self,
        words: &[OsString],
        mut mounts: Mounts,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<Result<Ended, CommandError>> {
        if self.checkout.way == Way::Bind {
            self.store.fixed().iter().try_for_each(|path| mounts.fix(path))?;
        }
        let alive = &self.entry.paths().alive();
        if Sign::is_shown(alive)? {
            bail!(
                "what the command before left still runs in {}; end it, and build again",
                self.entry.paths().dir.display()
            );
        }
        // One that larder was killed beside.
        evict::remove_sign(self.store, alive)?;
        let sign = Sign::of_command(alive).with_context(|| cannot_make(alive))?;
        let place = &self.checkout.place;
        let attached = Sign::in_directory(place).with_context(|| cannot_make(place))?;
        let signs = [sign.as_fd(), attached.as_fd()];
        let ended = command::run(words, mounts, &signs, recorder, self.output);
        if command::is_over(&ended) {
            if let Err(error) = evict::remove_sign(self.store, alive) {
                self.output.warning(&output::one_line(&error.into()));
            }
            sign.end();
            attached.end();
        }
        Ok(ended)
    }
}

fn cannot_make(path: &Path) -> String {
    format!("cannot show in {} that the command runs", path.display())
}
