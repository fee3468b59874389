//! Files of units that somebody else's processes wrote.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::recorder::{Recorder, Who};
use crate::observe::cargo_layout::{Layout, Unit};
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
    /// Takes it down if a unit is about to write what may be a file of another one.
    pub(super) fn note_trespass(&self, who: &Who, path: &[u8]) {
        let Who::Unit(writer) = who else { return };
        let file = plain(Path::new(OsStr::from_bytes(path)));
        let owner = file.strip_prefix(&self.target).ok().and_then(owner);
        if let Some(owner) = owner.filter(|owner| owner != writer) {
            self.book().trespasses.insert(file, (owner, writer.clone()));
        }
    }

    /// What was written of the units that are there; one file of each stands for all. A cargo that a build script starts,
    /// with a target directory inside of this one, makes units with the same hashes: they are its own.
    pub(crate) fn trespasses(&self, layout: &Layout) -> Vec<Trespass> {
        let mut units: BTreeMap<&str, Vec<&Unit>> = BTreeMap::new();
        for unit in layout.units() {
            units.entry(&unit.hash).or_default().push(unit);
        }
        let of = |hash: &str| units.get(hash).into_iter().flatten();
        let book = self.book();
        let mut found = BTreeMap::new();
        for (file, (owner, writer)) in &book.trespasses {
            let inside = file.strip_prefix(&self.target).unwrap_or(file);
            let mut places = of(writer).map(|unit| layout.target_of(&unit.fingerprint)).peekable();
            if places.peek().is_some() && !places.any(|place| place == layout.target_of(inside)) {
                continue;
            }
            let is_its = |unit: &&&Unit| unit.paths.iter().any(|path| inside.starts_with(path));
            if let Some(unit) = of(owner).find(is_its) {
                let writer = of(writer).next().map(|writer| writer.package.clone());
                let trespass =
                    Trespass { package: unit.package.clone(), file: file.clone(), writer };
                found.entry(owner).or_insert(trespass);
            }
        }
        found.into_values().collect()
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
