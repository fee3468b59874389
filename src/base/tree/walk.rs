//! Walking a tree: directories side by side, each name looked at relative to its own directory.
//!
//! Nothing is followed and no filesystem is left. What vanishes meanwhile was never there; a
//! directory that may not be entered is seen by its own entry only.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::Scope;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::limits::{Count, Limits};
use super::{ObserveError, Stamp};

/// Paths have to be shorter (`PATH_MAX` of limits.h, Linux).
const LONGEST: usize = 4096;

/// A name that a walk came to.
pub(crate) struct Seen {
    /// The name; empty for a root that is no directory.
    pub name: Box<[u8]>,
    /// `st_mode`.
    pub mode: u32,
    pub stamp: Stamp,
}

/// What a walk found at its root.
pub(crate) enum Top {
    /// Nothing.
    Nothing,
    /// Something else than a directory.
    File(Seen),
    /// A directory; all in it was shown to the visitor.
    Directory,
}

/// Whether a walk wants a name, by its path relative to the root and whether it is a directory.
pub(crate) type Wanted<'a> = &'a (dyn Fn(&Path, bool) -> bool + Sync);

/// A visitor that gets all names of a directory, by its path relative to the root, in no order.
pub(crate) type Arrive<'a> = &'a (dyn Fn(&[u8], Vec<Seen>) + Sync);

/// A walk.
struct Walk<'a> {
    root: &'a Path,
    /// What there may be, if there is a limit.
    count: Option<Count>,
    device: u64,
    wanted: Wanted<'a>,
    arrive: Arrive<'a>,
    failure: Mutex<Option<ObserveError>>,
}

/// Goes through everything at and below a root.
pub(crate) fn walk(
    root: &Path,
    limits: Option<Limits>,
    wanted: Wanted<'_>,
    arrive: Arrive<'_>,
) -> Result<Top, ObserveError> {
    let failed = |errno: Errno| ObserveError { path: root.to_owned(), source: errno.into() };
    let stat = match rustix::fs::lstat(root) {
        Ok(stat) => stat,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Top::Nothing),
        Err(errno) => return Err(failed(errno)),
    };
    if !is_directory(&stat) {
        return Ok(Top::File(Seen::new(b"", &stat)));
    }
    let device = stat.st_dev;
    let count = limits.map(Count::new);
    let walk = Walk { root, count, device, wanted, arrive, failure: Mutex::new(None) };
    rayon::scope(|scope| walk.enter(scope, &[]));
    if let Some(failure) = lock(&walk.failure).take() {
        return Err(failure);
    }
    let counted = walk.count.map_or(Ok(()), |count| count.finish(root));
    counted.map_err(|(path, source)| ObserveError { path: below(root, &path), source })?;
    Ok(Top::Directory)
}

impl Seen {
    fn new(name: &[u8], stat: &Stat) -> Self {
        Self { name: name.into(), mode: stat.st_mode, stamp: Stamp::of_stat(stat) }
    }
}

impl Walk<'_> {
    fn enter<'s>(&'s self, scope: &Scope<'s>, path: &[u8]) {
        if let Some(count) = &self.count {
            if lock(&self.failure).is_some() {
                // Nothing of it counts any more.
                return;
            }
            if let Err(error) = count.enter(path) {
                return self.fail(path, error);
            }
        }
        match self.read(scope, path) {
            Ok(seen) => (self.arrive)(path, seen),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::PERM) => {}
            Err(errno) => self.fail(path, errno.into()),
        }
    }

    /// Notes why the walk fails; what was noted first stays.
    fn fail(&self, path: &[u8], source: std::io::Error) {
        let path = below(self.root, path);
        lock(&self.failure).get_or_insert(ObserveError { path, source });
    }

    /// Looks at all names in a directory, and has the directories among them entered.
    fn read<'s>(&'s self, scope: &Scope<'s>, path: &[u8]) -> Result<Vec<Seen>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(&below(self.root, path), flags)?;
        let mut seen = Vec::new();
        let mut below = join(path, b"");
        let length = below.len();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            below.truncate(length);
            below.extend_from_slice(name.to_bytes());
            if let Some(stat) = self.look(directory.as_fd(), name, &below)? {
                if let Some(Err(error)) = self.count.as_ref().map(|count| count.add(&below, &stat))
                {
                    self.fail(&below, error);
                    break;
                }
                if is_directory(&stat) && stat.st_dev == self.device {
                    let below = below.clone();
                    scope.spawn(move |scope| self.enter(scope, &below));
                }
                seen.push(Seen::new(name.to_bytes(), &stat));
            }
        }
        Ok(seen)
    }

    fn look(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        path: &[u8],
    ) -> Result<Option<Stat>, Errno> {
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        if !(self.wanted)(Path::new(OsStr::from_bytes(path)), is_directory(&stat)) {
            return Ok(None);
        }
        Ok(Some(stat))
    }
}

/// Opens a path of any length; the system takes one of 4096 bytes at a time.
fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut rest = path;
    loop {
        let part = first_part(rest);
        rest = rest.strip_prefix(part).unwrap_or(Path::new(""));
        let is_last = rest.as_os_str().is_empty();
        let flags =
            if is_last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC };
        let opened = match &at {
            Some(at) => rustix::fs::openat(at, part, flags, Mode::empty())?,
            None => rustix::fs::open(part, flags, Mode::empty())?,
        };
        if is_last {
            return Ok(opened);
        }
        at = Some(opened);
    }
}

/// As much of a path as the system takes, in whole names.
fn first_part(path: &Path) -> &Path {
    let mut parts = path.ancestors();
    parts.find(|part| part.as_os_str().len() < LONGEST).unwrap_or(path)
}

/// A lock is poisoned only if a thread panicked, and then rayon panics in the end.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_dir()
}

/// A path below a root; with nothing to join, `Path::join` would add a slash.
pub(super) fn below(root: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(path)) }
}

pub(super) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}
