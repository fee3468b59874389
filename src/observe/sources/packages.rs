//! The content of packages that come from outside the checkout.
//!
//! Cargo takes a package of a registry or of git for unchanging. It is found where Cargo unpacks
//! it: `registry/src/<index>/<name>-<version>/` (`sources/registry/mod.rs`), or
//! `git/checkouts/<repository>/<short commit>/` (`sources/git/source.rs`, Cargo 1.95), or in a
//! directory source, `<name>-<version>/` or `<name>/`. All places that fit are looked at. A git
//! checkout counts as a whole for each package in it.
//!
//! In the downloads that a store keeps, a cold build would find what was just unpacked, and what a
//! lock file's checksum or commit vouches for. So there a package is what its checksum says, and
//! what was changed after Cargo unpacked it, by a build script of its own, say, is spoilt: it has to
//! be unpacked again. Cargo writes `.cargo-ok` last (`sources/registry/mod.rs`, `unpack_package`;
//! `sources/git/utils.rs`, `reset`; Cargo 1.95), and no change time can be set back (decision 24).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::lockfile::{Lockfile, Package};
use super::paths;
use super::place::Where;
use crate::base::tree::{ObserveError, Tree};

/// Digits of a commit that a checkout's directory is named after, at least.
const SHORT: usize = 7;

/// Packages from outside, and what they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packages {
    /// By `name version`, for those in a store's downloads: what their content follows from.
    sums: BTreeMap<String, String>,
    /// By `name version`: the places that are its own. None as long as it was not downloaded.
    homes: BTreeMap<String, Vec<Vec<u8>>>,
    /// The content of each place.
    #[serde(with = "paths::map")]
    trees: BTreeMap<PathBuf, Tree>,
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
        let mut homes: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        let mut sums = BTreeMap::new();
        let mut places = BTreeMap::new();
        for package in lock.packages.iter().filter(|package| package.source.is_some()) {
            if let Some(sum) = package.sum().filter(|_| place.downloads.shared) {
                sums.insert(package.id(), sum.to_owned());
            }
            let own = homes.entry(package.id()).or_default();
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
        let mut seen = Self { sums, homes, trees: trees? };
        seen.remember(before);
        Ok(seen)
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
        let shared = |home: &Vec<u8>| home.starts_with(b"registry/") || home.starts_with(b"git/");
        self.homes.get(id).is_some_and(|homes| !homes.iter().all(shared))
    }

    /// Places in a store's downloads that are not as Cargo unpacked them, relative to its home.
    pub(crate) fn spoilt(&self) -> Vec<PathBuf> {
        let homes = self.homes.iter().filter(|(id, _)| self.sums.contains_key(*id));
        let places: BTreeSet<_> = homes.flat_map(|(_, homes)| homes).collect();
        let places = places.into_iter().map(|home| super::paths::path(home.clone()));
        let is_shared = |name: &PathBuf| name.starts_with("registry") || name.starts_with("git");
        let is_spoilt = |name: &PathBuf| self.trees.get(name).is_some_and(was_changed);
        places.filter(is_shared).filter(is_spoilt).collect()
    }

    pub(super) fn unsettle(&mut self) {
        self.trees.values_mut().for_each(Tree::unsettle);
    }

    /// Whether a package was nowhere to be found.
    pub(crate) fn lacks_some(&self) -> bool {
        self.homes.values().any(Vec::is_empty)
    }

    /// Forgets what was at a place: it is about to be unpacked again.
    pub(crate) fn forget(&mut self, name: &Path) {
        self.trees.remove(name);
        for homes in self.homes.values_mut() {
            homes.retain(|home| super::paths::path(home.clone()) != name);
        }
    }

    /// Forgets where a package is.
    pub(super) fn unlearn(&mut self, id: &str) {
        self.homes.remove(id);
    }

    /// Takes in the packages that were nowhere to be found before.
    pub(super) fn learn(&mut self, newer: Self) -> usize {
        let mut learned = 0;
        for (id, homes) in newer.homes {
            if homes.is_empty() || self.has(&id) {
                continue;
            }
            learned += 1;
            self.homes.insert(id, homes);
        }
        self.sums.extend(newer.sums);
        for (name, tree) in newer.trees {
            self.trees.entry(name).or_insert(tree);
        }
        learned
    }

    /// Whether a package, by `name version`, was found anywhere.
    pub(super) fn has(&self, id: &str) -> bool {
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

/// Whether something in an unpacked package changed after Cargo was done with it.
fn was_changed(tree: &Tree) -> bool {
    let done = tree.get(Path::new(".cargo-ok")).map(|done| done.stamp.ctime);
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
