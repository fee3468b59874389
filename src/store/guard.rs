//! `<store>/lock`: who works in the store shares it, who moves the store away has it alone. And
//! `<store>/downloads.lock`: builds with the shared downloads share it, who removes them has it alone.
//!
//! The first is taken before any other lock, the second after that of the directory; both are handed
//! to the command: nothing is moved or removed while anything still runs that uses it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layout::Store;
use super::lock::{self, How, LockError, Wait};
use crate::fault;

/// Keeps the store where it is, until it is dropped and every process that inherited it is gone.
#[derive(Debug)]
pub struct Guard {
    file: File,
}

impl Store {
    /// Keeps the store where it is, waiting until nobody moves it. Nothing if it was moved away
    /// meanwhile: open it again.
    pub fn hold(
        &self,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Option<Guard>, LockError> {
        guard(&self.lock(), How::Shared, wait, announce)
    }

    /// Has the store alone, to move it.
    pub fn hold_alone(
        &self,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Option<Guard>, LockError> {
        let Some(mut guard) = guard(&self.lock(), How::Alone, wait, announce)? else {
            return Ok(None);
        };
        let path = self.lock();
        lock::sign(&mut guard.file, "larder move")
            .map_err(|source| LockError::Io { path, source })?;
        Ok(Some(guard))
    }

    /// Keeps the shared downloads. Who has them alone has them for an instant only.
    pub fn hold_downloads(&self) -> Result<Guard, LockError> {
        let path = self.downloads_lock();
        loop {
            if let Some(guard) = guard(&path, How::Shared, Wait::Forever, |_| {})? {
                return Ok(guard);
            }
        }
    }

    /// Has the shared downloads alone, if no build uses them this instant.
    pub fn try_downloads(&self) -> Result<Option<Guard>, LockError> {
        let path = self.downloads_lock();
        let fail = |source| LockError::Io { path: path.clone(), source };
        let file = lock::open(&path).map_err(fail)?;
        let alone = lock::try_for(&file, How::Alone, Duration::ZERO).map_err(fail)?;
        Ok(alone.then_some(Guard { file }))
    }

    fn downloads_lock(&self) -> PathBuf {
        self.root().join("downloads.lock")
    }
}

fn guard(
    path: &Path,
    how: How,
    wait: Wait,
    announce: impl FnOnce(&str),
) -> Result<Option<Guard>, LockError> {
    let fail = |source| LockError::Io { path: path.to_owned(), source };
    let file = lock::open(path).map_err(fail)?;
    let busy =
        |waited| LockError::Busy { path: path.to_owned(), holder: lock::holder(path), waited };
    let say = || announce(&lock::holder(path));
    lock::take(&file, how, wait, say).map_err(fail)?.map_err(busy)?;
    let is_there = lock::is_at(&file, path).map_err(fail)?;
    Ok(is_there.then_some(Guard { file }))
}

impl Guard {
    /// Does something that nobody else in the store may see half done, if nobody else is there this
    /// instant.
    pub fn if_alone(&self, work: impl FnOnce()) -> Result<(), LockError> {
        let fail = |source| LockError::Io { path: PathBuf::from("lock"), source };
        if lock::try_for(&self.file, How::Alone, Duration::ZERO).map_err(fail)? {
            work();
            fault::point("store.share-again");
        }
        // To try may have given back what was shared (flock(2)).
        lock::take(&self.file, How::Shared, Wait::Forever, || {}).map_err(fail).map(drop)
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
