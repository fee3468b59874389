//! What units name that is in no place which is looked at as a whole.
//!
//! A walk leaves no filesystem, so what is mounted in the checkout is seen only as far as units name it (decision 89).

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{View, fresh};
use crate::observe::cargo_layout::{Elsewhere, Layout, LayoutError, Unit};
use crate::observe::sources::{SourceState, Where};

/// The paths that one unit names, or all, as the compiler sees them.
pub(super) fn named(
    layout: &Layout,
    unit: Option<&Unit>,
    state: &SourceState,
    view: &View,
    place: &Where,
) -> Result<BTreeSet<PathBuf>, LayoutError> {
    let own = device(&place.source);
    let is_mounted = |path: &Path| {
        let here = place.real_of_compiler(path);
        let directory = if here.is_dir() { Some(here.as_path()) } else { here.parent() };
        let device = directory.and_then(device);
        device.is_some() && device != own
    };
    let others = view.known_outside();
    let counts = |path: &Path| {
        !others.iter().any(|known| path.starts_with(known))
            && (!path.starts_with(&view.source) || is_mounted(path))
    };
    let homes = |package: &str| fresh::homes(state, view, package);
    let elsewhere = Elsewhere { source: &view.source, homes: &homes, counts: &counts };
    match unit {
        Some(unit) => layout.outside_inputs_of(unit, &elsewhere),
        None => layout.outside_inputs(&elsewhere),
    }
}

/// The filesystem of a directory: files of an overlay may tell another one.
fn device(directory: &Path) -> Option<u64> {
    Some(std::fs::metadata(directory).ok()?.dev())
}
