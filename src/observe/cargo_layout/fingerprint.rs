//! Cargo's fingerprint of a unit, as its `.json` tells it, and the number that stands for it.
//!
//! The number is a hash over the fields of `Fingerprint` (`core/compiler/fingerprint/mod.rs`, Cargo 1.95), by
//! the stable hasher that Cargo has used since 1.85. Cargo promises neither (decision 76). So a number is only believed to
//! be understood where the one computed here is the one that Cargo wrote down: a unit of another Cargo, or of
//! another form, is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use rustc_stable_hash::StableSipHasher128;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::listing::Reader;
use super::stamps::{digits_of, run_output};
use super::{Layout, LayoutError, Unit};

/// The fields that are hashed, in their order.
#[derive(Deserialize, Hash)]
struct Fields {
    rustc: u64,
    features: String,
    declared_features: String,
    target: u64,
    path: u64,
    profile: u64,
    local: Vec<Local>,
    config: u64,
    compile_kind: u64,
    rustflags: Vec<String>,
    deps: Vec<Dependency>,
}

/// What decides about a unit besides (`LocalFingerprint`).
#[derive(Serialize, Deserialize, Hash)]
enum Local {
    Precalculated(String),
    CheckDepInfo { dep_info: PathBuf, checksum: bool },
    RerunIfChanged { output: PathBuf, paths: Vec<PathBuf> },
    RerunIfEnvChanged { var: String, val: Option<String> },
}

/// Package, name, whether it is public, number (`DepFingerprint`).
#[derive(Deserialize, Hash)]
struct Dependency(u64, String, bool, u64);

impl Fields {
    fn number(&self) -> u64 {
        let mut hasher = StableSipHasher128::new();
        self.hash(&mut hasher);
        Hasher::finish(&hasher)
    }
}

/// What is known of a unit.
struct Known {
    note: PathBuf,
    /// As Cargo wrote it; fields that are not understood are kept.
    json: Value,
    number: u64,
}

/// Files of a target directory that get another content, relative to it.
pub(crate) type Rewrites = Vec<(PathBuf, Vec<u8>)>;

impl Layout {
    /// What has to be written so that silent runs of build scripts, by their place in [`Layout::units`], count
    /// as having asked for these paths to be watched, and nothing else is another for Cargo: the run's output,
    /// its number, and the numbers of all units that were made from it. Nothing if some of it is not
    /// understood.
    ///
    /// Paths are relative to the package. Cargo parses the output of the last run again to learn what to watch.
    pub(crate) fn declare(
        &self,
        silent: &BTreeMap<usize, Vec<PathBuf>>,
    ) -> Result<Option<Rewrites>, LayoutError> {
        let reader = Reader { target: &self.target };
        let units: Vec<&Unit> = self.units().collect();
        let Some(mut known) = self.dependents(silent.keys().copied().collect(), &units)? else {
            return Ok(None);
        };
        let old: BTreeMap<u64, usize> =
            known.iter().map(|(index, known)| (known.number, *index)).collect();
        if old.len() < known.len() {
            return Ok(None);
        }
        let mut rewrites = Rewrites::new();
        for (index, paths) in silent {
            let (Some(file), Some(known)) =
                (run_output(&reader, units[*index])?, known.get_mut(index))
            else {
                return Ok(None);
            };
            let Some(output) = watching(reader.read(&file)?.unwrap_or_default(), paths) else {
                return Ok(None);
            };
            let local = [Local::RerunIfChanged { output: file.clone(), paths: paths.clone() }];
            let Ok(local) = serde_json::to_value(local) else { return Ok(None) };
            known.json["local"] = local;
            rewrites.push((file, output));
        }
        let mut numbers = BTreeMap::new();
        for index in known.keys().copied().collect::<Vec<_>>() {
            if renumber(index, &mut known, &old, &mut numbers).is_none() {
                return Ok(None);
            }
        }
        for known in known.into_values() {
            let number = numbers.get(&known.number).copied().unwrap_or(known.number);
            let digits = crate::base::encoding::hexadecimal(&number.to_le_bytes());
            rewrites.push((known.note.with_extension("json"), known.json.to_string().into_bytes()));
            rewrites.push((known.note, digits.into_bytes()));
        }
        Ok(Some(rewrites))
    }

    /// Units and all that were made from them, if all of them are understood.
    fn dependents(
        &self,
        mut open: BTreeSet<usize>,
        units: &[&Unit],
    ) -> Result<Option<BTreeMap<usize, Known>>, LayoutError> {
        let reader = Reader { target: &self.target };
        let edges = self.edges()?;
        let mut found = BTreeMap::new();
        while let Some(index) = open.pop_first() {
            let Some(known) = understand(&reader, units[index])? else { return Ok(None) };
            found.insert(index, known);
            let above = edges.iter().filter(|(_, to)| *to == index).map(|(from, _)| *from);
            open.extend(above.filter(|from| !found.contains_key(from)));
        }
        Ok(Some(found))
    }
}

/// Reads a unit's fingerprint; nothing if its number is not what is computed here.
fn understand(reader: &Reader<'_>, unit: &Unit) -> Result<Option<Known>, LayoutError> {
    let [note] = &digits_of(reader, unit)?[..] else { return Ok(None) };
    let Some(finished) = unit.finished else { return Ok(None) };
    let text = reader.read(&note.with_extension("json"))?.unwrap_or_default();
    let Ok(json) = serde_json::from_slice::<Value>(&text) else { return Ok(None) };
    let is_understood = number_of(&json) == Some(finished.fingerprint);
    let known = Known { note: note.clone(), json, number: finished.fingerprint };
    Ok(is_understood.then_some(known))
}

/// The number that stands for a fingerprint.
pub(crate) fn number_of(json: &Value) -> Option<u64> {
    Fields::deserialize(json).ok().map(|fields| fields.number())
}

/// Gives a unit the numbers that its dependencies get, and returns its own new one. `numbers` has those that
/// are done, by the old ones.
fn renumber(
    index: usize,
    known: &mut BTreeMap<usize, Known>,
    old: &BTreeMap<u64, usize>,
    numbers: &mut BTreeMap<u64, u64>,
) -> Option<u64> {
    let own = known.get(&index)?.number;
    if let Some(done) = numbers.get(&own) {
        return Some(*done);
    }
    let mut deps = known.get(&index)?.json.get("deps")?.as_array()?.clone();
    for dep in &mut deps {
        let number = dep.get_mut(3)?;
        if let Some(below) = old.get(&number.as_u64()?) {
            // Cargo refuses circles of packages, and units follow them.
            *number = renumber(*below, known, old, numbers)?.into();
        }
    }
    let known = known.get_mut(&index)?;
    known.json["deps"] = Value::Array(deps);
    let number = number_of(&known.json)?;
    numbers.insert(own, number);
    Some(number)
}

/// A run's output with the lines that ask for paths to be watched; nothing if a path does not fit into one.
fn watching(mut output: Vec<u8>, paths: &[PathBuf]) -> Option<Vec<u8>> {
    if output.last().is_some_and(|byte| *byte != b'\n') {
        output.push(b'\n');
    }
    for path in paths {
        let text = path.to_str().filter(|text| text.trim() == *text && !text.contains('\n'))?;
        output.extend(format!("cargo:rerun-if-changed={text}\n").bytes());
    }
    (!paths.is_empty()).then_some(output)
}
