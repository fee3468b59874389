//! What keeps a store its owner's: the mode of its directory, and its key. By that values are told apart that nobody is
//! to know; it is made once, is for nobody but the store's owner, and is in nothing that is pushed.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::layout::{PRIVATE, Store};
use crate::base::key::Key;
use crate::base::path_error::At;
use crate::base::{atomic, regular};

/// Where the kernel has random bytes (`random(4)`).
const RANDOM: &str = "/dev/urandom";

/// A key has fewer bytes.
const LONGEST: u64 = 1024;

impl Store {
    /// The mode of its own directory, as far as `projects/` has it too: who else may read what is in it. Its owner alone
    /// where that cannot be read.
    pub(crate) fn mode(&self) -> u32 {
        let of = |path: &Path| fs::metadata(path).ok().map(|found| found.mode() & 0o777);
        let inner = of(&self.root().join("projects")).unwrap_or(0o777);
        of(self.root()).unwrap_or(PRIVATE) & inner
    }

    /// Whether nobody but its owner, and root, may go into it.
    pub(crate) fn is_closed(&self) -> bool {
        self.mode() & 0o011 == 0
    }

    /// `key`
    pub(crate) fn key_file(&self) -> PathBuf {
        self.root().join("key")
    }

    /// The store's key, which is made where there is none.
    pub(crate) fn key(&self) -> Result<Key, StoreError> {
        let path = self.key_file();
        if let Some(key) = self.read_key()? {
            return Ok(key);
        }
        let mut bytes = [0; 32];
        let read = fs::File::open(RANDOM).and_then(|mut file| file.read_exact(&mut bytes));
        read.at("read", RANDOM)?;
        atomic::write_first(&path, format!("{}\n", Key::new(bytes).text()).as_bytes())?;
        // Somebody else may have been faster.
        self.read_key()?.ok_or(StoreError::NoKey(path))
    }

    fn read_key(&self) -> Result<Option<Key>, StoreError> {
        let path = self.key_file();
        let bytes = match regular::read_own(&path, LONGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.at("read", &path)?,
        };
        let key = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
        key.map(Some).ok_or(StoreError::NoKey(path))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_store_has_one_key_which_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str| Store::create(&dir.path().join(name)).unwrap();
        let (one, other) = (of("one"), of("other"));
        let key = one.key().unwrap();
        assert_eq!(key, one.key().unwrap());
        assert_eq!(key, of("one").key().unwrap());
        assert_ne!(key, other.key().unwrap());
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(one.key_file()), 0o600);
        fs::set_permissions(one.root(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(one.key_file(), dir.path().join("key")).unwrap();
        assert_ne!(key, one.key().unwrap());
        assert_eq!(mode(one.key_file()), 0o600, "whoever may read the rest");
        fs::write(one.key_file(), "short\n").unwrap();
        assert!(matches!(of("one").key(), Err(StoreError::NoKey(_))));
    }
}
