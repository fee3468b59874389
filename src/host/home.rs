//! Cargo's home: the store's downloads in place of an empty cache.
//!
//! In a sandbox Cargo's home is empty every time. There the store's `registry` and `git` are
//! mounted over it, at the path that a cold build has. Where somebody has downloads of their own,
//! on a plain host, these are used as they are: a build that works offline without larder must
//! work offline with it (decision 7).
//!
//! Cargo's lock over these caches lies beside them (`.package-cache`, Cargo 1.95,
//! `util/cache_lock.rs`), so it is mounted too: two sandboxes that share the downloads must share
//! the lock.
//!
//! The empty directories to mount on stay: to remove one takes the mount of another build away.

#![expect(clippy::disallowed_methods, reason = "makes Cargo's home, and the names to mount on")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::encoding::hexadecimal;
use crate::base::{fault, regular};
use crate::host::attach::Mounts;
use crate::observe::identity::Way;
use crate::observe::sources::Lockfile;
use crate::store::Store;

/// The two caches.
const CACHES: [&str; 2] = ["registry", "git"];

/// What Cargo makes from them (`sources/registry/mod.rs` and `sources/git/source.rs`, Cargo 1.95).
const UNPACKED: [&str; 2] = ["registry/src", "git/checkouts"];

/// Cargo's locks over them.
const LOCKS: [&str; 2] = [".package-cache", ".package-cache-mutate"];

/// Cargo's home as a build will see it.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    shared: Option<PathBuf>,
}

impl Home {
    /// Cargo's home at `home`, as seen from here.
    pub(crate) fn new(store: &Store, home: PathBuf, way: Way) -> Self {
        let vacant = CACHES.iter().all(|cache| is_vacant(&home.join(cache)));
        let shared = (vacant && way == Way::Bind).then(|| store.cargo_home());
        Self { path: home, shared }
    }

    /// Where the registries' downloads are, as seen from here.
    pub(crate) fn registry(&self) -> PathBuf {
        self.shared.as_ref().unwrap_or(&self.path).join("registry")
    }

    /// Where the git dependencies are, as seen from here.
    pub(crate) fn git(&self) -> PathBuf {
        self.shared.as_ref().unwrap_or(&self.path).join("git")
    }

    /// Whether the downloads are the store's.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Cargo's own lock against those who change what is downloaded: builds share it
    /// (`util/cache_lock.rs`, Cargo 1.95).
    pub(crate) fn lock(&self) -> PathBuf {
        self.shared.as_ref().unwrap_or(&self.path).join(LOCKS[1])
    }

    /// Adds the mounts, and makes the names to mount on.
    pub(crate) fn attach(&self, mounts: &mut Mounts) -> io::Result<()> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        for cache in CACHES {
            fault::point("home.make");
            fs::create_dir_all(shared.join(cache))?;
            fs::create_dir_all(self.path.join(cache))?;
            mounts.bind(&shared.join(cache), &self.path.join(cache))?;
        }
        for lock in LOCKS {
            touch(&shared.join(lock))?;
            touch(&self.path.join(lock))?;
            mounts.bind(&shared.join(lock), &self.path.join(lock))?;
        }
        Ok(())
    }
}

impl Home {
    /// Adds mounts of empty directories, made in `dir`, over what Cargo unpacked and checked out: a build
    /// makes that again from the downloads, which stay, so that it works offline.
    ///
    /// Nothing is made in the home: where a directory is missing nothing has to be hidden.
    pub(crate) fn attach_fresh(&self, dir: &Path, mounts: &mut Mounts) -> io::Result<()> {
        for name in UNPACKED {
            if !self.shared.as_ref().unwrap_or(&self.path).join(name).is_dir() {
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

/// No archive of a package is larger; most registries take ten megabytes.
const LARGEST: u64 = 1 << 30;

/// The archives in the store's downloads from which a package would be unpacked, and that are not
/// what the lock file says they are. Cargo checks a `.crate` only while it downloads it.
pub(crate) fn false_archives(registry: &Path, lock: &Lockfile) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for index in directories(&registry.join("cache"))? {
        for package in &lock.packages {
            let Some(checksum) = &package.checksum else { continue };
            let name = format!("{}-{}", package.name, package.version);
            let archive = index.join(format!("{name}.crate"));
            let index = index.file_name().unwrap_or_default();
            let is_unpacked = registry.join("src").join(index).join(&name).is_dir();
            if is_unpacked || !archive.is_file() {
                continue;
            }
            let sum = hexadecimal(&Sha256::digest(regular::read_own(&archive, LARGEST)?));
            if sum != *checksum {
                found.push(archive);
            }
        }
    }
    Ok(found)
}

fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
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
        let store = Store::create(&dir.path().join("store")).unwrap();
        let home = dir.path().join("home");
        let empty = Home::new(&store, home.clone(), Way::Bind);
        assert!(empty.registry().starts_with(store.root()));
        fs::create_dir_all(home.join("registry/index")).unwrap();
        let filled = Home::new(&store, home.clone(), Way::Bind);
        assert_eq!(filled.registry(), home.join("registry"));
        let linked = Home::new(&store, dir.path().join("none"), Way::Symlink);
        assert_eq!(linked.git(), dir.path().join("none/git"));
    }
}
