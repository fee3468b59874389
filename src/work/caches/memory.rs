//! What Go may remember of a checkout, as far as it can be wrong about it later.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::moment::Moment;
use crate::base::tree::{Made, Node, Tree};

/// What is remembered from one use to the next. It is written at the end of each use: what a use leaves
/// in the caches that has no end is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Every file that ever was in the checkout.
    pub files: BTreeMap<Vec<u8>, File>,
    /// What the command itself wrote into the checkout.
    pub made: Made,
    /// Whether anything of that may have been read by a C compiler.
    pub makes_c: bool,
    /// Modules outside of the checkout, by path as seen by the compiler.
    pub outside: BTreeMap<Vec<u8>, Tree>,
}

/// So many moments of a file are told apart.
const MOMENTS: usize = 16;

/// A file of the checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct File {
    /// Its content when it was last there.
    pub content: Digest,
    /// The modification times that it had, and with which content.
    moments: BTreeMap<Moment, Digest>,
    /// Of this one and earlier ones it is not known any more.
    forgotten: Moment,
    /// Whether it is a Go file that imports "C".
    pub cgo: bool,
}

impl File {
    fn new(content: Digest, at: Moment, cgo: bool) -> Self {
        Self { content, moments: [(at, content)].into(), forgotten: Moment::MIN, cgo }
    }

    /// Takes in that it has this content at this time; says whether that time may have stood for another.
    fn has(&mut self, content: Digest, at: Moment) -> bool {
        let is_taken =
            self.moments.get(&at).map_or(at <= self.forgotten, |known| *known != content);
        self.content = content;
        self.moments.insert(at, content);
        if self.moments.len() > MOMENTS {
            self.forgotten = self.moments.pop_first().map_or(self.forgotten, |(at, _)| at);
        }
        is_taken
    }
}

impl Memory {
    /// What Go is going to see in a checkout; `is_cgo` is asked about Go files whose content is not
    /// known. Returns the files whose time stood for another content before.
    ///
    /// Go's index of packages trusts names, sizes and modification times
    /// (`cmd/go/internal/modindex/read.go`, `dirHash`, Go 1.19), and lies in its build cache. So that has
    /// to go where a file has a time that it had with another content.
    pub(super) fn see(&mut self, checkout: &Tree, is_cgo: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let mut taken = Vec::new();
        for (path, entry) in checkout.iter() {
            let Node::File(content) = &entry.node else { continue };
            let key = path.as_os_str().as_bytes().to_vec();
            let is_go = path.extension() == Some(OsStr::new("go"));
            let at = entry.stamp.mtime;
            let Some(known) = self.files.get_mut(&key) else {
                self.files.insert(key, File::new(*content, at, is_go && is_cgo(&path)));
                continue;
            };
            if known.content != *content {
                known.cgo = is_go && is_cgo(&path);
            }
            if known.has(*content, at) {
                taken.push(path);
            }
        }
        taken
    }

    /// Forgets what Go cannot remember any more, because its build cache is gone: all but what the files
    /// of the checkout are now.
    pub(super) fn begin_anew(&mut self, checkout: &Tree) {
        self.files.retain(|path, file| {
            let now = checkout.get(Path::new(OsStr::from_bytes(path)));
            if let Some(now) = now {
                *file = File::new(file.content, now.stamp.mtime, file.cgo);
            }
            now.is_some()
        });
    }

    /// Whether any file that is in the checkout imports "C".
    pub(super) fn has_cgo(&self, checkout: &Tree) -> bool {
        let cgo = self.files.iter().filter(|(_, file)| file.cgo);
        cgo.map(|(path, _)| Path::new(OsStr::from_bytes(path)))
            .any(|path| checkout.get(path).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use filetime::FileTime;

    use super::*;

    #[test]
    fn a_time_that_stood_for_another_content_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.go");
        let mut memory = Memory::default();
        let mut step = |content: &str, seconds: i64| {
            fs::write(&file, content).unwrap();
            filetime::set_file_mtime(&file, FileTime::from_unix_time(seconds, 0)).unwrap();
            let tree = Tree::observe_all(dir.path(), None).unwrap();
            memory.see(&tree, |_| false).is_empty()
        };
        assert!(step("one", 5));
        assert!(step("one", 5));
        assert!(!step("two", 5), "another content with the same time");
        assert!(step("two", 5), "and from now on it is known");
        assert!(step("one", 3), "a time that it never had");
        assert!(!step("six", 3));
        for later in 0..20 {
            assert!(step("six", 100 + later));
        }
        assert!(!step("ten", 3), "so long ago that nothing is known of it");
        assert!(step("ten", 4_000_000_000));
    }
}
