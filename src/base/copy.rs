//! Copies one file. Who calls it gives the copy what else it is to have: mode, owner, times.

#![expect(clippy::disallowed_methods, reason = "copies the bytes of a file")]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::io::Errno;

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

/// Gives an empty file the bytes of another one: the same blocks where the filesystem can, and in any case the same
/// holes. `progress` is told how many bytes came since it was told last.
pub(crate) fn fill(source: &File, copy: &File, progress: &dyn Fn(u64)) -> io::Result<()> {
    let length = source.metadata()?.len();
    if share(source, copy) {
        progress(length);
        return Ok(());
    }
    let mut at = 0;
    // Where a filesystem knows of no holes it says that all is data (`lseek(2)`).
    while let Some((start, end)) = data(source, at)? {
        for mut file in [source, copy] {
            file.seek(SeekFrom::Start(start))?;
        }
        pour(source, copy, end - start, progress)?;
        at = end;
    }
    if length > at { copy.set_len(length) } else { Ok(()) }
}

/// Where the next bytes are that are no hole, and where they end.
fn data(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    match seek(file, SeekFrom::Data(at)) {
        Ok(start) => Ok(Some((start, seek(file, SeekFrom::Hole(start))?))),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn pour(source: &File, mut copy: &File, mut most: u64, progress: &dyn Fn(u64)) -> io::Result<()> {
    while most > 0 {
        // Within the kernel where it can: `copy_file_range(2)`.
        match io::copy(&mut source.take(most.min(PIECE)), &mut copy)? {
            0 => return Ok(()),
            copied => {
                progress(copied);
                most -= copied;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_copy_has_the_bytes_and_the_holes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for pieces in
            [&[] as &[(u64, &[u8])], &[(0, b"one")], &[(5 << 20, b"two"), (90 << 20, b"three")]]
        {
            let mut source = File::create(&from).unwrap();
            for (at, bytes) in pieces {
                source.seek(SeekFrom::Start(*at)).unwrap();
                source.write_all(bytes).unwrap();
            }
            source.set_len(100 << 20).unwrap();
            drop(source);
            fill(&File::open(&from).unwrap(), &make(&to).unwrap(), &unwatched).unwrap();
            assert_eq!(std::fs::read(&from).unwrap(), std::fs::read(&to).unwrap());
            assert!(std::fs::metadata(&to).unwrap().blocks() * 512 < 1 << 20, "it has no holes");
            std::fs::remove_file(&to).unwrap();
        }
    }
}
