//! What a build left: looked at after the command, for the records.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::callers::Callers;
use super::{
    Begun, LookError, View, elsewhere, fresh, mentioned, observe_target, to_bytes, to_paths,
};
use crate::base::moment::Moment;
use crate::base::regular;
use crate::base::tree::{Change, Made, Node};
use crate::decide::needed::Needed;
use crate::observe::cargo_layout::{
    Input, Layout, LayoutError, Owner, Rewrites, Unit, UnitKind, is_harmless, without_watched,
};
use crate::observe::sources::{self, Attempt, SourceState, Where, plain};
use crate::observe::trace::{Recorder, Traces};
use crate::store::TargetManifest;

/// What stands where users take their artifacts.
#[derive(Debug, Default)]
pub(crate) struct Uplifted {
    /// Files that share their inode with a cached one.
    pub shared: Vec<PathBuf>,
    /// Files that are not Cargo's, relative to the target directory.
    pub extras: BTreeSet<PathBuf>,
}

/// Looks at what a build left where users take it. To be called before anything is unshared:
/// sharing an inode is how Cargo's own files are known.
pub(crate) fn uplifted(layout: &Layout) -> Uplifted {
    let shares = |path: &&PathBuf| {
        let metadata = std::fs::symlink_metadata(layout.absolute(path));
        metadata.is_ok_and(|file| file.is_file() && file.nlink() > 1)
    };
    let all = layout.profiles.iter().flat_map(|profile| &profile.uplifted);
    let (shared, alone): (Vec<&PathBuf>, Vec<&PathBuf>) = all.partition(shares);
    Uplifted {
        shared: shared.into_iter().map(|path| layout.absolute(path)).collect(),
        extras: alone.into_iter().filter(|path| !is_cargos(path, layout)).cloned().collect(),
    }
}

/// The dep-info beside the artifacts as a build without larder has it, where it is another; also in the
/// directory where artifacts go instead, absolute then.
pub(crate) fn dep_infos_for_users(layout: &Layout, results: Option<&Path>) -> Rewrites {
    let all = layout.profiles.iter().flat_map(|profile| &profile.uplifted).cloned();
    let elsewhere = results.into_iter().flat_map(|results| {
        let profiles = layout.profiles.iter().map(|profile| results.join(&profile.path));
        let files = profiles.flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
        files.map(|file| file.path()).collect::<Vec<_>>()
    });
    let theirs = all.chain(elsewhere).filter(|path| path.extension() == Some(OsStr::new("d")));
    let rewrite = |path: PathBuf| {
        let content = regular::read(&layout.absolute(&path), regular::TEXT).ok()?;
        Some((path, without_watched(&content)?))
    };
    theirs.filter_map(rewrite).collect()
}

/// What a build left: for the records.
#[derive(Debug)]
pub(crate) struct Aftermath {
    pub manifest: TargetManifest,
    /// How many packages were compiled.
    pub compiled: usize,
    /// When the first unit was started.
    pub first_unit: Option<Moment>,
    /// The packages of which units were made, and when the first of them was started.
    pub made: BTreeMap<String, Moment>,
    /// Whether the directory holds any unit.
    pub has_units: bool,
}

/// Looks at the target directory after the command. `started` is the moment before it began; `begun` is this use, and
/// `recorder` saw who made what, if anybody watched.
pub(crate) fn look_after(
    layout: &Layout,
    extras: &BTreeSet<PathBuf>,
    begun: &Begun,
    view: &View,
    place: &Where,
    started: Moment,
    recorder: Option<&Recorder>,
) -> Result<Aftermath, LookError> {
    let compiled = layout.compiled_since(started)?.len();
    let tree = observe_target(layout, extras, Some(&begun.tree))?;
    let known = begun.manifest.as_ref();
    let inputs = match known {
        Some(known) if compiled == 0 => known.inputs.clone(),
        _ => to_bytes(&elsewhere::named(layout, None, &begun.state, view, place)?),
    };
    let mentions = match known {
        Some(known) if compiled == 0 => known.mentions.clone(),
        _ => mentions(layout, place, begun)?,
    };
    let memory = match known {
        Some(_) if compiled == 0 => begun.memory.clone(),
        _ => {
            let (state, local, tree) = (&begun.state, &begun.local, &tree);
            let callers = Callers { layout, tree, state, local, place, view };
            callers.remember(&begun.memory)?
        }
    };
    let Written { made, edited } = written(layout, place, view, begun, started)?;
    let starts = layout.units().filter_map(|unit| Some((&unit.package, unit.started?)));
    let mut starting: BTreeMap<String, Moment> = BTreeMap::new();
    for (package, at) in starts.filter(|(_, at)| *at >= started) {
        let first = starting.entry(package.clone()).or_insert(at);
        *first = at.min(*first);
    }
    let first_unit = starting.values().min().copied();
    let has_units = layout.units().next().is_some();
    let mut tampered = tampered(layout)?;
    // Whose documentation rustdoc makes it does not say.
    let is_seen = |unit: &Unit| {
        unit.is(UnitKind::Doc) || recorder.is_none_or(|recorder| recorder.has_seen(unit))
    };
    // Cargo itself notes a script for which it is told the answer: nobody runs it.
    let is_made = |unit: &Unit| match unit.started {
        None => unit.is(UnitKind::BuildScriptRun),
        Some(at) => at >= started && is_seen(unit),
    };
    let mut changes = tree.changes_since(&begun.tree);
    changes.retain(|change| {
        let own = begun.refreshed.get(&change.path);
        let now = tree.get(&change.path).map(|entry| &entry.node);
        own.is_none_or(|own| now != own.map(Node::File).as_ref())
    });
    tampered.extend(changed_unmade(layout, &changes, is_made));
    let (needed, traces) = (Needed::default(), Traces::default());
    let extras = super::extras::makers(layout, extras, &tree, begun, started)?;
    let manifest = TargetManifest {
        tree,
        extras,
        unsent: BTreeMap::new(),
        tampered,
        inputs,
        made,
        edited,
        mentions,
        memory,
        needed,
        traces,
    };
    Ok(Aftermath { manifest, compiled, first_unit, made: starting, has_units })
}

/// The traces of what was made by this use, and of what was there before and is.
pub(crate) fn traces(
    layout: &Layout,
    begun: &Begun,
    recorder: Option<&Recorder>,
    started: Moment,
) -> Traces {
    let new = recorder.map(|recorder| recorder.finish(layout.units(), started));
    let finished = layout.units().filter(|unit| unit.finished.is_some());
    let alive = finished.map(|unit| (unit.hash.clone(), unit.started)).collect();
    let known = begun.manifest.as_ref().map(|known| known.traces.clone()).unwrap_or_default();
    known.after(&new.unwrap_or_default(), &alive)
}

/// What became of the sources while the command ran.
struct Written {
    made: Made,
    edited: BTreeSet<Vec<u8>>,
}

/// What the units of this use wrote into the sources, and what earlier ones wrote, unless all that
/// could have were made anew (decision 25); and what others wrote before or while units were made (decision 83).
fn written(
    layout: &Layout,
    place: &Where,
    view: &View,
    begun: &Begun,
    started: Moment,
) -> Result<Written, LookError> {
    let known = begun.manifest.as_ref();
    let fresh: Vec<&Unit> =
        layout.units().filter(|unit| unit.started.is_some_and(|at| at >= started)).collect();
    let Some(first) = fresh.iter().filter_map(|unit| unit.started).min() else {
        let made = known.map(|known| known.made.clone()).unwrap_or_default();
        let edited = known.map(|known| known.edited.clone()).unwrap_or_default();
        return Ok(Written { made, edited });
    };
    let ends = fresh.iter().map(|unit| unit.finished.map_or(Moment::MAX, |done| done.at));
    let last = ends.max().unwrap_or(Moment::MAX);
    let seen = sources::observe_checkout(place, &begun.state.checkout)?;
    let mut made = begun.state.made(&seen, first, last);
    let mut edited = begun.state.edited(&seen);
    edited.retain(|(path, _)| path != Path::new("Cargo.lock"));
    if !edited.is_empty() {
        let named = named(layout, view, &begun.state)?;
        let may_be_seen = |path: &PathBuf, at: Moment| match at {
            at if at < first => true,
            at if at <= last => false,
            _ => named.iter().any(|named| path.starts_with(named)),
        };
        edited.retain(|(path, at)| at.is_none_or(|at| may_be_seen(path, at)));
    }
    if let Some(manifest) = known {
        let renewed: BTreeSet<&str> = fresh.iter().map(|unit| unit.package.as_str()).collect();
        if !begun.local.iter().all(|name| renewed.contains(name.as_str())) {
            for (path, entry) in &manifest.made {
                made.entry(path.clone()).or_insert_with(|| entry.clone());
            }
        }
    }
    let edited = edited.into_iter().map(|(path, _)| path.into_os_string().into_vec()).collect();
    Ok(Written { made, edited })
}

/// What units name in the checkout, relative to it.
fn named(
    layout: &Layout,
    view: &View,
    state: &SourceState,
) -> Result<BTreeSet<PathBuf>, LookError> {
    let mut named = BTreeSet::new();
    for unit in layout.units() {
        for input in layout.compared(unit)? {
            let paths = match input {
                Input::InWorkspace(path) => vec![view.source.join(path)],
                Input::Absolute(path) => vec![path],
                Input::InPackage(path) => {
                    let homes = fresh::homes(state, view, &unit.package).into_iter();
                    homes.map(|home| home.join(&path)).collect()
                }
            };
            let inside = paths.iter().map(|path| plain(path));
            let inside =
                inside.filter_map(|path| Some(path.strip_prefix(&view.source).ok()?.to_owned()));
            named.extend(inside);
        }
    }
    Ok(named)
}

/// The texts in the programs of local packages that may be paths.
fn mentions(
    layout: &Layout,
    place: &Where,
    begun: &Begun,
) -> Result<BTreeSet<Vec<u8>>, LayoutError> {
    let mut all = BTreeSet::new();
    let is_local = |unit: &&Unit| begun.local.contains(&unit.package);
    for unit in layout.units().filter(is_local) {
        all.extend(layout.mentioned_paths(unit, |text| place.may_be_mentioned(text))?);
    }
    Ok(all)
}

/// The packages whose cached artifact the command changed by way of the uplifted one. Only at the
/// close do the times tell: a copied store has others.
fn tampered(layout: &Layout) -> Result<BTreeSet<String>, LayoutError> {
    let units: BTreeSet<usize> = layout.tampered_units()?.into_iter().collect();
    let all = layout.units().enumerate().filter(|(index, _)| units.contains(index));
    Ok(all.map(|(_, unit)| unit.package.clone()).collect())
}

/// The packages of units that nobody made in this use, and of which something is another all the same: Cargo holds
/// that for what it made. Unfinished units it makes anew by itself.
fn changed_unmade(
    layout: &Layout,
    changes: &[Change],
    is_made: impl Fn(&Unit) -> bool,
) -> BTreeSet<String> {
    let owners = layout.owners();
    let units: Vec<&Unit> = layout.units().collect();
    let mut found = BTreeSet::new();
    for change in changes.iter().filter(|change| !is_harmless(&change.path)) {
        let Owner::Units(whose) = owners.of(&change.path) else { continue };
        let is_open = |unit: &Unit| unit.finished.is_none() || is_made(unit);
        if !whose.iter().any(|index| is_open(units[*index])) {
            found.extend(whose.iter().map(|index| units[*index].package.clone()));
        }
    }
    found
}

/// Takes what a build brought by itself into the state of its sources. Says whether it changed.
pub(crate) fn learn(
    state: &mut SourceState,
    place: &mut Where,
    view: &View,
    aftermath: &Aftermath,
    started: Moment,
) -> Result<bool, LookError> {
    place.inputs = to_paths(&aftermath.manifest.inputs).collect();
    place.inputs.extend(mentioned(place, &aftermath.manifest.mentions, state, view));
    let this = Attempt { started, first_unit: aftermath.first_unit };
    Ok(state.learn(place, this, &aftermath.made)?)
}

/// Whether an uplifted file that shares no inode is one of Cargo's all the same: dep-info, or an
/// artifact that was copied because it could not be linked.
fn is_cargos(path: &Path, layout: &Layout) -> bool {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().replace('-', "_"));
    let stem = stem.unwrap_or_default();
    let stem = stem.strip_prefix("lib").unwrap_or(&stem);
    path.extension() == Some(OsStr::new("d"))
        || layout.units().any(|unit| unit.crates.contains(stem))
}
