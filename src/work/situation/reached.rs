//! Whom what changed can have reached: asked of the traces, and guessed for units that have none.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::callers::{Callers, NamedBy};
use super::namers::Namers;
use super::{LookError, Seen, View, elsewhere, fresh, mentioned};
use crate::base::tree::Tree;
use crate::observe::affected::{affected, open, reached_by_manifests, reached_outside};
use crate::observe::cargo_layout::{Unit, Version};
use crate::observe::identity::{Drift, is_seldom};
use crate::observe::sources::{SourceChanges, SourceState, Where};
use crate::observe::trace::Glass;
use crate::store::TargetManifest;

impl Seen {
    /// Finds out whom the changes can have reached, and what is newer than what was made from it.
    pub(super) fn look_at_changes(
        &mut self,
        recorded: &SourceState,
        view: &View,
        place: &Where,
    ) -> Result<(), LookError> {
        let Some(changes) = &self.difference.changes else { return Ok(()) };
        let (layout, state, suspects) = (&self.layout, &self.state, &mut self.suspects);
        let local = &suspects.local;
        suspects.outsiders = reached_outside(layout, changes, state, local, &view.source)?;
        if changes.touches_local() {
            suspects.affected = reached_by_manifests(&changes.checkout, recorded, state);
        }
        if let (Some(reached), false) = (&mut suspects.affected, suspects.blind.is_empty()) {
            let guessed =
                affected(layout, &changes.checkout, recorded, state, local, &view.source)?;
            let guessed = guessed.unwrap_or_else(|| local.clone());
            reached.extend(guessed.intersection(&suspects.blind).cloned());
        }
        self.freshness = fresh::look(layout, place, view, state, recorded, changes)?;
        suspects.outdated = self.freshness.unknown.clone();
        suspects.docs_are_outdated = self.freshness.docs;
        Ok(())
    }

    /// Asks the traces which units would not see today what they saw, and which are not known.
    pub(super) fn look_at_traces(&mut self, view: &View, place: &Where) {
        let known = self.manifest.as_ref().zip(self.difference.changes.as_ref());
        let known = known.filter(|_| self.layout.version != Version::Unknown);
        let Some((manifest, changes)) = known else {
            self.suspects.blind.clone_from(&self.suspects.local);
            let changes = self.difference.changes.iter();
            let names =
                changes.flat_map(|changes| &changes.packages).map(|id| name_and_version(id).0);
            self.suspects.repacked.extend(names.map(str::to_owned));
            return;
        };
        let glass = Glass::with_checkout(place, &self.state.checkout);
        let real = |path: &PathBuf| std::fs::canonicalize(place.source.join(path)).ok();
        let stale = manifest.traces.stale(&glass, !changes.git.is_empty());
        // A compiler by itself asks for no times.
        let dated = changes.dated.iter().filter_map(real).collect();
        let dated = manifest.traces.lookers(&glass, &dated);
        let lock = self.state.lock.as_ref().filter(|_| !dated.is_empty());
        let open = lock.map(|lock| open(&self.layout, lock));
        let may_ask = |package: &String| open.as_ref().is_none_or(|open| open.contains(package));
        // What is said of the checkout is not said again.
        let is_said = |path: &PathBuf| {
            let inside = path.strip_prefix(&view.source).unwrap_or(path);
            inside.ends_with(".git")
                || changes.dated.iter().any(|dated| dated == inside)
                || changes.checkout.iter().any(|change| change.path == inside)
        };
        for (index, unit) in self.layout.units().enumerate() {
            let is_local = self.suspects.local.contains(&unit.package);
            if is_local && !manifest.traces.observe(unit) {
                self.suspects.blind.insert(unit.package.clone());
            }
            if dated.contains_key(&unit.hash) && may_ask(&unit.package) {
                self.suspects.lookers.insert(index);
            }
            if let Some(paths) = stale.units.get(&unit.hash) {
                self.suspects.lookers.insert(index);
                let others = paths.iter().filter(|path| !is_said(path)).cloned();
                self.suspects.looked_up.extend(others);
            }
        }
        self.suspects.configured.clone_from(&stale.common);
        self.stale = stale;
        let may_be_there = |(name, version): &(&str, Option<&str>)| {
            let mut units = self.layout.units().filter(|unit| unit.package == *name);
            let is_of =
                |unit| version.is_none_or(|version| manifest.traces.may_be_of(unit, version));
            units.any(is_of)
        };
        let packages = changes.packages.iter().map(|id| name_and_version(id));
        let packages = packages.filter(may_be_there).map(|(name, _)| name.to_owned());
        self.suspects.repacked = packages.collect();
    }

    /// Under another system units stay of which all is known that they looked up, if no program of theirs would load
    /// another library.
    pub(super) fn look_at_drift(&mut self, drift: &Drift, place: &Where) {
        if !drift.variables.is_empty() {
            // What is beside Cargo's files has no hash in its name: it may be another variant's, or nobody's here.
            let makers: BTreeSet<&String> = self.suspects.extras.values().flatten().collect();
            let units = self.layout.units().enumerate();
            let made = units.filter(|(_, unit)| makers.contains(&unit.package));
            self.suspects.strange.extend(made.map(|(index, _)| index));
        }
        if !drift.system {
            return;
        }
        let traces = self.manifest.as_ref().map(|manifest| &manifest.traces);
        let misled = traces.map(|traces| traces.misled(&Glass::plain(place))).unwrap_or_default();
        let is_known = |unit: &Unit| {
            traces.is_some_and(|traces| traces.observe(unit)) && !misled.contains(&unit.hash)
        };
        let units = self.layout.units().enumerate();
        let unknown = units.filter(|(_, unit)| !is_known(unit)).map(|(index, _)| index);
        self.suspects.strange.extend(unknown);
    }

    /// Looks into single units, only where a change asks for it.
    pub(super) fn look_at_units(&mut self, view: &View, place: &Where) -> Result<(), LookError> {
        let Some(changes) = &self.difference.changes else {
            return Ok(());
        };
        for (index, unit) in self.layout.units().enumerate() {
            let is_seen = |known: &TargetManifest| known.traces.observe(unit);
            let is_guessed = !self.manifest.as_ref().is_some_and(is_seen);
            if is_guessed
                && !changes.inputs.is_empty()
                && self.reads_changed(unit, changes, view, place)?
            {
                self.suspects.readers.insert(index);
            }
        }
        Ok(())
    }

    pub(super) fn look_for_callers(&mut self, view: &View, place: &Where) -> Result<(), LookError> {
        let Some(changes) = &self.difference.changes else {
            return Ok(());
        };
        let (layout, tree, state) = (&self.layout, &self.tree, &self.state);
        let callers = Callers { layout, tree, state, local: &self.suspects.local, place, view };
        let (usual, others): (Vec<String>, Vec<String>) =
            changes.variables.iter().cloned().partition(|name| is_seldom(name));
        let mut named = callers.of(&usual, &mut self.memory)?;
        if let Some(manifest) = &self.manifest {
            let (traces, command) = (&manifest.traces, view.command.as_slice());
            let namers = Namers { layout, traces, place, state, command };
            named.extend(namers.of(&others)?);
            named.extend(namers.of_command(&usual));
            if changes.source_date_epoch {
                self.suspects.dated = namers.of_date(&self.suspects.local)?;
            }
        }
        let NamedBy { units, names } = named;
        (self.suspects.callers, self.suspects.named) = (units, names);
        Ok(())
    }

    /// Whether a unit names one of the inputs that changed. A file that is gone is found by no
    /// text any more, so all programs may have named it.
    fn reads_changed(
        &self,
        unit: &Unit,
        changes: &SourceChanges,
        view: &View,
        place: &Where,
    ) -> Result<bool, LookError> {
        let mut inputs = elsewhere::named(&self.layout, Some(unit), &self.state, view, place)?;
        let mut has_programs = false;
        if self.suspects.local.contains(&unit.package) {
            let texts = self.layout.mentioned_paths(unit, |text| place.may_be_mentioned(text))?;
            has_programs = !texts.is_empty();
            inputs.extend(mentioned(place, &texts, &self.state, view));
        }
        let is_gone = |path: &PathBuf| self.state.inputs.get(path).is_none_or(Tree::is_empty);
        let names = |path: &PathBuf| inputs.contains(path) || (has_programs && is_gone(path));
        Ok(changes.inputs.iter().any(names))
    }
}

/// A package's name, and its version if that is said.
fn name_and_version(id: &str) -> (&str, Option<&str>) {
    id.split_once(' ').map_or((id, None), |(name, version)| (name, Some(version)))
}
