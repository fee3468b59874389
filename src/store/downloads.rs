//! The archives that the directories of a store share, and what they take.
//!
//! Nothing of them is believed: who takes one compares it with the checksum of its own lock file. What they take is
//! measured only when something was added or removed, which shows in the times of the directories that they are in.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::evict::{EvictError, Trash};
use super::layout::Store;
use crate::base::atomic::{self, RecordError};
use crate::base::path_error::{At, PathError};
use crate::base::quantity::Usage;
use crate::base::usage;
use crate::observe::sources::read_true;

/// Where they are in the store's `cargo-home/`: as in Cargo's own.
const ARCHIVES: &str = "registry/cache";

/// An archive that could not be put where others find it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShareError {
    /// The system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What was in its place could not be taken away.
    #[error(transparent)]
    Evict(#[from] EvictError),
}

/// `downloads.json`
#[derive(Serialize, Deserialize)]
struct Measured {
    usage: Usage,
    /// The times of the directories that things are added to.
    seen: Vec<(PathBuf, i64, i64)>,
}

impl Store {
    /// What the shared downloads took when they were last measured.
    pub(crate) fn downloads(&self) -> Usage {
        let measured = atomic::read_json::<Measured>(&self.downloads_record()).ok().flatten();
        measured.map(|measured| measured.usage).unwrap_or_default()
    }

    /// Measures the shared downloads if anything was added or removed since the last time, or
    /// `anyway`.
    pub(crate) fn measure_downloads(&self, anyway: bool) -> Result<Usage, RecordError> {
        let home = self.cargo_home();
        let record = self.downloads_record();
        let seen = seen(&home);
        let before = atomic::read_json::<Measured>(&record).ok().flatten();
        if let Some(before) = before.filter(|before| before.seen == seen && !anyway) {
            return Ok(before.usage);
        }
        let measured = Measured { usage: measure(&home), seen };
        atomic::write_json_cache(&record, &measured)?;
        Ok(measured.usage)
    }

    /// The archive of a name with this SHA-256, in hexadecimal digits, and the name of its registry's directory.
    /// What is in its place and another goes, so that the next download takes it.
    pub(crate) fn archive(
        &self,
        file: &str,
        sum: &str,
        trash: &mut Trash<'_>,
    ) -> Result<Option<(OsString, Vec<u8>)>, EvictError> {
        let indexes = fs::read_dir(self.archives()).into_iter().flatten().flatten();
        for index in indexes.filter(|index| index.file_type().is_ok_and(|it| it.is_dir())) {
            let path = index.path().join(file);
            if let Some(bytes) = read_true(&path, sum) {
                return Ok(Some((index.file_name(), bytes)));
            }
            if fs::symlink_metadata(&path).is_ok() {
                trash.take(&path)?;
            }
        }
        Ok(None)
    }

    /// Whether there is a file in an archive's place that has its size.
    pub(crate) fn has_archive(&self, index: &OsStr, file: &str, size: u64) -> bool {
        let metadata = fs::symlink_metadata(self.archives().join(index).join(file));
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }

    /// Puts an archive where other directories find it. What is no directory on the way goes.
    pub(crate) fn add_archive(
        &self,
        index: &OsStr,
        file: &str,
        bytes: &[u8],
        trash: &mut Trash<'_>,
    ) -> Result<(), ShareError> {
        let (home, dir) = (self.cargo_home(), self.archives().join(index));
        let is_wrong =
            |path: &&Path| fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_dir());
        let way: Vec<&Path> =
            dir.ancestors().take_while(|above| above.starts_with(&home)).collect();
        for path in way.into_iter().rev().filter(is_wrong) {
            trash.take(path)?;
        }
        atomic::make_dir(&dir).at("make", &dir)?;
        let path = dir.join(file);
        if fs::symlink_metadata(&path).is_ok() {
            trash.take(&path)?;
        }
        Ok(atomic::write_copy(&path, bytes)?)
    }

    fn archives(&self) -> PathBuf {
        self.cargo_home().join(ARCHIVES)
    }

    fn downloads_record(&self) -> PathBuf {
        self.root().join("downloads.json")
    }
}

/// What was downloaded; the directories that every store has do not count.
fn measure(home: &Path) -> Usage {
    let caches = ["registry", "git"].map(|cache| home.join(cache));
    let inside =
        caches.iter().flat_map(|cache| fs::read_dir(cache).into_iter().flatten().flatten());
    inside.fold(Usage::default(), |sum, entry| sum.plus(usage::measure(&entry.path())))
}

fn seen(home: &Path) -> Vec<(PathBuf, i64, i64)> {
    let places = [ARCHIVES];
    let mut seen = Vec::new();
    for place in places {
        let below = fs::read_dir(home.join(place)).into_iter().flatten().flatten();
        let below = below.map(|entry| Path::new(place).join(entry.file_name()));
        for path in [PathBuf::from(place)].into_iter().chain(below) {
            if let Ok(metadata) = fs::symlink_metadata(home.join(&path)) {
                seen.push((path, metadata.mtime(), metadata.mtime_nsec()));
            }
        }
    }
    seen.sort();
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_measured_when_something_comes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store")).unwrap();
        assert_eq!(store.downloads(), Usage::default());
        let empty = store.measure_downloads(false).unwrap();
        let package = store.cargo_home().join("registry/cache/index/package");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("lib.rs"), vec![b'x'; 100_000]).unwrap();
        let filled = store.measure_downloads(false).unwrap();
        assert!(filled.bytes > empty.bytes + 99_999, "{filled:?}");
        assert_eq!(store.downloads(), filled);
        // What is written into a package that is there shows only when it is asked for.
        fs::write(package.join("more.rs"), vec![b'x'; 100_000]).unwrap();
        assert_eq!(store.measure_downloads(false).unwrap(), filled);
        assert!(store.measure_downloads(true).unwrap().bytes > filled.bytes);
    }
}
