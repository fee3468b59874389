//! Paths in the configuration of other programs, which cannot all quote everything.

use std::path::{Path, PathBuf};

/// A path that cannot be written where it would be needed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{consumer} cannot take the path {path:?}: it contains {what}; use another path")]
pub(crate) struct ForeignPathError {
    consumer: &'static str,
    path: PathBuf,
    what: &'static str,
}

impl ForeignPathError {
    /// The consumer cannot take the path because of what it contains.
    pub(crate) fn new(consumer: &'static str, path: &Path, what: &'static str) -> Self {
        Self { consumer, path: path.to_owned(), what }
    }
}

/// The path as text, which is all that configuration can hold.
pub(crate) fn text<'a>(
    path: &'a Path,
    consumer: &'static str,
) -> Result<&'a str, ForeignPathError> {
    let bytes = || ForeignPathError::new(consumer, path, "bytes that are not UTF-8");
    path.to_str().ok_or_else(bytes)
}
