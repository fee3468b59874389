//! What is not as the last close left it.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::{Doomed, Situation, some_of};
use crate::base::tree::{Change, ChangeKind};
use crate::observe::cargo_layout::{
    Layout, Owner, Owners, Unit, UnitKind, is_harmless, package_in,
};

/// What goes alone, with no package.
#[derive(Default)]
pub(super) struct Loose {
    pub paths: BTreeSet<PathBuf>,
    /// Whether documentation is among it.
    pub docs: bool,
}

impl Situation<'_> {
    /// Damaged units are doomed; files of nobody, and units of which the last close knew nothing, such
    /// as those of an editor's own cargo, go alone (decision 81).
    pub(super) fn judge_damage(&self, damage: &[Change], doomed: &mut Doomed) -> Loose {
        let owners = self.layout.owners();
        let unknown = unknown(self.layout, damage);
        let (mut loose, mut alone) = (Loose::default(), BTreeSet::new());
        let (mut names, mut damaged) = (Vec::new(), BTreeSet::new());
        for change in damage.iter().filter(|change| !is_harmless(&change.path)) {
            let is_new = change.kind == ChangeKind::Added;
            let packages = match owners.of(&change.path) {
                Owner::Units(units)
                    if is_new && units.iter().all(|unit| unknown.contains(unit)) =>
                {
                    alone.extend(units);
                    continue;
                }
                Owner::Units(units) => self.packages_of(&units.into_iter().collect()),
                Owner::Nobody if self.layout.docs_above(&change.path).is_some() => {
                    loose.docs = true;
                    continue;
                }
                Owner::Nobody => {
                    if change.kind != ChangeKind::Removed {
                        loose.paths.insert(change.path.clone());
                    }
                    self.owners_of_loose(change)
                }
            };
            if !packages.is_empty() {
                names.push(change.path.display().to_string());
            }
            damaged.extend(packages);
        }
        for unit in self.take_alone(&alone, &unknown, &owners, &mut loose) {
            names.push(unit.fingerprint.display().to_string());
            damaged.insert(unit.package.clone());
        }
        if !names.is_empty() {
            doomed.add(damaged, format!("not as the last build left it: {}", some_of(names)));
        }
        let unsent = self.difference.unsent.iter().filter(|(_, makers)| !makers.is_empty());
        let (names, makers): (Vec<_>, Vec<_>) =
            unsent.map(|(path, makers)| (path.display().to_string(), makers.clone())).unzip();
        if !names.is_empty() {
            let why = format!("not pushed, because it is no unit's: {}", some_of(names));
            doomed.add(makers.into_iter().flatten(), why);
        }
        if !self.difference.tampered.is_empty() {
            let packages = self.difference.tampered.iter().cloned();
            let why = format!("changed in place after it was built: {}", some_of(packages.clone()));
            doomed.add(packages, why);
        }
        loose
    }

    /// The packages that have to make a file anew that is nobody's by its path.
    fn owners_of_loose(&self, change: &Change) -> BTreeSet<String> {
        if change.kind == ChangeKind::Added {
            return BTreeSet::new();
        }
        if let Some(makers) = self.makers(&change.path) {
            return makers.clone();
        }
        match change.kind {
            // The unit of a file that is gone may be gone with it: its parent tells the name.
            ChangeKind::Removed => package_of_remains(&change.path, self.layout),
            _ => BTreeSet::new(),
        }
    }

    /// Takes units by their own paths; returns those that share a path with one that is known.
    fn take_alone(
        &self,
        alone: &BTreeSet<usize>,
        unknown: &BTreeSet<usize>,
        owners: &Owners<'_>,
        loose: &mut Loose,
    ) -> Vec<&Unit> {
        let mut shared = Vec::new();
        let is_shared = |path: &PathBuf| match owners.of(path) {
            Owner::Units(units) => !units.iter().all(|unit| unknown.contains(unit)),
            Owner::Nobody => false,
        };
        let units = self.layout.units().enumerate().filter(|(index, _)| alone.contains(index));
        for (_, unit) in units {
            if unit.paths.iter().any(is_shared) {
                shared.push(unit);
            } else {
                loose.paths.extend(unit.paths.iter().cloned());
                loose.docs |= unit.is(UnitKind::Doc);
            }
        }
        shared
    }
}

/// The units, by their place in [`Layout::units`], whose fingerprint directory the last close did
/// not know.
fn unknown(layout: &Layout, damage: &[Change]) -> BTreeSet<usize> {
    let added = damage.iter().filter(|change| change.kind == ChangeKind::Added);
    let added: HashSet<&Path> = added.map(|change| change.path.as_path()).collect();
    let units = layout.units().enumerate();
    let new = units.filter(|(_, unit)| added.contains(unit.fingerprint.as_path()));
    new.map(|(index, _)| index).collect()
}

/// The packages of units whose file is gone, while other files of the same unit are still there:
/// known by the unit's hash in the path, or by the crate's name where a file has no hash. `tmp` has to be
/// there for tests.
fn package_of_remains(path: &Path, layout: &Layout) -> BTreeSet<String> {
    let text = path.to_string_lossy();
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = stem.strip_prefix("lib").unwrap_or(&stem);
    let is_tmp = path.ends_with("tmp") && path.components().count() < 3;
    let owns = |unit: &&Unit| {
        text.contains(&unit.hash)
            || unit.crates.contains(stem)
            || (is_tmp && unit.is(UnitKind::Test))
    };
    let left = layout.units().filter(owns).map(|unit| unit.package.clone());
    left.chain(package_in(path)).collect()
}
