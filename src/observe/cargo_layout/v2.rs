//! The layout of `-Zbuild-dir-new-layout`, default from Cargo 1.100: one directory for one unit.
//!
//! `build/<pkg>/<H>/` holds `fingerprint/`, `out/` (artifacts, or a build script's `OUT_DIR`) and,
//! for a build script's run, `run/` with its output. Seen with Cargo 1.95 and 1.97.

use super::listing::{self, Listed, Reader};
use super::names::{is_hash, split_unit};
use super::{LayoutError, ProfileDir, Unit, UnitKind};

/// The units below `build/<pkg>/<H>/`, unless it holds something else.
pub(super) fn units(
    reader: &Reader<'_>,
    profile: &mut ProfileDir,
) -> Result<Option<Vec<Unit>>, LayoutError> {
    let mut units = Vec::new();
    for package in reader.directories(&profile.path.join("build"))? {
        if split_unit(&package.name).is_some() && !is_newer(reader, &package)? {
            continue;
        }
        for item in reader.directories(&package.path)? {
            if !is_hash(&item.name) {
                return Ok(None);
            }
            units.push(read_unit(reader, profile, &package.name, item)?);
        }
    }
    Ok(Some(units))
}

/// Whether a directory whose name could be `<pkg>-<H>` is a package of this layout all the same.
fn is_newer(reader: &Reader<'_>, package: &Listed) -> Result<bool, LayoutError> {
    let inside = reader.list(&package.path)?;
    Ok(!inside.is_empty() && inside.iter().all(|item| item.kind.is_dir() && is_hash(&item.name)))
}

fn read_unit(
    reader: &Reader<'_>,
    profile: &mut ProfileDir,
    package: &str,
    item: Listed,
) -> Result<Unit, LayoutError> {
    let mut unit = listing::unit(reader, package, &item.name, &item.path.join("fingerprint"))?;
    let run = item.path.join("run");
    if reader.modified(&run)?.is_some() {
        unit.kinds.insert(UnitKind::BuildScriptRun);
    }
    if unit.is(UnitKind::BuildScriptRun) {
        unit.started = reader.modified(&run.join("invoked.timestamp"))?;
        unit.out_dir = Some(item.path.join("out"));
        if unit.finished.is_none() {
            profile.orphan_out_dirs.push(item.path.clone());
        }
    }
    unit.paths.push(item.path);
    Ok(unit)
}
