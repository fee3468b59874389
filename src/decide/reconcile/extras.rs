//! What is beside Cargo's files: made by units, by the command, or by Cargo for rustdoc (decision 4).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Doomed, Situation};
use crate::observe::affected::concerns_cargo;
use crate::observe::cargo_layout::UnitKind;
use crate::observe::sources::SourceChanges;

impl Situation<'_> {
    /// The extras that go; completes the packages that go with all that depends on them.
    ///
    /// What no unit made goes always: the command makes it again, and its first call of cargo must not
    /// find what only a later one found in a cold build. What units may have made goes with the first of
    /// them, and then all of them go, so that what a cold build has is there. A changed manifest
    /// may take its maker out of the build.
    pub(super) fn judge_extras(
        &self,
        changes: &SourceChanges,
        doomed: &mut Doomed,
    ) -> BTreeSet<PathBuf> {
        let (mut made, rest): (Vec<_>, Vec<_>) = self
            .beside()
            .map(|path| (path, self.makers(path)))
            .partition(|(_, makers)| makers.is_some_and(|makers| !makers.is_empty()));
        let mut gone: BTreeSet<PathBuf> = rest.into_iter().map(|(path, _)| path.clone()).collect();
        let may_lose_makers =
            changes.checkout.iter().any(concerns_cargo) || !changes.outside.is_empty();
        if may_lose_makers {
            doomed
                .packages
                .extend(made.iter().filter_map(|(_, makers)| *makers).flatten().cloned());
        }
        loop {
            doomed.packages = self.with_dependents(std::mem::take(&mut doomed.packages));
            let is_lost = |makers: Option<&BTreeSet<String>>| {
                makers.is_some_and(|makers| !makers.is_disjoint(&doomed.packages))
            };
            let (lost, left): (Vec<_>, Vec<_>) =
                made.into_iter().partition(|(_, makers)| is_lost(*makers));
            if lost.is_empty() {
                return gone;
            }
            made = left;
            for (path, makers) in lost {
                gone.insert(path.clone());
                doomed.packages.extend(makers.into_iter().flatten().cloned());
            }
        }
    }

    /// All documentation with the units that make it, and nothing else of their packages: rustdoc
    /// puts what it makes for all crates into the same files.
    pub(super) fn docs(&self) -> BTreeSet<PathBuf> {
        let all = self.layout.foreign.iter();
        let docs = all.filter(|path| self.layout.docs_above(path).is_some()).cloned();
        let units = self.layout.units().filter(|unit| unit.is(UnitKind::Doc));
        docs.chain(units.flat_map(|unit| unit.paths.iter().cloned())).collect()
    }

    /// Who may have made the extra that a path is, or is in; nothing if it is none.
    pub(super) fn makers(&self, path: &Path) -> Option<&BTreeSet<String>> {
        path.ancestors().find_map(|above| self.suspects.extras.get(above))
    }

    fn beside(&self) -> impl Iterator<Item = &PathBuf> {
        let uplifted = self.layout.profiles.iter().flat_map(|profile| &profile.uplifted);
        let uplifted = uplifted.filter(|path| self.suspects.extras.contains_key(*path));
        self.layout.foreign_to_cargo().chain(uplifted)
    }
}
