//! Warm against cold: the same command in an empty directory at the same path, and every artifact
//! compared byte for byte.
//!
//! A difference has two causes. Either what was kept is not what a cold build makes: stale. Or cold
//! builds differ among themselves: not reproducible, and nothing that larder keeps could be right. A
//! second cold build tells them apart.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cargo_layout::{Layout, Unit};
use crate::digest::Digest;
use crate::session::Use;
use crate::tree::Tree;

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every artifact is bit for bit that of a cold build.
    Same,
    /// Two cold builds agree, and the warm one differs from both.
    Stale,
    /// Two cold builds differ from each other.
    NotReproducible,
}

impl Verdict {
    /// What it says of the directory.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Same => "the same as a cold build",
            Self::Stale => "it was stale, and begun anew",
            Self::NotReproducible => "not reproducible",
        }
    }
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// What came of it.
    pub verdict: Verdict,
    /// How many artifacts were compared.
    pub artifacts: usize,
    /// The artifacts that differ, or that only one of the builds has; relative to `target/`.
    pub differing: Vec<PathBuf>,
    /// The first unit that differs, in the order in which the cold build made them.
    pub first_unit: Option<String>,
}

/// Builds cold beside a warm build that has just succeeded, and compares. What differs is set
/// aside if it is stale.
pub fn compare(warm: &mut Use<'_>, command: &[OsString]) -> Result<Comparison> {
    let kept = warm.kept();
    let one = warm.build_cold(command, 1)?;
    let (mine, cold) = (artifacts(&kept)?, artifacts(&one.dir)?);
    let differing = differing(&mine, &cold);
    let mut comparison =
        Comparison { verdict: Verdict::Same, artifacts: cold.len(), first_unit: None, differing };
    if one.code != 0 || !comparison.differing.is_empty() {
        let other = warm.build_cold(command, 2)?;
        let agree = one.code == other.code && artifacts(&other.dir)? == cold;
        comparison.verdict = if agree { Verdict::Stale } else { Verdict::NotReproducible };
        let beside = if agree { &kept } else { &other.dir };
        comparison.first_unit = first_unit(beside, &one.dir)?;
    }
    warm.end_cold(comparison.verdict)?;
    Ok(comparison)
}

/// What stands where users take it, by content; dep-info is Cargo's own.
fn artifacts(target: &Path) -> Result<BTreeMap<PathBuf, Digest>> {
    let layout = Layout::scan(target)?;
    let uplifted = layout.profiles.iter().flat_map(|profile| &profile.uplifted);
    let taken = uplifted.filter(|path| path.extension() != Some(OsStr::new("d")));
    let digest = |path: &PathBuf| {
        Ok((path.clone(), Tree::observe_all(&layout.absolute(path), None)?.digest()))
    };
    taken.map(digest).collect()
}

fn differing(one: &BTreeMap<PathBuf, Digest>, other: &BTreeMap<PathBuf, Digest>) -> Vec<PathBuf> {
    let mut names: Vec<&PathBuf> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// The unit of `cold` that was started first among those whose files `other` has otherwise.
fn first_unit(other: &Path, cold: &Path) -> Result<Option<String>> {
    let layout = Layout::scan(cold)?;
    let mut units: Vec<&Unit> = layout.units().collect();
    // Two may be started in one tick of the file clock; what is needed is done first.
    units.sort_by_key(|unit| (unit.started, unit.finished.map(|done| done.at)));
    for unit in units {
        for path in unit.paths.iter().filter(|path| **path != unit.fingerprint) {
            if let Some(file) = first_difference(&cold.join(path), &other.join(path))? {
                let whole = file.as_os_str().is_empty();
                let file = if whole { path.clone() } else { path.join(file) };
                return Ok(Some(format!("{} ({})", unit.package, file.display())));
            }
        }
    }
    Ok(None)
}

/// The first file of a unit that differs in content; what only notes times and paths is left out.
fn first_difference(cold: &Path, other: &Path) -> Result<Option<PathBuf>> {
    let notes = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        path.extension() == Some(OsStr::new("d"))
            || ["fingerprint", "invoked.timestamp", "root-output"].iter().any(|note| name == *note)
    };
    if notes(cold) {
        return Ok(None);
    }
    let look = |path: &Path| Tree::observe(path, None, |below, _| !notes(below));
    let changes = look(cold)?.changes_since(&look(other)?);
    Ok(changes.into_iter().next().map(|change| change.path))
}
