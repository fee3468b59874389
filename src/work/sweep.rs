//! Takes dead units out of a target directory that otherwise stays. Decides nothing about how much goes:
//! that is the policy's, and which units a number stands for is [`crate::decide::needed`]'s.
//!
//! What goes, and what the records say afterwards, is written down first, in `sweep`. From then on
//! everything can be done again after a crash at any point, by the next use or the next collection: the
//! paths go into the trash, then they leave the manifest, then `entry.json` gets its new sums, and at last
//! `sweep` goes itself. So no use ever finds a manifest that misses what is there, or names what is gone (decision 40).
//!
//! To be called under the directory's lock and Cargo's own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::atomic::{self, RecordError, undamaged};
use crate::base::quantity::Usage;
use crate::base::regular;
use crate::base::usage::Counter;
use crate::decide::policy::Unused;
use crate::observe::cargo_layout::{Layout, LayoutError, Unit};
use crate::store::evict::{EvictError, Trash};
use crate::store::{EntryPaths, EntryRecord, Store, TargetManifest};
use crate::work::situation::{leftovers, names, unused};

/// Units that could not be removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    /// The inside of the target directory could not be looked at.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A path stays.
    #[error(transparent)]
    Evict(#[from] EvictError),
    /// It is not certain that a removal outlives a power cut.
    #[error("cannot sync {}", path.display())]
    Sync {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What is being removed, and what the record says when it is done.
#[derive(Debug, Serialize, Deserialize)]
struct Sweep {
    /// Relative to the target directory, as bytes.
    paths: BTreeSet<Vec<u8>>,
    size: u64,
    inodes: u64,
    unused: Vec<Unused>,
}

/// Removes the units that no successful use after the one with a number needed, and what each use removes
/// anyway. Says what that freed; nothing if there is no such thing, or no manifest that could tell.
pub(crate) fn sweep(
    store: &Store,
    paths: &EntryPaths,
    record: &EntryRecord,
    until: u64,
) -> Result<Option<Usage>, SweepError> {
    let Some(manifest) = undamaged(atomic::read_binary::<TargetManifest>(&paths.manifest()))?
    else {
        return Ok(None);
    };
    let layout = Layout::scan(&paths.target())?;
    let dead = manifest.needed.dead(until, &names(&layout), &layout.graph()?);
    let gone = chosen(&layout, &dead)?;
    let mut counter = Counter::default();
    let freed = gone.iter().map(|path| counter.count(&layout.absolute(path)));
    let freed = freed.fold(Usage::default(), Usage::plus);
    let left = record.usage().minus(freed);
    let numbered = |(index, unit): (usize, &Unit)| {
        let since = manifest.needed.since.get(unit.fingerprint.as_os_str().as_bytes());
        since.filter(|_| !dead.contains(&index)).copied()
    };
    let units = layout.units().enumerate().filter_map(|item| Some((numbered(item)?, item.1)));
    let stays = units.flat_map(|(since, unit)| unit.paths.iter().map(move |path| (since, path)));
    let sweep = Sweep {
        paths: gone.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect(),
        size: left.bytes,
        inodes: left.inodes,
        unused: unused(&layout, stays),
    };
    atomic::write_binary(&paths.sweep(), &sweep)?;
    sweep.carry_out(store, paths)?;
    Ok((!gone.is_empty()).then_some(freed))
}

/// Whether a sweep was cut off.
pub(crate) fn is_pending(paths: &EntryPaths) -> bool {
    fs::symlink_metadata(paths.sweep()).is_ok()
}

/// Brings a sweep to its end that was cut off.
pub(crate) fn finish(store: &Store, paths: &EntryPaths) -> Result<(), SweepError> {
    match undamaged(atomic::read_binary::<Sweep>(&paths.sweep()))? {
        Some(sweep) => sweep.carry_out(store, paths),
        None => Ok(Trash::new(store).take(&paths.sweep())?),
    }
}

/// All that goes with some units: what is theirs alone, and what belongs to no unit.
pub(crate) fn chosen(
    layout: &Layout,
    dead: &BTreeSet<usize>,
) -> Result<BTreeSet<PathBuf>, LayoutError> {
    let (mut gone, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for (index, unit) in layout.units().enumerate() {
        let place = if dead.contains(&index) { &mut gone } else { &mut kept };
        place.extend(unit.paths.iter());
    }
    let mut gone: BTreeSet<PathBuf> = gone.difference(&kept).map(|path| (*path).clone()).collect();
    gone.extend(leftovers(layout).filter(|path| !kept.contains(*path)).cloned());
    layout.with_emptied(gone)
}

impl Sweep {
    fn carry_out(&self, store: &Store, paths: &EntryPaths) -> Result<(), SweepError> {
        let gone: Vec<&Path> =
            self.paths.iter().map(|path| Path::new(OsStr::from_bytes(path))).collect();
        let mut trash = Trash::new(store);
        for path in &gone {
            trash.take(&paths.target().join(path))?;
        }
        let parents = gone.iter().filter_map(|path| path.parent());
        for parent in parents.collect::<BTreeSet<&Path>>() {
            sync(&paths.target().join(parent))?;
        }
        if let Some(mut manifest) =
            undamaged(atomic::read_binary::<TargetManifest>(&paths.manifest()))?
        {
            for path in &gone {
                manifest.tree.forget(path);
            }
            let is_gone = |unit: &[u8]| {
                let unit = Path::new(OsStr::from_bytes(unit));
                gone.iter().any(|path| unit.starts_with(path))
            };
            manifest.needed.since.retain(|unit, _| !is_gone(unit));
            atomic::write_binary(&paths.manifest(), &manifest)?;
        }
        if let Some(record) = undamaged(atomic::read_json::<EntryRecord>(&paths.record()))? {
            let (size, inodes, unused) = (self.size, self.inodes, self.unused.clone());
            atomic::write_json(&paths.record(), &EntryRecord { size, inodes, unused, ..record })?;
        }
        Ok(trash.take(&paths.sweep())?)
    }
}

/// A removal is on disk when its directory is.
fn sync(dir: &Path) -> Result<(), SweepError> {
    crate::base::fault::point("sweep.sync");
    match regular::open_directory(dir).and_then(|dir| dir.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SweepError::Sync { path: dir.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
