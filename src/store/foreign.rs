//! What is in `projects/` and is none of larder's: counted and named, and never removed, because nothing tells what it
//! is to whom (decision 115).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::StoreError;
use super::layout::Store;
use crate::base::names::ProjectName;
use crate::base::path_error::At;
use crate::base::quantity::Usage;
use crate::base::usage;

/// Something in a store that larder did not put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Foreign {
    pub path: PathBuf,
    /// What it takes, measured when it was looked at.
    #[serde(flatten)]
    pub usage: Usage,
}

impl Store {
    /// All that is in `projects/` and has no name of larder's. It is measured, which takes as long as it is large.
    pub(crate) fn foreign(&self) -> Result<Vec<Foreign>, StoreError> {
        let dir = self.root().join("projects");
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("read", &dir)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.at("read", &dir)?;
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            let project = name.to_str().and_then(|name| name.parse::<ProjectName>().ok());
            match project.filter(|_| is_dir) {
                Some(project) => {
                    let others = self.names(&project)?.others;
                    found.extend(others.iter().map(|name| entry.path().join(name)));
                }
                None => found.push(entry.path()),
            }
        }
        // Halves of records are larder's own, and go.
        found.retain(|path| !is_half(path));
        found.sort();
        let measured = found.into_iter().map(|path| Foreign { usage: usage::measure(&path), path });
        Ok(measured.collect())
    }
}

fn is_half(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-"))
}

impl Foreign {
    /// What it is, and what is to be done, on one line.
    pub(crate) fn in_words(&self) -> String {
        let size = crate::output::size(self.usage.bytes);
        format!(
            "{} is none of larder's, takes {size}, and stays; move it out of the store, or remove it by hand",
            self.path.display()
        )
    }
}
