//! Cargo's own locks on a target directory.
//!
//! Up to 1.95 a build has `<profile>/.cargo-lock` alone; from 1.96 `.cargo-build-lock` alone,
//! `.cargo-lock` shared and `.cargo-artifact-lock` alone (`core/compiler/layout.rs`). All are `flock`s.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::listing::{Reader, error_at};
use super::{LayoutError, scan};

/// All of Cargo's locks of a target directory: no Cargo works in it while they are held.
#[derive(Debug)]
pub(crate) struct CargoLocks {
    _files: Vec<File>,
}

impl CargoLocks {
    /// Takes all locks that are there if no Cargo has one of them this instant.
    pub(crate) fn try_hold(target: &Path) -> Result<Option<Self>, LayoutError> {
        let mut files = Vec::new();
        for path in scan::locks(&Reader { target })? {
            let fail = |error| error_at(&path, error);
            let file = File::open(target.join(&path)).map_err(fail)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => files.push(file),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                // A filesystem without locks: Cargo then works without them too.
                Err(Errno::NOSYS | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error_at(&path, error.into())),
            }
        }
        Ok(Some(Self { _files: files }))
    }
}
