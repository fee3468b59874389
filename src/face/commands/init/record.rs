//! What `larder init` did for a repository, so that it can be taken back:
//! `<store>/repositories/<digest of the repository's path>.json`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::base::atomic;
use crate::base::digest::Digest;
use crate::image::mkosi::Include;
use crate::image::script::patch::Hunk;
use crate::store::{Store, evict};

/// What was done for one repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub repository: PathBuf,
    /// The include files that its images take.
    pub includes: Vec<Include>,
    /// What was changed in files, in the order in which it was.
    pub changes: Vec<Change>,
    /// Files that were added, relative to the repository, with the digest of what was written.
    pub added: Vec<(PathBuf, String)>,
}

/// What was changed in a file at one time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The file, relative to the repository.
    pub file: PathBuf,
    pub hunks: Vec<Hunk>,
}

impl Record {
    /// What is recorded of a repository, or nothing yet.
    pub(crate) fn read(store: &Store, repository: &Path) -> Result<Self> {
        let new = || Self { repository: repository.to_owned(), ..Self::default() };
        Ok(atomic::read_json(&path(store, repository))?.unwrap_or_else(new))
    }

    /// Whether there is one.
    pub(crate) fn exists(store: &Store, repository: &Path) -> bool {
        path(store, repository).exists()
    }

    /// Adds include files to those that are in use.
    pub(crate) fn use_includes(&mut self, includes: Vec<Include>) {
        self.includes.retain(|include| !includes.contains(include));
        self.includes.extend(includes);
    }

    /// Records it, durably.
    pub(crate) fn write(&self, store: &Store) -> Result<()> {
        store.make_inner(DIRECTORY)?;
        Ok(atomic::write_json(&path(store, &self.repository), self)?)
    }

    /// Forgets it.
    pub(crate) fn remove(&self, store: &Store) -> Result<()> {
        Ok(evict::remove_record(store, &path(store, &self.repository))?)
    }
}

/// All that is recorded in a store.
pub(crate) fn all(store: &Store) -> Result<Vec<Record>> {
    let names = std::fs::read_dir(store.root().join(DIRECTORY)).into_iter().flatten().flatten();
    let mut records = Vec::new();
    for name in names.filter(|name| name.path().extension().is_some_and(|ending| ending == "json"))
    {
        records.extend(atomic::read_json(&name.path())?);
    }
    Ok(records)
}

const DIRECTORY: &str = "repositories";

fn path(store: &Store, repository: &Path) -> PathBuf {
    let digest = Digest::of(repository.as_os_str().as_encoded_bytes()).to_string();
    store.root().join(DIRECTORY).join(format!("{}.json", &digest[..16]))
}
