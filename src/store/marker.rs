//! What makes a directory a store: `CACHEDIR.TAG`, with the number of the store's format.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::base::atomic::{self, RecordError, undamaged};
use crate::base::path_error::PathError;
use crate::base::regular;

/// The file that marks a store, and every other directory of caches.
pub(crate) const TAG: &str = "CACHEDIR.TAG";

/// No tag is longer.
pub(super) const LONGEST: u64 = 64 * 1024;

/// The first line that every cache directory tag has (bford.info/cachedir).
const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55";

/// The line that makes a tagged directory a store, with the format's number behind it.
const MARKER: &str = "# larder store, format ";

/// In a store that is to be moved: where to.
pub(crate) const MOVING: &str = "moving.json";

/// In a copy of a store: where it was copied from.
pub(crate) const ORIGIN: &str = "moved-from.json";

/// A move that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Moving {
    /// Where the store was.
    pub from: PathBuf,
    /// Where it is to be.
    pub to: PathBuf,
    pub token: String,
}

/// Where a copied store was before, and where that is set aside until it is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub from: PathBuf,
    /// Where that is until it is removed.
    pub aside: PathBuf,
    pub token: String,
}

impl Moving {
    /// The record in a directory; nothing if there is none that can be read.
    pub(crate) fn of(dir: &Path) -> Result<Option<Self>, RecordError> {
        undamaged(atomic::read_json(&dir.join(MOVING)))
    }
}

impl Origin {
    /// The record in a directory; nothing if there is none that can be read.
    pub(crate) fn of(dir: &Path) -> Result<Option<Self>, RecordError> {
        undamaged(atomic::read_json(&dir.join(ORIGIN)))
    }
}

/// The text of a store's marker.
pub(super) fn text(format: u32) -> String {
    format!("{SIGNATURE}\n{MARKER}{format}\n")
}

/// The format of the store that a directory is, if it is one. A copy is none until the store that it was
/// copied from is given up.
pub(super) fn format_of(root: &Path) -> Result<Option<u32>, StoreError> {
    let format = marked(root)?;
    Ok(format.filter(|_| !is_unfinished_copy(root)))
}

/// The format that the marker in a directory says, if there is one.
pub(super) fn marked(root: &Path) -> Result<Option<u32>, StoreError> {
    let path = root.join(TAG);
    let text = match regular::read_own(&path, LONGEST) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if regular::is_odd(&error) => return Ok(None),
        Err(error) => return Err(PathError::new("read", &path, error).into()),
    };
    Ok(format_in(&text))
}

/// The format's number in the text of a store's marker.
pub(super) fn format_in(text: &str) -> Option<u32> {
    if !text.starts_with(SIGNATURE) {
        return None;
    }
    let format = text.lines().find_map(|line| line.strip_prefix(MARKER))?;
    format.trim().parse().ok()
}

/// Whether a directory is a copy of a store that is still where it was: not yet a store itself.
fn is_unfinished_copy(dir: &Path) -> bool {
    let Ok(Some(origin)) = Origin::of(dir) else { return false };
    let moving = Moving::of(&origin.from).ok().flatten();
    let is_that_move = moving.is_some_and(|moving| moving.token == origin.token);
    is_that_move && matches!(marked(&origin.from), Ok(Some(_)))
}
