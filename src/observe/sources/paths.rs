//! Paths in what is written down: as bytes, because no path has to be UTF-8.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

pub(super) fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// Lists of paths.
pub(super) mod list {
    use super::{Deserialize, Deserializer, PathBuf, Serializer, bytes, path};

    pub(crate) fn serialize<S: Serializer>(
        paths: &[PathBuf],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| bytes(path)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<Vec<u8>>::deserialize(deserializer)?.into_iter().map(path).collect())
    }
}

/// Maps by path.
pub(super) mod map {
    use std::collections::BTreeMap;

    use super::{Deserialize, Deserializer, PathBuf, Serialize, Serializer, bytes, path};

    pub(crate) fn serialize<S: Serializer, V: Serialize>(
        paths: &BTreeMap<PathBuf, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|(path, value)| (bytes(path), value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<PathBuf, V>, D::Error> {
        let pairs = Vec::<(Vec<u8>, V)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(bytes, value)| (path(bytes), value)).collect())
    }
}
