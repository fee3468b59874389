//! What the programs that take part in a build, build scripts and proc macros, hold in their text:
//! names of variables and files that they may read and never tell Cargo of.
//!
//! A text is only a hint. It names what is read in nearly all programs that read something by a
//! fixed name; what a program puts together from pieces is not found by it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use memchr::{memchr_iter, memmem};

use super::listing::Reader;
use super::{Layout, LayoutError, Unit, UnitKind};

/// Paths in programs are shorter than this.
const LONGEST: usize = 160;

/// Programs with all that debuggers want to know of them are no larger.
const LARGEST: u64 = 1 << 31;

impl Layout {
    /// The texts in a unit's programs that may be paths: from a slash on, as far as the bytes go
    /// that names have. In a program's data one literal follows the other without an end, so a
    /// text may be longer than the path. `counts` says which may matter at all.
    pub(crate) fn mentioned_paths(
        &self,
        unit: &Unit,
        counts: impl Fn(&[u8]) -> bool,
    ) -> Result<BTreeSet<Vec<u8>>, LayoutError> {
        let mut found = BTreeSet::new();
        for bytes in self.read_programs(unit)? {
            for start in memchr_iter(b'/', &bytes) {
                let rest = &bytes[start..bytes.len().min(start + LONGEST)];
                let end = rest.iter().position(|byte| !is_of_path(*byte)).unwrap_or(rest.len());
                let climbs = bytes[..start].ends_with(b"..");
                let text =
                    if climbs { [b"/..", &rest[..end]].concat() } else { rest[..end].to_vec() };
                if text.len() > 2 && counts(&text) {
                    found.insert(text);
                }
            }
        }
        Ok(found)
    }

    /// Whether a unit's programs hold a text.
    pub(crate) fn mentions(&self, unit: &Unit, text: &str) -> Result<bool, LayoutError> {
        let finder = memmem::Finder::new(text);
        Ok(self.read_programs(unit)?.iter().any(|bytes| finder.find(bytes).is_some()))
    }

    /// The content of a unit's programs.
    fn read_programs(&self, unit: &Unit) -> Result<Vec<Vec<u8>>, LayoutError> {
        let read = |path: &PathBuf| self.read_program(path).transpose();
        self.programs(unit)?.iter().filter_map(read).collect()
    }

    /// The content of a program, if it is there.
    pub(crate) fn read_program(&self, path: &Path) -> Result<Option<Vec<u8>>, LayoutError> {
        Reader { target: &self.target }.read_at_most(path, LARGEST)
    }

    /// A unit's build script or proc macro.
    pub(crate) fn programs(&self, unit: &Unit) -> Result<Vec<PathBuf>, LayoutError> {
        let mut paths: Vec<PathBuf> = unit.paths.clone();
        if !unit.is(UnitKind::BuildScriptCompile) && !unit.is(UnitKind::Lib) {
            return Ok(Vec::new());
        }
        let reader = Reader { target: &self.target };
        let is_script = |path: &Path| {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            // In the older layout the one is a hard link of the other.
            name == "build-script-build"
                || (name.starts_with("build_script") && !name.contains('.'))
        };
        let is_macro = |path: &Path| path.extension() == Some(OsStr::new("so"));
        for directory in &unit.paths {
            for place in [directory.clone(), directory.join("out")] {
                let files = reader.list(&place)?.into_iter().filter(|item| item.kind.is_file());
                paths.extend(files.map(|item| item.path));
            }
        }
        if unit.is(UnitKind::BuildScriptCompile) {
            paths.retain(|path| is_script(path));
            paths.truncate(1);
        } else {
            paths.retain(|path| unit.is(UnitKind::Lib) && is_macro(path));
        }
        Ok(paths)
    }
}

fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@~".contains(&byte)
}
