//! Everything that a build's sources are, and how it differs from before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkout::{self, Checkout};
use super::git::GitState;
use super::lockfile::Lockfile;
use super::manifests::Manifests;
use super::outside::Outside;
use super::packages::Packages;
use super::paths;
use super::place::Where;
use crate::base::key::{Key, Mark};
use crate::base::moment::Moment;
use crate::base::regular;
use crate::base::tree::{Change, ChangeKind, Node, ObserveError, Tree};

/// The state of all sources at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceState {
    /// Everything in the checkout, ignored files too, but no `.git` and not the target directory.
    pub checkout: Tree,
    /// The repositories that the checkout has or belongs to.
    pub git: GitState,
    /// Path dependencies and the like outside of the checkout.
    pub outside: Outside,
    /// Packages from registries, git and directory sources.
    pub packages: Packages,
    /// Absolute inputs that units named, by path as the compiler sees it.
    #[serde(with = "paths::map")]
    pub inputs: BTreeMap<PathBuf, Tree>,
    /// The variable of that name.
    pub source_date_epoch: Option<String>,
    /// Variables that a directory does not depend on, and that single programs may read.
    pub variables: BTreeMap<String, Mark>,
    /// The packages of `Cargo.lock`, or of the last one; nothing if none could be read yet.
    pub lock: Option<Lockfile>,
    manifests: Manifests,
}

/// How one state differs from an older one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceChanges {
    /// Names in the checkout.
    pub checkout: Vec<Change>,
    /// Files of the checkout that have their content still, but another time that somebody set.
    pub dated: Vec<PathBuf>,
    /// What git would answer differently, in words.
    pub git: Vec<String>,
    /// Places outside of the checkout.
    pub outside: Vec<PathBuf>,
    /// Packages from outside whose content differs or was not known, by `name version`; vendored ones by name.
    pub packages: BTreeSet<String>,
    /// Absolute inputs, as the compiler sees them, that differ or were not known.
    pub inputs: Vec<PathBuf>,
    /// Whether `SOURCE_DATE_EPOCH` differs.
    pub source_date_epoch: bool,
    /// Names of variables that differ and that a directory does not depend on.
    pub variables: Vec<String>,
}

/// Looks at all sources and changes nothing. What `before` vouches for is not read again.
pub(crate) fn observe(
    place: &Where,
    before: Option<&SourceState>,
) -> Result<SourceState, ObserveError> {
    let checkout = checkout::observe(place, before.map(|before| &before.checkout))?;
    finish(place, before, checkout)
}

/// Looks at the checkout alone, and changes nothing.
pub(crate) fn observe_checkout(place: &Where, before: &Tree) -> Result<Tree, ObserveError> {
    Ok(checkout::observe(place, Some(before))?.tree)
}

fn finish(
    place: &Where,
    before: Option<&SourceState>,
    checkout: Checkout,
) -> Result<SourceState, ObserveError> {
    let tree = checkout.tree;
    let git = GitState::observe(place, &checkout.dot_gits, before.map(|before| &before.git))?;
    let manifests = Manifests::read(&place.source, &tree, before.map(|before| &before.manifests));
    let outside = Outside::observe(place, &tree, &manifests, before.map(|before| &before.outside))?;
    // Where a repository has no lock file, the last one tells what is there until Cargo has made another (decision 94).
    let lock = read_lock(place, &tree, before).or_else(|| before?.lock.clone());
    let no_lock = Lockfile::default();
    let known = before.map(|before| &before.packages);
    let packages = Packages::observe(place, lock.as_ref().unwrap_or(&no_lock), known)?;
    let mut inputs = BTreeMap::new();
    for path in &place.inputs {
        let known = before.and_then(|before| before.inputs.get(path));
        inputs.insert(path.clone(), look_at_input(place, path, known)?);
    }
    let source_date_epoch = place.source_date_epoch.clone();
    Ok(SourceState {
        checkout: tree,
        git,
        outside,
        packages,
        inputs,
        source_date_epoch,
        variables: place.variables.clone(),
        lock,
        manifests,
    })
}

/// The lock file at the top; where there is none, all that are further down together.
///
/// One that cannot be read is none: Cargo will say so itself.
fn read_lock(place: &Where, tree: &Tree, before: Option<&SourceState>) -> Option<Lockfile> {
    let top = Path::new("Cargo.lock");
    let found: Vec<_> = match tree.get(top) {
        Some(entry) => vec![(top.to_owned(), entry)],
        None => tree.select(|name, _| name == b"Cargo.lock").collect(),
    };
    let is_known = |before: &&SourceState| {
        let same = |(path, entry): &(PathBuf, &crate::base::tree::Entry)| {
            matches!(entry.node, Node::File(_))
                && before.checkout.get(path).is_some_and(|old| old.node == entry.node)
        };
        found.len() == 1 && found.iter().all(same)
    };
    if let Some(before) = before.filter(is_known) {
        return before.lock.clone();
    }
    let read = |(path, _): &(PathBuf, _)| {
        let text = regular::text(&place.source.join(path)).ok()?;
        Lockfile::parse(&text).ok()
    };
    let locks = found.iter().filter_map(read);
    locks.reduce(|mut all, more| {
        all.packages.extend(more.packages);
        all
    })
}

pub(super) fn look_at_input(
    place: &Where,
    path: &Path,
    before: Option<&Tree>,
) -> Result<Tree, ObserveError> {
    Tree::observe_all(&place.real_of_compiler(path), before)
}

impl SourceState {
    /// The names of the packages that are local: what `Cargo.lock` has without a source, and what
    /// the manifests of the checkout have that `Cargo.lock` does not know (yet).
    pub(crate) fn local(&self) -> BTreeSet<String> {
        let vendored = self.vendored();
        let locked = self.lock.iter().flat_map(|lock| &lock.packages);
        let foreign = locked.filter(|package| package.source.is_some());
        let foreign: BTreeSet<&str> = foreign.map(|package| package.name.as_str()).collect();
        let inside = self.manifests.iter().filter(|(path, _)| !is_below(path, &vendored));
        let inside = inside.filter_map(|(_, manifest)| manifest.name.as_deref());
        let named = inside.chain(self.outside.package_names());
        let named = named.filter(|name| !foreign.contains(name)).map(str::to_owned);
        let locked = self.lock.iter().flat_map(Lockfile::local);
        named.chain(locked.map(|package| package.name.clone())).collect()
    }

    /// What differs from an older state.
    pub(crate) fn changes_since(&self, old: &Self) -> SourceChanges {
        let checkout = self.checkout.changes_since(&old.checkout);
        let mut packages = self.packages.changes_since(&old.packages);
        packages.extend(self.vendored_in(&checkout));
        packages.extend(old.vendored_in(&checkout));
        let differs = |path: &&PathBuf| match (self.inputs.get(*path), old.inputs.get(*path)) {
            (Some(new), Some(old)) => !new.changes_since(old).is_empty(),
            _ => true,
        };
        SourceChanges {
            dated: self.checkout.redated_since(&old.checkout),
            git: self.git.changes_since(&old.git),
            outside: self.outside.changes_since(&old.outside),
            packages,
            inputs: self.inputs.keys().filter(differs).cloned().collect(),
            source_date_epoch: self.source_date_epoch != old.source_date_epoch,
            variables: self.variables_since(old),
            checkout,
        }
    }

    /// Forgets packages that `Cargo.lock` has no more and of whose name no unit is there.
    pub(crate) fn retain_packages(&mut self, is_there: impl Fn(&str) -> bool) {
        self.packages.retain(self.lock.as_ref(), is_there);
    }

    /// Makes it a state that was seen on another machine: no stamp of it vouches for any content here.
    pub(crate) fn unsettle(&mut self) {
        self.checkout.unsettle();
        self.git.unsettle();
        self.outside.unsettle();
        self.packages.unsettle();
        self.inputs.values_mut().for_each(Tree::unsettle);
    }

    /// Hides what is hidden by another key besides, for others to have.
    pub(crate) fn hide_by(&mut self, key: &Key) {
        for mark in self.variables.values_mut() {
            *mark = mark.hidden_by(key);
        }
    }

    /// Takes over, from a state that was hidden by another key besides, which variables are as they are here.
    pub(crate) fn compare_by(&mut self, key: &Key, here: &BTreeMap<String, Mark>) {
        for (name, mark) in &mut self.variables {
            let here = here.get(name).filter(|here| here.hidden_by(key) == *mark);
            *mark = here.copied().unwrap_or(*mark);
        }
    }

    fn variables_since(&self, old: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.variables.keys().chain(old.variables.keys()).collect();
        let differs = |name: &&String| self.variables.get(*name) != old.variables.get(*name);
        names.into_iter().filter(differs).cloned().collect()
    }

    /// The directories of the packages in the checkout.
    pub(crate) fn package_directories(&self) -> impl Iterator<Item = &Path> {
        self.manifests.iter().map(|(path, _)| path)
    }

    /// The name of the package in a directory of the checkout.
    pub(crate) fn package_in(&self, directory: &Path) -> Option<&str> {
        let mut all = self.manifests.iter().filter(|(path, _)| *path == directory);
        all.next().and_then(|(_, manifest)| manifest.name.as_deref())
    }

    /// Whether the manifest of a directory of the checkout says the same for other packages as in another state.
    pub(crate) fn same_for_others(&self, other: &Self, directory: &Path) -> bool {
        self.manifests.same_for_others(&other.manifests, directory)
    }

    /// The directories in the checkout that hold vendored packages: `cargo vendor` puts a
    /// `.cargo-checksum.json` into each (`sources/directory.rs`, Cargo 1.95).
    pub(crate) fn vendored(&self) -> BTreeSet<PathBuf> {
        let marks = self.checkout.select(|name, _| name == b".cargo-checksum.json");
        marks.filter_map(|(path, _)| path.parent().map(Path::to_owned)).collect()
    }

    /// The names of vendored packages in which some of the changes are.
    fn vendored_in(&self, changes: &[Change]) -> BTreeSet<String> {
        if changes.is_empty() {
            return BTreeSet::new();
        }
        let vendored = self.vendored();
        let hit =
            |directory: &Path| changes.iter().any(|change| change.path.starts_with(directory));
        let packages = self.manifests.iter().filter(|(path, _)| vendored.contains(*path));
        let packages = packages.filter(|(path, _)| hit(path));
        packages.filter_map(|(_, manifest)| manifest.name.clone()).collect()
    }
}

fn is_below(path: &Path, directories: &BTreeSet<PathBuf>) -> bool {
    path.ancestors().any(|above| directories.contains(above))
}

impl SourceChanges {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts files as changed of which it is not known what the last build saw.
    pub(crate) fn add_edited(&mut self, paths: impl Iterator<Item = PathBuf>) {
        for path in paths {
            if !self.checkout.iter().any(|change| change.path == path) {
                self.checkout.push(Change { path, kind: ChangeKind::Changed });
            }
        }
    }

    /// Whether something differs that local packages may have read.
    pub(crate) fn touches_local(&self) -> bool {
        !(self.checkout.is_empty()
            && self.dated.is_empty()
            && self.git.is_empty()
            && self.outside.is_empty())
    }
}

/// When the use began whose sources a state describes, and when it first compiled something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// The moment of the state.
    pub started: Moment,
    /// When the first unit was started, if any was.
    pub first_unit: Option<Moment>,
}
