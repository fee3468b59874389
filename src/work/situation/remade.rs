//! What is told of what went.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Seen;
use crate::decide::reconcile::Removals;
use crate::decide::remade::{ChangedInput, INPUTS, Remade};
use crate::observe::identity::owners;
use crate::observe::sources::Where;
use crate::observe::trace::{Glass, Input};

impl Seen {
    /// What goes by a plan, and what the units looked up that is another one now.
    pub(crate) fn remade(&self, plan: &Removals, place: &Where) -> Remade {
        let all = self.layout.units().map(|unit| unit.package.as_str());
        let all: BTreeSet<&str> = all.collect();
        let packages = plan.packages.iter().filter(|name| all.contains(name.as_str())).cloned();
        let packages: BTreeSet<String> = packages.collect();
        let mut inputs = if packages.is_empty() { Vec::new() } else { self.changed_inputs(place) };
        inputs.sort();
        inputs.truncate(INPUTS);
        Remade { packages, of: all.len(), inputs }
    }

    fn changed_inputs(&self, place: &Where) -> Vec<ChangedInput> {
        let Some(manifest) = &self.manifest else { return Vec::new() };
        let glass = Glass::plain(place);
        let paths: BTreeSet<&Path> =
            self.stale.units.values().flatten().map(PathBuf::as_path).collect();
        let owners = owners(&place.root, &paths);
        let mut told: BTreeMap<(&str, &Path), ChangedInput> = BTreeMap::new();
        for unit in self.layout.units() {
            let Some(stale) = self.stale.units.get(&unit.hash) else { continue };
            let trace = manifest.traces.of(unit);
            let inputs = trace.into_iter().flat_map(|trace| manifest.traces.inputs_of(trace));
            for input in inputs {
                let path = Path::new(OsStr::from_bytes(&input.path));
                if stale.contains(path) {
                    let changed = ChangedInput {
                        package: unit.package.clone(),
                        unit: unit.in_words().to_owned(),
                        path: path.display().to_string(),
                        owner: owners.get(path).cloned(),
                        before: in_words(input),
                        now: glass.found(input),
                    };
                    told.entry((&unit.hash, path)).or_insert(changed);
                }
            }
        }
        told.into_values().collect()
    }
}

fn in_words(input: &Input) -> String {
    let found = input.found.as_ref();
    found.map_or_else(|| "changed while it was made".to_owned(), ToString::to_string)
}
