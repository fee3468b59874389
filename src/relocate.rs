//! Moves a whole store to another place, on the same filesystem or on another one.
//!
//! On one filesystem that is one rename. Otherwise everything is copied beside the new place, brought
//! to disk, and given its name; only then does the old store go. In between a crash leaves the old store
//! as it was, or both; the same command again goes on from there. Where the old store was, a symlink
//! stays, so that whatever names it finds it: timers, include files, links in checkouts.
//!
//! Files keep bytes, mode, modification time, and hard links among each other. Inodes and change times
//! are new, so that the next use of each directory reads it once.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use filetime::FileTime;
use fs_extra::file::{CopyOptions, copy_with_progress};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::evict::{self, EvictError, ORIGIN};
use crate::mkosi::Include;
use crate::store::atomic::{self, RecordError};
use crate::store::{Store, StoreError};

/// The tag is copied last: what is copied half is no store.
const TAG: &str = "CACHEDIR.TAG";

/// A store that could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The new place is taken.
    #[error("{} is taken; name a new or an empty directory", .0.display())]
    Taken(PathBuf),
    /// One place is inside the other.
    #[error("{} and the store {} lie inside each other; name another directory", to.display(), from.display())]
    Nested {
        /// The store.
        from: PathBuf,
        /// The new place.
        to: PathBuf,
    },
    /// The system refused.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The old store, or half a copy, could not be removed.
    #[error(transparent)]
    Evict(#[from] EvictError),
    /// The new store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl MoveError {
    fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }
}

/// Where a copied store was before, and where that is set aside until it is gone.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    from: PathBuf,
    aside: PathBuf,
}

/// Moves a store that nobody else works in; `progress` gets the bytes that were copied.
pub fn relocate(store: &Store, to: &Path, progress: &dyn Fn(u64)) -> Result<Store, MoveError> {
    let from = store.root().to_owned();
    let to = absolute(to)?;
    if to.starts_with(&from) || from.starts_with(&to) {
        return Err(MoveError::Nested { from, to });
    }
    if !is_copy_of(&to, &from) {
        check_vacant(&to)?;
        if rename_whole(&from, &to)? {
            return finish(&to, &from);
        }
        copy_beside(store, &to, progress)?;
    }
    set_aside(&from, &to)?;
    finish(&to, &from)
}

/// Removes what is left of the place that a store was copied from, if a crash left it.
pub fn finish_removal(store: &Store) -> Result<(), MoveError> {
    let record = store.root().join(ORIGIN);
    let Some(Origin { aside, .. }) = atomic::read_json::<Origin>(&record)? else {
        return Ok(());
    };
    evict::remove_old_store(&aside)?;
    Ok(evict::remove_record(store, &record)?)
}

fn finish(to: &Path, from: &Path) -> Result<Store, MoveError> {
    let store = Store::open_writable(to)?;
    for include in Include::all().map(|kind| kind.path(store.root())) {
        if let Ok(text) = fs::read_to_string(&include) {
            let text = text.replace(&*from.to_string_lossy(), &store.root().to_string_lossy());
            atomic::write(&include, text.as_bytes(), 0o644)?;
        }
    }
    finish_removal(&store)?;
    Ok(store)
}

/// The path with its parent's symlinks resolved; itself it need not exist.
fn absolute(path: &Path) -> Result<PathBuf, MoveError> {
    let path = std::path::absolute(path).map_err(MoveError::io("find", path))?;
    if let Ok(real) = fs::canonicalize(&path) {
        return Ok(real);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(MoveError::Taken(path));
    };
    Ok(fs::canonicalize(parent).map_err(MoveError::io("find", parent))?.join(name))
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

/// Whether an earlier attempt copied the store there and was then cut off.
fn is_copy_of(to: &Path, from: &Path) -> bool {
    let origin = atomic::read_json::<Origin>(&to.join(ORIGIN)).ok().flatten();
    origin.is_some_and(|origin| origin.from == from) && Store::open(to).is_ok()
}

/// Moves within one filesystem and leaves the symlink, in one step where the filesystem can do that.
/// Says whether it could be moved like that at all.
fn rename_whole(from: &Path, to: &Path) -> Result<bool, MoveError> {
    let fail = |errno: Errno| MoveError::io("move", from)(errno.into());
    if fs::symlink_metadata(to).is_ok() {
        evict::remove_empty_dir(to)?;
    }
    symlink(to, to).map_err(MoveError::io("make", to))?;
    let exchanged = rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE);
    if exchanged.is_ok() {
        return Ok(true);
    }
    evict::remove_symlink(to)?;
    match rustix::fs::rename(from, to) {
        Ok(()) => symlink(to, from).map(|()| true).map_err(MoveError::io("make", from)),
        // Another filesystem, or the store is where one is mounted.
        Err(Errno::XDEV | Errno::BUSY) => Ok(false),
        Err(errno) => Err(fail(errno)),
    }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.larder-{what}"))
}

/// Copies the store beside its new place, brings the copy to disk, and gives it its name.
fn copy_beside(store: &Store, to: &Path, progress: &dyn Fn(u64)) -> Result<(), MoveError> {
    let staging = beside(to, "new");
    evict::remove_staging(&staging)?;
    fs::create_dir(&staging).map_err(MoveError::io("make", &staging))?;
    let from = store.root();
    let origin = Origin { from: from.to_owned(), aside: beside(from, "old") };
    atomic::write_json(&staging.join(ORIGIN), &origin)?;
    Copy { from, to: &staging, links: HashMap::new(), progress }.run()?;
    copy_file(&from.join(TAG), &staging.join(TAG), progress)?;
    let directory = fs::File::open(&staging).map_err(MoveError::io("open", &staging))?;
    rustix::fs::syncfs(&directory)
        .map_err(|errno| MoveError::io("sync", &staging)(errno.into()))?;
    fs::rename(&staging, to).map_err(MoveError::io("move", &staging))?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    let parent = fs::File::open(parent).map_err(MoveError::io("open", parent))?;
    parent.sync_all().map_err(MoveError::io("sync", to))
}

/// Takes the old store out of the way, so that the symlink can have its name.
fn set_aside(from: &Path, to: &Path) -> Result<(), MoveError> {
    let aside = beside(from, "old");
    if fs::symlink_metadata(&aside).is_ok_and(|there| there.is_symlink()) {
        evict::remove_symlink(&aside)?;
    }
    symlink(to, &aside).map_err(MoveError::io("make", &aside))?;
    if rustix::fs::renameat_with(CWD, from, CWD, &aside, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    evict::remove_symlink(&aside)?;
    match fs::rename(from, &aside) {
        Ok(()) => symlink(to, from).map_err(MoveError::io("make", from)),
        // A filesystem is mounted there, so the name has to stay; what is in it goes.
        Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            Ok(evict::empty_old_store(from)?)
        }
        Err(error) => Err(MoveError::io("move", from)(error)),
    }
}

/// A copy that is being made.
struct Copy<'a> {
    from: &'a Path,
    to: &'a Path,
    /// Where files with several names were copied to, by inode.
    links: HashMap<u64, PathBuf>,
    progress: &'a dyn Fn(u64),
}

impl Copy<'_> {
    fn run(mut self) -> Result<(), MoveError> {
        let mut directories = Vec::new();
        let walk = WalkDir::new(self.from).min_depth(1).same_file_system(true).sort_by_file_name();
        let trash = self.from.join("trash");
        let wanted = |item: &walkdir::DirEntry| item.depth() != 1 || item.path() != trash;
        for item in walk.into_iter().filter_entry(wanted) {
            let item = item.map_err(|error| {
                let path = error.path().unwrap_or(self.from).to_owned();
                MoveError::io("read", &path)(error.into())
            })?;
            let place = self.place(item.path());
            let metadata = item
                .metadata()
                .map_err(|error| MoveError::io("read", item.path())(error.into()))?;
            if [TAG, ORIGIN].iter().any(|mark| item.path() == self.from.join(mark)) {
                continue;
            }
            if metadata.is_dir() {
                fs::create_dir(&place).map_err(MoveError::io("make", &place))?;
                directories.push((place, metadata));
            } else {
                self.copy(item.path(), &place, &metadata)?;
            }
        }
        // Times last: what is put into a directory changes them.
        for (place, metadata) in directories.iter().rev() {
            give(place, metadata)?;
        }
        let trash = self.to.join("trash");
        fs::create_dir(&trash).map_err(MoveError::io("make", &trash))
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.to.join(path.strip_prefix(self.from).unwrap_or(path))
    }

    fn copy(&mut self, from: &Path, to: &Path, metadata: &fs::Metadata) -> Result<(), MoveError> {
        if metadata.is_symlink() {
            let target = fs::read_link(from).map_err(MoveError::io("read", from))?;
            symlink(target, to).map_err(MoveError::io("make", to))?;
            return give(to, metadata);
        }
        if !metadata.is_file() {
            // A socket or a FIFO means nothing without the process that made it.
            return Ok(());
        }
        if metadata.nlink() > 1 {
            if let Some(first) = self.links.get(&metadata.ino()) {
                return fs::hard_link(first, to).map_err(MoveError::io("make", to));
            }
            self.links.insert(metadata.ino(), to.to_owned());
        }
        copy_file(from, to, self.progress)
    }
}

/// One regular file, with its mode and its time.
fn copy_file(from: &Path, to: &Path, progress: &dyn Fn(u64)) -> Result<(), MoveError> {
    let metadata = fs::symlink_metadata(from).map_err(MoveError::io("read", from))?;
    let mut before = 0;
    let note = |done: fs_extra::file::TransitProcess| {
        progress(done.copied_bytes - before);
        before = done.copied_bytes;
    };
    copy_with_progress(from, to, &CopyOptions::new(), note)
        .map_err(|error| MoveError::io("copy", from)(io::Error::other(error)))?;
    give(to, &metadata)
}

/// Gives a copy the mode and the modification time of what it was copied from.
fn give(place: &Path, metadata: &fs::Metadata) -> Result<(), MoveError> {
    if !metadata.is_symlink() {
        fs::set_permissions(place, metadata.permissions()).map_err(MoveError::io("copy", place))?;
    }
    let (accessed, modified) = (
        FileTime::from_last_access_time(metadata),
        FileTime::from_last_modification_time(metadata),
    );
    filetime::set_symlink_file_times(place, accessed, modified)
        .map_err(MoveError::io("set the time of", place))
}
