//! What the shared downloads take. They are measured only when something was added or removed, which
//! shows in the times of the few directories that packages are unpacked in.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Store;
use crate::base::atomic::{self, RecordError};
use crate::base::quantity::Usage;
use crate::base::usage;

/// `cargo-home/usage.json`
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
    let places = ["registry/cache", "registry/src", "registry/index", "git/db", "git/checkouts"];
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
        let package = store.cargo_home().join("registry/src/index/package");
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
