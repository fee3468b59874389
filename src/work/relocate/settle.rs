//! What is left to do, or to remove, when a move was cut off or has just been made.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{MoveError, absolute, beside, link};
use crate::base::atomic;
use crate::base::path_error::PathError;
use crate::base::regular;
use crate::image::mkosi::Include;
use crate::store::config;
use crate::store::evict::{self, EvictError};
use crate::store::moving::{MOVING, Moving, ORIGIN, Origin};
use crate::store::{Claim, LockError, Store, Wait};

/// Ends what a move began, if the store is where it was to be, and otherwise removes what it left.
///
/// To be called by who works in the store, or has it alone: then no other move is under way. What
/// cannot be reached from here, because the filesystem is read-only or not there, waits for
/// somebody who can; what somebody else is about to settle is left to him.
pub(crate) fn settle(store: &Store) -> Result<(), MoveError> {
    let root = store.root();
    settle_record(store, ORIGIN, || {
        let Some(Origin { from, aside, .. }) = Origin::of(root)? else { return Ok(()) };
        rename_in_includes(store, &from)?;
        remove_old(&from, &aside, root)
    })?;
    settle_record(store, MOVING, || match Moving::of(root)? {
        Some(moving) if moving.to == root => rename_in_includes(store, &moving.from),
        Some(moving) if moving.from == root => discard(&moving.from, &moving.to),
        _ => Ok(()),
    })
}

/// Does what a record asks for, unless somebody else does, and removes it.
fn settle_record(
    store: &Store,
    name: &str,
    work: impl FnOnce() -> Result<(), MoveError>,
) -> Result<(), MoveError> {
    let record = store.root().join(name);
    if is_missing(&record) {
        return Ok(());
    }
    let _claim = match Claim::acquire(&record, Wait::AtMost(Duration::ZERO), |_| {}) {
        Err(LockError::Busy { .. }) => return Ok(()),
        Err(error) if error.is_gone() => return Ok(()),
        other => other?,
    };
    if within_reach(work())? {
        evict::remove_record(store, &record)?;
    }
    Ok(())
}

/// Goes on with a move that was cut off where the old place was not a store any more. Nothing if there was
/// none.
pub(crate) fn resume(from: &Path, to: &Path) -> Result<Option<Store>, MoveError> {
    let (from, to) = (absolute(from)?, absolute(to)?);
    let Ok(store) = Store::open_writable(&to) else { return Ok(None) };
    let Some(_guard) = store.hold(config::wait(&store), |_| {})? else { return Ok(None) };
    let moved = Moving::of(&to)?.is_some_and(|moving| moving.from == from && moving.to == to);
    let copied = Origin::of(&to)?.is_some_and(|origin| origin.from == from);
    if !moved && !copied {
        return Ok(None);
    }
    if is_missing(&from) {
        link(&to, &from)?;
    }
    settle(&store)?;
    Ok(Some(store))
}

/// Removes what an attempt left at and beside a place to which it did not get.
pub(super) fn discard(from: &Path, to: &Path) -> Result<(), MoveError> {
    if to.parent().is_none_or(is_missing) {
        return Err(PathError::new("find", to, io::ErrorKind::PermissionDenied).into());
    }
    if fs::read_link(to).is_ok_and(|link| link == to) {
        evict::remove_symlink(to)?;
    }
    evict::remove_staging(&beside(to, "new"))?;
    let origin = Origin::of(to).ok().flatten();
    let moving = Moving::of(from)?;
    let tokens = origin.map(|origin| origin.token).zip(moving.map(|moving| moving.token));
    if tokens.is_some_and(|(copy, own)| copy == own) {
        evict::remove_copy(to)?;
    }
    let aside = beside(from, "old");
    if fs::read_link(&aside).is_ok_and(|link| link == to) {
        evict::remove_symlink(&aside)?;
    }
    Ok(())
}

/// Removes the store that this one was copied from.
fn remove_old(from: &Path, aside: &Path, root: &Path) -> Result<(), MoveError> {
    evict::remove_old_store(aside)?;
    // Where a filesystem is mounted, what was in it is removed in its place.
    let is_left = |from: &Path| fs::symlink_metadata(from).is_ok_and(|from| from.is_dir());
    if is_left(from) && Moving::of(from)?.is_some_and(|moving| moving.to == root) {
        evict::empty_old_store(from)?;
    }
    Ok(())
}

/// Whether something was done, or cannot be done from here.
fn within_reach(done: Result<(), MoveError>) -> Result<bool, MoveError> {
    let cause = match &done {
        Err(MoveError::Path(error) | MoveError::Evict(EvictError::Path(error))) => {
            Some(error.kind())
        }
        _ => None,
    };
    match cause {
        Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => Ok(false),
        _ => done.map(|()| true),
    }
}

/// The include files name the store by its path.
fn rename_in_includes(store: &Store, from: &Path) -> Result<(), MoveError> {
    for include in Include::all().map(|kind| kind.path(store.root())) {
        let Ok(text) = regular::text(&include) else { continue };
        let renamed = text.replace(&*from.to_string_lossy(), &store.root().to_string_lossy());
        if renamed != text {
            atomic::write(&include, renamed.as_bytes(), 0o644)?;
        }
    }
    Ok(())
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
