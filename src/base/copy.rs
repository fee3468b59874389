//! Copies one file. Who calls it gives the copy what else it is to have: mode, owner, times.

#![expect(clippy::disallowed_methods, reason = "copies the bytes of a file")]

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// So many bytes are copied before it is said how far it is.
const PIECE: u64 = 8 * 1024 * 1024;

/// For callers of [`fill`] that do not want to know how far it is.
pub(crate) fn unwatched(_: u64) {}

/// Makes a file where nothing is, which only its owner may read.
pub(crate) fn make(to: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(to)
}

/// Makes a file share the blocks of another one, if the filesystem can; otherwise it stays empty.
pub(crate) fn share(source: &File, copy: &File) -> bool {
    rustix::fs::ioctl_ficlone(copy, source).is_ok()
}

/// Gives an empty file the bytes of another one: the same blocks where the filesystem can. `progress` is told how
/// many bytes came since it was told last.
pub(crate) fn fill(source: &File, mut copy: &File, progress: &dyn Fn(u64)) -> io::Result<()> {
    if share(source, copy) {
        progress(source.metadata()?.len());
        return Ok(());
    }
    loop {
        // Within the kernel where it can: `copy_file_range(2)`.
        match io::copy(&mut source.take(PIECE), &mut copy)? {
            0 => return Ok(()),
            copied => progress(copied),
        }
    }
}
