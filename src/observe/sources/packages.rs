//! The content of packages that come from outside the checkout.
//!
//! Cargo takes a package of a registry or of git for unchanging. It is found where Cargo unpacks
//! it: `registry/src/<index>/<name>-<version>/` (`sources/registry/mod.rs`), or
//! `git/checkouts/<repository>/<short commit>/` (`sources/git/source.rs`, Cargo 1.95), or in a
//! directory source, `<name>-<version>/` or `<name>/`. All places that fit are looked at. A git
//! checkout counts as a whole for each package in it.
//!
//! In the downloads that a directory keeps, a cold build would find what was just unpacked, and what a
//! lock file's checksum or commit vouches for. So there a package is what its checksum says: what is
//! unpacked is compared with its archive, or with its commit, and is spoilt where it is another
//! (decision 24). What was found to be the same once is known by its stamps. Cargo itself goes by
//! `.cargo-ok`, which anybody may write (`sources/registry/mod.rs`, `unpack_package`;
//! `sources/git/utils.rs`, `is_fresh`; Cargo 1.95).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::archive;
use super::git::{self, Checked};
use super::lockfile::{Lockfile, Package};
use super::paths;
use super::place::Where;
use crate::base::moment::Moment;
use crate::base::tree::{ObserveError, Tree};

/// Digits of a commit that a checkout's directory is named after, at least.
const SHORT: usize = 7;

/// Packages from outside, and what they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packages {
    /// By `name version`, for those in a directory's own downloads: what all units of theirs are made from.
    sums: BTreeMap<String, String>,
    /// By `name version`: the places that are its own. None as long as it was not downloaded.
    homes: BTreeMap<String, Vec<Vec<u8>>>,
    /// The content of each place.
    #[serde(with = "paths::map")]
    trees: BTreeMap<PathBuf, Tree>,
    /// Places in a directory's own downloads that are not what their checksum or commit says.
    #[serde(skip)]
    spoilt: BTreeSet<PathBuf>,
}

/// The places where unpacked packages can be, listed once.
struct Shelves {
    /// Each with its place here and the name it is remembered by.
    registries: Vec<PathBuf>,
    checkouts: Vec<(String, PathBuf)>,
    vendors: Vec<PathBuf>,
}

impl Packages {
    /// Looks at all packages of a lock file that have a source.
    pub(super) fn observe(
        place: &Where,
        lock: &Lockfile,
        before: Option<&Self>,
    ) -> Result<Self, ObserveError> {
        let shelves = Shelves::list(place);
        let mut seen = Self::default();
        let mut places = BTreeMap::new();
        let outside = || lock.packages.iter().filter(|package| package.source.is_some());
        for package in outside() {
            if let Some(sum) = package.sum().filter(|_| place.downloads.kept) {
                seen.sums.insert(package.id(), sum.to_owned());
            }
            let own = seen.homes.entry(package.id()).or_default();
            for here in shelves.homes(package) {
                let name = name_of(place, &here);
                own.push(super::paths::bytes(&name).to_vec());
                places.insert(name, here);
            }
        }
        let look = |(name, here): (PathBuf, PathBuf)| {
            let before = before.and_then(|before| before.trees.get(&name));
            Ok((name, look(&here, before)?))
        };
        let trees: Result<_, ObserveError> = places.into_par_iter().map(look).collect();
        seen.trees = trees?;
        if place.downloads.kept {
            let packages: Vec<&Package> = outside().collect();
            let spoilt = packages.par_iter().flat_map_iter(|package| {
                seen.spoilt_of(package, place, before).into_iter().flatten()
            });
            seen.spoilt = spoilt.collect();
            seen.spoilt.extend(before.map(|before| seen.gone_since(before)).unwrap_or_default());
        }
        seen.remember(before);
        Ok(seen)
    }

    /// The places of a package that are not what its checksum or commit says; nothing where it has neither.
    fn spoilt_of(
        &self,
        package: &Package,
        place: &Where,
        before: Option<&Self>,
    ) -> Option<Vec<PathBuf>> {
        let (id, sum) = (package.id(), package.sum()?);
        let known = before.filter(|before| before.sums.get(&id).is_some_and(|known| known == sum));
        let is_spoilt = |(name, tree): &(PathBuf, &Tree)| {
            let known = known.and_then(|known| known.trees.get(name));
            let is_known = known.is_some_and(|known| tree.changes_since(known).is_empty());
            is_download(name) && !is_known && !is_what_it_says(place, package, sum, name, tree)
        };
        Some(self.places_of(&id).filter(is_spoilt).map(|(name, _)| name).collect())
    }

    /// The git checkouts that were there before, and of which nothing is there now: nobody but Cargo makes them, and it
    /// takes none away that is in use.
    fn gone_since(&self, before: &Self) -> Vec<PathBuf> {
        let gone = self.homes.iter().filter(|(_, homes)| homes.is_empty());
        let known = gone.flat_map(|(id, _)| before.homes.get(id).into_iter().flatten());
        let known = known.map(|home| super::paths::path(home.clone()));
        known.filter(|name| name.starts_with("git")).collect()
    }

    /// Takes over what was known of packages that a lock file had before: units of theirs may be there still.
    fn remember(&mut self, before: Option<&Self>) {
        for (id, homes) in before.iter().flat_map(|before| &before.homes) {
            if homes.is_empty() || self.homes.contains_key(id) {
                continue;
            }
            let known = homes.iter().filter_map(|home| Some((home, before?.tree(home)?)));
            for (home, tree) in known {
                let name = super::paths::path(home.clone());
                self.trees.entry(name).or_insert_with(|| tree.clone());
            }
            self.homes.insert(id.clone(), homes.clone());
            let sum = before.and_then(|before| before.sums.get(id));
            self.sums.extend(sum.map(|sum| (id.clone(), sum.clone())));
        }
    }

    /// Keeps what is known of packages that `lock` has, or of whose name there is anything.
    pub(super) fn retain(&mut self, lock: Option<&Lockfile>, is_there: impl Fn(&str) -> bool) {
        let locked: BTreeSet<String> =
            lock.iter().flat_map(|lock| &lock.packages).map(Package::id).collect();
        self.homes.retain(|id, _| locked.contains(id) || is_there(&name_in(id)));
        let homes: BTreeSet<&Vec<u8>> = self.homes.values().flatten().collect();
        self.trees.retain(|name, _| homes.contains(&super::paths::bytes(name).to_vec()));
        self.sums.retain(|id, _| self.homes.contains_key(id));
    }

    /// The packages, by `name version`, whose content differs from an older observation, or that it did not
    /// know: units of that version may be left from before that.
    pub(crate) fn changes_since(&self, old: &Self) -> BTreeSet<String> {
        let differs = |home: &Vec<u8>| match (self.tree(home), old.tree(home)) {
            (Some(new), Some(old)) => !new.changes_since(old).is_empty(),
            _ => true,
        };
        let is_vouched_for = |id: &String| {
            let sum = self.sums.get(id);
            sum.is_some() && sum == old.sums.get(id) && !self.has_vendored(id)
        };
        let changed =
            self.homes.iter().filter(|(id, _)| !is_vouched_for(id)).filter(|(id, homes)| {
                old.homes.get(*id) != Some(*homes) || homes.iter().any(differs)
            });
        changed.map(|(id, _)| id.clone()).collect()
    }

    /// Whether a package was found in a directory source too, which may be the one that is used.
    fn has_vendored(&self, id: &str) -> bool {
        self.places_of(id).any(|(name, _)| !is_download(&name))
    }

    /// Places in a directory's own downloads that are not what their checksum or commit says, relative to Cargo's
    /// home.
    pub(crate) fn spoilt(&self) -> impl Iterator<Item = &PathBuf> {
        self.spoilt.iter()
    }

    pub(super) fn unsettle(&mut self) {
        self.trees.values_mut().for_each(Tree::unsettle);
    }

    /// Forgets what is spoilt: it is about to be unpacked again.
    pub(crate) fn forget_spoilt(&mut self) {
        for name in std::mem::take(&mut self.spoilt) {
            self.trees.remove(&name);
            for homes in self.homes.values_mut() {
                homes.retain(|home| super::paths::path(home.clone()) != name);
            }
        }
    }

    /// Forgets where a package is, and what its units are made from: they go the next time.
    pub(super) fn unlearn(&mut self, id: &str) {
        self.homes.remove(id);
        self.sums.remove(id);
    }

    /// Whether units of a package that were started at a moment may have been made from something else than it is now,
    /// after the command; `before` is what it was before that.
    pub(super) fn is_doubtful(&self, id: &str, made: Option<Moment>, before: &Self) -> bool {
        let differs = |(name, tree): (PathBuf, &Tree)| {
            let known = before.trees.get(&name);
            let was_touched = !known.is_some_and(|known| tree.restamped_since(known).is_empty());
            let changed = tree.iter().map(|(_, entry)| entry.stamp.ctime).max();
            self.spoilt.contains(&name)
                || (is_download(&name)
                    && was_touched
                    && made.is_some_and(|made| changed > Some(made)))
        };
        self.sums.contains_key(id) && self.places_of(id).any(differs)
    }

    /// Takes in those of a lock file's packages that were nowhere to be found before.
    pub(super) fn learn(&mut self, lock: &Lockfile, newer: &Self) -> usize {
        let mut learned = 0;
        for id in lock.packages.iter().map(Package::id) {
            if self.has(&id) || !newer.has(&id) {
                continue;
            }
            learned += 1;
            self.sums.extend(newer.sums.get(&id).map(|sum| (id.clone(), sum.clone())));
            for (name, tree) in newer.places_of(&id) {
                self.trees.entry(name).or_insert_with(|| tree.clone());
            }
            self.homes.extend(newer.homes.get(&id).map(|homes| (id.clone(), homes.clone())));
        }
        learned
    }

    /// Whether a package, by `name version`, was found anywhere.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.homes.get(id).is_some_and(|homes| !homes.is_empty())
    }

    /// Where a package was found, by `name version`, and what is there.
    pub(crate) fn places_of(&self, id: &str) -> impl Iterator<Item = (PathBuf, &Tree)> {
        let names = self.homes.get(id).into_iter().flatten();
        let names = names.map(|home| super::paths::path(home.clone()));
        names.filter_map(|name| self.trees.get(&name).map(|tree| (name, tree)))
    }

    fn tree(&self, home: &[u8]) -> Option<&Tree> {
        self.trees.get(&super::paths::path(home.to_vec()))
    }
}

/// Whether a place is one of Cargo's downloads, and not a directory source.
fn is_download(name: &Path) -> bool {
    name.starts_with("registry") || name.starts_with("git")
}

/// Whether what was seen at a place is what a package's checksum or commit says.
fn is_what_it_says(place: &Where, package: &Package, sum: &str, name: &Path, tree: &Tree) -> bool {
    let here = place.place_of_package(name);
    if package.checksum.is_none() {
        return match git::check(tree, &here, sum, archive::MARK) {
            Checked::Same => true,
            Checked::Other => false,
            Checked::Unknown => !was_changed(tree),
        };
    }
    let top = PathBuf::from(format!("{}-{}", package.name, package.version));
    let index = here.parent().and_then(Path::file_name).unwrap_or_default();
    let archive = place.downloads.registry.join("cache").join(index);
    archive::is_unpacked(tree, &archive.join(format!("{}.crate", top.display())), &top, sum)
}

/// Whether something in an unpacked package changed after Cargo was done with it: all that is to be had where there is
/// no git to ask.
fn was_changed(tree: &Tree) -> bool {
    let done = tree.get(Path::new(archive::MARK)).map(|done| done.stamp.ctime);
    done.is_none_or(|done| tree.iter().any(|(_, entry)| entry.stamp.ctime > done))
}

fn name_in(id: &str) -> String {
    id.split(' ').next().unwrap_or_default().to_owned()
}

fn look(here: &Path, before: Option<&Tree>) -> Result<Tree, ObserveError> {
    Tree::observe(here, before, |path, _| path != Path::new(".git"))
}

/// A place without the directory that holds Cargo's caches, which may be elsewhere next time.
fn name_of(place: &Where, here: &Path) -> PathBuf {
    for (cache, name) in [(&place.downloads.registry, "registry"), (&place.downloads.git, "git")] {
        if let Ok(inside) = here.strip_prefix(cache) {
            return Path::new(name).join(inside);
        }
    }
    place.seen_by_compiler(here)
}

impl Where {
    /// The place here of a package from outside, by the name that the state has of it.
    pub(crate) fn place_of_package(&self, name: &Path) -> PathBuf {
        for (cache, start) in [(&self.downloads.registry, "registry"), (&self.downloads.git, "git")]
        {
            if let Ok(inside) = name.strip_prefix(start) {
                return cache.join(inside);
            }
        }
        self.real_of_compiler(name)
    }
}

impl Shelves {
    fn list(place: &Where) -> Self {
        let repositories = directories(&place.downloads.git.join("checkouts"));
        let commits = repositories.into_iter().flat_map(|repository| directories(&repository));
        let named = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), path));
        Self {
            registries: directories(&place.downloads.registry.join("src")),
            checkouts: commits.filter_map(named).collect(),
            vendors: place.vendor.clone(),
        }
    }

    fn homes(&self, package: &Package) -> Vec<PathBuf> {
        let full = format!("{}-{}", package.name, package.version);
        let mut homes: Vec<_> = self.registries.iter().map(|index| index.join(&full)).collect();
        for vendor in &self.vendors {
            homes.extend([vendor.join(&full), vendor.join(&package.name)]);
        }
        homes.retain(|home| home.is_dir());
        let commit = package.source.as_deref().and_then(commit).unwrap_or_default();
        let fits = |name: &str| name.len() >= SHORT && commit.starts_with(name);
        let checkouts = self.checkouts.iter().filter(|(name, _)| fits(name));
        homes.extend(checkouts.map(|(_, path)| path.clone()));
        homes
    }
}

/// The commit at the end of `git+https://…?branch=…#<commit>`.
fn commit(source: &str) -> Option<&str> {
    source.strip_prefix("git+")?.rsplit_once('#').map(|(_, commit)| commit)
}

/// The directories in a directory; none if it cannot be read, because then Cargo finds none.
fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}
