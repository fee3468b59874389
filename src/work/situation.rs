//! Looks at a locked target directory and at the sources, and puts together what [`crate::decide::reconcile`]
//! decides by. Reads only.

mod after;
mod bounds;
mod callers;
mod elsewhere;
mod extras;
mod fresh;
mod namers;
mod needs;
mod reached;
mod remade;
#[cfg(test)]
mod tests;

pub(crate) use self::after::{Aftermath, dep_infos_for_users, learn, look_after, traces, uplifted};
pub(crate) use self::fresh::{Freshness, Refresh};
pub(crate) use self::needs::{Watch, held, leftovers, names, needed, unused};

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use self::callers::Memory;
use crate::base::atomic::{self, RecordError};
use crate::base::digest::Digest;
use crate::base::moment::Moment;
use crate::base::tree::{Entry, Limits, Node, ObserveError, Stamp, Tree};
use crate::decide::reconcile::{Difference, Removals, Situation, Suspects};
use crate::observe::cargo_layout::{Layout, LayoutError, Unit};
use crate::observe::identity::Drift;
use crate::observe::sources::{self, SourceChanges, SourceState, Where};
use crate::observe::trace::Stale;
use crate::output::Stopwatch;
use crate::store::{EntryPaths, TargetManifest};

/// Something that could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// A tree.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The inside of the target directory.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What is kept is beyond a limit, or cannot be read.
    #[error(transparent)]
    Kept(ObserveError),
    /// What is kept holds what no cargo could work with.
    #[error("{} is {what}; take it away", path.display())]
    Odd {
        path: PathBuf,
        /// What it is, in words.
        what: &'static str,
    },
}

/// Where the sources are for the compiler, and what it fetches by itself.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The source directory, as the compiler sees it.
    pub source: PathBuf,
    /// Directories whose content is known otherwise, as the compiler sees them.
    pub known: Vec<PathBuf>,
    /// The command, as far as it decides what is built.
    pub command: Vec<String>,
}

impl View {
    /// What is known otherwise outside of the sources.
    pub(crate) fn known_outside(&self) -> Vec<PathBuf> {
        self.known.iter().filter(|path| **path != self.source).cloned().collect()
    }
}

/// What was seen when a directory was opened, before anything is done about it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The sources as they are now.
    pub state: SourceState,
    /// Whether `state` is what is recorded already.
    pub state_is_recorded: bool,
    recorded: Option<SourceState>,
    /// What the last close recorded.
    manifest: Option<TargetManifest>,
    /// The target directory as it is now.
    tree: Tree,
    layout: Layout,
    difference: Difference,
    suspects: Suspects,
    freshness: Freshness,
    /// What units looked up that is not what it was.
    stale: Stale,
    memory: Memory,
    had_leftovers: bool,
}

/// What is known of a use that has begun, for when it ends.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is of one matter, and they do not belong together"
)]
pub(crate) struct Begun {
    /// The sources as they were at the start.
    pub state: SourceState,
    /// What the last close recorded; nothing of a directory that was begun anew.
    pub manifest: Option<TargetManifest>,
    /// The sources as they were recorded before.
    pub recorded: Option<SourceState>,
    /// Whether the last attempt before succeeded.
    pub succeeded: bool,
    /// Whether the directory was what the last close left.
    pub was_whole: bool,
    /// Whether something was there that belongs to no unit.
    pub had_leftovers: bool,
    /// Whether files of the target directory got other times than the manifest has.
    pub restamped: bool,
    /// The target directory as it was at the start.
    tree: Tree,
    /// What larder changed of it since: the content of files, or that they went.
    refreshed: BTreeMap<PathBuf, Option<Digest>>,
    local: BTreeSet<String>,
    extras: BTreeMap<PathBuf, BTreeSet<String>>,
    memory: Memory,
    /// How it is going to be found out what this use needs.
    watch: Watch,
    has_future_times: bool,
}

/// Looks at everything that decides what may stay. `place` has no inputs yet: the manifest
/// names them. `drift` is how the identity differs from that of the directory, if its units are to serve another one.
pub(crate) fn look(
    paths: &EntryPaths,
    place: &mut Where,
    view: &View,
    succeeded: bool,
    drift: &Drift,
    watch: &mut Stopwatch,
) -> Result<Seen, LookError> {
    let recorded: Option<SourceState> = read_or_nothing(&paths.state())?;
    let manifest: Option<TargetManifest> = read_or_nothing(&paths.manifest())?;
    place.inputs = manifest.iter().flat_map(|manifest| to_paths(&manifest.inputs)).collect();
    if let (Some(manifest), Some(recorded)) = (&manifest, &recorded) {
        place.inputs.extend(mentioned(place, &manifest.mentions, recorded, view));
    }
    watch.step("records");
    let mut state = sources::observe(place, recorded.as_ref())?;
    watch.step("sources");
    let layout = Layout::scan(&paths.target())?;
    let had_leftovers = leftovers(&layout).next().is_some();
    let extras: BTreeMap<PathBuf, BTreeSet<String>> =
        manifest.iter().flat_map(|known| extras::by_path(&known.extras)).collect();
    let kept = extras.keys().cloned().collect();
    let tree = observe_target(&layout, &kept, manifest.as_ref().map(|known| &known.tree))?;
    state.retain_packages(|name| layout.units().any(|unit| unit.package == name));
    let mut changes = recorded.as_ref().map(|recorded| state.changes_since(recorded));
    if let (Some(changes), Some(manifest)) = (&mut changes, &manifest) {
        changes.add_edited(to_paths(&manifest.edited));
        changes.variables.extend(drift.variables.iter().cloned());
    }
    let known = manifest.as_ref();
    let difference = Difference {
        damage: known.map(|known| tree.changes_since(&known.tree)),
        unmade: known.map(|known| state.unmade(&known.made)).unwrap_or_default(),
        unsent: known.map(|known| extras::by_path(&known.unsent).collect()).unwrap_or_default(),
        tampered: known.map(|known| known.tampered.clone()).unwrap_or_default(),
        changes,
        succeeded,
    };
    let old_local = recorded.as_ref().map(SourceState::local).unwrap_or_default();
    let local = state.local().into_iter().chain(old_local).collect();
    let mut seen = Seen {
        state_is_recorded: recorded.as_ref() == Some(&state),
        memory: known.map(|known| known.memory.clone()).unwrap_or_default(),
        had_leftovers,
        suspects: Suspects { local, extras, ..Suspects::default() },
        freshness: Freshness::default(),
        stale: Stale::default(),
        state,
        tree,
        manifest,
        layout,
        difference,
        recorded: None,
    };
    seen.look_at_traces(view, place);
    seen.look_at_drift(drift, place);
    if let Some(recorded) = &recorded {
        seen.look_at_changes(recorded, view, place)?;
    }
    seen.look_at_units(view, place)?;
    seen.look_for_callers(view, place)?;
    seen.recorded = recorded;
    watch.step("target");
    Ok(seen)
}

impl Seen {
    /// What [`crate::decide::reconcile::plan`] decides by.
    pub(crate) fn situation(&self) -> Situation<'_> {
        let (layout, lock) = (&self.layout, self.state.lock.as_ref());
        Situation { layout, lock, difference: &self.difference, suspects: &self.suspects }
    }

    /// How the sources differ from those of the last attempt; nothing if that is not known.
    pub(crate) fn source_changes(&self) -> Option<&SourceChanges> {
        self.difference.changes.as_ref()
    }

    /// Whether nothing was recorded of the directory.
    #[cfg(test)]
    fn is_new(&self) -> bool {
        self.manifest.is_none()
    }

    /// Whether all that is another under another identity is nobody's input: what goes, goes for its sources.
    pub(crate) fn holds(&self) -> bool {
        let Suspects { strange, looked_up, configured, callers, .. } = &self.suspects;
        strange.is_empty() && looked_up.is_empty() && configured.is_empty() && callers.is_empty()
    }

    /// How many units stay of how many.
    pub(crate) fn staying(&self, plan: &Removals) -> (usize, usize) {
        let all = self.layout.units().count();
        let stays = |unit: &&Unit| !unit.paths.iter().any(|path| plan.paths.contains(path));
        if plan.everything { (0, all) } else { (self.layout.units().filter(stays).count(), all) }
    }

    /// What the last close left, but for what goes.
    pub(crate) fn manifest_without(&self, plan: &Removals) -> Option<TargetManifest> {
        let mut manifest = self.manifest.clone()?;
        plan.paths.iter().for_each(|path| manifest.tree.forget(path));
        Some(manifest)
    }

    /// Whether the directory holds no unit yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.layout.units().next().is_none()
    }

    /// Files that are as they were left but for their modification time, and that time.
    pub(crate) fn drifted(&self) -> Vec<(PathBuf, Moment)> {
        self.manifest.as_ref().map(|known| drifted(&self.tree, &known.tree)).unwrap_or_default()
    }

    /// What is to be done so that Cargo finds fresh what stays.
    pub(crate) fn refresh(
        &self,
        plan: &Removals,
        place: &Where,
        view: &View,
    ) -> Result<Refresh, LookError> {
        let stays = |unit: &Unit| !unit.paths.iter().any(|path| plan.paths.contains(path));
        self.freshness.refresh(&self.layout, place, view, &self.state, stays)
    }

    /// The use begins: all is removed and recorded, and `times` were set in the directory, or all of it was made
    /// anew. To be called after everything that larder itself reads or removes before the command.
    pub(crate) fn begin(self, plan: &Removals, refresh: &Refresh) -> Result<Begun, LookError> {
        let times = &refresh.times;
        let written = refresh.rewrites.iter();
        let written = written.map(|(path, content)| (path.clone(), Some(Digest::of(content))));
        let taken = refresh.notes.iter().map(|path| (path.clone(), None));
        let mut begun = Begun {
            watch: Watch::default(),
            has_future_times: self.freshness.is_future,
            local: self.suspects.local,
            extras: self.suspects.extras,
            restamped: !times.is_empty(),
            state: self.state,
            recorded: self.recorded,
            succeeded: self.difference.succeeded,
            was_whole: self.difference.damage.as_ref().is_some_and(Vec::is_empty)
                && self.difference.tampered.is_empty()
                && self.difference.unsent.is_empty(),
            manifest: self.manifest,
            had_leftovers: self.had_leftovers,
            tree: self.tree,
            refreshed: written.chain(taken).collect(),
            memory: self.memory,
        };
        if plan.everything {
            begun.forget_directory();
        } else {
            begun.learn_times(&self.layout, times);
        }
        begun.watch = begun.watch(&self.layout, plan, self.difference.succeeded)?;
        Ok(begun)
    }
}

impl Begun {
    /// What the command wrote into the sources while the times of some of them are in the future: there Cargo
    /// cannot see it (decision 77).
    pub(crate) fn hidden(&self, place: &Where) -> Result<Option<PathBuf>, LookError> {
        if !self.has_future_times {
            return Ok(None);
        }
        let before = &self.state.checkout;
        let changes = sources::observe_checkout(place, before)?.changes_since(before);
        Ok(changes.into_iter().next().map(|change| change.path))
    }

    /// Takes in that files got other times, and nothing else: their content need not be read again.
    fn learn_times(&mut self, layout: &Layout, times: &[(PathBuf, Moment)]) {
        for (path, _) in times {
            let seen = std::fs::symlink_metadata(layout.absolute(path));
            if let (Some(known), Ok(seen)) = (self.tree.get(path).cloned(), seen) {
                let stamp = Stamp::of(&seen);
                if stamp.size == known.stamp.size && stamp.ino == known.stamp.ino {
                    self.tree.remember(path, Entry { stamp, settled: true, ..known });
                }
            }
        }
    }

    /// Nothing of a directory that was made anew is known.
    fn forget_directory(&mut self) {
        self.tree = Tree::default();
        (self.manifest, self.recorded) = (None, None);
        self.extras.clear();
    }
}

/// The files that texts of programs stand for, from the root, from home, and from the packages.
fn mentioned(
    place: &Where,
    texts: &BTreeSet<Vec<u8>>,
    state: &SourceState,
    view: &View,
) -> BTreeSet<PathBuf> {
    if texts.is_empty() {
        return BTreeSet::new();
    }
    let packages = state.package_directories().map(|package| view.source.join(package));
    place.mentioned(texts, &packages.collect::<Vec<_>>())
}

/// Everything in a target directory that is to be there the next time.
pub(crate) fn observe_target(
    layout: &Layout,
    extras: &BTreeSet<PathBuf>,
    before: Option<&Tree>,
) -> Result<Tree, LookError> {
    let uplifted = layout.profiles.iter().flat_map(|profile| &profile.uplifted);
    let incremental = layout.profiles.iter().filter_map(|profile| profile.incremental.as_ref());
    let passing: BTreeSet<&Path> = uplifted
        .filter(|path| !extras.contains(*path))
        .chain(incremental)
        .map(PathBuf::as_path)
        .collect();
    let wanted = |path: &Path, _| !passing.contains(path);
    let tree = Tree::observe_within(&layout.target, before, Limits::KEPT, wanted);
    let tree = tree.map_err(LookError::Kept)?;
    bounds::check(layout, &tree)?;
    Ok(tree)
}

/// Files whose content is what was left, and whose modification time is not.
fn drifted(now: &Tree, then: &Tree) -> Vec<(PathBuf, Moment)> {
    let is_file = |node: &Node| matches!(node, Node::File(_) | Node::Symlink(_));
    let drifted = |now: &Entry, then: &Entry| {
        is_file(&now.node) && now.same_content(then) && now.stamp.mtime != then.stamp.mtime
    };
    let drifted = now.pairs(then, drifted).into_iter();
    drifted.map(|(path, then)| (path, then.stamp.mtime)).collect()
}

/// A damaged record is no record: nothing then vouches for the directory. Nor is one that somebody closed.
fn read_or_nothing<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match atomic::undamaged(atomic::read_binary(path)) {
        Err(RecordError::Path(error)) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        other => other,
    }
}

fn to_bytes(paths: &BTreeSet<PathBuf>) -> BTreeSet<Vec<u8>> {
    paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect()
}

fn to_paths(paths: &BTreeSet<Vec<u8>>) -> impl Iterator<Item = PathBuf> + '_ {
    paths.iter().map(|path| PathBuf::from(OsStr::from_bytes(path)))
}
