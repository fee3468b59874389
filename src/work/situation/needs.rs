//! Which units a use needed, and what those take that the last one did not need.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Begun, LookError};
use crate::base::moment::Moment;
use crate::base::quantity::Usage;
use crate::base::usage::{self, Counter};
use crate::decide::needed::{Known, Needed, Shown};
use crate::decide::policy::Unused;
use crate::decide::reconcile::Removals;
use crate::observe::cargo_layout::{Layout, Unit};
use crate::store::watch_reads;

/// How it is found out what a use needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Not at all: nothing changed, so that it needs what the last one needed.
    #[default]
    Unchanged,
    /// By the access times of the files that Cargo reads of each unit.
    Reads,
    /// By what is linked to where users take it: access times are not noted here.
    Uplifted,
}

impl Begun {
    /// Begins to watch what the command is going to need. Setting an access time sets the change time, by which
    /// files are known to be untouched: so this is done only where something changed.
    pub(super) fn watch(
        &self,
        layout: &Layout,
        plan: &Removals,
        succeeded: bool,
    ) -> Result<Watch, LookError> {
        let known = self.manifest.as_ref().map_or(Known::Not, |manifest| manifest.needed.known);
        let changed = !plan.why.is_empty() || !succeeded || self.manifest.is_none();
        if !changed && known != Known::Not {
            return Ok(Watch::Unchanged);
        }
        let digits = layout.digits()?;
        Ok(if watch_reads(&layout.target, &digits) {
            Watch::Reads
        } else if changed {
            Watch::Uplifted
        } else {
            Watch::Unchanged
        })
    }
}

/// Which units the directory's successful uses needed, after this one; `number` is that of a use that
/// succeeded. To be called on the first look after the command, before anything is unshared.
pub(crate) fn needed(
    layout: &Layout,
    begun: &Begun,
    started: Moment,
    number: Option<u64>,
) -> Result<Needed, LookError> {
    let before = begun.manifest.as_ref().map(|manifest| manifest.needed.clone());
    let before = before.unwrap_or_default();
    let Some(number) = number else { return Ok(before) };
    let started = places(layout, |unit| unit.started.is_some_and(|at| at >= started));
    let names = names(layout);
    if begun.watch == Watch::Unchanged && started.is_empty() {
        return Ok(before);
    }
    let graph = layout.graph()?;
    Ok(match begun.watch {
        Watch::Unchanged => before.and(&names, &graph, &started),
        Watch::Reads => {
            let read = places(layout, |unit| unit.read.is_some_and(|at| at > Moment(0)));
            let shown = Shown { started, read: Some(read), uplifted: BTreeSet::new() };
            before.after(number, &names, &graph, &shown)
        }
        Watch::Uplifted => {
            let uplifted = layout.uplifted_units()?;
            before.after(number, &names, &graph, &Shown { started, read: None, uplifted })
        }
    })
}

fn places(layout: &Layout, wanted: impl Fn(&Unit) -> bool) -> BTreeSet<usize> {
    let all = layout.units().enumerate().filter(|(_, unit)| wanted(unit));
    all.map(|(index, _)| index).collect()
}

/// What units are remembered by.
pub(crate) fn names(layout: &Layout) -> Vec<&[u8]> {
    layout.units().map(|unit| unit.fingerprint.as_os_str().as_bytes()).collect()
}

/// What belongs to no unit and is removed at each use: strays, and `incremental/`, which Cargo makes
/// even if nothing is ever in it.
pub(crate) fn leftovers(layout: &Layout) -> impl Iterator<Item = &PathBuf> {
    let is_filled = |dir: &&PathBuf| {
        let inside = std::fs::read_dir(layout.absolute(dir));
        inside.is_ok_and(|mut inside| inside.next().is_some())
    };
    let profiles = layout.profiles.iter();
    profiles.flat_map(move |profile| {
        profile.incremental.iter().filter(is_filled).chain(&profile.strays)
    })
}

/// What a directory takes, and what of that the last successful use did not need.
pub(crate) fn held(dir: &Path, layout: &Layout, needed: &Needed) -> (Usage, Vec<Unused>) {
    let units = layout.units().filter_map(|unit| {
        let since = needed.since.get(unit.fingerprint.as_os_str().as_bytes())?;
        Some(unit.paths.iter().map(|path| (*since, path)))
    });
    let loose = leftovers(layout).map(|path| (0, path));
    (usage::measure(dir), unused(layout, units.flatten().chain(loose)))
}

/// What paths take, in groups by number.
pub(crate) fn unused<'p>(
    layout: &Layout,
    paths: impl Iterator<Item = (u64, &'p PathBuf)>,
) -> Vec<Unused> {
    let mut groups: BTreeMap<u64, Usage> = BTreeMap::new();
    let mut counter = Counter::default();
    for (since, path) in paths {
        let usage = groups.entry(since).or_default();
        *usage = usage.plus(counter.count(&layout.absolute(path)));
    }
    let group =
        |(since, usage): (u64, Usage)| Unused { since, size: usage.bytes, inodes: usage.inodes };
    groups.into_iter().map(group).collect()
}
