//! The times by which Cargo takes a unit for fresh.
//!
//! Cargo 1.95, `core/compiler/fingerprint/mod.rs`: a crate's compilation is stale if a file that its
//! dep-info names is newer than `dep-*` in the fingerprint directory, a build script's run if something that
//! it asked to be watched is newer than its own output (`find_stale_file`; equal is fresh). Besides, a unit is
//! stale if an output of a dependency is newer than all of its own (`check_filesystem`). A build script's run
//! counts its output file as its only output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::inputs::{in_package, printed, read_output, rerun_paths};
use super::listing::Reader;
use super::names::mark;
use super::{Input, Layout, LayoutError, Unit, UnitKind};
use crate::base::moment::Moment;

/// A file of a target directory and its modification time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamped {
    /// Relative to the target directory.
    pub path: PathBuf,
    pub at: Moment,
}

impl Layout {
    /// The files of a unit whose times Cargo compares with those of its inputs; none if it has no inputs to
    /// compare, or was not finished.
    pub(crate) fn references(&self, unit: &Unit) -> Result<Vec<Stamped>, LayoutError> {
        let reader = Reader { target: &self.target };
        let mut paths = Vec::new();
        if unit.is(UnitKind::BuildScriptRun) {
            paths.extend(run_output(&reader, unit)?);
        } else {
            let inside = reader.list(&unit.fingerprint)?.into_iter();
            paths.extend(inside.filter(|item| item.name.starts_with("dep-")).map(|item| item.path));
        }
        stamped(&reader, paths)
    }

    /// What Cargo compares them with.
    pub(crate) fn compared(&self, unit: &Unit) -> Result<BTreeSet<Input>, LayoutError> {
        if !unit.is(UnitKind::BuildScriptRun) {
            return self.inputs(unit);
        }
        let reader = Reader { target: &self.target };
        let output = read_output(&reader, unit)?.unwrap_or_default();
        Ok(rerun_paths(&output).map(in_package).collect())
    }

    /// The files of a unit whose times Cargo compares with those of other units, and its note that the unit is
    /// done, which is newer than they are.
    pub(crate) fn outputs(&self, unit: &Unit) -> Result<Vec<Stamped>, LayoutError> {
        let reader = Reader { target: &self.target };
        let mut paths = digits_of(&reader, unit)?;
        if unit.is(UnitKind::BuildScriptRun) {
            paths.extend(run_output(&reader, unit)?);
            return stamped(&reader, paths);
        }
        for path in unit.paths.iter().filter(|path| **path != unit.fingerprint) {
            if !reader.is_directory(path) {
                paths.push(path.clone());
            }
            for place in [path.clone(), path.join("out")] {
                let files = reader.list(&place)?.into_iter().filter(|item| item.kind.is_file());
                paths.extend(files.map(|item| item.path));
            }
        }
        stamped(&reader, paths)
    }

    /// Whether a finished run of a build script asked for nothing to be watched. Cargo then puts the newest
    /// time of the package's files into the fingerprint (`build_script_local_fingerprints`), unless the package
    /// comes from elsewhere and has a version or a checksum instead.
    pub(crate) fn is_silent(&self, unit: &Unit) -> Result<bool, LayoutError> {
        if !unit.is(UnitKind::BuildScriptRun) || unit.finished.is_none() {
            return Ok(false);
        }
        let reader = Reader { target: &self.target };
        let output = read_output(&reader, unit)?.unwrap_or_default();
        let says = |key| printed(&output, key).next().is_some();
        Ok(!says("rerun-if-changed") && !says("rerun-if-env-changed"))
    }

    /// Cargo's notes that a unit is done: without them it makes the unit anew, where it is.
    pub(crate) fn notes(&self, unit: &Unit) -> Result<Vec<PathBuf>, LayoutError> {
        digits_of(&Reader { target: &self.target }, unit)
    }
}

/// What a build script's run printed, relative to the target directory.
pub(super) fn run_output(reader: &Reader<'_>, unit: &Unit) -> Result<Option<PathBuf>, LayoutError> {
    let Some(home) = unit.out_dir.as_deref().and_then(Path::parent) else {
        return Ok(None);
    };
    for path in [home.join("output"), home.join("run/stdout")] {
        if reader.modified(&path)?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The files of a fingerprint directory that hold nothing but Cargo's number.
pub(super) fn digits_of(reader: &Reader<'_>, unit: &Unit) -> Result<Vec<PathBuf>, LayoutError> {
    let inside = reader.list(&unit.fingerprint)?.into_iter();
    let noted = inside.filter(|item| item.kind.is_file() && mark(&item.name).is_some());
    Ok(noted.map(|item| item.path).collect())
}

fn stamped(reader: &Reader<'_>, paths: Vec<PathBuf>) -> Result<Vec<Stamped>, LayoutError> {
    let mut found = Vec::new();
    for path in paths {
        if let Some(at) = reader.modified(&path)? {
            found.push(Stamped { path, at });
        }
    }
    Ok(found)
}
