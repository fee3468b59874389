//! Regular files, opened without waiting for anybody, and read no further than they may be long.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// A text that people or tools write (a manifest, a lock file, a script) is hardly a thousandth of this.
pub(crate) const TEXT: u64 = 64 << 20;

/// Opens a regular file to read it, by way of links too. A FIFO nobody writes to would be waited for, and a device
/// may do anything: those are refused.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
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
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!(
            "it has more than {most} bytes; put a shorter one there, or take it away"
        )));
    }
    Ok(bytes)
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
