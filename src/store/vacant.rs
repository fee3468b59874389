//! Whether a store may be made at a place.

use std::fs;
use std::io;
use std::path::Path;

use super::error::StoreError;
use super::marker::TAG;
use crate::base::path_error::{At, PathError};

/// What a store that was begun may hold already.
const FILES: [&str; 10] = [
    "lost+found",
    "larder.toml",
    "lock",
    "moving.lock",
    "cargo-home",
    "downloads.json",
    "downloads.lock",
    "history",
    "history.old",
    "totals.json",
];

/// The directories that it may hold, if they are empty.
const DIRECTORIES: [&str; 4] = ["bin", "observed", "projects", "trash"];

/// Whether a directory holds nothing but what a new filesystem or an interrupted start left.
pub(super) fn is_vacant(root: &Path) -> Result<bool, StoreError> {
    let vacant = |name: &String| {
        let empty = || names_in(&root.join(name)).is_ok_and(|inner| inner.is_empty());
        match name.as_str() {
            TAG => fs::metadata(root.join(name)).is_ok_and(|tag| tag.len() == 0),
            name if FILES.contains(&name) || name.starts_with(".new-") => true,
            name => DIRECTORIES.contains(&name) && empty(),
        }
    };
    Ok(names_in(root)?.iter().all(vacant))
}

/// The names in a directory, in order; none where there is no directory.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(PathError::new("read", dir, error).into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.at("read", dir)?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
