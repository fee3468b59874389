//! The only room that deletes.
//!
//! What goes is first renamed into the store's `trash/`, under the lock of its directory, and
//! unlinked later without it: a crash leaves only trash. Nothing is unlinked unless the store
//! carries larder's marker; no symlink is followed and no mount or filesystem is crossed.
//!
//! Outside the store larder removes exactly two kinds of things: the symlink that it left itself,
//! and an empty directory.

#![expect(clippy::disallowed_methods, reason = "this is the room that deletes")]

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::fault;
use crate::names::ProjectName;
use crate::policy::Usage;
use crate::store::{EntryRecord, Lock, Store, atomic};

/// Something that could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum EvictError {
    /// The system refused.
    #[error("cannot remove {}", path.display())]
    Io {
        /// What stays.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path is not in the store.
    #[error("refusing to remove {}: it is not inside the store {}", path.display(), store.display())]
    Outside {
        /// What stays.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
}

impl EvictError {
    fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), source: source.into() }
    }
}

/// A fresh directory in a store's trash, into which things are moved one by one.
pub struct Trash<'a> {
    store: &'a Store,
    dir: PathBuf,
    checked: Option<PathBuf>,
    count: u64,
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

impl<'a> Trash<'a> {
    /// A place for what is about to go; made when the first thing comes.
    pub fn new(store: &'a Store) -> Self {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:x}-{}-{serial}", crate::tree::now(), std::process::id());
        Self { store, dir: store.trash().join(name), checked: None, count: 0 }
    }

    /// Moves a file or a whole directory of the store here. What is already gone is no error.
    pub fn take(&mut self, path: &Path) -> Result<(), EvictError> {
        self.check_inside(path)?;
        let place = self.dir.join(self.count.to_string());
        self.count += 1;
        fault::point("evict.rename");
        let mut moved = fs::rename(path, &place);
        // The trash was not there yet, or somebody has just emptied it.
        while moved.is_err() && !self.dir.exists() && fs::symlink_metadata(path).is_ok() {
            fault::point("evict.make");
            fs::create_dir_all(&self.dir).map_err(|error| EvictError::io(&self.dir, error))?;
            fault::point("evict.rename-again");
            moved = fs::rename(path, &place);
        }
        match moved {
            Err(error) if fs::symlink_metadata(path).is_ok() => Err(EvictError::io(path, error)),
            _ => Ok(()),
        }
    }

    /// How many things were taken.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The parent must really be below the store: neither `..` nor a symlink may lead out.
    fn check_inside(&mut self, path: &Path) -> Result<(), EvictError> {
        let outside =
            || EvictError::Outside { path: path.to_owned(), store: self.store.root().to_owned() };
        let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(outside());
        };
        if self.checked.as_deref() == Some(parent) {
            return Ok(());
        }
        let real = match fs::canonicalize(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| EvictError::io(path, error))?,
        };
        let ours = ["projects", "cargo-home"].map(|name| self.store.root().join(name));
        if !ours.iter().any(|ours| real.starts_with(ours)) {
            return Err(outside());
        }
        self.checked = Some(parent.to_owned());
        Ok(())
    }
}

/// Unlinks everything in the trash of a store, whoever put it there. All errors are collected.
pub fn empty_trash(store: &Store) -> Vec<EvictError> {
    let mut errors = Vec::new();
    let path = store.trash();
    match open_dir(rustix::fs::CWD, &path) {
        Ok(dir) => {
            let device = rustix::fs::fstat(&dir).map(|stat| stat.st_dev).unwrap_or_default();
            clear(&dir, device, &path, &mut errors);
        }
        Err(Errno::NOENT) => {}
        Err(error) => errors.push(EvictError::io(&path, error)),
    }
    errors
}

/// How many things are in the trash, and what they take as far as their records tell.
pub fn in_trash(store: &Store) -> (u64, Usage) {
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

/// Removes the lock file of a directory that is gone, while it is held. Whoever waits for it finds,
/// once it has it, that it is not at its path any more, and begins anew.
pub fn remove_lock(store: &Store, path: &Path, lock: Lock) -> Result<(), EvictError> {
    let removed = remove_file(store, path, |name| name.ends_with(".lock"));
    drop(lock);
    removed
}

/// Removes a pin.
pub fn remove_pin(store: &Store, path: &Path) -> Result<(), EvictError> {
    remove_file(store, path, |name| name.ends_with(".pin"))
}

/// Removes half of a record, which a write left when it was cut off.
pub fn remove_half(store: &Store, path: &Path) -> Result<(), EvictError> {
    remove_file(store, path, |name| name.starts_with(".new-"))
}

/// Removes the directory of a project if nothing is in it.
pub fn remove_project(store: &Store, project: &ProjectName) -> Result<(), EvictError> {
    remove_empty_dir(&store.project(project))
}

/// Removes a file of the store's own, no directory, whose name is as it should be.
fn remove_file(
    store: &Store,
    path: &Path,
    is_own: impl Fn(&str) -> bool,
) -> Result<(), EvictError> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let inside = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    if !is_own(&name) || !inside.is_none_or(|parent| parent.starts_with(store.root())) {
        return Err(EvictError::Outside { path: path.to_owned(), store: store.root().to_owned() });
    }
    fault::point("evict.unlink-own");
    match rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(EvictError::io(path, error)),
    }
}

/// Removes a record of the store's own that has served its time.
pub fn remove_record(store: &Store, path: &Path) -> Result<(), EvictError> {
    remove_file(store, path, |name| name.ends_with(".json"))
}

/// Removes half a copy of a store, which a move left when it was cut off.
pub fn remove_staging(path: &Path) -> Result<(), EvictError> {
    remove_tree(path, |name| name.ends_with(".larder-new"))
}

/// Removes a store that was copied elsewhere and set aside.
pub fn remove_old_store(path: &Path) -> Result<(), EvictError> {
    remove_tree(path, |name| name.ends_with(".larder-old"))
}

/// Removes what is in a store that was copied elsewhere, if a filesystem is mounted where it is. Its tag
/// goes last: until then it is a store, and the move can be repeated.
pub fn empty_old_store(root: &Path) -> Result<(), EvictError> {
    let tag = root.join("CACHEDIR.TAG");
    Store::open(root).map_err(|error| EvictError::io(root, io::Error::other(error)))?;
    let names = fs::read_dir(root).map_err(|error| EvictError::io(root, error))?;
    for name in names {
        let path = name.map_err(|error| EvictError::io(root, error))?.path();
        if path != tag && !path.ends_with("lost+found") {
            remove_tree(&path, |_| true)?;
        }
    }
    remove_tree(&tag, |_| true)
}

/// Removes something and all below it, if its name is as it should be.
fn remove_tree(path: &Path, is_own: impl Fn(&str) -> bool) -> Result<(), EvictError> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if !is_own(&name) {
        return Err(EvictError::io(path, io::Error::other("not larder's own")));
    }
    let removed = match open_dir(rustix::fs::CWD, path) {
        Ok(dir) => {
            let mut errors = Vec::new();
            let device = rustix::fs::fstat(&dir).map(|stat| stat.st_dev).unwrap_or_default();
            clear(&dir, device, path, &mut errors);
            if let Some(error) = errors.into_iter().next() {
                return Err(error);
            }
            rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::REMOVEDIR)
        }
        Err(Errno::NOTDIR | Errno::LOOP) => {
            rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::empty())
        }
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(EvictError::io(path, error)),
    }
}

/// Removes a directory outside the store if it is empty; a directory with content stays.
pub fn remove_empty_dir(path: &Path) -> Result<(), EvictError> {
    fault::point("evict.remove-empty");
    match rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
        Err(error) => Err(EvictError::io(path, error)),
    }
}

/// Removes a symlink outside the store; what it points to stays.
pub fn remove_symlink(path: &Path) -> Result<(), EvictError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            fault::point("evict.unlink-symlink");
            rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::empty())
                .map_err(|error| EvictError::io(path, error))
        }
        Ok(_) => Err(EvictError::io(path, io::Error::other("not a symlink"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(EvictError::io(path, error)),
    }
}

fn open_dir(at: impl std::os::fd::AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// Empties one open directory; `path` serves only the messages.
fn clear(dir: &OwnedFd, device: u64, path: &Path, errors: &mut Vec<EvictError>) {
    let names = match names(dir) {
        Ok(names) => names,
        Err(error) => return errors.push(EvictError::io(path, error)),
    };
    for (name, kind) in names {
        let full = || path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let removed = match kind {
            FileType::Directory => clear_below(dir, &name, device, &full(), errors),
            _ => {
                fault::point("evict.unlink");
                rustix::fs::unlinkat(dir, &name, AtFlags::empty())
            }
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => errors.push(EvictError::io(&full(), error)),
        }
    }
}

fn clear_below(
    dir: &OwnedFd,
    name: &CStr,
    device: u64,
    path: &Path,
    errors: &mut Vec<EvictError>,
) -> Result<(), Errno> {
    let below = match open_dir(dir, name) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            open_dir(dir, name)?
        }
        other => other?,
    };
    if rustix::fs::fstat(&below)?.st_dev != device {
        return Err(Errno::XDEV);
    }
    // A read-only directory cannot be emptied; it is about to go anyway.
    let _ = rustix::fs::fchmod(&below, Mode::RWXU);
    clear(&below, device, path, errors);
    fault::point("evict.remove");
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

fn names(dir: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        names.push((name.to_owned(), kind));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        (dir, store)
    }

    #[test]
    fn what_is_taken_is_gone_and_what_it_pointed_to_is_not() {
        let (dir, store) = store();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("canary"), "alive").unwrap();
        let victim = store.root().join("projects/p/x");
        fs::create_dir_all(victim.join("deep/er")).unwrap();
        symlink(&outside, victim.join("deep/link")).unwrap();
        fs::set_permissions(victim.join("deep/er"), fs::Permissions::from_mode(0o000)).unwrap();
        let mut trash = Trash::new(&store);
        trash.take(&victim).unwrap();
        trash.take(&victim).unwrap();
        assert!(!victim.exists());
        assert!(empty_trash(&store).is_empty());
        assert_eq!(fs::read_dir(store.trash()).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "alive");
    }

    #[test]
    fn nothing_outside_the_projects_is_taken() {
        let (dir, store) = store();
        fs::write(dir.path().join("canary"), "alive").unwrap();
        symlink(dir.path(), store.root().join("projects/way-out")).unwrap();
        let mut trash = Trash::new(&store);
        for path in ["../canary", "projects/../../canary", "projects/way-out/canary", "bin"] {
            let taken = trash.take(&store.root().join(path));
            assert!(matches!(taken, Err(EvictError::Outside { .. })), "{path}");
        }
        assert!(dir.path().join("canary").exists());
        assert!(store.root().join("bin").exists());
    }

    #[test]
    fn outside_the_store_only_symlinks_and_empty_directories_go() {
        let (dir, _store) = store();
        let full = dir.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("canary"), "alive").unwrap();
        remove_empty_dir(&full).unwrap();
        assert!(full.join("canary").exists());
        assert!(remove_symlink(&full).is_err());
        symlink(&full, dir.path().join("link")).unwrap();
        remove_symlink(&dir.path().join("link")).unwrap();
        assert!(full.join("canary").exists());
    }
}
