//! Opening what lies below an open directory: no symlink is followed, and no mount is entered, not
//! even one of the same filesystem.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

/// Opens the directory `name` in `dir` to read it. `XDEV` for another mount, `LOOP` or `NOTDIR` for
/// a symlink.
pub(crate) fn open_dir(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    open(dir.as_fd(), name, OFlags::RDONLY)
}

/// Takes hold of the directory `name` in `dir` without the right to read it.
pub(crate) fn hold_dir(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    open(dir.as_fd(), name, OFlags::PATH)
}

fn open(dir: BorrowedFd<'_>, name: &CStr, how: OFlags) -> Result<OwnedFd, Errno> {
    let flags = how | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    loop {
        match rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::NOSYS | Errno::PERM) => return open_and_compare(dir, name, flags),
            other => return other,
        }
    }
}

/// Linux has `openat2` since 5.6, and filters that are older than that refuse it.
fn open_and_compare(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let opened = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    if mount_of(dir)? == mount_of(opened.as_fd())? { Ok(opened) } else { Err(Errno::XDEV) }
}

/// The number of the mount that a descriptor leads to; `NOSYS` where the system does not tell.
fn mount_of(file: BorrowedFd<'_>) -> Result<u64, Errno> {
    match rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Ok(stat.stx_mnt_id),
        _ => mount_by_proc(file).ok_or(Errno::NOSYS),
    }
}

fn mount_by_proc(file: BorrowedFd<'_>) -> Option<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    type Way<'a> = &'a dyn Fn(&CStr) -> Result<OwnedFd, Errno>;

    #[test]
    fn only_plain_directories_are_opened_in_either_way() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plain")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        symlink("plain", dir.path().join("link")).unwrap();
        let top = File::open(dir.path()).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let by_hand = |name: &CStr| open_and_compare(top.as_fd(), name, flags);
        let ways: [Way<'_>; 3] =
            [&|name| open_dir(&top, name), &|name| hold_dir(&top, name), &by_hand];
        for way in ways {
            way(c"plain").unwrap();
            for (name, wanted) in [
                (c"file", [Errno::NOTDIR, Errno::NOTDIR]),
                (c"link", [Errno::LOOP, Errno::NOTDIR]),
                (c"gone", [Errno::NOENT, Errno::NOENT]),
            ] {
                let refused = way(name).unwrap_err();
                assert!(wanted.contains(&refused), "{name:?}: {refused}");
            }
        }
    }

    #[test]
    fn both_ways_to_ask_for_a_mount_agree() {
        let dir = tempfile::tempdir().unwrap();
        let (here, proc) = (File::open(dir.path()).unwrap(), File::open("/proc").unwrap());
        for file in [&here, &proc] {
            assert_eq!(mount_of(file.as_fd()).unwrap(), mount_by_proc(file.as_fd()).unwrap());
        }
        assert_ne!(mount_of(here.as_fd()).unwrap(), mount_of(proc.as_fd()).unwrap());
        // The parent of a mount point is on another mount.
        let root = File::open("/").unwrap();
        assert_eq!(open_dir(&root, c"proc").unwrap_err(), Errno::XDEV);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        assert_eq!(open_and_compare(root.as_fd(), c"proc", flags).unwrap_err(), Errno::XDEV);
    }
}
