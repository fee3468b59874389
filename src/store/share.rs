//! What sharing keeps in a store: the highest counter of each scope that was seen, and what restic would have to
//! fetch again. And how what was pulled takes the place of what was there.

#![expect(clippy::disallowed_methods, reason = "puts a pulled directory in place")]

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::EntryRecord;
use super::error::StoreError;
use super::layout::{EntryPaths, Store};
use super::lock::Lock;
use super::open::OpenError;
use crate::base::atomic::{self, RecordError};
use crate::base::fault;
use crate::base::path_error::At;
use crate::observe::identity::IdentityRecord;
use crate::store::evict::Trash;

/// `share/<scope>.json`
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    /// The highest, whoever signed it.
    counter: u64,
    /// The highest of each key; nothing in what an older larder wrote.
    #[serde(default)]
    by: Vec<SeenBy>,
}

/// The highest counter of a key that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenBy {
    pub counter: u64,
    /// The principal that signed it.
    pub signer: String,
    /// The public key, in base64; empty if it is not known.
    pub key: String,
    /// The signature; empty where an older larder saw it.
    pub signature: String,
    /// When it was seen, in seconds since the epoch.
    pub at: u64,
}

/// So many keys are remembered for a scope: no more sign it than that.
const KEYS: usize = 16;

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

    fn seen_record(&self, scope: &str) -> PathBuf {
        self.root().join("share").join(format!("{scope}.json"))
    }

    /// The highest counters of a scope that were seen here, one of each key, the highest first. A damaged record is an
    /// error: nobody would know any more what is old.
    pub(crate) fn seen(&self, scope: &str) -> Result<Vec<SeenBy>, RecordError> {
        let seen: Seen = atomic::read_json(&self.seen_record(scope))?.unwrap_or_default();
        let mut by = seen.by;
        if by.is_empty() && seen.counter > 0 {
            let (counter, none) = (seen.counter, String::new());
            by.push(SeenBy {
                counter,
                signer: none.clone(),
                key: none.clone(),
                signature: none,
                at: 0,
            });
        }
        by.sort_by_key(|seen| std::cmp::Reverse(seen.counter));
        Ok(by)
    }

    /// Records, durably, that a counter was seen; that of a key never goes back.
    pub(crate) fn see_counter(&self, scope: &str, new: SeenBy) -> Result<(), StoreError> {
        let mut by = self.seen(scope)?;
        match by.iter_mut().find(|seen| (&seen.signer, &seen.key) == (&new.signer, &new.key)) {
            Some(known) if known.counter >= new.counter => return Ok(()),
            Some(known) => *known = new,
            None => by.push(new),
        }
        by.sort_by_key(|seen| std::cmp::Reverse(seen.counter));
        by.truncate(KEYS);
        let counter = by.first().map_or(0, |seen| seen.counter);
        self.make_inner("share")?;
        Ok(atomic::write_json(&self.seen_record(scope), &Seen { counter, by })?)
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

    /// Has a directory serve another identity from now on: it takes the place of what is there under that one's lock,
    /// and its own is held too. A crash in between leaves one of them, or none.
    pub(crate) fn hand_over(
        &self,
        from: &EntryPaths,
        to: &EntryPaths,
        (identity, record): (&IdentityRecord, &EntryRecord),
        lock: &Lock,
    ) -> Result<(), OpenError> {
        let staging = to.staging();
        Trash::new(self).take(&staging)?;
        fault::point("store.hand-over");
        fs::rename(&from.dir, &staging).at("move", &from.dir).map_err(StoreError::from)?;
        let place = |path: PathBuf| staging.join(path.file_name().unwrap_or_default());
        let record_it = || {
            atomic::write(&place(to.identity()), &identity.encoded()?, 0o644)?;
            atomic::write_json(&place(to.record()), record)?;
            Ok::<_, StoreError>(())
        };
        if let Err(error) = record_it() {
            // The record is the last that is written: with that of before it is what it was.
            let _ = fs::rename(&staging, &from.dir);
            return Err(error.into());
        }
        self.adopt(to, lock)
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

    fn by(key: &str, counter: u64) -> SeenBy {
        let (signer, signature) = ("a@x".to_owned(), "signature".to_owned());
        SeenBy { counter, signer, key: key.to_owned(), signature, at: 1 }
    }

    #[test]
    fn the_counter_of_a_key_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        let seen = |scope: &str| -> Vec<(String, u64)> {
            store.seen(scope).unwrap().into_iter().map(|seen| (seen.key, seen.counter)).collect()
        };
        assert!(seen("scope-x").is_empty());
        for (counter, highest) in [(3, 3), (2, 3), (7, 7)] {
            store.see_counter("scope-x", by("one", counter)).unwrap();
            assert_eq!(seen("scope-x"), [("one".to_owned(), highest)]);
        }
        store.see_counter("scope-x", by("two", 9)).unwrap();
        assert_eq!(seen("scope-x"), [("two".to_owned(), 9), ("one".to_owned(), 7)]);
        assert!(seen("scope-y").is_empty());
        // What an older larder wrote counts, whoever signed it.
        fs::write(store.seen_record("scope-z"), "{\"counter\": 5}").unwrap();
        store.see_counter("scope-z", by("one", 2)).unwrap();
        assert_eq!(seen("scope-z"), [(String::new(), 5), ("one".to_owned(), 2)]);
        fs::write(store.seen_record("scope-x"), "{").unwrap();
        assert!(store.seen("scope-x").is_err());
        assert!(store.see_counter("scope-x", by("one", 9)).is_err());
    }
}
