//! What of a target directory is pushed: units, and what Cargo itself keeps beside them (decision 114).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::ShareError;
use super::manifest::{PushEntry, entries};
use crate::base::tree::Tree;
use crate::observe::cargo_layout::Layout;
use crate::store::{EntryPaths, TargetManifest};
use crate::work::situation::{LookError, names, observe_target};
use crate::work::sweep;

/// What of a target directory is pushed.
pub(super) struct Content {
    pub entries: Vec<PushEntry>,
    /// What is not, relative to the target directory.
    pub gone: Vec<PathBuf>,
    /// What of that nobody would expect to be missing: it is no unit's, and no uplifted file.
    pub left_out: Vec<String>,
    /// What the last close left, as it will be without that, and without the tree.
    pub left: TargetManifest,
}

impl Content {
    /// Looks at the directory: it has to be what the last close left. Dead units are left out, and what is nobody's: it
    /// may be anything, and whoever pulls has it made again by those that may have made it.
    pub(super) fn of(paths: &EntryPaths, mut left: TargetManifest) -> Result<Self, ShareError> {
        let layout = Layout::scan(&paths.target()).map_err(LookError::from)?;
        let extras: BTreeSet<PathBuf> = left.extras.keys().map(|bytes| path(bytes)).collect();
        let mut tree = observe_target(&layout, &extras, Some(&left.tree))?;
        if let Some(change) = tree.changes_since(&left.tree).first() {
            let shown = change.path.display();
            let why = format!("{shown} is not as the last build left it; run the build again");
            return Err(ShareError::NotPushable(why));
        }
        let names = names(&layout);
        let is_dead = |(_, name): &(usize, &&[u8])| left.needed.since.contains_key(**name);
        let dead = names.iter().enumerate().filter(is_dead).map(|(index, _)| index).collect();
        let mut gone = sweep::chosen(&layout, &dead).map_err(LookError::from)?;
        let foreign = foreign(&layout, &extras, &tree);
        gone.extend(foreign.iter().cloned());
        for path in &gone {
            tree.forget(path);
        }
        left.needed.since.clear();
        left.tree = Tree::default();
        let (unsent, extras) = std::mem::take(&mut left.extras)
            .into_iter()
            .partition(|(bytes, _)| foreign.contains(&path(bytes)));
        left.extras = extras;
        left.unsent.extend::<BTreeMap<_, _>>(unsent);
        let mut gone: Vec<PathBuf> = gone.into_iter().collect();
        for profile in &layout.profiles {
            gone.extend(profile.uplifted.iter().filter(|path| tree.get(path).is_none()).cloned());
            gone.extend(profile.incremental.iter().cloned());
        }
        let left_out = foreign.iter().map(|path| path.display().to_string()).collect();
        let entries = entries(&tree).map_err(ShareError::NotPushable)?;
        Ok(Self { entries, gone, left_out, left })
    }
}

/// What is neither a unit's, nor what Cargo keeps beside units, nor their documentation.
fn foreign(layout: &Layout, extras: &BTreeSet<PathBuf>, tree: &Tree) -> BTreeSet<PathBuf> {
    let inner = layout.profiles.iter().flat_map(|profile| {
        let uplifted = profile.uplifted.iter().filter(|path| extras.contains(*path));
        uplifted.chain(&profile.strays).chain(&profile.orphan_out_dirs)
    });
    let foreign = layout.foreign_to_cargo().chain(inner);
    foreign.filter(|path| tree.get(path).is_some()).cloned().collect()
}

fn path(bytes: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(bytes)).to_owned()
}
