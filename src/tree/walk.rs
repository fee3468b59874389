//! Walking a tree: directories side by side, each name looked at relative to its own directory.
//!
//! Nothing is followed and no filesystem is left. What vanishes meanwhile was never there; a
//! directory that may not be entered is seen by its own entry only.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;

use rayon::Scope;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{ObserveError, Stamp};

/// A name that a walk came to.
pub struct Seen {
    /// Its path relative to the root; empty for the root itself.
    pub path: Vec<u8>,
    /// `st_mode`.
    pub mode: u32,
    /// How it looked.
    pub stamp: Stamp,
}

/// Where a walk is, for a visitor that wants to do something there.
pub struct Place<'a> {
    /// The directory.
    pub directory: BorrowedFd<'a>,
    /// The name in it.
    pub name: &'a CStr,
    /// The path relative to the walk's root.
    pub path: &'a [u8],
}

/// Whether a walk wants a name, by its path relative to the root and whether it is a directory.
pub type Wanted<'a> = &'a (dyn Fn(&Path, bool) -> bool + Sync);

/// A visitor that may change a file's times; it says how the file looks afterwards, if it did.
pub type Touch<'a> = &'a (dyn Fn(&Place<'_>, &Stat) -> Option<Stat> + Sync);

/// A walk, and what it has come to so far.
struct Walk<'a> {
    root: &'a Path,
    device: u64,
    wanted: Wanted<'a>,
    touch: Touch<'a>,
    seen: Mutex<Vec<Vec<Seen>>>,
    failure: Mutex<Option<ObserveError>>,
}

/// Everything at and below a root, sorted by path; nothing if the root does not exist.
pub fn walk(root: &Path, wanted: Wanted<'_>, touch: Touch<'_>) -> Result<Vec<Seen>, ObserveError> {
    let failed = |errno: Errno| ObserveError { path: root.to_owned(), source: errno.into() };
    let stat = match rustix::fs::lstat(root) {
        Ok(stat) => stat,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        Err(errno) => return Err(failed(errno)),
    };
    let name =
        std::ffi::CString::new(root.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    let place = Place { directory: CWD, name: &name, path: b"" };
    let first = Seen::new(Vec::new(), touch(&place, &stat).as_ref().unwrap_or(&stat));
    let device = stat.st_dev;
    let walk = Walk {
        root,
        device,
        wanted,
        touch,
        seen: Mutex::new(vec![vec![first]]),
        failure: Mutex::new(None),
    };
    if is_directory(&stat) {
        rayon::scope(|scope| walk.enter(scope, &[]));
    }
    walk.finish()
}

impl Seen {
    fn new(path: Vec<u8>, stat: &Stat) -> Self {
        Self { path, mode: stat.st_mode, stamp: Stamp::of_stat(stat) }
    }
}

impl Walk<'_> {
    fn enter<'s>(&'s self, scope: &Scope<'s>, path: &[u8]) {
        match self.read(scope, path) {
            Ok(seen) => lock(&self.seen).push(seen),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::PERM) => {}
            Err(errno) => {
                let path = self.root.join(OsStr::from_bytes(path));
                *lock(&self.failure) = Some(ObserveError { path, source: errno.into() });
            }
        }
    }

    /// Looks at all names in a directory, and has the directories among them entered.
    fn read<'s>(&'s self, scope: &Scope<'s>, path: &[u8]) -> Result<Vec<Seen>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = if path.is_empty() {
            self.root.to_owned()
        } else {
            self.root.join(OsStr::from_bytes(path))
        };
        let directory = rustix::fs::open(&place, flags, Mode::empty())?;
        let mut seen = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let below = join(path, name.to_bytes());
            if let Some((item, stat)) = self.look(directory.as_fd(), name, below)? {
                if is_directory(&stat) && stat.st_dev == self.device {
                    let below = item.path.clone();
                    scope.spawn(move |scope| self.enter(scope, &below));
                }
                seen.push(item);
            }
        }
        Ok(seen)
    }

    fn look(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        path: Vec<u8>,
    ) -> Result<Option<(Seen, Stat)>, Errno> {
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        if !(self.wanted)(Path::new(OsStr::from_bytes(&path)), is_directory(&stat)) {
            return Ok(None);
        }
        let stat = if stat.st_dev == self.device {
            (self.touch)(&Place { directory, name, path: &path }, &stat).unwrap_or(stat)
        } else {
            stat
        };
        Ok(Some((Seen::new(path, &stat), stat)))
    }

    fn finish(self) -> Result<Vec<Seen>, ObserveError> {
        if let Some(failure) = lock(&self.failure).take() {
            return Err(failure);
        }
        let mut seen: Vec<Seen> =
            std::mem::take(&mut *lock(&self.seen)).into_iter().flatten().collect();
        seen.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(seen)
    }
}

/// A lock is poisoned only if a thread panicked, and then rayon panics in the end.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_dir()
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

/// The visitor that changes nothing.
pub fn leave(_: &Place<'_>, _: &Stat) -> Option<Stat> {
    None
}
