//! Cargo's home: the store's downloads in place of an empty cache.
//!
//! In a sandbox Cargo's home is empty every time. There the store's `registry` and `git` are
//! mounted over it, at the path that a cold build has. Where somebody has downloads of their own,
//! on a plain host, these are used as they are: a build that works offline without larder must
//! work offline with it.
//!
//! Cargo's lock over these caches lies beside them (`.package-cache`, Cargo 1.95,
//! `util/cache_lock.rs`), so it is mounted too: two sandboxes that share the downloads must share
//! the lock.
//!
//! The empty directories to mount on stay: to remove one takes the mount of another build away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::attach::Mounts;
use crate::identity::Way;
use crate::store::Store;

/// The two caches.
const CACHES: [&str; 2] = ["registry", "git"];

/// Cargo's locks over them.
const LOCKS: [&str; 2] = [".package-cache", ".package-cache-mutate"];

/// Cargo's home as a build will see it.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    shared: Option<PathBuf>,
}

impl Home {
    /// Cargo's home at `home`, as seen from here.
    pub fn new(store: &Store, home: PathBuf, way: Way) -> Self {
        let vacant = CACHES.iter().all(|cache| is_vacant(&home.join(cache)));
        let shared = (vacant && way == Way::Bind).then(|| store.cargo_home());
        Self { path: home, shared }
    }

    /// Where the registries' downloads are, as seen from here.
    pub fn registry(&self) -> PathBuf {
        self.shared.as_ref().unwrap_or(&self.path).join("registry")
    }

    /// Where the git dependencies are, as seen from here.
    pub fn git(&self) -> PathBuf {
        self.shared.as_ref().unwrap_or(&self.path).join("git")
    }

    /// Adds the mounts, and makes the names to mount on.
    pub fn attach(&self, mounts: &mut Mounts) -> io::Result<()> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        for cache in CACHES {
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

fn is_vacant(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn touch(path: &Path) -> io::Result<()> {
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
