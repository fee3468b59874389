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
use crate::base::moment::Moment;

/// The part of a unit's `.json` that is of use.
#[derive(Deserialize)]
struct Diagnosis {
    deps: Vec<Dependency>,
}

/// Package, name, whether it is public, fingerprint.
type Dependency = (u64, String, bool, u64);

/// How the units of a directory depend on each other, by their places in [`Layout::units`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    /// Pairs of a unit and a unit that it was made from.
    pub edges: Vec<(usize, usize)>,
    /// Units of which it is not known what they were all made from.
    pub open: BTreeSet<usize>,
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
    pub(crate) fn edges(&self) -> Result<Vec<(usize, usize)>, LayoutError> {
        Ok(self.graph()?.edges)
    }

    /// All edges, and where some may be missing.
    pub(crate) fn graph(&self) -> Result<Graph, LayoutError> {
        let (edges, open) = self.dependencies()?;
        Ok(Graph { edges: edges.into_iter().map(|edge| (edge.from, edge.to)).collect(), open })
    }

    /// The packages of which a unit was started at or after a moment, sorted by name; a name
    /// stands once for each version of the package.
    ///
    /// That is what Cargo's `Compiling` lines say, which it prints once for a package however
    /// many units of it are stale (`core/compiler/job_queue/mod.rs`, `note_working_on`, Cargo
    /// 1.95). Two versions are told apart by what their dependents wrote down; after a failed
    /// build there may be none that did, and then they count as one. So do two path packages of
    /// the same name, of which Cargo notes the name only (`DepFingerprint::new`).
    pub(crate) fn compiled_since(&self, since: Moment) -> Result<Vec<String>, LayoutError> {
        let is_new = |unit: &Unit| unit.started.is_some_and(|started| started >= since);
        let mut versions: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (index, unit) in self.units().enumerate().filter(|(_, unit)| is_new(unit)) {
            versions.entry(&unit.package).or_default();
            names.insert(index, unit.package.as_str());
        }
        for edge in self.dependencies()?.0 {
            if let Some(name) = names.get(&edge.to) {
                versions.entry(name).or_default().insert(edge.package);
            }
        }
        let repeat = |(name, ids): (&str, BTreeSet<u64>)| vec![name.to_owned(); ids.len().max(1)];
        Ok(versions.into_iter().flat_map(repeat).collect())
    }

    fn dependencies(&self) -> Result<(Vec<Edge>, BTreeSet<usize>), LayoutError> {
        let reader = Reader { target: &self.target };
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, unit) in self.units().enumerate() {
            if let Some(finished) = unit.finished {
                known.entry(finished.fingerprint).or_default().push(index);
            }
        }
        let (mut edges, mut open) = (Vec::new(), BTreeSet::new());
        for (from, unit) in self.units().enumerate() {
            let Some(diagnosed) = diagnoses(&reader, unit)? else {
                open.insert(from);
                continue;
            };
            for (package, _, _, fingerprint) in diagnosed {
                let units = known.get(&fingerprint).map(Vec::as_slice).unwrap_or_default();
                edges.extend(units.iter().map(|to| Edge { from, to: *to, package }));
                if units.is_empty() {
                    open.insert(from);
                }
            }
        }
        Ok((edges, open))
    }
}

/// The dependencies that a unit's `.json` lists; nothing if there is none, or it cannot be read.
fn diagnoses(reader: &Reader<'_>, unit: &Unit) -> Result<Option<Vec<Dependency>>, LayoutError> {
    let mut found = None;
    for item in reader.list(&unit.fingerprint)? {
        if item.path.extension().is_some_and(|extension| extension == "json") {
            let content = reader.read(&item.path)?.unwrap_or_default();
            let Ok(diagnosis) = serde_json::from_slice::<Diagnosis>(&content) else {
                return Ok(None);
            };
            found.get_or_insert_with(Vec::new).extend(diagnosis.deps);
        }
    }
    Ok(found)
}
