//! What units were made from, as rustc and build scripts said.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::listing::Reader;
use super::{Layout, LayoutError, Unit, UnitKind, depinfo};
use crate::observe::sources::plain;

/// A file or directory that a unit was made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Input {
    /// An absolute path, as the compiler or the build script saw it.
    Absolute(PathBuf),
    /// A path relative to the root of the workspace, where Cargo starts rustc for its members.
    InWorkspace(PathBuf),
    /// A path relative to the root of the unit's package, where Cargo starts build scripts.
    InPackage(PathBuf),
}

impl Layout {
    /// The inputs of one unit: from its `.d` file, or from what its build script printed.
    ///
    /// The target directory's own files are among them, under the path it had for the compiler.
    pub(crate) fn inputs(&self, unit: &Unit) -> Result<BTreeSet<Input>, LayoutError> {
        let reader = Reader { target: &self.target };
        if unit.is(UnitKind::BuildScriptRun) {
            let output = read_output(&reader, unit)?.unwrap_or_default();
            let linked = linked_files(&output).into_iter().map(in_package);
            return Ok(rerun_paths(&output).map(in_package).chain(linked).collect());
        }
        let mut inputs = BTreeSet::new();
        for path in self.dep_infos(unit)? {
            let content = reader.read(&path)?.unwrap_or_default();
            inputs.extend(depinfo::files(&content).into_iter().map(in_workspace));
        }
        Ok(inputs)
    }

    /// The paths that units name where nobody else looks, as absolute ones.
    pub(crate) fn outside_inputs(
        &self,
        elsewhere: &Elsewhere<'_>,
    ) -> Result<BTreeSet<PathBuf>, LayoutError> {
        let mut outside = BTreeSet::new();
        for unit in self.units() {
            outside.extend(self.outside_inputs_of(unit, elsewhere)?);
        }
        Ok(outside)
    }

    /// The same for one unit.
    pub(crate) fn outside_inputs_of(
        &self,
        unit: &Unit,
        elsewhere: &Elsewhere<'_>,
    ) -> Result<BTreeSet<PathBuf>, LayoutError> {
        let absolute = |input| match input {
            Input::Absolute(path) => vec![plain(&path)],
            Input::InWorkspace(path) => vec![plain(&elsewhere.source.join(path))],
            Input::InPackage(path) => elsewhere.of_package(&unit.package, &path),
        };
        let named = self.inputs(unit)?.into_iter().flat_map(absolute);
        Ok(named.filter(|path| (elsewhere.counts)(path)).collect())
    }

    /// The `.d` files of a unit.
    fn dep_infos(&self, unit: &Unit) -> Result<Vec<PathBuf>, LayoutError> {
        let reader = Reader { target: &self.target };
        let is_dep_info = |path: &Path| path.extension() == Some(OsStr::new("d"));
        let mut found = Vec::new();
        for path in &unit.paths {
            if is_dep_info(path) {
                found.push(path.clone());
                continue;
            }
            for place in [path.clone(), path.join("out")] {
                let files = reader.list(&place)?.into_iter().map(|item| item.path);
                found.extend(files.filter(|path| is_dep_info(path)));
            }
        }
        Ok(found)
    }
}

/// Where nobody else looks, as the compiler sees it.
pub(crate) struct Elsewhere<'a> {
    /// Where the workspace is.
    pub source: &'a Path,
    /// Where the packages of a name are.
    pub homes: &'a dyn Fn(&str) -> Vec<PathBuf>,
    /// Whether a path is not looked at otherwise.
    pub counts: &'a dyn Fn(&Path) -> bool,
}

impl Elsewhere<'_> {
    /// Where a path may be that is relative to a package. A package outside of the sources is looked at as a
    /// whole, and so is what is of git.
    fn of_package(&self, package: &str, path: &Path) -> Vec<PathBuf> {
        if path.components().any(|part| part.as_os_str() == ".git") {
            return Vec::new();
        }
        let place = |home: PathBuf| {
            let path = plain(&home.join(path));
            let holds_sources = home.starts_with(&path) || self.source.starts_with(&path);
            let is_known = path.starts_with(&home) && !home.starts_with(self.source);
            (!holds_sources && !is_known).then_some(path)
        };
        (self.homes)(package).into_iter().filter_map(place).collect()
    }
}

/// What a build script printed: `output` in the older layout, `run/stdout` in the newer.
pub(super) fn read_output(
    reader: &Reader<'_>,
    unit: &Unit,
) -> Result<Option<Vec<u8>>, LayoutError> {
    let Some(home) = unit.out_dir.as_deref().and_then(Path::parent) else {
        return Ok(None);
    };
    match reader.read(&home.join("output"))? {
        Some(output) => Ok(Some(output)),
        None => reader.read(&home.join("run/stdout")),
    }
}

/// The values that a build script printed for a key, with one colon or two
/// (`core/compiler/custom_build.rs`, `BuildOutput::parse`, Cargo 1.95).
pub(super) fn printed<'a>(output: &'a [u8], key: &'a str) -> impl Iterator<Item = &'a [u8]> {
    output.split(|byte| *byte == b'\n').filter_map(move |line| {
        let rest = line.trim_ascii().strip_prefix(b"cargo:")?;
        let rest = rest.strip_prefix(b":").unwrap_or(rest);
        rest.strip_prefix(key.as_bytes())?.strip_prefix(b"=")
    })
}

pub(super) fn rerun_paths(output: &[u8]) -> impl Iterator<Item = PathBuf> {
    printed(output, "rerun-if-changed").map(|path| PathBuf::from(OsStr::from_bytes(path)))
}

/// Where the linker may find what a build script says to link: each library in each directory that
/// it names, whether it is there or not; and files that it gives to the linker by name.
fn linked_files(output: &[u8]) -> BTreeSet<PathBuf> {
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let after = |bytes: &[u8], mark: u8| {
        let at = bytes.iter().position(|byte| *byte == mark);
        at.map_or_else(|| bytes.to_vec(), |at| bytes[at + 1..].to_vec())
    };
    let directories: Vec<PathBuf> =
        printed(output, "rustc-link-search").map(|value| path(&after(value, b'='))).collect();
    let mut files = BTreeSet::new();
    for value in printed(output, "rustc-link-lib") {
        let name = String::from_utf8_lossy(&after(value, b'=')).into_owned();
        let name = name.split(':').next().unwrap_or_default();
        for directory in &directories {
            files.extend(["a", "so"].map(|ending| directory.join(format!("lib{name}.{ending}"))));
        }
    }
    for key in ["rustc-link-arg", "rustc-link-arg-bins", "rustc-cdylib-link-arg"] {
        let values = printed(output, key).filter_map(|value| {
            let start = value.iter().position(|byte| *byte == b'/')?;
            Some(path(&value[start..]))
        });
        files.extend(values);
    }
    files
}

pub(super) fn in_package(path: PathBuf) -> Input {
    if path.is_absolute() { Input::Absolute(path) } else { Input::InPackage(path) }
}

fn in_workspace(path: PathBuf) -> Input {
    if path.is_absolute() { Input::Absolute(path) } else { Input::InWorkspace(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_rerun_line_count() {
        let output = b"cargo:rerun-if-changed=build.rs\nnoise\n cargo::rerun-if-changed=/etc/x \ncargo:rerun-if-changed-not=a\ncargo:rustc-env=A=b";
        let paths: Vec<_> = rerun_paths(output).collect();
        assert_eq!(paths, [Path::new("build.rs"), Path::new("/etc/x")]);
        assert_eq!(printed(output, "rustc-env").collect::<Vec<_>>(), [b"A=b"]);
    }

    #[test]
    fn dots_are_taken_out() {
        assert_eq!(plain(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
        assert_eq!(plain(Path::new("/../a")), Path::new("/a"));
    }
}
