//! What the system refused to do with a path: the only error that says so, in all rooms.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::base::regular;

/// The system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
pub struct PathError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PathError {
    pub(crate) fn new(verb: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { verb, path: path.to_owned(), source: source.into() }
    }

    /// Whether it is of something in a directory, and the system refused because of what is there: not for want of
    /// space, and not because the disk fails.
    pub(crate) fn is_of_what_is_in(&self, dir: &Path) -> bool {
        const OF_WHAT_IS_THERE: [Errno; 11] = [
            Errno::PERM,
            Errno::ACCESS,
            Errno::NAMETOOLONG,
            Errno::LOOP,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::EXIST,
            Errno::NOTEMPTY,
            Errno::NXIO,
            Errno::NODEV,
            Errno::NOENT,
        ];
        let said = self.source.raw_os_error();
        let is_known = || OF_WHAT_IS_THERE.iter().any(|errno| Some(errno.raw_os_error()) == said);
        let is_closed = self.kind() == io::ErrorKind::PermissionDenied;
        self.path.starts_with(dir) && (is_known() || is_closed || regular::is_odd(&self.source))
    }

    /// Why, for those who go on after some refusals.
    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Says of the system's answer what was to be done, and with what.
pub(crate) trait At<T> {
    /// `verb` is what follows "cannot" in the message.
    fn at(self, verb: &'static str, path: impl AsRef<Path>) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, verb: &'static str, path: impl AsRef<Path>) -> Result<T, PathError> {
        self.map_err(|error| PathError::new(verb, path.as_ref(), error))
    }
}
