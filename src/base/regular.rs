//! Regular files, opened without waiting for anybody, and read no further than they may be long.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

/// A text that people or tools write (a manifest, a lock file, a script) is hardly a thousandth of this.
pub(crate) const TEXT: u64 = 64 << 20;

/// How a file is opened: nobody is waited for, and no terminal taken.
const CAREFULLY: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens a regular file to read it, by way of links too. A FIFO nobody writes to would be waited for, and a device
/// may do anything: those are refused.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    regular(File::from(rustix::fs::open(path, CAREFULLY, Mode::empty())?))
}

/// The same of a file of larder's own, where a build could put anything: a link is not followed.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    open_own_in(rustix::fs::CWD, path)
}

/// The same of a name below an open directory.
pub(crate) fn open_own_in(dir: impl AsFd, name: impl Arg) -> io::Result<File> {
    let opened = rustix::fs::openat(dir, name, CAREFULLY | OFlags::NOFOLLOW, Mode::empty());
    match opened {
        Err(Errno::LOOP) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a symbolic link; put the file itself there, or take it away",
        )),
        other => regular(File::from(other?)),
    }
}

/// Opens a directory, to lock it or to bring its names to disk.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    Ok(File::from(rustix::fs::open(path, CAREFULLY | OFlags::DIRECTORY, Mode::empty())?))
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file; put one there, or take it away",
        ))
    }
}

/// The bytes of a regular file that has at most so many: others are refused, and no more than that is read.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_open(&open(path)?, most)
}

/// The same of a file of larder's own.
pub(crate) fn read_own(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_open(&open_own(path)?, most)
}

/// The same of a file that is open. One that is larger is not even begun.
pub(crate) fn read_open(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = file.metadata()?.len();
    if length <= most {
        bytes.reserve_exact(usize::try_from(length).unwrap_or(0));
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if length > most || bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes; put a shorter one there, or take it away"),
        ));
    }
    Ok(bytes)
}

/// Whether an error of the above says that what is there is nothing that larder would have written: no regular file,
/// or one that is too long.
pub(crate) fn is_odd(error: &io::Error) -> bool {
    const NODES: [Errno; 4] = [Errno::LOOP, Errno::NXIO, Errno::NODEV, Errno::ISDIR];
    let is_of_node = |number| NODES.iter().any(|errno| errno.raw_os_error() == number);
    match error.raw_os_error() {
        Some(number) => is_of_node(number),
        None => matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge),
    }
}

/// The same of a text, which is no longer than [`TEXT`].
pub(crate) fn text(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read(path, TEXT)?);
    text.map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text; write it as that")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (file, fifo) = (dir.path().join("file"), dir.path().join("fifo"));
        std::fs::write(&file, "").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(open(&file).is_ok());
        for other in [&fifo, dir.path(), Path::new("/dev/null"), &dir.path().join("none")] {
            assert!(open(other).is_err(), "{}", other.display());
        }
    }

    #[test]
    fn of_larders_own_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "four").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read(&link, 4).unwrap(), b"four");
        assert_eq!(read_own(&file, 4).unwrap(), b"four");
        for (path, most) in [(&link, 4), (&file, 3), (&dir.path().to_owned(), 4)] {
            assert!(is_odd(&read_own(path, most).unwrap_err()), "{}", path.display());
        }
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(is_odd(&read_own(&socket, 4).unwrap_err()));
        assert!(!is_odd(&read_own(&dir.path().join("none"), 4).unwrap_err()));
    }

    #[test]
    fn nothing_is_read_further_than_it_may_be_long() {
        let dir = tempfile::tempdir().unwrap();
        let (file, zero) = (dir.path().join("file"), dir.path().join("zero"));
        std::fs::write(&file, "four").unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"four");
        assert!(read(&file, 3).unwrap_err().to_string().starts_with("it has more than 3 bytes; "));
        std::os::unix::fs::symlink("/dev/zero", &zero).unwrap();
        assert!(text(&zero).unwrap_err().to_string().starts_with("it is no regular file; "));
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(text(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
        File::options().write(true).open(&file).unwrap().set_len(TEXT + 1).unwrap();
        assert!(text(&file).unwrap_err().to_string().contains("more than"));
    }
}
