//! Reading directories and small files of a target directory.

use std::collections::BTreeSet;
use std::fs::{self, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::names::mark;
use super::{Finished, LayoutError, Unit, UnitKind};
use crate::base::moment::Moment;
use crate::base::regular;

/// The digits of a fingerprint.
const DIGITS: u64 = 16;

/// No directory of Cargo's has so many names.
const MOST: usize = 1_000_000;

/// A target directory that is being read.
pub(super) struct Reader<'a> {
    pub target: &'a Path,
}

/// One name in a directory.
pub(super) struct Listed {
    /// The name; one that is not UTF-8 is never Cargo's own, and is lossy here.
    pub name: String,
    /// Its path, relative to the target directory.
    pub path: PathBuf,
    /// What it is; symlinks are not followed.
    pub kind: FileType,
}

impl Reader<'_> {
    /// The names in a directory, in order; none when there is no such directory.
    pub(super) fn list(&self, directory: &Path) -> Result<Vec<Listed>, LayoutError> {
        self.try_list(directory).map_err(|error| error_at(directory, error))
    }

    fn try_list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        let place = self.target.join(directory);
        let entries = match fs::read_dir(place) {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            other => other?,
        };
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let path = directory.join(&name);
            let kind = entry.file_type()?;
            if listed.len() >= MOST {
                let why = format!("more than {MOST} names are in it");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            listed.push(Listed { name: name.to_string_lossy().into_owned(), path, kind });
        }
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listed)
    }

    /// Only the directories among the names in a directory.
    pub(super) fn directories(&self, directory: &Path) -> Result<Vec<Listed>, LayoutError> {
        let listed = self.list(directory)?;
        Ok(listed.into_iter().filter(|item| item.kind.is_dir()).collect())
    }

    /// The modification time of a file, if it is there.
    pub(super) fn modified(&self, path: &Path) -> Result<Option<Moment>, LayoutError> {
        match fs::symlink_metadata(self.target.join(path)) {
            Ok(metadata) => Ok(Some(Moment::modified(&metadata))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error_at(path, error)),
        }
    }

    /// The time of the last access to a file, if it is there.
    pub(super) fn accessed(&self, path: &Path) -> Result<Option<Moment>, LayoutError> {
        match fs::symlink_metadata(self.target.join(path)) {
            Ok(metadata) => Ok(Some(Moment::accessed(&metadata))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error_at(path, error)),
        }
    }

    /// Whether a path is a directory; a symlink is none.
    pub(super) fn is_directory(&self, path: &Path) -> bool {
        fs::symlink_metadata(self.target.join(path)).is_ok_and(|metadata| metadata.is_dir())
    }

    /// The content of one of Cargo's notes, if it is there.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, LayoutError> {
        self.read_at_most(path, regular::TEXT)
    }

    /// The content of a file that is no longer than this, if it is there.
    pub(super) fn read_at_most(
        &self,
        path: &Path,
        most: u64,
    ) -> Result<Option<Vec<u8>>, LayoutError> {
        match regular::read_own(&self.target.join(path), most) {
            Ok(content) => Ok(Some(content)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error_at(path, error)),
        }
    }

    /// The first bytes of a file, one more than this if there are more; nothing if it is not there.
    fn begin(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, LayoutError> {
        let mut start = Vec::new();
        let read = regular::open_own(&self.target.join(path))
            .and_then(|file| file.take(most + 1).read_to_end(&mut start));
        match read {
            Ok(_) => Ok(Some(start)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error_at(path, error)),
        }
    }

    /// What a fingerprint file says, unless it is damaged or was emptied by a start of the unit.
    ///
    /// Cargo writes the number as the hexadecimal digits of its little-endian bytes
    /// (`util/hex.rs`, `to_hex`, Cargo 1.95), and empties the file before it starts a unit
    /// (`core/compiler/fingerprint/mod.rs`, `prepare_target`).
    pub(super) fn finished(&self, path: &Path) -> Result<Option<Finished>, LayoutError> {
        let Some(content) = self.begin(path, DIGITS)? else {
            return Ok(None);
        };
        let Some(fingerprint) = parse_fingerprint(&content) else {
            return Ok(None);
        };
        Ok(self.modified(path)?.map(|at| Finished { fingerprint, at }))
    }
}

/// An error with the path that it is about.
pub(super) fn error_at(path: &Path, source: io::Error) -> LayoutError {
    LayoutError { path: path.to_owned(), source }
}

/// Whether an error only says that nothing is there.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parse_fingerprint(content: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(content).ok().filter(|text| text.len() == 16)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| plain)?;
    Some(number.swap_bytes())
}

/// A unit as far as its fingerprint directory tells.
pub(super) fn unit(
    reader: &Reader<'_>,
    package: &str,
    hash: &str,
    fingerprint: &Path,
) -> Result<Unit, LayoutError> {
    let mut unit = Unit {
        package: package.to_owned(),
        hash: hash.to_owned(),
        kinds: BTreeSet::new(),
        crates: BTreeSet::new(),
        paths: Vec::new(),
        fingerprint: fingerprint.to_owned(),
        finished: None,
        started: reader.modified(&fingerprint.join("invoked.timestamp"))?,
        read: None,
        out_dir: None,
    };
    for item in reader.list(fingerprint)? {
        // A unit that failed the first time has only `dep-*`, if that.
        let name = item.name.strip_prefix("dep-").unwrap_or(&item.name);
        let Some(mark) = mark(name) else { continue };
        unit.kinds.insert(mark.kind);
        if !matches!(mark.kind, UnitKind::BuildScriptRun | UnitKind::Doc | UnitKind::Other) {
            unit.crates.insert(mark.target.replace('-', "_"));
        }
        if name == item.name {
            unit.read = unit.read.max(reader.accessed(&item.path)?);
            unit.finished = unit.finished.or(reader.finished(&item.path)?);
        }
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_little_endian() {
        assert_eq!(parse_fingerprint(b"da0ee13aa7475777"), Some(8_599_420_797_060_189_914));
        for damaged in ["", "da0ee13aa747577", "+a0ee13aa7475777", "da0ee13aa7475777\n"] {
            assert_eq!(parse_fingerprint(damaged.as_bytes()), None, "{damaged:?}");
        }
    }
}
