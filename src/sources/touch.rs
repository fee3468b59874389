//! Giving everything in a checkout one constant modification time.
//!
//! Cargo compares modification times with those of what it made, and takes equal or older for
//! unchanged (`core/compiler/fingerprint/mod.rs`, `find_stale_file`, Cargo 1.95). With one time
//! far in the past, Cargo's own test neither hides a change nor invents one; what is written
//! later, by a script that runs before the compiler, is newer and counts.
//!
//! What has that time already is left alone, so that change times stay, and with them the stamps
//! of an earlier observation. Symlinks are not followed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, FileType, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::tree::walk::Place;
use crate::tree::{Nanoseconds, file_time};

/// The constant: 2001-09-09 01:46:40 UTC, in seconds since the epoch.
///
/// Older than any build, newer than what ZIP, FAT or a tool that takes 0 for "unknown" can bear,
/// and even, because FAT counts in two seconds.
pub const MTIME: i64 = 1_000_000_000;

/// A time that could not be set. At worst, Cargo rebuilds something needlessly.
#[derive(Debug, thiserror::Error)]
#[error("cannot set the modification time of {}", path.display())]
pub struct NormaliseError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What setting the times of a checkout came to.
#[derive(Debug, Default)]
pub struct Normalised {
    /// How many files, symlinks and directories got another time.
    pub changed: usize,
    /// What could not be set.
    pub failed: Vec<NormaliseError>,
}

/// So many seconds after the constant there is still a time that stands for a content.
const RANGE: u64 = 1 << 28;

/// Seconds and nanoseconds since the epoch.
pub(super) type Moment = (i64, i64);

/// A time in the past that stands for a content: 58 bits of its digest.
pub(super) fn of_content(content: Digest) -> Moment {
    let number =
        content.as_bytes().iter().take(8).fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte));
    let seconds = i64::try_from(number % RANGE).unwrap_or(0);
    let fraction = i64::try_from((number / RANGE) % 1_000_000_000).unwrap_or(0);
    (MTIME + seconds, fraction)
}

/// A visitor of walks that sets times, and what it has done so far.
pub(super) struct Toucher {
    to: Moment,
    files: AtomicUsize,
    directories: AtomicUsize,
    failed: Mutex<Vec<NormaliseError>>,
}

impl Default for Toucher {
    fn default() -> Self {
        Self::to((MTIME, 0))
    }
}

impl Toucher {
    /// One that sets this time.
    pub fn to(to: Moment) -> Self {
        Self {
            to,
            files: AtomicUsize::new(0),
            directories: AtomicUsize::new(0),
            failed: Mutex::default(),
        }
    }

    /// Gives one name its time; says how it looks afterwards, unless it had it already.
    pub fn touch(&self, root: &Path, place: &Place<'_>, stat: &Stat) -> Option<Stat> {
        if (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)) == self.to {
            return None;
        }
        crate::fault::point("sources.set-time");
        match set(place, self.to) {
            Ok(after) => {
                let is_directory = FileType::from_raw_mode(stat.st_mode).is_dir();
                let count = if is_directory { &self.directories } else { &self.files };
                count.fetch_add(1, Ordering::Relaxed);
                Some(after)
            }
            Err(Errno::NOENT) => None,
            Err(errno) => {
                self.fail(root.join(OsStr::from_bytes(place.path)), errno.into());
                None
            }
        }
    }

    /// Notes what could not be set.
    pub fn fail(&self, path: PathBuf, source: io::Error) {
        let mut failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.push(NormaliseError { path, source });
    }

    /// How many files and symlinks it changed so far.
    pub fn files(&self) -> usize {
        self.files.load(Ordering::Relaxed)
    }

    /// What it all came to.
    pub fn finish(self) -> Normalised {
        let changed = self.files() + self.directories.load(Ordering::Relaxed);
        let mut failed =
            self.failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.sort_by(|a, b| a.path.cmp(&b.path));
        Normalised { changed, failed }
    }
}

/// Gives files of a checkout certain times; what is gone is left out.
pub fn set_times(root: &Path, times: &[(PathBuf, Nanoseconds)]) -> Result<(), NormaliseError> {
    for (path, time) in times {
        let path = root.join(path);
        crate::fault::point("sources.set-time");
        match filetime::set_file_mtime(&path, file_time(*time)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(NormaliseError { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Gives files the present time, so that Cargo sees that they changed. What is gone is left out.
pub fn renew(root: &Path, files: &[PathBuf]) -> Vec<NormaliseError> {
    let now = filetime::FileTime::now();
    let renew = |path: &PathBuf| {
        let path = root.join(path);
        match filetime::set_symlink_file_times(&path, now, now) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Some(NormaliseError { path, source })
            }
            _ => None,
        }
    };
    files.iter().filter_map(renew).collect()
}

fn set(place: &Place<'_>, to: Moment) -> Result<Stat, Errno> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: to.0, tv_nsec: to.1 },
    };
    rustix::fs::utimensat(place.directory, place.name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::statat(place.directory, place.name, AtFlags::SYMLINK_NOFOLLOW)
}
