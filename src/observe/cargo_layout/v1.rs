//! The layout of Cargo 1.63 to 1.99: one hash, several directories.
//!
//! Not every artifact carries the hash: a path package's `cdylib` and `dylib`, with whatever
//! else the same unit makes, and executables for `wasm32`, are `deps/libname.so` and so on
//! (`compilation_files.rs`, `use_extra_filename`, Cargo 1.95). Such files belong to the unit of
//! that crate name that has no file with its hash.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::listing::{self, Reader};
use super::names::{crates_in, hash_in, split_unit};
use super::{LayoutError, ProfileDir, Unit, UnitKind};

/// The files of `deps/` and `examples/`.
#[derive(Default)]
struct Artifacts {
    hashed: HashMap<String, Vec<PathBuf>>,
    plain: Vec<Plain>,
}

/// An artifact without a hash in its name.
struct Plain {
    path: PathBuf,
    name: String,
    is_example: bool,
    taken: bool,
}

/// The units below `.fingerprint/`, unless it holds something else; also fills in what is left over.
pub(super) fn units(
    reader: &Reader<'_>,
    profile: &mut ProfileDir,
) -> Result<Option<Vec<Unit>>, LayoutError> {
    let mut units = Vec::new();
    for item in reader.directories(&profile.path.join(".fingerprint"))? {
        let Some((package, hash)) = split_unit(&item.name) else {
            return Ok(None);
        };
        let mut unit = listing::unit(reader, package, hash, &item.path)?;
        unit.paths.push(item.path);
        units.push(unit);
    }
    let mut artifacts = Artifacts::read(reader, &profile.path)?;
    for unit in &mut units {
        artifacts.give(unit);
    }
    profile.foreign.extend(artifacts.foreign());
    profile.strays.extend(artifacts.strays());
    add_build_dirs(reader, profile, &mut units)?;
    Ok(Some(units))
}

impl Artifacts {
    fn read(reader: &Reader<'_>, profile: &Path) -> Result<Self, LayoutError> {
        let mut artifacts = Self::default();
        for directory in ["deps", "examples"] {
            for item in reader.list(&profile.join(directory))? {
                let is_example = directory == "examples";
                match hash_in(&item.name) {
                    Some(hash) => {
                        artifacts.hashed.entry(hash.to_owned()).or_default().push(item.path);
                    }
                    None => artifacts.plain.push(Plain {
                        path: item.path,
                        name: item.name,
                        is_example,
                        taken: false,
                    }),
                }
            }
        }
        Ok(artifacts)
    }

    /// Gives a unit the files that are its own.
    fn give(&mut self, unit: &mut Unit) {
        if let Some(paths) = self.hashed.remove(&unit.hash) {
            unit.paths.extend(paths);
            return;
        }
        for file in &mut self.plain {
            let is_own = file.is_example == unit.is(UnitKind::Example)
                && crates_in(&file.name).any(|name| unit.crates.contains(name));
            if is_own && !unit.is(UnitKind::BuildScriptCompile) {
                file.taken = true;
                unit.paths.push(file.path.clone());
            }
        }
    }

    /// What no unit took and has no hash: somebody put it there, such as a library for programs to
    /// find. A plain name in `examples/` is uplifted.
    fn foreign(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let plain = self.plain.iter().filter(|file| !file.taken && !file.is_example);
        plain.map(|file| file.path.clone())
    }

    /// What has the hash of no unit.
    fn strays(self) -> Vec<PathBuf> {
        let mut strays: Vec<_> = self.hashed.into_values().flatten().collect();
        strays.sort();
        strays
    }
}

/// Gives the directories of `build/` to their units; what a run left without being finished is
/// an orphan, whether its unit is known or not.
fn add_build_dirs(
    reader: &Reader<'_>,
    profile: &mut ProfileDir,
    units: &mut [Unit],
) -> Result<(), LayoutError> {
    let key = |unit: &Unit| format!("{}-{}", unit.package, unit.hash);
    let known: HashMap<String, usize> =
        units.iter().enumerate().map(|(index, unit)| (key(unit), index)).collect();
    for item in reader.directories(&profile.path.join("build"))? {
        if split_unit(&item.name).is_none() {
            continue;
        }
        let unit = known.get(&item.name).map(|index| &mut units[*index]);
        let is_run = is_run(reader, &item.path)?;
        let is_done = unit.as_ref().is_some_and(|unit| unit.finished.is_some());
        if is_run && !is_done {
            profile.orphan_out_dirs.push(item.path.clone());
        } else if unit.is_none() {
            profile.strays.push(item.path.clone());
        }
        let Some(unit) = unit else { continue };
        if is_run {
            unit.kinds.insert(UnitKind::BuildScriptRun);
            unit.out_dir = Some(item.path.join("out"));
            unit.started = reader.modified(&item.path.join("invoked.timestamp"))?;
        }
        unit.paths.push(item.path);
    }
    Ok(())
}

/// Whether a directory of `build/` is that of a run, not of a compilation.
fn is_run(reader: &Reader<'_>, path: &Path) -> Result<bool, LayoutError> {
    for name in ["out", "output", "root-output", "invoked.timestamp"] {
        if reader.modified(&path.join(name))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
