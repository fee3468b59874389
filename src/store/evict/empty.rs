//! Emptying the trash: every name reached from the descriptor of the directory that holds it,
//! directories side by side.
//!
//! What lies deeper than directories are kept open is moved to the top of the trash, under a name by
//! which it is known, and has its turn after the rest, and so on: trees of any depth go with few
//! descriptors (decision 42).

#![expect(clippy::disallowed_methods, reason = "this is the room that deletes")]

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{EvictError, trash};
use crate::base::fault;
use crate::base::tree::below;
use crate::base::tree::descend::{self, Dir, Item, Then, Visitor};
use crate::store::Store;

/// For callers of [`empty_trash`] that do not want to know how far it is.
pub(crate) fn unwatched(_: u64) {}

/// Unlinks everything in the trash of a store, whoever put it there. All errors are collected.
///
/// `progress` is told, from several threads, how many names are gone since it was told last.
pub(crate) fn empty_trash(store: &Store, progress: &(dyn Fn(u64) + Sync)) -> Vec<EvictError> {
    let root = match store.reopen() {
        Ok(root) => root,
        Err(error) => return vec![error.into()],
    };
    match below::open_dir(&root, c"trash") {
        Ok(trash) => Emptying::new(&store.trash(), trash, progress).empty(),
        Err(Errno::NOENT) => Vec::new(),
        Err(errno) => vec![EvictError::new(store.trash(), errno)],
    }
}

/// Unlinks what is in the trash but for whole target directories: what builds took from their own.
/// That is little, and done at once.
pub(crate) fn empty_scraps(store: &Store) -> Vec<EvictError> {
    let trash = match store.reopen() {
        Ok(root) => below::open_dir(&root, c"trash"),
        Err(error) => return vec![error.into()],
    };
    let trash = match trash {
        Ok(trash) => trash,
        Err(Errno::NOENT) => return Vec::new(),
        Err(errno) => return vec![EvictError::new(store.trash(), errno)],
    };
    let mut errors = Vec::new();
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let (bags, has_ended) = descend::piece(&trash, &mut buffer);
        for bag in bags.iter().map(|bag| &bag.name).filter(|bag| !holds_directory(&trash, bag)) {
            let path = store.trash().join(OsStr::from_bytes(bag.to_bytes()));
            errors.extend(remove_below(&trash, bag, &path, &unwatched));
        }
        if has_ended {
            return errors;
        }
    }
}

/// Whether a bag of the trash holds a target directory with its record.
fn holds_directory(trash: &OwnedFd, bag: &CStr) -> bool {
    let Ok(bag) = below::open_dir(trash, bag) else { return false };
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let (things, has_ended) = descend::piece(&bag, &mut buffer);
        let has_record = |thing: &Item| {
            let thing = below::open_dir(&bag, &thing.name);
            thing.is_ok_and(|thing| trash::is_there(&thing, c"entry.json"))
        };
        if has_ended || things.iter().any(has_record) {
            return things.iter().any(has_record);
        }
    }
}

/// Removes something and all below it, where a store was moved from or to.
pub(super) fn remove_tree(path: &Path) -> Result<(), EvictError> {
    let fail = |errno| EvictError::new(path, errno);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(trash::c_name))
    else {
        return Err(fail(Errno::INVAL));
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty()).map_err(fail)?;
    remove_below(&parent, &name, path, &unwatched).into_iter().next().map_or(Ok(()), Err)
}

/// Removes a name in a directory and all below it; `path` serves only the messages.
pub(super) fn remove_below(
    parent: &OwnedFd,
    name: &CStr,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<EvictError> {
    let fail = |errno| vec![EvictError::new(path, errno)];
    let flags = match below::open_dir(parent, name) {
        Ok(tree) => {
            let errors = Emptying::new(path, tree, progress).empty();
            if !errors.is_empty() {
                return errors;
            }
            AtFlags::REMOVEDIR
        }
        Err(Errno::NOTDIR | Errno::LOOP) => AtFlags::empty(),
        Err(Errno::NOENT) => return Vec::new(),
        Err(errno) => return fail(errno),
    };
    match rustix::fs::unlinkat(parent, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Vec::new(),
        Err(errno) => fail(errno),
    }
}

/// A trash that is being emptied.
struct Emptying<'a> {
    trash: OwnedFd,
    path: &'a Path,
    progress: &'a (dyn Fn(u64) + Sync),
    errors: Mutex<Vec<EvictError>>,
    /// What begins the names of directories that were moved to the top.
    mark: String,
    /// How often the top was gone through before.
    round: u64,
    /// Whether directories that cannot be opened now may be later.
    has_hope: bool,
    /// What was moved to the top in this round, to be gone through in the next.
    moved: AtomicU64,
    /// What went in this round.
    gone: AtomicU64,
}

impl<'a> Emptying<'a> {
    fn new(path: &'a Path, trash: OwnedFd, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self {
            trash,
            path,
            progress,
            errors: Mutex::default(),
            mark: trash::fresh_name() + ".",
            round: 0,
            has_hope: true,
            moved: AtomicU64::new(0),
            gone: AtomicU64::new(0),
        }
    }

    fn empty(mut self) -> Vec<EvictError> {
        loop {
            match below::open_dir(&self.trash, c".") {
                Ok(top) => descend::descend(top, &self),
                Err(errno) => self.report(self.path.to_owned(), errno),
            }
            if *self.moved.get_mut() == 0 {
                return self.errors.into_inner().unwrap_or_else(PoisonError::into_inner);
            }
            self.round += 1;
            self.has_hope = *self.gone.get_mut() > 0;
            (self.moved, self.gone) = (AtomicU64::new(0), AtomicU64::new(0));
        }
    }

    /// Whether it is the turn of a name at the top: what was moved there waits for its own round.
    fn is_due(&self, dir: &Dir, name: &CStr) -> bool {
        let moved = name.to_bytes().strip_prefix(self.mark.as_bytes());
        dir.above.is_some()
            || moved.map_or(self.round == 0, |rest| {
                rest.starts_with(format!("{}.", self.round).as_bytes())
            })
    }

    /// Moves a directory to the top of the trash, for the next round.
    fn move_up(&self, dir: &Dir, name: &CStr) -> Result<(), Errno> {
        let number = self.moved.fetch_add(1, Ordering::Relaxed);
        let place = format!("{}{}.{number}", self.mark, self.round + 1);
        let rename = || rustix::fs::renameat(&dir.fd, name, &self.trash, &place);
        match rename() {
            Err(Errno::ACCESS) => make_enterable(dir, name).and_then(|()| rename()),
            Err(Errno::PERM) if trash::thaw(&dir.fd, name) => rename(),
            other => other,
        }
    }

    fn note_gone(&self, count: u64) {
        if count > 0 {
            self.gone.fetch_add(count, Ordering::Relaxed);
            (self.progress)(count);
        }
    }

    /// Notes what stays. That something is gone already is no error.
    fn report(&self, path: PathBuf, errno: Errno) {
        if errno != Errno::NOENT {
            lock(&self.errors).push(EvictError::new(path, errno));
        }
    }

    /// The same of a name in a directory, which then stays too.
    fn stays(&self, dir: &Dir, name: &CStr, errno: Errno) {
        if errno != Errno::NOENT {
            dir.keep();
            self.report(dir.path_of(self.path, name), errno);
        }
    }

    /// Unlinks a name; says whether it is gone by that, or what is in the way.
    fn unlink(dir: &Dir, name: &CStr, flags: AtFlags) -> Result<bool, Errno> {
        let unlink = || {
            fault::point("evict.unlink");
            rustix::fs::unlinkat(&dir.fd, name, flags)
        };
        let mut unlinked = unlink();
        if unlinked == Err(Errno::ACCESS) && make_writable(dir) {
            unlinked = unlink();
        }
        if unlinked == Err(Errno::PERM) && trash::thaw(&dir.fd, name) {
            unlinked = unlink();
        }
        match unlinked {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

impl Visitor for Emptying<'_> {
    fn visit(&self, dir: &Dir, names: Vec<Item>) -> Vec<CString> {
        let mut below = Vec::new();
        let mut gone = 0;
        for found in names.into_iter().filter(|found| self.is_due(dir, &found.name)) {
            if found.kind == FileType::Directory {
                below.push(found.name);
                continue;
            }
            match Self::unlink(dir, &found.name, AtFlags::empty()) {
                Ok(was_there) => gone += u64::from(was_there),
                // It is another thing by now.
                Err(Errno::ISDIR) => below.push(found.name),
                Err(errno) => self.stays(dir, &found.name, errno),
            }
        }
        self.note_gone(gone);
        below
    }

    fn open(&self, dir: &Dir, name: &CStr) -> Option<OwnedFd> {
        let mut opened = below::open_dir(&dir.fd, name);
        if opened.as_ref().is_err_and(|errno| *errno == Errno::ACCESS) {
            opened = make_enterable(dir, name).and_then(|()| below::open_dir(&dir.fd, name));
        }
        match opened {
            Ok(opened) => return Some(opened),
            // It is another thing by now.
            Err(Errno::NOTDIR | Errno::LOOP) => match Self::unlink(dir, name, AtFlags::empty()) {
                Ok(was_there) => self.note_gone(u64::from(was_there)),
                Err(errno) => self.stays(dir, name, errno),
            },
            // Of descriptors there may be few: in the next round others are done with theirs.
            Err(Errno::MFILE | Errno::NFILE) if self.has_hope => self.too_deep(dir, name),
            Err(errno) => self.stays(dir, name, errno),
        }
        None
    }

    fn too_deep(&self, dir: &Dir, name: &CStr) {
        if let Err(errno) = self.move_up(dir, name) {
            self.stays(dir, name, errno);
        }
    }

    fn done(&self, dir: &Dir) -> Then {
        let Some(above) = &dir.above else { return Then::Leave };
        match Self::unlink(above, &dir.name, AtFlags::REMOVEDIR) {
            Ok(was_there) => self.note_gone(u64::from(was_there)),
            Err(Errno::NOTEMPTY | Errno::EXIST) if dir.is_kept() => above.keep(),
            // Something came meanwhile, or the filesystem forgets names while others go.
            Err(Errno::NOTEMPTY | Errno::EXIST) if !dir.is_hopeless() => return Then::Again,
            Err(errno) => self.stays(above, &dir.name, errno),
        }
        Then::Leave
    }
}

/// Gives the owner of a directory the right to remove names from it, if that was missing. Only
/// the directory that is open is changed, whatever its name is by now.
fn make_writable(dir: &Dir) -> bool {
    let missing = rustix::fs::fstat(&dir.fd)
        .is_ok_and(|stat| !Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXU));
    missing && rustix::fs::fchmod(&dir.fd, Mode::RWXU).is_ok()
}

/// Gives the owner the right to open a directory, which is held without that right first, so that
/// no name is followed when its mode is changed.
fn make_enterable(dir: &Dir, name: &CStr) -> Result<(), Errno> {
    make_writable(dir);
    let held = below::hold_dir(&dir.fd, name)?;
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    rustix::fs::chmod(path, Mode::RWXU)
}

/// A lock is poisoned only if a thread panicked, and then rayon panics in the end.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
