//! The checkout itself: one walk that looks, and comes by every `.git`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::place::Where;
use crate::base::tree::{ObserveError, Tree};

/// What a walk through the checkout found.
pub(super) struct Checkout {
    /// Everything but `.git` and the target directory.
    pub tree: Tree,
    /// Every `.git`, file or directory, relative to the checkout.
    pub dot_gits: Vec<PathBuf>,
}

/// Which names of the checkout count; collects every `.git` on the way.
struct Filter<'a> {
    built: Vec<&'a Path>,
    dot_gits: Mutex<Vec<PathBuf>>,
}

impl Filter<'_> {
    fn wants(&self, path: &Path) -> bool {
        if path.file_name().is_some_and(|name| name == ".git") {
            let mut found = self.dot_gits.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found.push(path.to_owned());
            return false;
        }
        !self.built.contains(&path)
    }

    fn found(self) -> Vec<PathBuf> {
        let found = self.dot_gits.into_inner();
        let mut found = found.unwrap_or_else(std::sync::PoisonError::into_inner);
        found.sort();
        found
    }
}

/// Looks at the checkout.
pub(super) fn observe(place: &Where, before: Option<&Tree>) -> Result<Checkout, ObserveError> {
    let filter = filter(place);
    let tree = Tree::observe(&place.source, before, |path, _| filter.wants(path))?;
    Ok(Checkout { tree, dot_gits: filter.found() })
}

fn filter(place: &Where) -> Filter<'_> {
    Filter { built: place.built_inside(), dot_gits: Mutex::default() }
}
