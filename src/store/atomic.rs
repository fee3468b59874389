//! Records that are either the old ones or the new ones, never something between.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;

/// The first bytes of every binary record; the digit is the format's number.
const MAGIC: &[u8; 8] = b"larder1\n";

/// A record that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system refused.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// The record.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The record is not what larder wrote.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
    },
}

/// Puts a value at `path` in one step, but not durably: for caches that are remade when lost.
pub fn write_cache(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let bytes = to_binary(path, value)?;
    put(path, &bytes, 0o644, false).map_err(|source| RecordError::Io {
        verb: "write",
        path: path.to_owned(),
        source,
    })
}

/// Puts `bytes` at `path`, durably and in one step, readable by all who may enter the directory.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), RecordError> {
    put(path, bytes, mode, true).map_err(|source| RecordError::Io {
        verb: "write",
        path: path.to_owned(),
        source,
    })
}

fn put(path: &Path, bytes: &[u8], mode: u32, durably: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    if durably {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|error| error.error)?;
    if durably { File::open(parent)?.sync_all() } else { Ok(()) }
}

/// Puts a value at `path` as indented JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| RecordError::Io {
        verb: "write",
        path: path.to_owned(),
        source: error.into(),
    })?;
    text.push(b'\n');
    write(path, &text, 0o644)
}

/// The JSON record at `path`, or `None` where there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    let damaged = |_| RecordError::Damaged { path: path.to_owned() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Puts a value at `path` in the compact binary form: magic, digest of the rest, the rest.
pub fn write_binary(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    write(path, &to_binary(path, value)?, 0o644)
}

fn to_binary(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let body = postcard::to_stdvec(value).map_err(|error| RecordError::Io {
        verb: "write",
        path: path.to_owned(),
        source: io::Error::other(error),
    })?;
    let digest = Digest::of(&body).to_string();
    Ok([MAGIC.as_slice(), digest.as_bytes(), &body].concat())
}

/// The binary record at `path`, or `None` where there is none.
pub fn read_binary<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    let damaged = || RecordError::Damaged { path: path.to_owned() };
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(damaged)?;
    let (digest, body) = rest.split_at_checked(64).ok_or_else(damaged)?;
    if Digest::of(body).to_string().as_bytes() != digest {
        return Err(damaged());
    }
    postcard::from_bytes(body).map(Some).map_err(|_| damaged())
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RecordError::Io { verb: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_damage_to_a_binary_record_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write_binary(&path, &vec!["flour".to_owned(), "salt".to_owned()]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(read_binary::<Vec<String>>(&path).unwrap().unwrap(), ["flour", "salt"]);
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(read_binary::<Vec<String>>(&path).is_err(), "flipped bit in byte {index}");
            std::fs::write(&path, &whole[..index]).unwrap();
            assert!(read_binary::<Vec<String>>(&path).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write(&path, b"old", 0o644).unwrap();
        assert!(write(&dir.path().join("record/below"), b"new", 0o644).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
