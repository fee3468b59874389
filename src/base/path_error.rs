//! What the system refused to do with a path: the only error that says so, in all rooms.

use std::io;
use std::path::{Path, PathBuf};

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
