//! Units that something changed after Cargo was done with them.
//!
//! Cargo writes a unit's fingerprint file when rustc has exited, so no artifact is newer than
//! that file; on one filesystem the kernel hands out times that never go backwards (from Linux
//! 6.13 also between coarse and fine ones). A tool that rewrites the file in place, such as
//! `strip` on the uplifted hard link, gives it a new time. One that sets the time back
//! (`strip -p`) is left to the manifest, which knows change times.

use super::listing::Reader;
use super::{Layout, LayoutError, Unit, UnitKind};

impl Layout {
    /// The units, by their place in [`Layout::units`], of which an artifact is newer than Cargo's
    /// note that the unit was done. Unfinished units are none: Cargo makes them anew by itself.
    pub(crate) fn tampered_units(&self) -> Result<Vec<usize>, LayoutError> {
        let reader = Reader { target: &self.target };
        let mut tampered = Vec::new();
        for (index, unit) in self.units().enumerate() {
            if is_tampered(&reader, unit)? {
                tampered.push(index);
            }
        }
        Ok(tampered)
    }
}

fn is_tampered(reader: &Reader<'_>, unit: &Unit) -> Result<bool, LayoutError> {
    let Some(finished) = unit.finished.filter(|_| !unit.is(UnitKind::BuildScriptRun)) else {
        return Ok(false);
    };
    for path in &unit.paths {
        if *path == unit.fingerprint {
            continue;
        }
        let mut files = vec![path.clone()];
        for place in [path.clone(), path.join("out")] {
            files.extend(reader.list(&place)?.into_iter().map(|item| item.path));
        }
        for file in files.iter().filter(|file| !reader.is_directory(file)) {
            if reader.modified(file)?.is_some_and(|time| time > finished.at) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
