//! Which unit a path of the target directory belongs to.

use std::collections::HashMap;
use std::path::Path;

use super::Layout;

/// Whose a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Units, by their place in [`Layout::units`]; more than one where a file has no hash.
    Units(Vec<usize>),
    /// Nobody's: an uplifted file, a lock, a directory that several units share.
    Nobody,
}

/// An index from paths to units.
pub(crate) struct Owners<'a>(HashMap<&'a Path, Vec<usize>>);

impl Layout {
    /// The index over all units' paths.
    pub(crate) fn owners(&self) -> Owners<'_> {
        let mut owners: HashMap<&Path, Vec<usize>> = HashMap::new();
        for (index, unit) in self.units().enumerate() {
            for path in &unit.paths {
                owners.entry(path).or_default().push(index);
            }
        }
        Owners(owners)
    }
}

impl Owners<'_> {
    /// Whose a path is: the units that own it or a directory above it.
    pub(crate) fn of(&self, path: &Path) -> Owner {
        let units = path.ancestors().find_map(|above| self.0.get(above));
        units.map_or(Owner::Nobody, |units| Owner::Units(units.clone()))
    }
}
