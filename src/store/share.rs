//! What sharing keeps in a store: the highest counter of each scope that was seen, and what restic would have to
//! fetch again. And how what was pulled takes the place of what was there.

#![expect(clippy::disallowed_methods, reason = "puts a pulled directory in place")]

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::layout::{EntryPaths, Store};
use super::lock::Lock;
use super::open::OpenError;
use crate::base::atomic::{self, RecordError};
use crate::base::fault;
use crate::base::path_error::At;
use crate::store::evict::Trash;

/// `share/<scope>.json`
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    counter: u64,
}

/// `share/server.json`
#[derive(Debug, Serialize, Deserialize)]
struct Server {
    repository: String,
    deletes: bool,
}

impl Store {
    /// Where restic keeps what it would have to fetch again.
    pub(crate) fn share_cache(&self) -> PathBuf {
        self.root().join("share/cache")
    }

    fn seen(&self, scope: &str) -> PathBuf {
        self.root().join("share").join(format!("{scope}.json"))
    }

    /// The highest counter of a scope that was seen here; 0 for none. A damaged record is an error: nobody would
    /// know any more what is old.
    pub(crate) fn seen_counter(&self, scope: &str) -> Result<u64, RecordError> {
        let seen: Option<Seen> = atomic::read_json(&self.seen(scope))?;
        Ok(seen.map_or(0, |seen| seen.counter))
    }

    /// Records, durably, that a counter was seen; it never goes back.
    pub(crate) fn see_counter(&self, scope: &str, counter: u64) -> Result<(), StoreError> {
        if self.seen_counter(scope)? < counter {
            self.make_inner("share")?;
            atomic::write_json(&self.seen(scope), &Seen { counter })?;
        }
        Ok(())
    }

    /// Whether a server let anything be removed, as far as that was found out.
    pub(crate) fn deletes(&self, repository: &str) -> Option<bool> {
        let known: Server = atomic::read_json(&self.server()).ok()??;
        (known.repository == repository).then_some(known.deletes)
    }

    /// Records whether a server let something be removed.
    pub(crate) fn note_whether_deletes(
        &self,
        repository: &str,
        deletes: bool,
    ) -> Result<(), StoreError> {
        if self.deletes(repository) == Some(deletes) {
            return Ok(());
        }
        self.make_inner("share")?;
        let server = Server { repository: repository.to_owned(), deletes };
        Ok(atomic::write_json(&self.server(), &server)?)
    }

    fn server(&self) -> PathBuf {
        self.root().join("share/server.json")
    }

    /// Puts a directory that is complete, with all its records, in the place of the one that is there, under its
    /// lock. A crash in between leaves the one before, or none.
    pub(crate) fn adopt(&self, paths: &EntryPaths, _lock: &Lock) -> Result<(), OpenError> {
        let staging = &paths.staging();
        let sync =
            |dir: &Path| atomic::sync_directory(dir).at("sync", dir).map_err(StoreError::from);
        sync(staging)?;
        Trash::new(self).take_replaced(paths)?;
        fault::point("store.adopt");
        fs::rename(staging, &paths.dir).at("move", staging).map_err(StoreError::from)?;
        sync(paths.dir.parent().unwrap_or(Path::new("/")))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        assert_eq!(store.seen_counter("scope-x").unwrap(), 0);
        for (seen, highest) in [(3, 3), (2, 3), (7, 7)] {
            store.see_counter("scope-x", seen).unwrap();
            assert_eq!(store.seen_counter("scope-x").unwrap(), highest);
        }
        assert_eq!(store.seen_counter("scope-y").unwrap(), 0);
        fs::write(store.seen("scope-x"), "{").unwrap();
        assert!(store.seen_counter("scope-x").is_err());
        assert!(store.see_counter("scope-x", 9).is_err());
    }
}
