//! The lock of one target directory. Whoever has it has the directory.

#![expect(clippy::disallowed_methods, reason = "makes lock files")]

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::base::fault;
use crate::base::path_error::{At, PathError};

/// How long a lock may be busy before the wait is announced: `status` looks only for an instant.
const UNREMARKABLE: Duration = Duration::from_millis(100);

/// How often a bounded wait tries again.
const POLL: Duration = Duration::from_millis(50);

/// How long to wait for a lock that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as it takes.
    Forever,
    /// At most this long.
    AtMost(Duration),
}

/// A lock that could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file could not be opened or locked.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Somebody else still had it when the time was up.
    #[error("{} is in use by {holder} after {}; try again later, or allow more time with --wait", path.display(), humantime::format_duration(*waited))]
    Busy {
        path: PathBuf,
        /// Who has it, in words.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
}

impl LockError {
    /// Whether the directory in which the lock file would be is gone.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Path(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// An exclusive lock on one target directory, until it is dropped and every process that
/// inherited its descriptor is gone.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// A claim on a directory itself. On one that is not larder's, for as long as it is attached to: two uses of one
/// checkout would otherwise pull the mount from under each other. On a replica, while it is pushed. Nothing
/// is written.
#[derive(Debug)]
pub(crate) struct Claim {
    directory: File,
}

impl Claim {
    /// Claims a directory, calling `announce` with who has it once if it has to wait.
    pub(crate) fn acquire(
        path: &Path,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Self, LockError> {
        let directory = File::open(path).at("lock", path)?;
        let busy =
            |waited| LockError::Busy { path: path.to_owned(), holder: owner(&directory), waited };
        let say = || announce(&owner(&directory));
        take(&directory, How::Alone, wait, say).at("lock", path)?.map_err(busy)?;
        Ok(Self { directory })
    }

    /// Claims a directory if nobody else has this instant; nothing as well if it is gone.
    pub(crate) fn try_acquire(path: &Path) -> Result<Option<Self>, LockError> {
        let directory = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.at("lock", path)?,
        };
        let is_free = try_for(&directory, How::Alone, Duration::ZERO).at("lock", path)?;
        Ok(is_free.then_some(Self { directory }))
    }
}

impl AsFd for Claim {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Whether others may have a lock too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Nobody else.
    Alone,
    /// All who share it.
    Shared,
}

impl How {
    fn waiting(self) -> FlockOperation {
        match self {
            Self::Alone => FlockOperation::LockExclusive,
            Self::Shared => FlockOperation::LockShared,
        }
    }

    fn at_once(self) -> FlockOperation {
        match self {
            Self::Alone => FlockOperation::NonBlockingLockExclusive,
            Self::Shared => FlockOperation::NonBlockingLockShared,
        }
    }
}

/// Takes a lock; the inner error is how long it was waited for in vain.
pub(super) fn take(
    file: &File,
    how: How,
    wait: Wait,
    announce: impl FnOnce(),
) -> io::Result<Result<(), Duration>> {
    if try_for(file, how, UNREMARKABLE)? {
        return Ok(Ok(()));
    }
    announce();
    let started = Instant::now();
    let taken = match wait {
        Wait::Forever => wait_for(file, how).map(|()| true)?,
        Wait::AtMost(limit) => try_for(file, how, limit)?,
    };
    Ok(if taken { Ok(()) } else { Err(Duration::from_secs(started.elapsed().as_secs())) })
}

pub(super) fn try_for(file: &File, how: How, limit: Duration) -> io::Result<bool> {
    let started = Instant::now();
    loop {
        match flock(file, how.at_once()) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if started.elapsed() >= limit => return Ok(false),
            Err(Errno::WOULDBLOCK) => thread::sleep(POLL.min(limit)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn wait_for(file: &File, how: How) -> io::Result<()> {
    loop {
        match flock(file, how.waiting()) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Who holds a lock: written into the lock file for those who wait, never relied upon.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    what: String,
    since: SystemTime,
}

impl Lock {
    /// Takes the lock, calling `announce` with the holder's description once if it has to wait.
    pub(crate) fn acquire(
        path: &Path,
        what: &str,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Self, LockError> {
        let busy = |waited| LockError::Busy { path: path.to_owned(), holder: holder(path), waited };
        let mut announce = Some(announce);
        loop {
            let file = open(path).at("lock", path)?;
            let say = || announce.take().into_iter().for_each(|announce| announce(&holder(path)));
            take(&file, How::Alone, wait, say).at("lock", path)?.map_err(busy)?;
            if is_at(&file, path).at("lock", path)? {
                let mut lock = Self { file };
                lock.sign(what).at("lock", path)?;
                return Ok(lock);
            }
        }
    }

    /// Takes the lock if it is free this instant; nothing if somebody has it, or if it is gone with all
    /// that was beside it.
    pub(crate) fn try_acquire(path: &Path, what: &str) -> Result<Option<Self>, LockError> {
        loop {
            let file = match open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other.at("lock", path)?,
            };
            if !try_for(&file, How::Alone, Duration::ZERO).at("lock", path)? {
                return Ok(None);
            }
            if is_at(&file, path).at("lock", path)? {
                let mut lock = Self { file };
                lock.sign(what).at("lock", path)?;
                return Ok(Some(lock));
            }
        }
    }

    /// Who holds the lock now, or `None` if it is free.
    pub(crate) fn holder(path: &Path) -> Option<String> {
        let file = File::open(path).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Some(holder(path)),
            _ => None,
        }
    }

    fn sign(&mut self, what: &str) -> io::Result<()> {
        sign(&mut self.file, what)
    }
}

/// Whether nobody has or shares a lock, this instant.
pub(super) fn is_free(path: &Path) -> bool {
    File::open(path)
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Whether nobody has the lock of a name in a directory to himself, this instant.
pub(super) fn is_free_in(dir: impl AsFd, name: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty());
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}

/// Writes into a lock file who holds it.
pub(super) fn sign(file: &mut File, what: &str) -> io::Result<()> {
    let holder =
        Holder { pid: std::process::id(), what: what.to_owned(), since: SystemTime::now() };
    let text = serde_json::to_vec(&holder)?;
    fault::point("store.empty-lock");
    file.set_len(0)?;
    file.rewind()?;
    fault::point("store.sign-lock");
    file.write_all(&text)
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether a file that was locked is still what its path names: who collects removes the lock
/// files of directories that are gone, while holding them.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    fault::point("store.open-lock");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.nlink() <= 1 {
        Ok(file)
    } else {
        Err(io::Error::other(
            "the lock file is not a plain file with one name; remove it by hand while nobody builds",
        ))
    }
}

pub(super) fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text));
    let holder: Option<Holder> = read.ok().and_then(|_| serde_json::from_str(&text).ok());
    let Some(holder) = holder else {
        return "another process".to_owned();
    };
    let age = holder.since.elapsed().unwrap_or_default().as_secs();
    let age = humantime::format_duration(Duration::from_secs(age));
    let Holder { pid, what, .. } = holder;
    let seen = if is_running(pid) { "" } else { " that is gone or not seen from here" };
    format!("{what} (process {pid}{seen}, for {age})")
}

/// Who has the lock of a file that holds no words of who has it: by `proc_locks(5)`, where the process
/// is seen from here.
fn owner(file: &File) -> String {
    let number = || {
        let found = file.metadata().ok()?;
        let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        let place = format!("{major:02x}:{minor:02x}:{}", found.ino());
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let mut lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find_map(|words| match words.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse().ok(),
            _ => None,
        })
    };
    match number().filter(|pid: &u32| *pid > 0) {
        Some(pid) => format!("another larder (process {pid})"),
        None => "another larder".to_owned(),
    }
}

/// Whether a process is there. If not, what it started has the lock, or it is in another namespace.
fn is_running(pid: u32) -> bool {
    let pids = [sysinfo::Pid::from_u32(pid)];
    let mut system = sysinfo::System::new();
    let only = sysinfo::ProcessesToUpdate::Some(&pids);
    system.refresh_processes_specifics(only, false, sysinfo::ProcessRefreshKind::nothing());
    system.process(pids[0]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_others_learn_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let first = Lock::acquire(&path, "image one", Wait::Forever, |_| panic!("free")).unwrap();
        assert!(Lock::holder(&path).unwrap().starts_with("image one (process "));
        let mut heard = String::new();
        let limit = Wait::AtMost(Duration::from_millis(10));
        let second = Lock::acquire(&path, "image two", limit, |who| heard.push_str(who));
        assert!(matches!(second, Err(LockError::Busy { .. })));
        assert!(heard.starts_with("image one"));
        drop(first);
        assert_eq!(Lock::holder(&path), None);
        Lock::acquire(&path, "image two", limit, |_| panic!("free")).unwrap();
    }

    #[test]
    fn of_a_claimed_directory_the_process_is_named() {
        // Some filesystems number their inodes otherwise in /proc/locks; tmpfs does not.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let _first = Claim::acquire(dir.path(), Wait::Forever, |_| panic!("free")).unwrap();
        let mut heard = String::new();
        let limit = Wait::AtMost(Duration::from_millis(10));
        let second = Claim::acquire(dir.path(), limit, |who| heard.push_str(who));
        assert!(matches!(second, Err(LockError::Busy { .. })));
        assert_eq!(heard, format!("another larder (process {})", std::process::id()));
    }

    #[test]
    fn a_lock_file_that_is_a_symlink_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(Lock::acquire(&path, "x", Wait::Forever, |_| {}).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }
}
