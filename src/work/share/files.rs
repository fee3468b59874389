//! What is done to single files that are pushed or pulled, each with what it says when it fails.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use filetime::FileTime;
use rustix::fs::{Mode, OFlags};

use super::error::ShareError;
use crate::base::fault;
use crate::base::moment::Moment;

/// Makes a directory that nobody else may enter.
pub(super) fn make_dir(dir: &Path) -> Result<(), ShareError> {
    fault::point("share.make");
    fs::DirBuilder::new().mode(0o700).create(dir).map_err(ShareError::io("make", dir))
}

/// Makes a file share the blocks of another one where nothing is. If the filesystem cannot, says so, and leaves an
/// empty one.
pub(super) fn reflink(from: &Path, to: &Path) -> Result<bool, ShareError> {
    let (source, copy) = open_both(from, to)?;
    Ok(rustix::fs::ioctl_ficlone(&copy, &source).is_ok())
}

/// The same where the filesystem can, else a copy; never a link.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ShareError> {
    let (mut source, mut copy) = open_both(from, to)?;
    if rustix::fs::ioctl_ficlone(&copy, &source).is_ok() {
        return Ok(());
    }
    io::copy(&mut source, &mut copy).map(drop).map_err(ShareError::io("copy", from))
}

/// Opens a regular file, and a new one that only its owner may read.
fn open_both(from: &Path, to: &Path) -> Result<(File, File), ShareError> {
    fault::point("share.copy");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::open(from, flags, Mode::empty());
    let source = source.map_err(|errno| ShareError::io("read", from)(errno.into()))?;
    let copy = File::options().write(true).create_new(true).mode(0o600).open(to);
    Ok((source.into(), copy.map_err(ShareError::io("make", to))?))
}

/// Gives a file one more name.
pub(super) fn link_to(first: &Path, name: &Path) -> Result<(), ShareError> {
    fault::point("share.link");
    fs::hard_link(first, name).map_err(ShareError::io("make", name))
}

/// Sets the permission bits of a file or directory.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), ShareError> {
    fault::point("share.set-mode");
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).map_err(ShareError::io("set the mode of", path))
}

/// Gives a name its modification time.
pub(super) fn set_time(path: &Path, mtime: Moment) -> Result<(), ShareError> {
    fault::point("share.set-time");
    filetime::set_symlink_file_times(path, FileTime::now(), mtime.file_time())
        .map_err(ShareError::io("set the time of", path))
}
