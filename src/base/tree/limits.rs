//! How large a tree may be that larder looks at under a lock: what a build leaves is bounded, or it is not kept
//! (decision 104).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, SeekFrom, Stat};

use crate::base::regular;

/// What a tree may be; what is more is not read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// So many directories are in each other.
    pub depth: usize,
    /// So many bytes has a path, relative to the root.
    pub path: usize,
    /// So many names are in it.
    pub names: usize,
    /// So many bytes of sparse files are nowhere on the disk: to read them takes as long as if they were.
    pub holes: u64,
}

impl Limits {
    /// Those of a target directory. The deepest that Cargo and the build scripts of large C projects make are not a
    /// fifth of this, and no path may be longer than the system takes, wherever it is attached.
    pub(crate) const KEPT: Self =
        Self { depth: 128, path: 3072, names: 2_000_000, holes: 4 * 1024 * 1024 * 1024 };
}

/// A file is sparse if so many times more bytes are in it than on the disk. Filesystems that compress stay below.
const SPARSE: u64 = 64;

/// Smaller files are read whatever they hold.
const SMALL: u64 = 1024 * 1024;

/// So many pieces of a sparse file are looked at.
const PIECES: usize = 4096;

/// What of the limits a walk has used.
pub(super) struct Count {
    limits: Limits,
    names: AtomicUsize,
    /// Sparse files, relative to the root, with their sizes.
    sparse: Mutex<Vec<(Vec<u8>, u64)>>,
}

impl Count {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, names: AtomicUsize::new(0), sparse: Mutex::default() }
    }

    /// Takes in a directory that is about to be entered, by its path.
    pub(super) fn enter(&self, path: &[u8]) -> io::Result<()> {
        let depth = memchr::memchr_iter(b'/', path).count() + 1;
        let Limits { depth: deepest, path: longest, .. } = self.limits;
        if depth > deepest {
            return Err(too_much(format!("it is more than {deepest} directories deep")));
        }
        if path.len() > longest {
            return Err(too_much(format!("its path has more than {longest} bytes")));
        }
        Ok(())
    }

    /// Takes in a name, by its path.
    pub(super) fn add(&self, path: &[u8], stat: &Stat) -> io::Result<()> {
        let most = self.limits.names;
        if self.names.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(too_much(format!("more than {most} names are in the directory")));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let stored = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
        if is_file && size > SMALL && stored.saturating_mul(SPARSE) < size {
            // A lock is poisoned only if a thread panicked, and then rayon panics in the end.
            let mut sparse = self.sparse.lock().unwrap_or_else(PoisonError::into_inner);
            sparse.push((path.to_vec(), size));
        }
        Ok(())
    }

    /// Looks at the sparse files; the error says of which there is too much.
    pub(super) fn finish(self, root: &Path) -> Result<(), (Vec<u8>, io::Error)> {
        let sparse = self.sparse.into_inner().unwrap_or_else(PoisonError::into_inner);
        let all = sparse.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
        if all <= self.limits.holes {
            return Ok(());
        }
        // Some filesystems say how much a file takes only when they have written it: these are asked exactly.
        let mut holes = 0u64;
        for (path, size) in sparse {
            let data = regular::open_own(&root.join(OsStr::from_bytes(&path)))
                .map_or(0, |file| data(&file));
            holes = holes.saturating_add(size.saturating_sub(data));
            if holes > self.limits.holes {
                let most = crate::base::quantity::ByteSize(self.limits.holes);
                let why =
                    format!("with it more than {most} of sparse files are nowhere on the disk");
                return Err((path, too_much(why)));
            }
        }
        Ok(())
    }
}

/// How many bytes of a file are not in holes, as far as the filesystem says (`lseek(2)`).
fn data(file: &File) -> u64 {
    let (mut at, mut data) = (0, 0u64);
    for _ in 0..PIECES {
        let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(at)) else { return data };
        let Ok(end) = rustix::fs::seek(file, SeekFrom::Hole(start)) else { return data };
        data = data.saturating_add(end.saturating_sub(start));
        at = end;
    }
    u64::MAX
}

fn too_much(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
