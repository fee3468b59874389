//! A claim on a directory itself.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::{How, LockError, Wait, alive, try_for, until};
use crate::base::path_error::At;
use crate::base::regular;

/// A claim on a directory itself. On one that is not larder's, for as long as it is attached to: two uses of one
/// checkout would otherwise pull the mount from under each other. On a replica, while it is pushed. Nothing
/// is written.
#[derive(Debug)]
pub(crate) struct Claim {
    _directory: File,
}

impl Claim {
    /// Claims a directory, calling `announce` with who has it once if it has to wait.
    pub(crate) fn acquire(
        path: &Path,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Self, LockError> {
        let directory = open(path).at("lock", path)?;
        let is_free = || try_for(&directory, How::Alone, Duration::ZERO);
        until(path, wait, is_free, || Ok(owner(&directory)), announce)?;
        Ok(Self { _directory: directory })
    }

    /// The same of a directory in a checkout: nothing may run any more either of what was attached there before.
    pub(crate) fn acquire_checkout(
        path: &Path,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Self, LockError> {
        let is_around = alive::is_handed_down(path);
        let directory = regular::open_directory(path).at("lock", path)?;
        let has_it = Cell::new(false);
        let is_free = || {
            has_it.set(try_for(&directory, How::Alone, Duration::ZERO)?);
            Ok(has_it.get() && !alive::is_attached_in(directory.as_fd()))
        };
        let who = || match (is_around, has_it.get()) {
            (true, _) => Err(LockError::Around(path.to_owned())),
            (false, true) => Ok("what an earlier larder run left running there".to_owned()),
            (false, false) => Ok(owner(&directory)),
        };
        until(path, wait, is_free, who, announce)?;
        Ok(Self { _directory: directory })
    }

    /// Claims a directory if nobody else has this instant; nothing as well if it is gone.
    pub(crate) fn try_acquire(path: &Path) -> Result<Option<Self>, LockError> {
        let directory = match regular::open_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.at("lock", path)?,
        };
        let is_free = try_for(&directory, How::Alone, Duration::ZERO).at("lock", path)?;
        Ok(is_free.then_some(Self { _directory: directory }))
    }
}

/// A directory, or a record that is claimed by whoever settles it.
fn open(path: &Path) -> io::Result<File> {
    match regular::open_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => regular::open_own(path),
        other => other,
    }
}

/// Who has the lock of a file that holds no words of who has it: by `proc_locks(5)`, where the process
/// is seen from here.
fn owner(file: &File) -> String {
    let number = || {
        let found = file.metadata().ok()?;
        let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        let place = format!("{major:02x}:{minor:02x}:{}", found.ino());
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let mut lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find_map(|words| match words.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse().ok(),
            _ => None,
        })
    };
    match number().filter(|pid: &u32| *pid > 0) {
        Some(pid) => format!("another larder (process {pid})"),
        None => "another larder".to_owned(),
    }
}
