//! What belongs to the checkout but lies outside of it: path dependencies, and what symlinks of
//! the checkout lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifests::Manifests;
use super::paths;
use super::place::{Where, plain};
use crate::base::tree::{Node, ObserveError, Tree};

/// Directories of a system, which a symlink may lead to without making them sources.
const SYSTEM: [&str; 10] =
    ["/bin", "/dev", "/etc", "/lib", "/lib64", "/nix", "/proc", "/run", "/sys", "/usr"];

/// Places outside of the checkout, by path as the compiler sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outside {
    #[serde(with = "paths::map")]
    places: BTreeMap<PathBuf, Root>,
}

/// One place outside of the checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Root {
    tree: Tree,
    manifests: Manifests,
}

impl Outside {
    /// Follows manifests and symlinks of the checkout, and of what is found, until nothing is new.
    pub(super) fn observe(
        place: &Where,
        checkout: &Tree,
        manifests: &Manifests,
        before: Option<&Self>,
    ) -> Result<Self, ObserveError> {
        let mut outside = Self::default();
        let mut open: BTreeSet<PathBuf> = place.extra_roots.iter().cloned().collect();
        open.extend(leads(place, &place.source, checkout, manifests));
        while let Some(here) = open.pop_first() {
            let name = place.seen_by_compiler(&here);
            if outside.covers(&name) {
                continue;
            }
            let before = before.and_then(|before| before.places.get(&name));
            let root = Root::observe(place, &here, before)?;
            open.extend(leads(place, &here, &root.tree, &root.manifests));
            outside.places.insert(name, root);
        }
        Ok(outside)
    }

    fn covers(&self, name: &Path) -> bool {
        name.ancestors().any(|above| self.places.contains_key(above))
    }

    /// The places that differ from an older observation, or that it did not know.
    pub(crate) fn changes_since(&self, old: &Self) -> Vec<PathBuf> {
        let is_same = |name: &PathBuf, root: &Root| {
            old.places.get(name).is_some_and(|old| {
                root.tree.changes_since(&old.tree).is_empty()
                    && root.tree.redated_since(&old.tree).is_empty()
            })
        };
        let changed = self.places.iter().filter(|(name, root)| !is_same(name, root));
        changed.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn unsettle(&mut self) {
        self.places.values_mut().for_each(|root| root.tree.unsettle());
    }

    /// The places.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Path> {
        self.places.keys().map(PathBuf::as_path)
    }

    /// The directories of the packages of a name, as the compiler sees them.
    pub(crate) fn homes<'s>(&'s self, package: &'s str) -> impl Iterator<Item = PathBuf> + 's {
        let all = self.places.iter().flat_map(|(place, root)| {
            root.manifests.iter().map(move |(dir, manifest)| (place.join(dir), manifest))
        });
        all.filter(move |(_, manifest)| manifest.name.as_deref() == Some(package))
            .map(|(home, _)| home)
    }

    /// A file at or below a directory, as the compiler sees both, that has another time than it had.
    pub(crate) fn moved_since(&self, old: &Self, home: &Path) -> Option<PathBuf> {
        let nothing = Tree::default();
        self.places.iter().find_map(|(place, root)| {
            let old = old.places.get(place).map_or(&nothing, |old| &old.tree);
            let mut moved = root.tree.moved_since(old).into_iter().map(|path| place.join(path));
            moved.find(|path| path.starts_with(home))
        })
    }

    /// What is in each place.
    pub(crate) fn trees(&self) -> impl Iterator<Item = (&Path, &Tree)> {
        self.places.iter().map(|(name, root)| (name.as_path(), &root.tree))
    }

    /// The names of the packages in all places.
    pub(super) fn package_names(&self) -> impl Iterator<Item = &str> {
        let manifests = self.places.values().flat_map(|root| root.manifests.iter());
        manifests.filter_map(|(_, manifest)| manifest.name.as_deref())
    }
}

impl Root {
    /// Looks at a place, but not into `.git` or into the target directory of its own workspace.
    fn observe(place: &Where, here: &Path, before: Option<&Self>) -> Result<Self, ObserveError> {
        let real = place.real(here);
        let wanted = |path: &Path, is_directory: bool| match path.file_name() {
            Some(name) if name == ".git" => false,
            Some(name) if name == "target" && is_directory => {
                !real.join(path).join("CACHEDIR.TAG").exists()
            }
            _ => !is_directory || real.join(path) != place.source,
        };
        let tree = Tree::observe(&real, before.map(|before| &before.tree), wanted)?;
        let manifests = Manifests::read(&real, &tree, before.map(|before| &before.manifests));
        Ok(Self { tree, manifests })
    }
}

/// The places outside of the checkout that a tree's manifests and symlinks lead to.
fn leads(place: &Where, root: &Path, tree: &Tree, manifests: &Manifests) -> Vec<PathBuf> {
    let mut leads: Vec<PathBuf> = above(root).into_iter().collect();
    for (directory, manifest) in manifests.iter() {
        leads.extend(manifest.links.iter().map(|link| plain(&root.join(directory).join(link))));
    }
    let links = tree.select(|_, entry| matches!(entry.node, Node::Symlink(_)));
    leads.extend(links.map(|(path, _)| place.real(&root.join(path))));
    leads.retain(|lead| is_source(place, lead) && !lead.starts_with(root));
    leads
}

/// The manifest nearest above, which may be that of the workspace.
fn above(root: &Path) -> Option<PathBuf> {
    let mut above = root.ancestors().skip(1).map(|path| path.join("Cargo.toml"));
    above.find(|path| path.is_file())
}

/// Whether a place can be one of sources: outside of the checkout, and not around it; not the
/// system's, unless it is a single file.
fn is_source(place: &Where, lead: &Path) -> bool {
    let inside = lead.starts_with(&place.source) || place.source.starts_with(lead);
    let seen = place.seen_by_compiler(lead);
    let is_system = SYSTEM.iter().any(|system| seen.starts_with(system));
    let is_theirs = is_system && lead.is_dir();
    !(inside || is_theirs || lead.starts_with(&place.built.target))
}
