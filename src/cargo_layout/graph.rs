//! How units depend on each other, and which packages a build compiled.
//!
//! A unit's `.json` lists its dependencies as `[package, name, public, fingerprint]`: a hash of
//! the package's id, and the number that the dependency's own fingerprint file says
//! (`core/compiler/fingerprint/mod.rs`, `DepFingerprint`, Cargo 1.95). Cargo calls the file
//! diagnostic. Where it is absent or of another form, there are no edges.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::listing::Reader;
use super::{Layout, LayoutError, Unit};
use crate::tree::Nanoseconds;

/// The part of a unit's `.json` that is of use.
#[derive(Deserialize)]
struct Diagnosis {
    deps: Vec<(u64, String, bool, u64)>,
}

/// One dependency of a unit.
struct Edge {
    from: usize,
    to: usize,
    /// Cargo's hash of the id of the package depended on.
    package: u64,
}

impl Layout {
    /// Pairs of a unit and a unit that it was made from, by their places in [`Layout::units`].
    pub fn edges(&self) -> Result<Vec<(usize, usize)>, LayoutError> {
        Ok(self.dependencies()?.into_iter().map(|edge| (edge.from, edge.to)).collect())
    }

    /// The packages of which a unit was started at or after a moment, sorted by name; a name
    /// stands once for each version of the package.
    ///
    /// That is what Cargo's `Compiling` lines say, which it prints once for a package however
    /// many units of it are stale (`core/compiler/job_queue/mod.rs`, `note_working_on`, Cargo
    /// 1.95). Two versions are told apart by what their dependents wrote down; after a failed
    /// build there may be none that did, and then they count as one. So do two path packages of
    /// the same name, of which Cargo notes the name only (`DepFingerprint::new`).
    pub fn compiled_since(&self, since: Nanoseconds) -> Result<Vec<String>, LayoutError> {
        let is_new = |unit: &Unit| unit.started.is_some_and(|started| started >= since);
        let mut versions: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (index, unit) in self.units().enumerate().filter(|(_, unit)| is_new(unit)) {
            versions.entry(&unit.package).or_default();
            names.insert(index, unit.package.as_str());
        }
        for edge in self.dependencies()? {
            if let Some(name) = names.get(&edge.to) {
                versions.entry(name).or_default().insert(edge.package);
            }
        }
        let repeat = |(name, ids): (&str, BTreeSet<u64>)| vec![name.to_owned(); ids.len().max(1)];
        Ok(versions.into_iter().flat_map(repeat).collect())
    }

    fn dependencies(&self) -> Result<Vec<Edge>, LayoutError> {
        let reader = Reader { target: &self.target };
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, unit) in self.units().enumerate() {
            if let Some(finished) = unit.finished {
                known.entry(finished.fingerprint).or_default().push(index);
            }
        }
        let mut edges = Vec::new();
        for (from, unit) in self.units().enumerate() {
            for (package, _, _, fingerprint) in diagnoses(&reader, unit)? {
                let units = known.get(&fingerprint).into_iter().flatten();
                edges.extend(units.map(|to| Edge { from, to: *to, package }));
            }
        }
        Ok(edges)
    }
}

fn diagnoses(
    reader: &Reader<'_>,
    unit: &Unit,
) -> Result<Vec<(u64, String, bool, u64)>, LayoutError> {
    let mut found = Vec::new();
    for item in reader.list(&unit.fingerprint)? {
        if item.path.extension().is_some_and(|extension| extension == "json") {
            let content = reader.read(&item.path)?.unwrap_or_default();
            let diagnosis = serde_json::from_slice::<Diagnosis>(&content);
            found.extend(diagnosis.map(|diagnosis| diagnosis.deps).unwrap_or_default());
        }
    }
    Ok(found)
}
