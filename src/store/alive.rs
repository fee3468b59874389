//! What shows that something of a command still runs, when the larder that started it may be gone (decision 102).
//!
//! larder keeps its locks to itself. The command inherits two descriptors that stand for nothing but that somebody
//! has them: of `<toolchain id>.alive`, a file that is made for one command and is none any more when all of that has
//! ended; and of the directory in the checkout in which the kept one is attached, which the command could open by
//! itself. Who gives them up, or locks them in another way, takes from nobody but himself: while larder
//! lives they mean nothing.
//!
//! The file has a `flock`, which goes with the last descriptor. The directory has the `flock` of the claim on it
//! already, so it has a lock of the other kind, for reading, which needs no right to write
//! (`F_OFD_SETLK` of `fcntl(2)`, since Linux 3.15; the two kinds do not know of one another, `flock(2)`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::error::StoreError;
use super::layout::Store;
use crate::base::names::{ProjectName, ToolchainId};
use crate::base::{fault, regular};

/// The ending of a file's name that shows that something of a directory's command runs.
pub(super) const ENDING: &str = "alive";

/// A descriptor that a command inherits. Others see that it is there until the last who has it is gone.
#[derive(Debug)]
pub(crate) struct Sign {
    descriptor: OwnedFd,
}

impl Sign {
    /// For a command of a directory whose lock is held; `path` is where nothing is.
    pub(crate) fn of_command(path: &Path) -> io::Result<Self> {
        fault::point("store.sign-of-life");
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        flock(&descriptor, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { descriptor })
    }

    /// Whether something of a directory's last command runs.
    pub(crate) fn is_shown(path: &Path) -> io::Result<bool> {
        let file = match regular::open_own(path) {
            // What else is there was made by no larder, and nobody has a sign of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound || regular::is_odd(&error) => {
                return Ok(false);
            }
            other => other?,
        };
        match flock(file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// For what is attached in a directory that is claimed. Filesystems that know no such locks show nothing.
    pub(crate) fn in_directory(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        let _ = control(descriptor.as_fd(), libc::F_OFD_SETLK, libc::F_RDLCK);
        Ok(Self { descriptor })
    }

    /// Nothing of the command runs any more: what somebody may have kept of this shows nothing from now on.
    pub(crate) fn end(self) {
        let _ = flock(&self.descriptor, FlockOperation::Unlock);
        let _ = control(self.descriptor.as_fd(), libc::F_OFD_SETLK, libc::F_UNLCK);
    }
}

impl AsFd for Sign {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Sets or looks for a lock on the whole of a file; says of which kind the first is that would be in the way.
fn control(
    file: BorrowedFd<'_>,
    command: libc::c_int,
    kind: libc::c_int,
) -> io::Result<libc::c_int> {
    // SAFETY: integers only, for which zero is valid: from the beginning, without an end, by no process.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(kind).unwrap_or_default();
    // SAFETY: the kernel reads and writes the one structure that is handed over.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(lock.l_type.into()) }
}

/// Whether something runs for which a directory was claimed, but for whoever has it claimed now.
pub(super) fn is_attached_in(directory: BorrowedFd<'_>) -> bool {
    // What a lock for writing would meet.
    let found = control(directory, libc::F_OFD_GETLK, libc::F_WRLCK);
    found.is_ok_and(|kind| kind != libc::F_UNLCK)
}

/// Whether this process was handed a descriptor of a file: whatever that waits for would wait for this process.
pub(super) fn is_handed_down(path: &Path) -> bool {
    let Ok(wanted) = std::fs::symlink_metadata(path) else { return false };
    let descriptors = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut opened = descriptors.filter_map(|descriptor| std::fs::metadata(descriptor.path()).ok());
    opened.any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
}

impl Store {
    /// The first directory of which a command still runs, whoever started it.
    pub(crate) fn first_alive(&self) -> Result<Option<(ProjectName, ToolchainId)>, StoreError> {
        for project in self.projects()? {
            for id in self.names(&project)?.alive {
                if Sign::is_shown(&self.entry(&project, id).alive()).unwrap_or(true) {
                    return Ok(Some((project, id)));
                }
            }
        }
        Ok(None)
    }

    /// Whether this process runs inside of a use of the same store, as far as what that handed down tells.
    pub(super) fn is_inside_a_use(&self) -> bool {
        let descriptors = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let links = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
        // The store may have had another path there.
        let own = |link: PathBuf| {
            let name = link.file_name()?.to_owned();
            Path::new(&name).extension().filter(|ending| *ending == ENDING)?;
            Some(self.root().join("projects").join(link.parent()?.file_name()?).join(name))
        };
        links.into_iter().filter_map(own).any(|path| is_handed_down(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_seen_until_the_last_who_has_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.alive");
        assert!(!Sign::is_shown(&path).unwrap());
        let sign = Sign::of_command(&path).unwrap();
        assert!(Sign::is_shown(&path).unwrap() && is_handed_down(&path));
        assert!(Sign::of_command(&path).is_err(), "one for each command");
        let inherited = sign.as_fd().try_clone_to_owned().unwrap();
        drop(sign);
        assert!(Sign::is_shown(&path).unwrap());
        drop(inherited);
        assert!(!Sign::is_shown(&path).unwrap() && !is_handed_down(&path));
    }

    #[test]
    fn what_was_kept_of_a_sign_shows_nothing_once_it_was_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.alive");
        let sign = Sign::of_command(&path).unwrap();
        let kept = sign.as_fd().try_clone_to_owned().unwrap();
        sign.end();
        assert!(!Sign::is_shown(&path).unwrap());
        let place = std::fs::File::open(dir.path()).unwrap();
        assert!(!is_attached_in(place.as_fd()));
        let sign = Sign::in_directory(dir.path()).unwrap();
        assert!(is_attached_in(place.as_fd()));
        let also = sign.as_fd().try_clone_to_owned().unwrap();
        sign.end();
        assert!(!is_attached_in(place.as_fd()));
        drop((kept, also));
    }

    #[test]
    fn the_claim_on_a_directory_and_the_sign_in_it_are_not_in_each_others_way() {
        let dir = tempfile::tempdir().unwrap();
        let claim = std::fs::File::open(dir.path()).unwrap();
        flock(&claim, FlockOperation::NonBlockingLockExclusive).unwrap();
        let _sign = Sign::in_directory(dir.path()).unwrap();
        let other = std::fs::File::open(dir.path()).unwrap();
        assert!(flock(&other, FlockOperation::NonBlockingLockShared).is_err());
        drop(claim);
        flock(&other, FlockOperation::NonBlockingLockShared).unwrap();
        assert!(is_attached_in(other.as_fd()));
    }
}
