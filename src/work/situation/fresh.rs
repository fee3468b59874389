//! What Cargo would take for newer than what was made from it, and what is known of that.
//!
//! In a fresh clone each file is newer than all that was ever made from it, whatever its content. Times of
//! sources are not larder's to set; those in the kept directory are (decision 74). So where the content of all that Cargo
//! compares a unit with is known to be that of before, the unit's own stamps are raised to the newest of these
//! times: equal is fresh. Where something newer is not known to be the same, the unit goes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{LookError, View};
use crate::base::moment::Moment;
use crate::observe::cargo_layout::{Input, Layout, Rewrites, Unit, UnitKind, watched_as};
use crate::observe::sources::{SourceChanges, SourceState, Where, plain};

/// What is known of units, by their place in [`Layout::units`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Freshness {
    /// Units that Cargo has to find fresh, and the newest time that it compares them with.
    pub raises: BTreeMap<usize, Moment>,
    /// Runs of build scripts that asked for nothing to be watched, where Cargo goes by the newest time of the
    /// package, and that time is another: what is to be watched instead.
    pub silent: BTreeMap<usize, Vec<PathBuf>>,
    /// Whether documentation was made of files that have another time now: Cargo goes by the newest time of the
    /// package there too, and would make it anew beside what is there.
    pub docs: bool,
    /// Whether one of these times is in the future: what the command writes meanwhile is older, and Cargo does
    /// not see it.
    pub is_future: bool,
    /// Units that Cargo makes anew, or has to: what is newer, changed or gone without being known.
    pub unknown: BTreeMap<usize, PathBuf>,
}

/// What is known of a path that Cargo compares the time of.
enum Seen {
    /// Cargo leaves it out, or nobody knows where it is.
    Nothing,
    /// The same as before, and its time.
    Same(Moment),
    /// Changed, gone, or nothing is known of it.
    Other,
}

/// Looks at everything whose time Cargo is going to compare.
pub(super) fn look(
    layout: &Layout,
    place: &Where,
    view: &View,
    state: &SourceState,
    recorded: &SourceState,
    changes: &SourceChanges,
) -> Result<Freshness, LookError> {
    let local = state.local();
    let inside = changes.checkout.iter().map(|change| view.source.join(&change.path));
    let changed =
        inside.chain(changes.outside.iter().cloned()).chain(changes.inputs.iter().cloned());
    let looker =
        Looker { place, view, state, changes, changed: changed.collect(), now: Moment::now() };
    let units: Vec<(usize, &Unit)> = layout.units().enumerate().collect();
    let judge = |(index, unit): &(usize, &Unit)| Ok((*index, looker.judge(layout, unit)?));
    let judged: Result<Vec<(usize, Judged)>, LookError> = units.par_iter().map(judge).collect();
    let mut found = Freshness::default();
    for (index, judged) in judged? {
        match judged {
            Judged::Fresh => {}
            Judged::Older(newest) => {
                found.is_future |= newest > looker.now;
                found.raises.insert(index, newest);
            }
            Judged::Unknown(path) => drop(found.unknown.insert(index, path)),
        }
    }
    for (index, unit) in units.into_iter().filter(|(_, unit)| local.contains(&unit.package)) {
        let homes = || homes(state, view, &unit.package);
        found.docs |= unit.is(UnitKind::Doc)
            && homes().iter().any(|home| looker.moved(home, recorded).is_some());
        if layout.is_silent(unit)? {
            looker.judge_silent(index, unit, recorded, &mut found);
        }
    }
    if !found.silent.is_empty() && layout.declare(&found.silent)?.is_none() {
        let unknown = found.silent.keys().map(|index| (*index, view.source.clone()));
        found.unknown.extend(unknown);
        found.silent.clear();
    }
    Ok(found)
}

/// What is to be done inside the target directory so that Cargo finds fresh what is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refresh {
    /// Files that get another content.
    pub rewrites: Rewrites,
    /// Files that get another modification time, and which.
    pub times: Vec<(PathBuf, Moment)>,
    /// Cargo's notes of units that it is to make anew, where it is left to judge and could not see a change.
    pub notes: Vec<PathBuf>,
}

impl Freshness {
    /// What has to be done about the units for which `stays` says yes.
    pub(crate) fn refresh(
        &self,
        layout: &Layout,
        place: &Where,
        view: &View,
        state: &SourceState,
        stays: impl Fn(&Unit) -> bool,
    ) -> Result<Refresh, LookError> {
        let units: Vec<&Unit> = layout.units().collect();
        let is_kept = |index: &usize| stays(units[*index]);
        let mut refresh = Refresh::default();
        for index in self.unknown.keys().filter(|index| is_kept(index)) {
            refresh.notes.extend(layout.notes(units[*index])?);
        }
        let mut raises = self.raises.clone();
        let silent: BTreeMap<usize, Vec<PathBuf>> =
            self.silent.clone().into_iter().filter(|(index, _)| is_kept(index)).collect();
        for (index, paths) in &silent {
            let home = homes(state, view, &units[*index].package).into_iter().next();
            let times = home.iter().flat_map(|home| {
                let real = |path| place.real_of_compiler(&home.join(path));
                paths.iter().filter_map(move |path| Some(newest(&real(path), |_| true)?.0))
            });
            raises.insert(*index, times.max().unwrap_or_default());
        }
        raises.retain(|index, _| is_kept(index) && !self.unknown.contains_key(index));
        if !silent.is_empty() {
            match layout.declare(&silent)? {
                Some(rewrites) => refresh.rewrites = rewrites,
                None => {
                    for index in silent.keys() {
                        refresh.notes.extend(layout.notes(units[*index])?);
                    }
                }
            }
        }
        refresh.times = times(layout, &units, &raises, &silent)?;
        Ok(refresh)
    }
}

/// What comes of a unit's stamps.
enum Judged {
    Fresh,
    Older(Moment),
    Unknown(PathBuf),
}

struct Looker<'a> {
    place: &'a Where,
    view: &'a View,
    state: &'a SourceState,
    changes: &'a SourceChanges,
    /// What is known to be another than before, as the compiler sees it.
    changed: BTreeSet<PathBuf>,
    now: Moment,
}

impl Looker<'_> {
    fn judge(&self, layout: &Layout, unit: &Unit) -> Result<Judged, LookError> {
        if unit.finished.is_none() {
            return Ok(Judged::Fresh);
        }
        let references = layout.references(unit)?;
        let Some(at) = references.iter().map(|stamped| stamped.at).min() else {
            return Ok(Judged::Fresh);
        };
        // A stamp in the future would hide from Cargo what the command itself writes now.
        let than = at.min(self.now);
        let mut newest = than;
        for input in layout.compared(unit)? {
            for path in self.places(unit, &input) {
                match self.look(&path, than) {
                    Seen::Nothing => {}
                    Seen::Same(time) => newest = newest.max(time),
                    Seen::Other => return Ok(Judged::Unknown(path)),
                }
            }
        }
        let is_future = references.iter().any(|stamped| stamped.at > self.now);
        Ok(if newest > at || is_future { Judged::Older(newest) } else { Judged::Fresh })
    }

    /// Where an input is for the compiler: more than one place where packages share a name, none where it is
    /// not known which directory the package has.
    fn places(&self, unit: &Unit, input: &Input) -> Vec<PathBuf> {
        match input {
            Input::Absolute(path) => vec![plain(path)],
            // rustc is started at the top of the workspace, which may be above the sources.
            Input::InWorkspace(path) => {
                let mut tops = self.view.source.ancestors().map(|top| plain(&top.join(path)));
                let is_there = |path: &PathBuf| self.place.real_of_compiler(path).exists();
                vec![tops.find(is_there).unwrap_or_else(|| plain(&self.view.source.join(path)))]
            }
            Input::InPackage(path) => {
                let homes = homes(self.state, self.view, &unit.package);
                homes.into_iter().map(|home| plain(&home.join(path))).collect()
            }
        }
    }

    /// Looks at a path as the compiler sees it; what is not newer than `than` need not be known.
    fn look(&self, path: &Path, than: Moment) -> Seen {
        if self.is_passed_over(path) {
            return Seen::Nothing;
        }
        let here = self.place.real_of_compiler(path);
        let is_same = self.is_same(path) && (here == path || self.is_same_here(&here));
        match newest(&here, |inner| self.is_same_here(inner)) {
            Some((time, inner)) if is_same && inner => Seen::Same(time),
            Some((time, _)) if time <= than && !self.is_changed(path) => Seen::Nothing,
            _ => Seen::Other,
        }
    }

    /// Cargo takes its downloads for unchangeable; what is in the target directory is judged otherwise.
    fn is_passed_over(&self, path: &Path) -> bool {
        self.view.known.iter().skip(1).any(|known| path.starts_with(known))
    }

    fn is_same_here(&self, here: &Path) -> bool {
        self.is_same(&self.place.seen_by_compiler(here))
    }

    /// Whether a path, as the compiler sees it, is known to hold what it held before.
    fn is_same(&self, path: &Path) -> bool {
        if self.is_passed_over(path) {
            return true;
        }
        if path.components().any(|part| part.as_os_str() == ".git") {
            return self.changes.git.is_empty() && !self.state.git.repositories.is_empty();
        }
        if let Ok(inside) = path.strip_prefix(&self.view.source) {
            let is_there = inside == Path::new("") || self.state.checkout.get(inside).is_some();
            return is_there && !self.is_changed(path);
        }
        let outside = |place: &Path| path.starts_with(place);
        if self.state.outside.places().any(outside) {
            return !self.is_changed(path);
        }
        self.state.inputs.contains_key(path) && !self.is_changed(path)
    }

    /// Whether something at, below or above a path is known to be another than before.
    fn is_changed(&self, path: &Path) -> bool {
        let from = (Bound::Included(path), Bound::Unbounded);
        let below = self.changed.range::<Path, _>(from).next();
        path.ancestors().any(|above| self.changed.contains(above))
            || below.is_some_and(|below| below.starts_with(path))
    }

    /// A silent run, of which Cargo has noted the newest time of the package's files.
    fn judge_silent(
        &self,
        index: usize,
        unit: &Unit,
        recorded: &SourceState,
        found: &mut Freshness,
    ) {
        let homes = homes(self.state, self.view, &unit.package);
        if let Some(home) = homes.iter().find(|home| self.is_changed(home)) {
            found.unknown.insert(index, home.clone());
            return;
        }
        let Some(moved) = homes.iter().find_map(|home| self.moved(home, recorded)) else {
            return;
        };
        let watched = match &homes[..] {
            [home] => self.watched(home),
            _ => None,
        };
        match watched {
            Some(paths) if !paths.is_empty() => drop(found.silent.insert(index, paths)),
            _ => drop(found.unknown.insert(index, moved)),
        }
    }

    /// What the run of a silent build script watches from now on.
    fn watched(&self, home: &Path) -> Option<Vec<PathBuf>> {
        let paths = self.place.watched(home, &self.view.source, self.state)?;
        let named: Option<Vec<PathBuf>> = paths.iter().map(|path| watched_as(home, path)).collect();
        named.filter(|named| named.iter().all(|path| self.is_there(&home.join(path))))
    }

    /// Not below a symlink, from where `..` leads elsewhere.
    fn is_there(&self, path: &Path) -> bool {
        self.place.real_of_compiler(path).symlink_metadata().is_ok()
    }

    /// A file of a package that has another time than when the state before was seen.
    fn moved(&self, home: &Path, recorded: &SourceState) -> Option<PathBuf> {
        let Ok(inside) = home.strip_prefix(&self.view.source) else {
            return self.state.outside.moved_since(&recorded.outside, home);
        };
        let moved = self.state.checkout.moved_since(&recorded.checkout);
        moved.into_iter().find(|path| path.starts_with(inside))
    }
}

/// The times that stamps get: all of them the newest that any of the units has to have. With the output of a
/// build script's run go the outputs of what was made from it, which must not be older.
fn times(
    layout: &Layout,
    units: &[&Unit],
    raises: &BTreeMap<usize, Moment>,
    silent: &BTreeMap<usize, Vec<PathBuf>>,
) -> Result<Vec<(PathBuf, Moment)>, LookError> {
    let Some(newest) = raises.values().max().copied() else { return Ok(Vec::new()) };
    let mut times = BTreeMap::new();
    for index in raises.keys() {
        let all = layout.references(units[*index])?;
        let is_other = |at: Moment| at < newest || at > Moment::now();
        let older = all.into_iter().filter(|it| is_other(it.at) || silent.contains_key(index));
        times.extend(older.map(|stamped| (stamped.path, newest)));
    }
    let runs = raises.keys().copied().filter(|index| units[*index].is(UnitKind::BuildScriptRun));
    for index in dependents(layout, runs.collect())? {
        let all = layout.outputs(units[index])?;
        let older = all.into_iter().filter(|stamped| stamped.at < newest);
        times.extend(older.map(|stamped| (stamped.path, newest)));
    }
    Ok(times.into_iter().collect())
}

/// Units and all that may have been made from them.
fn dependents(layout: &Layout, of: BTreeSet<usize>) -> Result<BTreeSet<usize>, LookError> {
    if of.is_empty() {
        return Ok(of);
    }
    let graph = layout.graph()?;
    let mut open: Vec<usize> = of.iter().copied().chain(graph.open).collect();
    let mut found: BTreeSet<usize> = open.iter().copied().collect();
    while let Some(index) = open.pop() {
        let above = graph.edges.iter().filter(|(_, to)| *to == index).map(|(from, _)| *from);
        for from in above {
            if found.insert(from) {
                open.push(from);
            }
        }
    }
    Ok(found)
}

/// The directories of the local and vendored packages of a name, as the compiler sees them.
pub(super) fn homes(state: &SourceState, view: &View, package: &str) -> Vec<PathBuf> {
    let inside = state.package_directories();
    let inside = inside.filter(|dir| state.package_in(dir) == Some(package));
    let inside = inside.map(|dir| plain(&view.source.join(dir)));
    inside.chain(state.outside.homes(package)).collect()
}

/// The newest time at or below a path, as Cargo looks for it (`cargo_util::paths::mtime_recursive`, Cargo
/// 1.95): symlinks count themselves and are followed. With it whether all that it depends on is the same, where
/// a symlink or a mount leads elsewhere. Nothing if there is nothing.
fn newest(here: &Path, is_same: impl Fn(&Path) -> bool) -> Option<(Moment, bool)> {
    let top = std::fs::metadata(here).ok()?;
    let mut time = Moment::modified(&top);
    let mut same = true;
    if !top.is_dir() {
        return Some((time, same));
    }
    for entry in walkdir::WalkDir::new(here).follow_links(true).into_iter().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        time = time.max(Moment::modified(&metadata));
        if entry.path_is_symlink() {
            if let Ok(link) = entry.path().symlink_metadata() {
                time = time.max(Moment::modified(&link));
            }
            same &= std::fs::canonicalize(entry.path()).is_ok_and(|real| is_same(&real));
        }
        same &= metadata.dev() == top.dev();
    }
    Some((time, same))
}
