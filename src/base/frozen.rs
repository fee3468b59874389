//! Files and directories that were made unchangeable (`chattr(1)`, `+i` and `+a`): a build that may do that can leave
//! what nobody renames or unlinks. Whoever takes something of the store away takes that from it first.
//!
//! Only what larder is about to replace or to remove is changed, and only where larder may; no file that has another
//! name, which may be somebody's outside of the store.

#![expect(clippy::disallowed_methods, reason = "changes attributes of files that are about to go")]

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, IFlags, Mode, OFlags, Stat};
use rustix::path::Arg;

use crate::base::fault;

/// What keeps a file from being renamed and unlinked (`ioctl_iflags(2)`).
const FROZEN: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Makes what is at a path changeable; says whether it was not. A link is not followed.
pub(crate) fn thaw(path: &Path) -> bool {
    thaw_in(CWD, path)
}

/// The same of a name in a directory.
pub(crate) fn thaw_in(dir: impl AsFd, name: impl Arg + Copy) -> bool {
    // Only these can be made so, and to open anything else may have effects.
    let stat = rustix::fs::statat(&dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
    if !matches!(kind, Ok(FileType::RegularFile | FileType::Directory)) {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(dir, name, flags, Mode::empty());
    opened.is_ok_and(|opened| thaw_open(File::from(opened)))
}

/// The same of what is open.
pub(crate) fn thaw_open(file: impl AsFd) -> bool {
    let Ok(flags) = rustix::fs::ioctl_getflags(&file) else { return false };
    let is_ours = |stat: Stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::Directory || stat.st_nlink == 1
    };
    if !flags.intersects(FROZEN) || !rustix::fs::fstat(&file).is_ok_and(is_ours) {
        return false;
    }
    fault::point("store.thaw");
    rustix::fs::ioctl_setflags(&file, flags - FROZEN).is_ok()
}
