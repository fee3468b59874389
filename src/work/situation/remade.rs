//! What is told of what went.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Seen;
use crate::decide::reconcile::Removals;
use crate::decide::remade::{ChangedInput, INPUTS, Remade};
use crate::observe::identity::owners;
use crate::observe::sources::Where;
use crate::observe::trace::{Glass, How, Input};

impl Seen {
    /// What goes by a plan, and what the units looked up that is another one now.
    pub(crate) fn remade(&self, plan: &Removals, place: &Where) -> Remade {
        let all: BTreeSet<&str> = self.layout.units().map(|unit| unit.package.as_str()).collect();
        let packages = plan.packages.iter().filter(|name| all.contains(name.as_str())).cloned();
        let packages: BTreeSet<String> = packages.collect();
        let inputs = if packages.is_empty() { Vec::new() } else { self.changed_inputs(place) };
        Remade { packages, of: all.len(), inputs }
    }

    /// The first [`INPUTS`] of them, by package; what is there now is looked at once for all units.
    fn changed_inputs(&self, place: &Where) -> Vec<ChangedInput> {
        let Some(manifest) = &self.manifest else { return Vec::new() };
        let mut changed: BTreeMap<(&str, &str, &Path), &Input> = BTreeMap::new();
        for unit in self.layout.units() {
            let Some(stale) = self.stale.units.get(&unit.hash) else { continue };
            let trace = manifest.traces.of(unit);
            let inputs = trace.into_iter().flat_map(|trace| manifest.traces.inputs_of(trace));
            for input in inputs.filter(|input| stale.contains(input.path())) {
                changed.insert((&unit.package, unit.in_words(), input.path()), input);
            }
        }
        let changed: Vec<_> = changed.into_iter().take(INPUTS).collect();
        let owners = owners(&place.root, &changed.iter().map(|((_, _, path), _)| *path).collect());
        let glass = Glass::plain(place);
        let mut there: BTreeMap<(&Path, How), String> = BTreeMap::new();
        let told = changed.into_iter().map(|((package, unit, path), input)| ChangedInput {
            package: package.to_owned(),
            unit: unit.to_owned(),
            path: path.display().to_string(),
            owner: owners.get(path).cloned(),
            before: input.in_words(),
            now: there.entry((path, input.how)).or_insert_with(|| glass.found(input)).clone(),
        });
        told.collect()
    }
}
