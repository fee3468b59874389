//! What Go may remember of a checkout, as far as it can be wrong about it later.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::tree::{Made, Nanoseconds, Node, Tree, now};

/// What is remembered from one use to the next. It is written at the end of each use: what a use leaves
/// in the caches that has no end is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Every file that ever was in the checkout.
    pub files: BTreeMap<Vec<u8>, File>,
    /// What the command itself wrote into the checkout.
    pub made: Made,
    /// Whether anything of that may have been read by a C compiler.
    pub makes_c: bool,
    /// Modules outside of the checkout, by path as seen by the compiler.
    pub outside: BTreeMap<Vec<u8>, Tree>,
}

/// A file of the checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its content when it was last there.
    pub content: Digest,
    /// Its modification time then.
    pub at: Nanoseconds,
    /// The latest modification time that it ever had.
    pub latest: Nanoseconds,
    /// Whether it is a Go file that imports "C".
    pub cgo: bool,
}

impl Memory {
    /// What Go is going to see in a checkout; `is_cgo` is asked about Go files whose content is not
    /// known. Returns the times that have to be set so that it sees every change.
    ///
    /// Go's index of packages trusts names, sizes and modification times
    /// (`cmd/go/internal/modindex/read.go`, `dirHash`, Go 1.19). So no file may ever have the same time
    /// twice with different content. A time that is later than all that the file ever had is left alone.
    pub fn see(
        &mut self,
        checkout: &Tree,
        is_cgo: impl Fn(&Path) -> bool,
    ) -> Vec<(PathBuf, Nanoseconds)> {
        let mut times = Vec::new();
        for (path, entry) in checkout.iter() {
            let Node::File(content) = &entry.node else { continue };
            let key = path.as_os_str().as_bytes().to_vec();
            let is_go = path.extension() == Some(OsStr::new("go"));
            let mtime = entry.stamp.mtime;
            let Some(known) = self.files.get_mut(&key) else {
                let cgo = is_go && is_cgo(&path);
                let file = File { content: *content, at: mtime, latest: mtime, cgo };
                self.files.insert(key, file);
                continue;
            };
            let is_same = known.content == *content;
            if !is_same {
                (known.content, known.cgo) = (*content, is_go && is_cgo(&path));
            }
            if mtime > known.latest {
                (known.at, known.latest) = (mtime, mtime);
            } else if is_same && mtime != known.at {
                times.push((path, known.at));
            } else if !is_same {
                known.latest = now().max(known.latest.saturating_add(1));
                known.at = known.latest;
                times.push((path, known.at));
            }
        }
        times
    }

    /// Forgets files that are not in the checkout any more: of them Go remembers nothing either.
    pub fn forget_gone(&mut self, checkout: &Tree) {
        self.files.retain(|path, _| checkout.get(Path::new(OsStr::from_bytes(path))).is_some());
    }

    /// Whether any file that is in the checkout imports "C".
    pub fn has_cgo(&self, checkout: &Tree) -> bool {
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
    fn no_content_ever_has_the_time_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.go");
        let mut memory = Memory::default();
        let mut seen: BTreeMap<Nanoseconds, String> = BTreeMap::new();
        let mut step = |content: &str, seconds: i64| {
            fs::write(&file, content).unwrap();
            filetime::set_file_mtime(&file, FileTime::from_unix_time(seconds, 0)).unwrap();
            let tree = Tree::observe_all(dir.path(), None).unwrap();
            let times = memory.see(&tree, |_| false);
            let own = tree.get(Path::new("a.go")).unwrap().stamp.mtime;
            let at = times.first().map_or(own, |(_, at)| *at);
            let other = seen.insert(at, content.to_owned());
            assert!(other.is_none_or(|other| other == content), "{content} at {at}");
            times.is_empty()
        };
        assert!(step("one", 5));
        assert!(step("one", 5));
        assert!(!step("two", 5), "another content with the same time");
        assert!(!step("two", 5), "as unpacked again");
        assert!(!step("one", 5), "back again");
        assert!(!step("one", 3));
        assert!(!step("six", 4));
        assert!(step("six", 4_000_000_000), "later than ever");
        assert!(!step("ten", 4_000_000_000));
    }
}
