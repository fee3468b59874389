//! stub being replaced
use crate::digest::Digest;
use crate::tree::ObserveError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlacesCache {}
pub struct Observed {
    pub digests: BTreeMap<String, Digest>,
    pub cache: PlacesCache,
}
pub fn observe(
    _root: &Path,
    _dirs: &[PathBuf],
    _foreign: &BTreeSet<PathBuf>,
    _cache: Option<&PlacesCache>,
) -> Result<Observed, ObserveError> {
    Ok(Observed {
        digests: BTreeMap::new(),
        cache: PlacesCache {},
    })
}
