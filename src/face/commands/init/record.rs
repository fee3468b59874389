//! What `larder init` did for a repository, so that it can be taken back:
//! `<store>/repositories/<digest of the repository's path>.json`.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
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
        let path = path(store, repository);
        let record = atomic::read_json(&path)?.unwrap_or_else(new);
        if !record.is_of(repository) {
            bail!(
                "{} names files that are not of {}; remove it, and take back by hand what `larder init` changed",
                path.display(),
                repository.display()
            );
        }
        Ok(record)
    }

    /// Whether it is about a repository, and about files in it alone: whoever sees the store may have written it.
    fn is_of(&self, repository: &Path) -> bool {
        let changed = self.changes.iter().map(|change| &change.file);
        let mut files = changed.chain(self.added.iter().map(|(file, _)| file));
        let is_plain = |part| matches!(part, Component::Normal(_));
        self.repository == repository
            && files.all(|file| file.components().all(is_plain) && !file.as_os_str().is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_names_files_of_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let own = Path::new("/srv/image");
        let record = |repository: &str, changed: &str, added: &str| Record {
            repository: repository.into(),
            changes: vec![Change { file: changed.into(), hunks: Vec::new() }],
            added: vec![(added.into(), String::new())],
            ..Record::default()
        };
        let read = |record: &Record| {
            // Whoever sees the store can put one in the place of another.
            store.make_inner(DIRECTORY).unwrap();
            atomic::write_json(&path(&store, own), record).unwrap();
            Record::read(&store, own)
        };
        assert!(read(&record("/srv/image", "mkosi.build", "src/larder.sh")).is_ok());
        for (repository, changed, added) in [
            ("/etc", "passwd", "larder.sh"),
            ("/srv/image", "../../etc/passwd", "larder.sh"),
            ("/srv/image", "/etc/passwd", "larder.sh"),
            ("/srv/image", "mkosi.build", "../larder.sh"),
            ("/srv/image", "mkosi.build", ""),
        ] {
            let refused = read(&record(repository, changed, added)).unwrap_err().to_string();
            assert!(refused.contains("names files that are not of /srv/image"), "{refused}");
        }
    }
}
