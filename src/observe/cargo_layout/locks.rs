//! Cargo's own locks on a target directory.
//!
//! Up to 1.95 a build has `<profile>/.cargo-lock` alone; from 1.96 `.cargo-build-lock` alone,
//! `.cargo-lock` shared and `.cargo-artifact-lock` alone (`core/compiler/layout.rs`). All are `flock`s.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::listing::{Reader, error_at};
use super::{LayoutError, scan};
use crate::base::regular;

/// All of Cargo's locks of a target directory: no Cargo works in it while they are held.
#[derive(Debug)]
pub(crate) struct CargoLocks {
    _files: Vec<File>,
}

impl CargoLocks {
    /// Takes all locks that are there if no Cargo has one of them this instant.
    pub(crate) fn try_hold(target: &Path) -> Result<Option<Self>, LayoutError> {
        let mut files = Vec::new();
        let paths = match scan::locks(&Reader { target }) {
            Err(error) if is_closed(&error.source) => Vec::new(),
            other => other?,
        };
        for path in paths {
            let fail = |error| error_at(&path, error);
            let file = match regular::open_own(&target.join(&path)) {
                // What is no file, or may not be read, no Cargo has locked.
                Err(error) if regular::is_odd(&error) || is_closed(&error) => continue,
                other => other.map_err(fail)?,
            };
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

/// Whether somebody left what its owner may not read.
fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
