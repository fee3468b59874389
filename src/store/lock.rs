//! The lock of one target directory. Whoever has it has the directory. It is larder's own: what a command inherits
//! shows only that it lives ([`super::alive`]).

#![expect(clippy::disallowed_methods, reason = "makes lock files, and closes them to others")]

mod claim;
#[cfg(test)]
mod tests;

pub(crate) use self::claim::Claim;

use std::cell::Cell;
use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::alive::{self, Sign};
use crate::base::path_error::{At, PathError};
use crate::base::regular;
use crate::base::{atomic, fault, frozen};

/// How long a lock may be busy before the wait is announced: `status` looks only for an instant.
const UNREMARKABLE: Duration = Duration::from_millis(100);

/// How often a wait tries again.
const POLL: Duration = Duration::from_millis(50);

/// So long is waited where nobody says anything else: longer than nearly every build that is waited for.
const DEFAULT: Duration = Duration::from_secs(3600);

/// How long to wait for a lock that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as it takes.
    Forever,
    /// At most this long.
    AtMost(Duration),
}

impl Default for Wait {
    fn default() -> Self {
        Self::AtMost(DEFAULT)
    }
}

impl Wait {
    /// What is said to who waits for somebody.
    fn told(self, holder: &str) -> String {
        match self {
            Self::Forever => format!("{holder}, for as long as it takes"),
            Self::AtMost(limit) => {
                let limit = humantime::format_duration(limit);
                format!("{holder}, for at most {limit}; `wait` in larder.toml sets another limit")
            }
        }
    }

    fn is_over(self, waited: Duration) -> bool {
        matches!(self, Self::AtMost(limit) if waited >= limit.max(UNREMARKABLE))
    }
}

/// A lock that could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file could not be opened or locked.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Somebody else still had it when the time was up.
    #[error("{} is in use by {holder} after {}; try again later, end that process, or allow more time with --wait or `wait` in larder.toml", path.display(), humantime::format_duration(*waited))]
    Busy {
        path: PathBuf,
        /// Who has it, in words.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// Who has it started this process, and would be waited for in vain.
    #[error("{} is in use by the command that this larder was started in; run one after the other, or give each a project and a checkout of its own", .0.display())]
    Around(PathBuf),
}

impl LockError {
    /// Whether the directory in which the lock file would be is gone.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Path(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// An exclusive lock on one target directory, until it is dropped. No command inherits it.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
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
    fn at_once(self) -> FlockOperation {
        match self {
            Self::Alone => FlockOperation::NonBlockingLockExclusive,
            Self::Shared => FlockOperation::NonBlockingLockShared,
        }
    }
}

/// Waits until something is free, and has it from then on. `announce` is told once `who` has it, who also knows
/// whether it is in vain.
pub(super) fn until(
    path: &Path,
    wait: Wait,
    mut is_free: impl FnMut() -> io::Result<bool>,
    who: impl Fn() -> Result<String, LockError>,
    announce: impl FnOnce(&str),
) -> Result<(), LockError> {
    let mut announce = Some(announce);
    let started = Instant::now();
    while !is_free().at("lock", path)? {
        let waited = started.elapsed();
        if wait.is_over(waited) {
            let waited = Duration::from_secs(waited.as_secs());
            return Err(LockError::Busy { path: path.to_owned(), holder: who()?, waited });
        }
        if waited >= UNREMARKABLE {
            if let Some(announce) = announce.take() {
                announce(&wait.told(&who()?));
            }
        }
        thread::sleep(POLL);
    }
    Ok(())
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

/// Who may read a file may lock it (`flock(2)`): nobody but the store's owner.
const OWN: u32 = 0o600;

/// Who holds a lock: written into the lock file for those who wait, never relied upon.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    what: String,
    since: SystemTime,
}

impl Lock {
    /// Takes the lock, and waits until nothing of the directory's last command runs, calling `announce` with the
    /// holder's description once if it has to wait.
    pub(crate) fn acquire(
        path: &Path,
        what: &str,
        wait: Wait,
        announce: impl FnOnce(&str),
    ) -> Result<Self, LockError> {
        let alive = path.with_extension(alive::ENDING);
        let is_around = alive::is_handed_down(&alive);
        let (mut file, has_it) = (open(path).at("lock", path)?, Cell::new(false));
        let is_free = || {
            has_it.set(try_for(&file, How::Alone, Duration::ZERO)?);
            if has_it.get() && !is_at(&file, path)? {
                file = open(path)?;
                has_it.set(false);
            }
            Ok(has_it.get() && !Sign::is_shown(&alive)?)
        };
        let who = || match (is_around, has_it.get()) {
            (true, _) => Err(LockError::Around(path.to_owned())),
            (false, true) => Ok(left_by(path)),
            (false, false) => Ok(holder(path)),
        };
        until(path, wait, is_free, who, announce)?;
        let mut lock = Self { file };
        lock.sign(what).at("lock", path)?;
        Ok(lock)
    }

    /// Takes the lock if it is free this instant, and nothing of the directory's last command runs; nothing if
    /// somebody has it, or if it is gone with all that was beside it.
    pub(crate) fn try_acquire(path: &Path, what: &str) -> Result<Option<Self>, LockError> {
        let alive = path.with_extension(alive::ENDING);
        loop {
            let file = match open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other.at("lock", path)?,
            };
            if !try_for(&file, How::Alone, Duration::ZERO).at("lock", path)? {
                return Ok(None);
            }
            if is_at(&file, path).at("lock", path)? {
                if Sign::is_shown(&alive).at("lock", &alive)? {
                    return Ok(None);
                }
                let mut lock = Self { file };
                lock.sign(what).at("lock", path)?;
                return Ok(Some(lock));
            }
        }
    }

    /// Who holds the lock now, or whose command still runs; `None` if the directory is free.
    pub(crate) fn holder(path: &Path) -> Option<String> {
        let file = regular::open_own(path).ok()?;
        if flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) {
            return Some(holder(path));
        }
        let is_alive = Sign::is_shown(&path.with_extension(alive::ENDING)).ok()?;
        is_alive.then(|| left_by(path))
    }

    fn sign(&mut self, what: &str) -> io::Result<()> {
        sign(&mut self.file, what)
    }
}

/// Whether nobody has or shares a lock, this instant.
pub(super) fn is_free(path: &Path) -> bool {
    regular::open_own(path)
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Whether nobody has the lock of a name in a directory to himself, this instant.
pub(super) fn is_free_in(dir: impl AsFd, name: &str) -> bool {
    let file = regular::open_own_in(dir, name);
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

/// Opens a lock file, and makes it where there is none. What else is there (a build could put anything) makes room for
/// one: nobody who keeps to the rules has a lock on it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    match open_plain(path) {
        Err(error) if is_no_lock(&error, path) => {
            make_room(path)?;
            open_plain(path)
        }
        other => other,
    }
}

fn open_plain(path: &Path) -> io::Result<File> {
    const ODD: &str =
        "the lock file is not a plain file with one name; remove it by hand while nobody builds";
    let odd = || io::Error::new(io::ErrorKind::InvalidInput, ODD);
    // To open a device may have effects.
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(odd());
    }
    fault::point("store.open-lock");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWN)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(odd());
    }
    if metadata.mode() & 0o077 != 0 {
        // Where it is not the caller's own, it is closed by whose it is.
        let _ = file.set_permissions(Permissions::from_mode(OWN));
    }
    Ok(file)
}

/// Whether a lock file could not be opened because of what is there, or because that was made unchangeable.
fn is_no_lock(error: &io::Error, path: &Path) -> bool {
    let is_frozen = || error.raw_os_error() == Some(libc::EPERM) && frozen::thaw(path);
    regular::is_odd(error) || is_frozen()
}

/// Puts an empty file in the place of what is there; a directory is left beside it, for whoever collects.
fn make_room(path: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.nlink() <= 1) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    fault::point("store.renew-lock");
    let new = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
    atomic::put_in_place(new, path)
}

pub(super) fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = regular::open_own(path).and_then(|file| file.take(4096).read_to_string(&mut text));
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

/// Who had a lock, of whose command something runs.
fn left_by(path: &Path) -> String {
    format!("what {} left running", holder(path))
}

/// Whether a process is there. If not, what it started has the lock, or it is in another namespace.
fn is_running(pid: u32) -> bool {
    let pids = [sysinfo::Pid::from_u32(pid)];
    let mut system = sysinfo::System::new();
    let only = sysinfo::ProcessesToUpdate::Some(&pids);
    system.refresh_processes_specifics(only, false, sysinfo::ProcessRefreshKind::nothing());
    system.process(pids[0]).is_some()
}
