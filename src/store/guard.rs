//! `<store>/lock`: who works in the store shares it, who moves the store away has it alone. And
//! `<store>/downloads.lock`: builds with the shared downloads share it, who removes them has it alone.
//!
//! Whoever wants to have the store alone waits for that with `<store>/moving.lock`, and who comes later
//! gives way to him, so that a move has its turn however busy the store is (decision 56).
//!
//! The first is taken before any other lock, the second after that of the directory. No command inherits either, but
//! nothing is moved or removed while a command still runs, whoever started it ([`super::alive`]).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StoreError;
use super::layout::Store;
use super::lock::{self, How, LockError, Wait};
use crate::base::fault;
use crate::base::path_error::At;

/// Keeps the store where it is, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    file: File,
    /// `moving.lock`, for as long as a move has the store.
    turn: Option<File>,
}

/// So long a use gives way to a move that waits. A use inside another one that it cannot tell to be one
/// (what the outer one handed down was closed on the way) would otherwise wait for ever: the move
/// waits for the outer one.
const GIVE_WAY: Duration = Duration::from_secs(10);

impl Store {
    /// Keeps the store where it is, waiting until nobody moves it; a move that waits already goes first.
    /// Nothing if it was moved away meanwhile: open it again.
    pub(crate) fn hold(
        &self,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Option<Guard>, LockError> {
        let mut announce = Some(announce);
        let mut say = |holder: &str| announce.take().into_iter().for_each(|say| say(holder));
        let _turn = self.give_way(wait, &mut say)?;
        let guard = guard(&self.lock(), How::Shared, wait, say)?;
        Ok(guard.filter(|_| self.is_in_place()))
    }

    /// Has the store alone, to move it. Who comes while this waits gives way.
    pub(crate) fn hold_alone(
        &self,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Option<Guard>, LockError> {
        let mut announce = Some(announce);
        let mut say = |holder: &str| announce.take().into_iter().for_each(|say| say(holder));
        let Some(mut turn) = guard(&self.turn(), How::Alone, wait, &mut say)? else {
            return Ok(None);
        };
        turn.sign(&self.turn())?;
        let Some(mut guard) = guard(&self.lock(), How::Alone, wait, say)? else {
            return Ok(None);
        };
        guard.sign(&self.lock())?;
        guard.turn = Some(turn.file);
        Ok(Some(guard).filter(|_| self.is_in_place()))
    }

    /// Waits behind a move that waits, for a while. What is returned lets no move begin to wait until
    /// it is dropped.
    fn give_way(
        &self,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Option<Guard>, LockError> {
        if self.is_inside_a_use() {
            return Ok(None);
        }
        let limit = match wait {
            Wait::Forever => GIVE_WAY,
            Wait::AtMost(limit) => limit.min(GIVE_WAY),
        };
        match guard(&self.turn(), How::Shared, Wait::AtMost(limit), announce) {
            Err(LockError::Busy { .. }) => Ok(None),
            other => other,
        }
    }

    /// Whether the store is where it was when it was opened. A move leaves a symlink, by which the lock
    /// is found all the same.
    fn is_in_place(&self) -> bool {
        std::fs::symlink_metadata(self.root()).is_ok_and(|root| root.is_dir())
    }

    /// `moving.lock`
    fn turn(&self) -> PathBuf {
        self.root().join("moving.lock")
    }

    /// Keeps the shared downloads. Who has them alone has them for an instant only.
    pub(crate) fn hold_downloads(
        &self,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Guard, LockError> {
        let path = self.downloads_lock();
        let mut announce = Some(announce);
        loop {
            let say = |holder: &str| announce.take().into_iter().for_each(|say| say(holder));
            if let Some(guard) = guard(&path, How::Shared, wait, say)? {
                return Ok(guard);
            }
        }
    }

    /// Has the shared downloads alone, if no build uses them this instant.
    pub(crate) fn try_downloads(&self) -> Result<Option<Guard>, StoreError> {
        let path = self.downloads_lock();
        let file = lock::open(&path).at("lock", &path)?;
        let alone = lock::try_for(&file, How::Alone, Duration::ZERO).at("lock", &path)?;
        let is_free = alone && self.first_alive()?.is_none();
        Ok(is_free.then_some(Guard::new(file)))
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
    let file = lock::open(path).at("lock", path)?;
    let is_free = || lock::try_for(&file, how, Duration::ZERO);
    lock::until(path, wait, is_free, || Ok(lock::holder(path)), announce)?;
    let is_there = lock::is_at(&file, path).at("lock", path)?;
    Ok(is_there.then_some(Guard::new(file)))
}

impl Guard {
    fn new(file: File) -> Self {
        Self { file, turn: None }
    }

    fn sign(&mut self, path: &Path) -> Result<(), LockError> {
        Ok(lock::sign(&mut self.file, "larder move").at("lock", path)?)
    }

    /// Does something that nobody else in the store may see half done, if nobody else is there this
    /// instant, and no move waits.
    pub(crate) fn if_alone(&self, store: &Store, work: impl FnOnce()) -> Result<(), LockError> {
        let path = store.turn();
        // To try gives back what is shared (flock(2)): no move may take it then.
        let turn = lock::open(&path).at("lock", &path)?;
        if !lock::try_for(&turn, How::Alone, Duration::ZERO).at("lock", &path)? {
            return Ok(());
        }
        if lock::try_for(&self.file, How::Alone, Duration::ZERO).at("lock", &path)? {
            work();
            fault::point("store.share-again");
        }
        let path = store.lock();
        let is_free = || lock::try_for(&self.file, How::Shared, Duration::ZERO);
        lock::until(&path, Wait::default(), is_free, || Ok(lock::holder(&path)), |_| {})
    }
}
