//! Going through trees of any shape with little: names are read a piece at a time, directories are
//! gone through side by side, and neither the stack nor the open descriptors grow with the tree.
//!
//! Each open directory is kept until all below it is done, so that whoever deletes can come back to
//! it. What lies deeper than a bound is left to the visitor.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::{Scope, ThreadPool, ThreadPoolBuilder};
use rustix::fs::{AtFlags, FileType, RawDir, SeekFrom};
use rustix::io::Errno;

/// Directories that are gone through at a time: they mostly wait for the disk or the journal.
const THREADS: usize = 8;

/// Names are read in pieces of so many bytes.
const PIECE: usize = 32 * 1024;

/// While so many directories in one directory wait, no more names of it are read.
const MOST_WAITING: usize = 256;

/// How deep directories are kept open: times the threads, far fewer than the 1024 descriptors that
/// a process mostly may have.
const DEEPEST: usize = 24;

/// How often a directory may be gone through again.
const MOST_ROUNDS: usize = 64;

/// A name in a directory.
pub(crate) struct Item {
    pub name: CString,
    /// What it was when the directory was read.
    pub kind: FileType,
    ino: u64,
}

/// A directory that is open until all below it is done.
pub(crate) struct Dir {
    pub fd: OwnedFd,
    /// Its name in the directory above; empty at the top.
    pub name: CString,
    /// The directory above; none at the top.
    pub above: Option<Arc<Dir>>,
    depth: usize,
    /// Tasks that have not yet left it.
    busy: AtomicUsize,
    has_ended: AtomicBool,
    rounds: AtomicUsize,
    is_kept: AtomicBool,
}

/// What is to be done with a directory when all below it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is left.
    Leave,
    /// It is gone through again from its beginning.
    Again,
}

/// Whoever wants to do something with what a tree holds. Called from several threads.
pub(crate) trait Visitor: Sync {
    /// Gets a piece of the names of a directory, and says which directories are to be entered.
    fn visit(&self, dir: &Dir, names: Vec<Item>) -> Vec<CString>;

    /// Opens a directory that is to be entered, if it can be.
    fn open(&self, dir: &Dir, name: &CStr) -> Option<OwnedFd>;

    /// Gets a directory that is too deep to be entered.
    fn too_deep(&self, dir: &Dir, name: &CStr);

    /// All below a directory is done.
    fn done(&self, dir: &Dir) -> Then;
}

/// Goes through all below an open directory.
pub(crate) fn descend(top: OwnedFd, visitor: &impl Visitor) {
    let top = Arc::new(Dir::new(top, CString::default(), None));
    side_by_side(|| rayon::scope(|scope| read(scope, visitor, top)));
}

/// Does something with as many threads as directories are gone through at a time.
pub(crate) fn side_by_side<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| ThreadPoolBuilder::new().num_threads(THREADS).build().ok());
    match pool {
        Some(pool) => pool.install(work),
        // There are fewer threads where so many could not be had.
        None => work(),
    }
}

fn read<'s, V: Visitor>(scope: &Scope<'s>, visitor: &'s V, dir: Arc<Dir>) {
    let mut buffer = Vec::with_capacity(PIECE);
    while !dir.has_ended.load(Ordering::Relaxed) && dir.busy.load(Ordering::Relaxed) < MOST_WAITING
    {
        let (names, has_ended) = piece(dir.fd.as_fd(), &mut buffer);
        dir.has_ended.store(has_ended, Ordering::Relaxed);
        for name in visitor.visit(&dir, names) {
            if dir.depth >= DEEPEST {
                visitor.too_deep(&dir, &name);
            } else {
                dir.busy.fetch_add(1, Ordering::Relaxed);
                let above = Arc::clone(&dir);
                scope.spawn(move |scope| enter(scope, visitor, above, name));
            }
        }
    }
    leave(scope, visitor, dir);
}

fn enter<'s, V: Visitor>(scope: &Scope<'s>, visitor: &'s V, above: Arc<Dir>, name: CString) {
    match visitor.open(&above, &name) {
        Some(fd) => read(scope, visitor, Arc::new(Dir::new(fd, name, Some(above)))),
        None => leave(scope, visitor, above),
    }
}

/// Whoever leaves a directory last reads what is left of it, or goes on with the one above.
fn leave<'s, V: Visitor>(scope: &Scope<'s>, visitor: &'s V, mut dir: Arc<Dir>) {
    while dir.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
        if !dir.has_ended.load(Ordering::Relaxed)
            || (visitor.done(&dir) == Then::Again && dir.begin_again())
        {
            dir.busy.store(1, Ordering::Relaxed);
            return scope.spawn(move |scope| read(scope, visitor, dir));
        }
        match dir.above.clone() {
            Some(above) => dir = above,
            None => return,
        }
    }
}

/// Some more names of an open directory, in the order of their inodes, which is mostly that on the
/// disk; and whether there are no more. What cannot be read has ended.
pub(crate) fn piece(dir: impl AsFd, buffer: &mut Vec<u8>) -> (Vec<Item>, bool) {
    buffer.clear();
    let mut names = Vec::new();
    let mut raw = RawDir::new(dir.as_fd(), buffer.spare_capacity_mut());
    let has_ended = loop {
        match raw.next() {
            Some(Ok(entry)) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Some(Ok(entry)) => names.push(Item {
                name: entry.file_name().to_owned(),
                kind: entry.file_type(),
                ino: entry.ino(),
            }),
            Some(Err(Errno::INTR)) => {}
            Some(Err(_)) | None => break true,
        }
        if raw.is_buffer_empty() {
            break false;
        }
    };
    names.sort_unstable_by_key(|found| found.ino);
    for found in names.iter_mut().filter(|found| found.kind == FileType::Unknown) {
        let stat = rustix::fs::statat(&dir, &found.name, AtFlags::SYMLINK_NOFOLLOW);
        found.kind = stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode));
    }
    (names, has_ended)
}

impl Dir {
    fn new(fd: OwnedFd, name: CString, above: Option<Arc<Self>>) -> Self {
        let depth = above.as_ref().map_or(0, |above| above.depth + 1);
        Self {
            fd,
            name,
            above,
            depth,
            busy: AtomicUsize::new(1),
            has_ended: AtomicBool::new(false),
            rounds: AtomicUsize::new(0),
            is_kept: AtomicBool::new(false),
        }
    }

    fn begin_again(&self) -> bool {
        self.has_ended.store(false, Ordering::Relaxed);
        self.rounds.fetch_add(1, Ordering::Relaxed) < MOST_ROUNDS
            && rustix::fs::seek(&self.fd, SeekFrom::Start(0)).is_ok()
    }

    /// Whether it was gone through so often that once more would not help.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.rounds.load(Ordering::Relaxed) >= MOST_ROUNDS
    }

    /// Notes that something in it stays.
    pub(crate) fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Whether something in it stays.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// The path of a name in it, where the top has a path of its own.
    pub(crate) fn path_of(&self, top: &Path, name: &CStr) -> PathBuf {
        let mut names = vec![name];
        let mut dir = self;
        while let Some(above) = &dir.above {
            names.push(&dir.name);
            dir = above;
        }
        let names = names.into_iter().rev().map(|name| OsStr::from_bytes(name.to_bytes()));
        names.fold(top.to_owned(), |path, name| path.join(name))
    }
}
