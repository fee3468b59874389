//! The checkout itself: one walk that looks, sets times if asked, and comes by every `.git`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::place::Where;
use super::touch::Toucher;
use crate::tree::walk::{self, leave};
use crate::tree::{ObserveError, Tree};

/// What a walk through the checkout found.
pub(super) struct Checkout {
    /// Everything but `.git` and the target directory.
    pub tree: Tree,
    /// Every `.git`, file or directory, relative to the checkout.
    pub dot_gits: Vec<PathBuf>,
}

/// Which names of the checkout count; collects every `.git` on the way.
struct Filter<'a> {
    target: Option<&'a Path>,
    dot_gits: Mutex<Vec<PathBuf>>,
}

impl Filter<'_> {
    fn wants(&self, path: &Path) -> bool {
        if path.file_name().is_some_and(|name| name == ".git") {
            let mut found = self.dot_gits.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found.push(path.to_owned());
            return false;
        }
        Some(path) != self.target
    }

    fn found(self) -> Vec<PathBuf> {
        let found = self.dot_gits.into_inner();
        let mut found = found.unwrap_or_else(std::sync::PoisonError::into_inner);
        found.sort();
        found
    }
}

/// Looks at the checkout; with a toucher, gives everything in it the constant time first.
pub(super) fn observe(
    place: &Where,
    before: Option<&Tree>,
    toucher: Option<&Toucher>,
) -> Result<Checkout, ObserveError> {
    let filter = filter(place);
    let wanted = |path: &Path, _: bool| filter.wants(path);
    let tree = match toucher {
        None => Tree::observe_touching(&place.source, before, &wanted, &leave),
        Some(toucher) => {
            let touch = |at: &walk::Place<'_>, stat: &_| toucher.touch(&place.source, at, stat);
            Tree::observe_touching(&place.source, before, &wanted, &touch)
        }
    };
    Ok(Checkout { tree: tree?, dot_gits: filter.found() })
}

/// Gives everything in the checkout the constant time, reads no content, and returns every `.git`.
pub(super) fn touch(place: &Where, toucher: &Toucher) -> Result<Vec<PathBuf>, ObserveError> {
    let filter = filter(place);
    let wanted = |path: &Path, _: bool| filter.wants(path);
    let touch = |at: &walk::Place<'_>, stat: &_| toucher.touch(&place.source, at, stat);
    walk::walk(&place.source, &wanted, &touch, &walk::pass)?;
    Ok(filter.found())
}

fn filter(place: &Where) -> Filter<'_> {
    Filter { target: place.target_inside(), dot_gits: Mutex::default() }
}
