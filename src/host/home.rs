//! Cargo's home: what a directory keeps of it in place of an empty cache.
//!
//! In a sandbox Cargo's home is empty every time. There the kept directory's own `registry` and `git` are
//! mounted over it, at the path that a cold build has: what builds of other directories unpacked, checked out or
//! wrote into an index is nowhere to be seen (decision 106). Where somebody has downloads of their own, on a
//! plain host, these are used as they are: a build that works offline without larder must work offline with
//! it (decision 7).
//!
//! Cargo's lock over these caches lies beside them (`.package-cache`, Cargo 1.95,
//! `util/cache_lock.rs`), so it is mounted too: calls of Cargo that share the downloads must share
//! the lock.
//!
//! The empty directories to mount on stay: to remove one takes the mount of another build away.

#![expect(clippy::disallowed_methods, reason = "makes Cargo's home, and the names to mount on")]

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::fault;
use crate::host::attach::Mounts;
use crate::observe::identity::Way;

/// The two caches.
const CACHES: [&str; 2] = ["registry", "git"];

/// What Cargo makes from them (`sources/registry/mod.rs` and `sources/git/source.rs`, Cargo 1.95).
const UNPACKED: [&str; 2] = ["registry/src", "git/checkouts"];

/// Where Cargo has directories and nothing else, and whether in these again.
const SHELVES: [(&str, bool); 7] = [
    ("registry", false),
    ("registry/index", false),
    ("registry/cache", false),
    ("registry/src", true),
    ("git", false),
    ("git/db", false),
    ("git/checkouts", true),
];

/// The mark of backups in the two caches (`util/cache_lock.rs`, Cargo 1.95).
const TAG: &str = "CACHEDIR.TAG";

/// Cargo's locks over them.
const LOCKS: [&str; 2] = [".package-cache", ".package-cache-mutate"];

/// Cargo's home as a build will see it.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    kept: Option<PathBuf>,
}

impl Home {
    /// Cargo's home at `home`, as seen from here; `kept` is where a directory keeps its own downloads.
    pub(crate) fn new(kept: PathBuf, home: PathBuf, way: Way) -> Self {
        let vacant = CACHES.iter().all(|cache| is_vacant(&home.join(cache)));
        let kept = (vacant && way == Way::Bind).then_some(kept);
        Self { path: home, kept }
    }

    /// Where the registries' downloads are, as seen from here.
    pub(crate) fn registry(&self) -> PathBuf {
        self.real().join("registry")
    }

    /// Where the git dependencies are, as seen from here.
    pub(crate) fn git(&self) -> PathBuf {
        self.real().join("git")
    }

    fn real(&self) -> &Path {
        self.kept.as_ref().unwrap_or(&self.path)
    }

    /// Where the directory keeps its own downloads, if it does.
    pub(crate) fn kept(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// What is in the directory's own downloads, absolute, that Cargo does not put there, or not so: links, FIFOs,
    /// what may not be opened, and files above packages, by which compilers, Cargo and rustup are configured.
    pub(crate) fn misplaced(&self) -> Vec<PathBuf> {
        let Some(kept) = &self.kept else { return Vec::new() };
        let mut found = Vec::new();
        check(kept.clone(), is_open, &mut found);
        for lock in LOCKS {
            let is_lock = |it: &fs::Metadata| it.is_file() && it.mode() & 0o600 == 0o600;
            check(kept.join(lock), is_lock, &mut found);
        }
        for (shelf, is_double) in SHELVES {
            check_shelf(&kept.join(shelf), is_double, &mut found);
        }
        found
    }

    /// Adds the mounts, and makes the names to mount on.
    pub(crate) fn attach(&self, mounts: &mut Mounts) -> io::Result<()> {
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        for cache in CACHES {
            fault::point("home.make");
            fs::create_dir_all(kept.join(cache))?;
            fs::create_dir_all(self.path.join(cache))?;
            mounts.bind(&kept.join(cache), &self.path.join(cache))?;
        }
        for lock in LOCKS {
            touch(&kept.join(lock))?;
            touch(&self.path.join(lock))?;
            mounts.bind(&kept.join(lock), &self.path.join(lock))?;
        }
        Ok(())
    }

    /// Adds mounts of empty directories, made in `dir`, over what Cargo unpacked and checked out: a build
    /// makes that again from the downloads, which stay, so that it works offline.
    ///
    /// Nothing is made in the home: where a directory is missing nothing has to be hidden.
    pub(crate) fn attach_fresh(&self, dir: &Path, mounts: &mut Mounts) -> io::Result<()> {
        for name in UNPACKED {
            if !self.real().join(name).is_dir() {
                continue;
            }
            let empty = dir.join(name);
            fault::point("home.make");
            fs::create_dir_all(&empty)?;
            mounts.bind(&empty, &self.path.join(name))?;
        }
        Ok(())
    }
}

/// Whether a directory is one that its owner may use.
fn is_open(metadata: &fs::Metadata) -> bool {
    metadata.is_dir() && metadata.mode() & 0o700 == 0o700
}

fn check(path: PathBuf, is_right: impl Fn(&fs::Metadata) -> bool, found: &mut Vec<PathBuf>) {
    let goes = found.iter().any(|above| path.starts_with(above));
    if !goes && fs::symlink_metadata(&path).is_ok_and(|metadata| !is_right(&metadata)) {
        found.push(path);
    }
}

/// Looks at a directory in which only directories are.
fn check_shelf(shelf: &Path, is_double: bool, found: &mut Vec<PathBuf>) {
    let count = found.len();
    check(shelf.to_owned(), is_open, found);
    if found.len() > count || found.iter().any(|above| shelf.starts_with(above)) {
        return;
    }
    for entry in fs::read_dir(shelf).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name == TAG {
            check(entry.path(), fs::Metadata::is_file, found);
        } else if name.as_bytes().starts_with(b".")
            || !entry.file_type().is_ok_and(|it| it.is_dir())
        {
            found.push(entry.path());
        } else if is_double {
            check_shelf(&entry.path(), false, found);
        }
    }
}

/// Whether there is nothing at a path, or an empty directory: what a cold build in a sandbox finds.
pub(crate) fn is_vacant(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn touch(path: &Path) -> io::Result<()> {
    fault::point("home.touch");
    fs::File::options().append(true).create(true).open(path).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_with_downloads_of_its_own_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, home) = (dir.path().join("kept"), dir.path().join("home"));
        let empty = Home::new(kept.clone(), home.clone(), Way::Bind);
        assert!(empty.registry().starts_with(&kept));
        fs::create_dir_all(home.join("registry/index")).unwrap();
        let filled = Home::new(kept.clone(), home.clone(), Way::Bind);
        assert_eq!(filled.registry(), home.join("registry"));
        let linked = Home::new(kept, dir.path().join("none"), Way::Symlink);
        assert_eq!(linked.git(), dir.path().join("none/git"));
    }

    #[test]
    fn what_cargo_does_not_put_there_is_misplaced() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        let home = Home::new(kept.clone(), dir.path().join("home"), Way::Bind);
        let package = "registry/src/index-1/grain-0.1.0";
        let own = [package, "registry/cache/index-1", "registry/index/index-1/.cache"];
        for path in own.into_iter().chain(["git/db/grain-1", "git/checkouts/grain-1/0123456"]) {
            fs::create_dir_all(kept.join(path)).unwrap();
        }
        for path in ["registry/CACHEDIR.TAG", ".package-cache", &format!("{package}/Cargo.toml")] {
            fs::write(kept.join(path), "").unwrap();
        }
        assert_eq!(home.misplaced(), [] as [PathBuf; 0]);
        let mut evil = [
            "registry/src/index-1/Cargo.toml",
            "registry/src/index-1/.cargo",
            "registry/src/rust-toolchain.toml",
            "git/checkouts/.cargo",
            "git/checkouts/grain-1/link",
        ]
        .map(|path| kept.join(path));
        for path in &evil[..3] {
            fs::write(path, "").unwrap();
        }
        fs::create_dir(&evil[3]).unwrap();
        std::os::unix::fs::symlink("/", &evil[4]).unwrap();
        let mut found = home.misplaced();
        found.sort();
        evil.sort();
        assert_eq!(found, evil);
    }
}
