//! What is done to single files that are pushed or pulled, each with what it says when it fails.

#![expect(clippy::disallowed_methods, reason = "makes files of what is pushed or pulled")]

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use filetime::FileTime;

use crate::base::moment::Moment;
use crate::base::path_error::{At, PathError};
use crate::base::{copy, fault, regular};

/// Makes a directory that nobody else may enter.
pub(super) fn make_dir(dir: &Path) -> Result<(), PathError> {
    fault::point("share.make");
    fs::DirBuilder::new().mode(0o700).create(dir).at("make", dir)
}

/// Makes a file share the blocks of another one where nothing is. If the filesystem cannot, says so, and leaves an
/// empty one.
pub(super) fn reflink(from: &Path, to: &Path) -> Result<bool, PathError> {
    let (source, copy) = open_both(from, to)?;
    Ok(copy::share(&source, &copy))
}

/// The same where the filesystem can, else a copy; never a link.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), PathError> {
    let (source, copy) = open_both(from, to)?;
    copy::fill(&source, &copy, &copy::unwatched).at("copy", from)
}

/// Opens a regular file, and a new one that only its owner may read.
fn open_both(from: &Path, to: &Path) -> Result<(File, File), PathError> {
    fault::point("share.copy");
    let source = regular::open_own(from).at("read", from)?;
    Ok((source, copy::make(to).at("make", to)?))
}

/// Gives a file one more name.
pub(super) fn link_to(first: &Path, name: &Path) -> Result<(), PathError> {
    fault::point("share.link");
    fs::hard_link(first, name).at("make", name)
}

/// Sets the permission bits of a file or directory.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), PathError> {
    fault::point("share.set-mode");
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).at("set the mode of", path)
}

/// Gives a name its modification time.
pub(super) fn set_time(path: &Path, mtime: Moment) -> Result<(), PathError> {
    fault::point("share.set-time");
    filetime::set_symlink_file_times(path, FileTime::now(), mtime.file_time())
        .at("set the time of", path)
}
