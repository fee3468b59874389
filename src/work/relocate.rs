//! Moves a whole store to another place, on the same filesystem or on another one.
//!
//! On one filesystem that is one rename. Otherwise everything is copied beside the new place, brought
//! to disk, and given its name; only then does the old store go. In between a crash leaves one store that
//! works, the old or the new; the same command again goes on from there, and what the crash left
//! besides, that command or the next collection removes. Where the old store was, a symlink stays, so
//! that whatever names it finds it: timers, include files, links in checkouts (decision 33).
//!
//! Files keep bytes, mode, modification time, and hard links among each other. Inodes and change times
//! are new, so that the next use of each directory reads it once.

#![expect(clippy::disallowed_methods, reason = "moves a store")]

mod copy;
mod settle;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

pub(crate) use self::settle::{resume, settle};
use crate::base::atomic::RecordError;
use crate::base::fault;
use crate::base::path_error::{At, PathError};
use crate::store::evict::{self, EvictError};
use crate::store::moving::Moving;
use crate::store::{LockError, Store, StoreError};

/// A store that could not be moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    /// The new place is taken.
    #[error("{} is taken; name a new or an empty directory", .0.display())]
    Taken(PathBuf),
    /// One place is inside the other.
    #[error("{} and the store {} lie inside each other; name another directory", to.display(), from.display())]
    Nested { from: PathBuf, to: PathBuf },
    /// The system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The old store, or half a copy, could not be removed.
    #[error(transparent)]
    Evict(#[from] EvictError),
    /// The new store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A lock could not be tried.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Moves a store that nobody else works in; `progress` gets the bytes that were copied. One that is there
/// already stays, and what an earlier attempt left is put in order.
pub(crate) fn relocate(
    store: &Store,
    to: &Path,
    progress: &dyn Fn(u64),
) -> Result<Store, MoveError> {
    let from = store.root().to_owned();
    let is_link = fs::symlink_metadata(to).is_ok_and(|to| to.is_symlink());
    let to = absolute(to)?;
    if to == from && !is_link {
        return finish(&to);
    }
    if to.starts_with(&from) || from.starts_with(&to) {
        return Err(MoveError::Nested { from, to });
    }
    settle(store)?;
    settle::discard(&from, &to)?;
    check_vacant(&to)?;
    let moving = Moving { from, to, token: evict::fresh_name() };
    moving.begin(store)?;
    if !rename_whole(&moving.from, &moving.to)? {
        copy::copy_beside(&moving, progress)?;
        set_aside(&moving.from, &moving.to)?;
    }
    finish(&moving.to)
}

fn finish(to: &Path) -> Result<Store, MoveError> {
    let store = Store::open_writable(to)?;
    settle(&store)?;
    Ok(store)
}

/// The path with its parent's symlinks resolved; itself it need not exist.
fn absolute(path: &Path) -> Result<PathBuf, MoveError> {
    let path = std::path::absolute(path).at("find", path)?;
    if let Ok(real) = fs::canonicalize(&path) {
        return Ok(real);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(MoveError::Taken(path));
    };
    Ok(fs::canonicalize(parent).at("find", parent)?.join(name))
}

fn check_vacant(to: &Path) -> Result<(), MoveError> {
    match fs::read_dir(to) {
        Ok(mut inside) => match inside.next() {
            None => Ok(()),
            Some(_) => Err(MoveError::Taken(to.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(MoveError::Taken(to.to_owned())),
    }
}

/// Moves within one filesystem and leaves the symlink, in one step where the filesystem can do that.
/// Says whether it could be moved like that at all.
fn rename_whole(from: &Path, to: &Path) -> Result<bool, MoveError> {
    if fs::symlink_metadata(to).is_ok() {
        evict::remove_empty_dir(to)?;
    }
    link(to, to)?;
    fault::point("relocate.exchange");
    let exchanged = rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE);
    if exchanged.is_ok() {
        sync_parent(to)?;
        sync_parent(from)?;
        return Ok(true);
    }
    evict::remove_symlink(to)?;
    fault::point("relocate.rename");
    match rustix::fs::rename(from, to) {
        Ok(()) => {
            sync_parent(to)?;
            link(to, from)?;
            Ok(true)
        }
        // Another filesystem, or the store is where one is mounted.
        Err(Errno::XDEV | Errno::BUSY) => Ok(false),
        Err(errno) => Err(PathError::new("move", from, errno).into()),
    }
}

/// Makes a symlink to a path at a place.
fn link(to: &Path, place: &Path) -> Result<(), PathError> {
    fault::point("relocate.link");
    symlink(to, place).at("make", place)
}

/// What was renamed is on disk when the directories are in which it was and is.
fn sync_parent(path: &Path) -> Result<(), PathError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let opened = fs::File::open(parent).at("open", parent)?;
    fault::point("relocate.sync");
    opened.sync_all().at("sync", parent)
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.larder-{what}"))
}

/// Takes the old store out of the way, so that the symlink can have its name. From then on the copy is
/// the store.
fn set_aside(from: &Path, to: &Path) -> Result<(), MoveError> {
    let aside = beside(from, "old");
    link(to, &aside)?;
    fault::point("relocate.exchange");
    if rustix::fs::renameat_with(CWD, from, CWD, &aside, RenameFlags::EXCHANGE).is_ok() {
        return Ok(sync_parent(from)?);
    }
    evict::remove_symlink(&aside)?;
    fault::point("relocate.rename");
    match fs::rename(from, &aside) {
        Ok(()) => Ok(link(to, from)?),
        // A filesystem is mounted there, so the name has to stay; what is in it goes.
        Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            Ok(evict::unmark_old_store(from)?)
        }
        Err(error) => Err(PathError::new("move", from, error).into()),
    }
}
