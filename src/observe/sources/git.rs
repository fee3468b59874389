//! The git repositories of a checkout, by what they mean rather than by their files.
//!
//! A build script can ask git for anything: `git describe`, a tag, whether the tree is dirty. A
//! fresh clone of the same commit has to answer the same as the clone before, though its refs may
//! be packed, its index holds other times and its reflog other dates. So:
//!
//! - `HEAD`, `config`, `shallow`, `info/` and whatever else is there counts by content;
//! - refs count by name and value, packed or loose (`gitrepository-layout(5)`); a `reftable/` by
//!   content;
//! - the index counts by its entries without the times (see [`index`]);
//! - how short git would write `HEAD` counts, because that follows from which objects there are (see
//!   [`abbreviation`]);
//! - objects do not count (refs name them), nor do the reflog, the repository of a submodule
//!   (which is one of its own here) and git's sample hooks.
//!
//! A checkout below the top of a repository belongs to that repository: then what `git status`
//! says of the part outside counts too. git is asked only about repositories of those whom larder trusts, with all
//! disarmed by which they could have it start a program (see [`command`]); what is above belongs to the checkout only
//! where it is theirs, or of the checkout's owner.

mod abbreviation;
mod command;
mod copied;
mod index;
mod refs;
mod repository;
mod revision;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths;
use super::place::Where;
use crate::base::tree::ObserveError;

pub(crate) use copied::{Original, originals, shared};
pub(crate) use repository::Repository;
pub(super) use revision::{Checked, check};

/// The state of all repositories that a checkout has or belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GitState {
    /// By working tree: relative to the checkout, or absolute for one that encloses it.
    #[serde(with = "paths::map")]
    pub repositories: BTreeMap<PathBuf, Repository>,
}

impl GitState {
    /// Looks at the repositories whose `.git` a walk through the checkout found.
    pub(super) fn observe(
        place: &Where,
        dot_gits: &[PathBuf],
        before: Option<&Self>,
    ) -> Result<Self, ObserveError> {
        let mut repositories = BTreeMap::new();
        for home in repository::find(place, dot_gits) {
            let before = before.and_then(|before| before.repositories.get(&home.name));
            let seen = Repository::observe(&home, before)?;
            repositories.insert(home.name, seen);
        }
        Ok(Self { repositories })
    }

    /// The `.git` of each working tree and where its files are, as the compiler sees them: for these paths git's
    /// answers stand.
    pub(crate) fn places(&self, place: &Where) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for name in self.repositories.keys() {
            let work_tree = if name.is_absolute() {
                place.real_of_compiler(name)
            } else {
                place.source.join(name)
            };
            all.push(work_tree.join(".git"));
            let home = repository::Home::at(place, name.clone(), &work_tree, None);
            all.extend(home.into_iter().flat_map(|home| [home.git_dir, home.common]));
        }
        all.iter().map(|path| place.seen_by_compiler(path)).collect()
    }

    pub(super) fn unsettle(&mut self) {
        self.repositories.values_mut().for_each(Repository::unsettle);
    }

    /// What differs from an older state, in words; empty if git would answer the same.
    pub(crate) fn changes_since(&self, old: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, repository) in &self.repositories {
            let prefix = prefix(name);
            match old.repositories.get(name) {
                None => changes.push(format!("{prefix}repository added")),
                Some(old) => {
                    let found = repository.changes_since(old).into_iter();
                    changes.extend(found.map(|change| format!("{prefix}{change}")));
                }
            }
        }
        let gone = old.repositories.keys().filter(|name| !self.repositories.contains_key(*name));
        changes.extend(gone.map(|name| format!("{}repository removed", prefix(name))));
        changes
    }
}

fn prefix(name: &Path) -> String {
    if name.as_os_str().is_empty() { String::new() } else { format!("{}: ", name.display()) }
}

/// Which files of a package git tracks or does not ignore.
pub(super) enum Listed {
    /// These, relative to the package; a repository inside of the repository is one name.
    These(BTreeSet<PathBuf>),
    /// It may be any: git does not tell, may not be asked, or does not track the package.
    Any,
    /// There is no repository.
    None,
}

/// Asks git for the files of the package in a directory of the checkout.
pub(super) fn listed(place: &Where, dir: &Path) -> Listed {
    let Some(top) = dir.ancestors().find(|path| path.join(".git").symlink_metadata().is_ok())
    else {
        return Listed::None;
    };
    let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
    let home = repository::Home::at(place, PathBuf::new(), top, None);
    let home = home.filter(|_| device(top) == device(dir));
    let ask = |words: &[&str]| home.as_ref()?.asked()?.ask(dir, words);
    let is_tracked = ask(&["ls-files", "--cached", "--", "Cargo.toml"]);
    if is_tracked.is_none_or(|names| names.is_empty()) {
        return Listed::Any;
    }
    let names = ask(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let Some(names) = names else { return Listed::Any };
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Listed::These(names.map(|name| to_path(name.strip_suffix(b"/").unwrap_or(name))).collect())
}

/// What `git status` says of some files of a repository; nothing if it does not tell, or may not be asked.
pub(crate) fn uncommitted(repository: &Path, files: &[&Path]) -> Option<Vec<u8>> {
    let top = repository.ancestors().find(|path| path.join(".git").symlink_metadata().is_ok())?;
    let place = Where { root: PathBuf::from("/"), ..Where::default() };
    let home = repository::Home::at(&place, PathBuf::new(), top, None)?;
    let words = ["status", "--porcelain", "--ignore-submodules=dirty", "--"].map(OsStr::new);
    let words = words.into_iter().chain(files.iter().map(|file| file.as_os_str()));
    home.asked()?.ask_of_content(repository, &words.collect::<Vec<&OsStr>>())
}

/// The digits of `HEAD` of a repository by default, and those that tell it from all other objects.
#[cfg(test)]
pub(super) fn abbreviated(place: &Where, work_tree: &Path) -> Option<(u32, u32)> {
    repository::Home::at(place, PathBuf::new(), work_tree, None)?.digits()
}

/// A name as git prints it.
fn to_path(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}
