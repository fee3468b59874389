//! Finding the profiles of a target directory, and which layout each has.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::listing::{Listed, Reader};
use super::{Layout, LayoutError, ProfileDir, Version, v1, v2};

/// Directories of a profile that Cargo makes, in either layout.
const OWN: [&str; 5] = [".fingerprint", "build", "deps", "examples", "incremental"];

/// Files at the top of a target directory that Cargo makes.
const TOP: [&str; 4] = [
    "CACHEDIR.TAG",
    ".rustc_info.json",
    ".rustdoc_fingerprint.json",
    ".future-incompat-report.json",
];

pub(super) fn scan(target: &Path) -> Result<Layout, LayoutError> {
    let reader = Reader { target };
    let mut found = Layout {
        target: target.to_owned(),
        version: Version::V1,
        profiles: Vec::new(),
        foreign: Vec::new(),
    };
    for item in reader.list(Path::new(""))? {
        let profiles = profiles_at(&reader, &item)?;
        if profiles.is_empty() {
            found.foreign.extend(foreign(&reader, item)?);
        } else if !profiles.contains(&item.path) {
            let inside = reader.list(&item.path)?.into_iter();
            for inner in inside.filter(|inner| !profiles.contains(&inner.path)) {
                found.foreign.extend(foreign(&reader, inner)?);
            }
        }
        for path in profiles {
            found.add(&reader, path)?;
        }
    }
    if found.version == Version::Unknown {
        found.profiles.clear();
        found.foreign.clear();
    }
    Ok(found)
}

impl Layout {
    fn add(&mut self, reader: &Reader<'_>, path: PathBuf) -> Result<(), LayoutError> {
        let mut profile = ProfileDir { path, ..ProfileDir::default() };
        let older = v1::units(reader, &mut profile)?;
        let newer = v2::units(reader, &mut profile)?;
        let (Some(older), Some(newer)) = (older, newer) else {
            self.version = Version::Unknown;
            return Ok(());
        };
        let is_older = reader.modified(&profile.path.join(".fingerprint"))?.is_some();
        let has_artifacts = !(profile.strays.is_empty() && profile.foreign.is_empty());
        if !is_older && newer.is_empty() && has_artifacts {
            self.version = Version::Unknown;
        }
        if !newer.is_empty() && self.version == Version::V1 {
            self.version = Version::V2;
        }
        profile.units = older;
        profile.units.extend(newer);
        surroundings(reader, &mut profile)?;
        self.profiles.push(profile);
        Ok(())
    }
}

/// What of a name that is no profile's is not Cargo's.
fn foreign(reader: &Reader<'_>, item: Listed) -> Result<Vec<PathBuf>, LayoutError> {
    if TOP.contains(&item.name.as_str()) {
        return Ok(Vec::new());
    }
    if item.name == "tmp" && item.kind.is_dir() {
        return Ok(reader.list(&item.path)?.into_iter().map(|inner| inner.path).collect());
    }
    Ok(vec![item.path])
}

/// The profile directories at or right below a name at the top of the target directory.
fn profiles_at(reader: &Reader<'_>, item: &Listed) -> Result<Vec<PathBuf>, LayoutError> {
    if !item.kind.is_dir() {
        return Ok(Vec::new());
    }
    if is_profile(reader, &item.path)? {
        return Ok(vec![item.path.clone()]);
    }
    let mut profiles = Vec::new();
    for inner in reader.directories(&item.path)? {
        if is_profile(reader, &inner.path)? {
            profiles.push(inner.path);
        }
    }
    Ok(profiles)
}

/// Cargo's lock files in the directories of all profiles.
pub(super) fn locks(reader: &Reader<'_>) -> Result<Vec<PathBuf>, LayoutError> {
    let mut locks = Vec::new();
    for item in reader.list(Path::new(""))? {
        for profile in profiles_at(reader, &item)? {
            let inside = reader.list(&profile)?.into_iter();
            locks.extend(inside.filter(is_lock).map(|item| item.path));
        }
    }
    Ok(locks)
}

fn is_lock(item: &Listed) -> bool {
    item.kind.is_file() && is_lock_name(&item.name)
}

fn is_lock_name(name: &str) -> bool {
    name.starts_with(".cargo-") && name.ends_with("lock")
}

impl Layout {
    /// A name of Cargo's own in a profile's directory at which something else is than Cargo makes: it would fail
    /// there, whatever it is to build.
    pub(crate) fn misplaced(&self) -> Option<&PathBuf> {
        self.profiles.iter().find_map(|profile| {
            // Of its directories only files are among the one, of its lock files only others among both.
            let is_cargos = |path: &&PathBuf| {
                let name = path.strip_prefix(&profile.path).ok().and_then(Path::to_str);
                name.is_some_and(|name| OWN.contains(&name) || is_lock_name(name))
            };
            profile.uplifted.iter().chain(&profile.foreign).find(is_cargos)
        })
    }

    /// Whether a path is one of Cargo's own notes at the top of a target directory.
    pub(crate) fn is_at_top(path: &Path) -> bool {
        TOP.iter().any(|name| path == Path::new(name))
    }
}

/// Cargo locks a profile's directory before it makes anything in it.
fn is_profile(reader: &Reader<'_>, path: &Path) -> Result<bool, LayoutError> {
    for name in [".cargo-lock", ".cargo-build-lock", ".cargo-artifact-lock", ".fingerprint"] {
        if reader.modified(&path.join(name))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is in a profile's directory besides units.
fn surroundings(reader: &Reader<'_>, profile: &mut ProfileDir) -> Result<(), LayoutError> {
    for item in reader.list(&profile.path)? {
        if !item.kind.is_dir() {
            let place = if is_lock(&item) { &mut profile.locks } else { &mut profile.uplifted };
            place.push(item.path);
        } else if item.name == "incremental" {
            profile.incremental = Some(item.path);
        } else if !OWN.contains(&item.name.as_str()) {
            profile.foreign.push(item.path);
        }
    }
    for build in [profile.path.join("build"), profile.path.join(".fingerprint")] {
        let files = reader.list(&build)?.into_iter().filter(|item| !item.kind.is_dir());
        profile.foreign.extend(files.map(|item| item.path));
    }
    let owned: HashSet<&PathBuf> = profile.units.iter().flat_map(|unit| &unit.paths).collect();
    for item in reader.list(&profile.path.join("examples"))? {
        if item.kind.is_dir() {
            profile.foreign.push(item.path);
        } else if !owned.contains(&item.path) && !profile.strays.contains(&item.path) {
            profile.uplifted.push(item.path);
        }
    }
    Ok(())
}
