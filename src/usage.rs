//! Measures trees: allocated blocks and inodes, each inode once, on one filesystem.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::policy::Usage;

/// What a directory and everything below it takes; what vanishes meanwhile takes nothing.
pub fn measure(dir: &Path) -> Usage {
    Counter::default().count(dir)
}

/// Counts several files and directories, and what they have in common once.
#[derive(Debug, Default)]
pub struct Counter {
    seen: BTreeSet<u64>,
}

impl Counter {
    /// What a path and everything below it takes that was not counted before.
    pub fn count(&mut self, path: &Path) -> Usage {
        let walk = walkdir::WalkDir::new(path).same_file_system(true).into_iter().flatten();
        let metadata = walk.filter_map(|item| item.metadata().ok());
        // A directory has more than one link too, and is not come to twice.
        let once = metadata.filter(|metadata| {
            metadata.is_dir() || metadata.nlink() < 2 || self.seen.insert(metadata.ino())
        });
        once.fold(Usage::default(), |sum, metadata| {
            sum.plus(Usage { bytes: metadata.blocks().saturating_mul(512), inodes: 1 })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn hard_links_count_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), vec![1; 100_000]).unwrap();
        let one = measure(dir.path());
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(measure(dir.path()), one);
        assert!((100_000..140_000).contains(&one.bytes), "{one:?}");
        assert_eq!(one.inodes, 2);
    }
}
