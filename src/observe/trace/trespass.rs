//! Files of units that somebody else's processes wrote.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::recorder::{Recorder, Who};
use crate::observe::cargo_layout::Unit;
use crate::observe::sources::plain;

/// A file of a unit that another one wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trespass {
    /// The package of the unit whose file it is.
    pub package: String,
    /// As the compiler sees it.
    pub file: PathBuf,
    /// The package whose unit wrote it, if that is there.
    pub writer: Option<String>,
}

impl Recorder {
    /// Takes it down if a unit is about to write a file of another one.
    pub(super) fn note_trespass(&self, who: &Who, path: &[u8]) {
        if let Some((hash, file, writer)) = self.trespass(who, path) {
            self.book().trespasses.entry(hash).or_insert((file, writer));
        }
    }

    fn trespass(&self, who: &Who, path: &[u8]) -> Option<(String, PathBuf, String)> {
        let Who::Unit(writer) = who else { return None };
        let file = plain(Path::new(OsStr::from_bytes(path)));
        let owner = owner(file.strip_prefix(&self.target).ok()?).filter(|owner| owner != writer)?;
        Some((owner, file, writer.clone()))
    }

    /// What was written of the units that are there.
    pub(crate) fn trespasses<'u>(&self, units: impl Iterator<Item = &'u Unit>) -> Vec<Trespass> {
        let packages: BTreeMap<&str, &str> =
            units.map(|unit| (unit.hash.as_str(), unit.package.as_str())).collect();
        let book = self.book();
        let all = book.trespasses.iter().filter_map(|(owner, (file, writer))| {
            let package = (*packages.get(owner.as_str())?).to_owned();
            let writer = packages.get(writer.as_str()).map(|writer| (*writer).to_owned());
            Some(Trespass { package, file: file.clone(), writer })
        });
        all.collect()
    }
}

/// The hash of the unit whose file that is, by where Cargo puts it: `deps/NAME-HASH.*`, `build/PACKAGE-HASH/…`, or
/// `build/PACKAGE/HASH/…` (`core/compiler/build_runner/compilation_files.rs`, Cargo 1.95).
///
/// What Python keeps beside its modules is nobody's.
fn owner(inside: &Path) -> Option<String> {
    if inside.iter().any(|part| part == "__pycache__") {
        return None;
    }
    let hash = |part: &OsStr| {
        let text = part.to_str()?;
        let text = text.split('.').next().unwrap_or_default();
        let tail = text.rsplit('-').next().unwrap_or_default();
        let is_hash = tail.len() == 16 && tail.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| tail.to_owned())
    };
    inside.iter().find_map(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_a_file_is_stands_in_its_path() {
        let owner = |path: &str| owner(Path::new(path));
        let hash = Some("0123456789abcdef".to_owned());
        for path in [
            "release/deps/libflour-0123456789abcdef.rlib",
            "release/deps/flour-0123456789abcdef.flour.1-cgu.0.rcgu.o",
            "release/build/flour-0123456789abcdef/out/x-fedcba9876543210.o",
            "release/build/flour/0123456789abcdef/out/kind.rs",
            "release/.fingerprint/flour-0123456789abcdef/lib-flour",
        ] {
            assert_eq!(owner(path), hash, "{path}");
        }
        for path in [
            "release/bread",
            "tmp/x",
            "release/build/a-0123456789abcdef/out/__pycache__/x.pyc",
            "release/deps/rmetaXy12",
            "release/deps/libx.so",
        ] {
            assert_eq!(owner(path), None, "{path}");
        }
    }
}
