//! The only room that deletes.
//!
//! What goes is first renamed into the store's `trash/`, under the lock of its directory, and
//! unlinked later without it: a crash leaves only trash. Nothing is taken or unlinked unless the store
//! carries larder's marker and is the user's own at that moment; all is reached from the store's own
//! descriptor, so that no symlink is followed and no mount is entered, whatever is swapped meanwhile.
//!
//! Outside the store larder removes exactly three kinds of things: the symlink that it left itself,
//! an empty directory, and a file that it added and nobody changed, or that never came to be whole.

#![expect(clippy::disallowed_methods, reason = "this is the room that deletes")]

mod empty;
#[cfg(test)]
mod tests;
mod trash;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::base::digest::Digest;
use crate::base::names::ProjectName;
use crate::base::path_error::{At, PathError};
use crate::base::quantity::Usage;
use crate::base::{atomic, edit, fault, regular};
use crate::store::moving::{MOVING, ORIGIN};
use crate::store::{EntryRecord, Lock, Store, StoreError, TAG};

pub(crate) use empty::{empty_scraps, empty_trash, unwatched};
pub(crate) use trash::{Trash, fresh_name};

/// Something that could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum EvictError {
    /// The system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The path is not in the store.
    #[error("refusing to remove {}: it is not inside the store {}; look for a symlink on the way, and put a directory in its place", path.display(), store.display())]
    Outside { path: PathBuf, store: PathBuf },
    /// The path is a mount point, or what is there was mounted from elsewhere.
    #[error("cannot remove {}: something is mounted there; unmount it, then run `larder gc` again", path.display())]
    Mounted { path: PathBuf },
    /// The store is not what it was when it was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EvictError {
    fn new(path: impl Into<PathBuf>, errno: Errno) -> Self {
        let path = path.into();
        match errno {
            // The kernel says so of a mount point that somebody would remove or move.
            Errno::XDEV | Errno::BUSY => Self::Mounted { path },
            errno => PathError::new("remove", &path, errno).into(),
        }
    }
}

/// How many things are in the trash, and what they take as far as their records tell.
pub(crate) fn in_trash(store: &Store) -> (u64, Usage) {
    let list = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let things = list(&store.trash()).flat_map(|bag| {
        let inside: Vec<_> = list(&bag.path()).map(|thing| thing.path()).collect();
        inside
    });
    things.fold((0, Usage::default()), |(count, sum), thing| {
        let record = atomic::read_json::<EntryRecord>(&thing.join("entry.json")).ok().flatten();
        (count + 1, sum.plus(record.map(|record| record.usage()).unwrap_or_default()))
    })
}

/// Removes the lock file of a directory that is gone, while it is held (decision 32). Whoever waits for it finds,
/// once it has it, that it is not at its path any more, and begins anew.
pub(crate) fn remove_lock(store: &Store, path: &Path, lock: Lock) -> Result<(), EvictError> {
    remove_sign(store, &path.with_extension("alive"))?;
    let removed = remove_file(store, path, |name| has_ending(name, "lock"));
    drop(lock);
    removed
}

/// Removes what showed that a command ran, of a directory whose lock is held: nothing of the command runs any more.
pub(crate) fn remove_sign(store: &Store, path: &Path) -> Result<(), EvictError> {
    match remove_file(store, path, |name| has_ending(name, "alive")) {
        // Somebody else put it there.
        Err(EvictError::Path(error)) if error.kind() == io::ErrorKind::IsADirectory => {
            Trash::new(store).take(path)
        }
        other => other,
    }
}

/// Removes a pin.
pub(crate) fn remove_pin(store: &Store, path: &Path) -> Result<(), EvictError> {
    remove_file(store, path, |name| has_ending(name, "pin"))
}

/// Removes half of a record, which a write left when it was cut off.
pub(crate) fn remove_half(store: &Store, path: &Path) -> Result<(), EvictError> {
    let is_half = |name: &str| name.starts_with(".new-");
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    // What was in the place of a lock file.
    if is_half(&name) && fs::symlink_metadata(path).is_ok_and(|half| half.is_dir()) {
        let Some((parent, name)) = trash::parent_inside(store, path)? else { return Ok(()) };
        return empty::remove_below(&parent, &name, path, &unwatched)
            .into_iter()
            .next()
            .map_or(Ok(()), Err);
    }
    remove_file(store, path, is_half)
}

/// Removes the directory of a project if nothing is in it.
pub(crate) fn remove_project(store: &Store, project: &ProjectName) -> Result<(), EvictError> {
    match remove_inside(store, &store.project(project), AtFlags::REMOVEDIR) {
        Err(EvictError::Path(error)) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other,
    }
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

/// Removes a file of the store's own, no directory, whose name is as it should be.
fn remove_file(
    store: &Store,
    path: &Path,
    is_own: impl Fn(&str) -> bool,
) -> Result<(), EvictError> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if !is_own(&name) {
        return Err(EvictError::Outside { path: path.to_owned(), store: store.root().to_owned() });
    }
    remove_inside(store, path, AtFlags::empty())
}

/// Removes a name inside the store; what is gone is no error.
fn remove_inside(store: &Store, path: &Path, flags: AtFlags) -> Result<(), EvictError> {
    fault::point("evict.unlink-own");
    let removed = trash::parent_inside(store, path)?
        .map(|(parent, name)| rustix::fs::unlinkat(parent, &name, flags));
    match removed {
        None | Some(Ok(()) | Err(Errno::NOENT)) => Ok(()),
        Some(Err(error)) => Err(EvictError::new(path, error)),
    }
}

/// Removes a record of the store's own that has served its time.
pub(crate) fn remove_record(store: &Store, path: &Path) -> Result<(), EvictError> {
    remove_file(store, path, |name| has_ending(name, "json"))
}

/// Removes an include file of the store's own.
pub(crate) fn remove_include(store: &Store, path: &Path) -> Result<(), EvictError> {
    remove_file(store, path, |name| name.starts_with("mkosi") && has_ending(name, "conf"))
}

/// Removes a file outside the store, no symlink, that holds exactly what larder wrote into it.
pub(crate) fn remove_unchanged(path: &Path, written: &[u8]) -> Result<(), EvictError> {
    let refused = |why: io::Error| PathError::new("remove", path, why).into();
    let is_plain = fs::symlink_metadata(path).at("remove", path)?.is_file();
    let bytes = regular::read_own(path, written.len() as u64);
    if !is_plain || !bytes.is_ok_and(|bytes| bytes == written) {
        return Err(refused(io::Error::other(
            "it is not as larder wrote it; remove it by hand if nobody needs it",
        )));
    }
    fault::point("evict.unlink-added");
    rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::empty())
        .map_err(|errno| EvictError::new(path, errno))
}

/// Removes a file outside the store, no symlink, that still has the content with which larder left it.
pub(crate) fn remove_left(path: &Path, digest: Digest) -> Result<(), EvictError> {
    if !Digest::of_file(path).is_ok_and(|found| found == digest) {
        return Ok(());
    }
    fault::point("evict.unlink-left");
    rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::empty())
        .map_err(|errno| EvictError::new(path, errno))
}

/// Removes the new text of a file that larder was stopped before putting in place.
pub(crate) fn remove_half_edit(file: &Path) -> Result<(), EvictError> {
    let path = edit::half(&fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()));
    if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
        return Ok(());
    }
    fault::point("evict.unlink-half");
    rustix::fs::unlinkat(rustix::fs::CWD, &path, AtFlags::empty())
        .map_err(|errno| EvictError::new(path, errno))
}

/// Removes half a copy of a store, which a move left when it was cut off. It holds the record of where
/// it was copied from.
pub(crate) fn remove_staging(path: &Path) -> Result<(), EvictError> {
    remove_marked(path, "larder-new", ORIGIN)
}

/// Removes a store that was copied elsewhere and set aside.
pub(crate) fn remove_old_store(path: &Path) -> Result<(), EvictError> {
    remove_marked(path, "larder-old", TAG)
}

/// Removes a directory whose name is as it should be, and that holds a marker or nothing.
fn remove_marked(path: &Path, ending: &str, marker: &str) -> Result<(), EvictError> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    if !has_ending(&name, ending) {
        let why = io::Error::other("it is not larder's own; remove it by hand if nobody needs it");
        return Err(PathError::new("remove", path, why).into());
    }
    empty_marked(path, marker)?;
    remove_empty_dir(path)
}

/// Removes a copy of a store that did not become the store. It holds the record of where it was copied
/// from.
pub(crate) fn remove_copy(path: &Path) -> Result<(), EvictError> {
    empty_marked(path, ORIGIN)?;
    remove_empty_dir(path)
}

/// Takes the marker from a store that was copied elsewhere and that cannot be set aside, because a
/// filesystem is mounted where it is. From then on it is none.
pub(crate) fn unmark_old_store(root: &Path) -> Result<(), EvictError> {
    Store::open(root)?.reopen()?;
    empty::remove_tree(&root.join(TAG))
}

/// Removes what is left in such a store. It holds the record of where it was moved.
pub(crate) fn empty_old_store(root: &Path) -> Result<(), EvictError> {
    empty_marked(root, MOVING)
}

/// Removes what is in a directory. The marker goes last: until then, what was cut off can be done again.
/// Before the marker there is at most half of one.
fn empty_marked(dir: &Path, marker: &str) -> Result<(), EvictError> {
    let refused = |why: io::Error| PathError::new("remove", dir, why).into();
    let marker = dir.join(marker);
    let names: Result<Vec<_>, _> = fs::read_dir(dir).at("remove", dir)?.collect();
    let names: Vec<_> = names.at("remove", dir)?.into_iter().map(|name| name.file_name()).collect();
    let is_marked = fs::symlink_metadata(&marker).is_ok();
    if !is_marked && !names.iter().all(|name| name.to_string_lossy().starts_with(".new-")) {
        return Err(refused(io::Error::other("it has no marker of larder's; remove it by hand")));
    }
    for path in names.iter().map(|name| dir.join(name)) {
        if path != marker && !path.ends_with("lost+found") {
            empty::remove_tree(&path)?;
        }
    }
    if is_marked { empty::remove_tree(&marker) } else { Ok(()) }
}

/// Removes a directory outside the store if it is empty; a directory with content stays.
pub(crate) fn remove_empty_dir(path: &Path) -> Result<(), EvictError> {
    fault::point("evict.remove-empty");
    match rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
        Err(error) => Err(EvictError::new(path, error)),
    }
}

/// Removes a symlink outside the store; what it points to stays.
pub(crate) fn remove_symlink(path: &Path) -> Result<(), EvictError> {
    let refused = |why: io::Error| PathError::new("remove", path, why).into();
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            fault::point("evict.unlink-symlink");
            rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::empty())
                .map_err(|error| EvictError::new(path, error))
        }
        Ok(_) => Err(refused(io::Error::other("it is no symlink; move it away by hand"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(PathError::new("remove", path, error).into()),
    }
}
