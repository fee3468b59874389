//! Which local packages a change of the sources can have reached.
//!
//! A package without a build script, and without a proc macro that may read anything, is fully
//! described by what rustc wrote down: its dep-info names every file that went into it, and Cargo
//! itself knows its manifest, flags and variables. Only a change of these files concerns it. All
//! other packages may have read anything, so any change concerns them (decision 29).
//!
//! What is not certain counts as reached: names that come and go in a package's directory or in one
//! that it reads from; and everything where a file changed that no unit names (a linker may read it, an
//! assembler, or rustc, which puts static archives into libraries), where a manifest or Cargo's
//! configuration changed, or where symlinks give files other names than rustc wrote down.
//!
//! A package from outside that names a file of the checkout is reached by it like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base::tree::{Change, Entry, Node};
use crate::observe::cargo_layout::{Input, Layout, LayoutError, Unit, UnitKind};
use crate::observe::sources::{Lockfile, SourceChanges, SourceState, plain};

/// Proc macros from the registry that read nothing but what they are given, as their sources show:
/// derives and attributes.
const PURE: [&str; 28] = [
    "async-trait",
    "bytemuck_derive",
    "clap_derive",
    "darling_macro",
    "derivative",
    "derive_builder_macro",
    "derive_more",
    "derive_more-impl",
    "displaydoc",
    "educe",
    "enum-as-inner",
    "futures-macro",
    "miette-derive",
    "num-derive",
    "num_enum_derive",
    "paste",
    "pin-project-internal",
    "proc-macro-error-attr",
    "proc-macro-error-attr2",
    "serde_derive",
    "serde_repr",
    "strum_macros",
    "thiserror-impl",
    "tokio-macros",
    "tracing-attributes",
    "zerocopy-derive",
    "zerofrom-derive",
    "zeroize_derive",
];

/// The local packages that the changes of a checkout, or of its repository, can have reached;
/// `None` for all of them. `source` is the checkout as the compiler sees it.
pub(crate) fn affected(
    layout: &Layout,
    changes: &[Change],
    old: &SourceState,
    new: &SourceState,
    local: &BTreeSet<String>,
    source: &Path,
) -> Result<Option<BTreeSet<String>>, LayoutError> {
    let Some(lock) = &new.lock else { return Ok(None) };
    if new.lock != old.lock
        || changes.iter().any(concerns_cargo)
        || [old, new].iter().any(|state| links(state).next().is_some())
    {
        return Ok(None);
    }
    let (open, macros) = open_packages(layout, lock);
    let is_open = |name: &&String| {
        open.contains(*name) || !lock.dependencies_closure(name).is_disjoint(&macros)
    };
    let mut affected: BTreeSet<String> = local.iter().filter(is_open).cloned().collect();
    let readers = Readers::of(layout, local, source)?;
    for change in changes {
        let names = readers.of_file(&change.path);
        if names.is_empty() {
            return Ok(None);
        }
        affected.extend(names);
        if !is_content(change, old, new) {
            let home = home(new, &change.path);
            affected.extend(readers.of_directory(home, new));
            affected.extend(new.package_in(home).map(str::to_owned));
        }
    }
    Ok(Some(affected))
}

/// The local packages that another manifest can have reached; `None` for all of them. What else a change can reach,
/// their traces tell. Where `Cargo.lock` has other dependencies, units have other hashes (`compute_metadata` in
/// `core/compiler/build_runner/compilation_files.rs`, Cargo 1.95).
pub(crate) fn reached_by_manifests(
    changes: &[Change],
    old: &SourceState,
    new: &SourceState,
) -> Option<BTreeSet<String>> {
    let mut reached = BTreeSet::new();
    for change in changes.iter().filter(|change| concerns_cargo(change)) {
        match change.path.file_name().and_then(OsStr::to_str) {
            Some("Cargo.lock") => {}
            Some("Cargo.toml") => {
                let home = change.path.parent().unwrap_or(Path::new(""));
                if !new.same_for_others(old, home) {
                    return None;
                }
                let names = [old, new].into_iter().filter_map(|state| state.package_in(home));
                reached.extend(names.map(str::to_owned));
            }
            _ => return None,
        }
    }
    (old.lock.is_some() == new.lock.is_some()).then_some(reached)
}

/// The packages from outside that name something of the checkout that changed: in dep-info, or because
/// their build script declared it. `source` is the checkout as the compiler sees it.
pub(crate) fn reached_outside(
    layout: &Layout,
    changes: &SourceChanges,
    new: &SourceState,
    local: &BTreeSet<String>,
    source: &Path,
) -> Result<BTreeSet<String>, LayoutError> {
    let mut reached = BTreeSet::new();
    if changes.checkout.is_empty() && changes.git.is_empty() {
        return Ok(reached);
    }
    // What is reached by a link has another name than the one that was written down.
    let links: Vec<PathBuf> = links(new).map(|(path, _)| path).collect();
    let is_reached = |named: &Path| {
        let is_git = named.components().any(|part| part.as_os_str() == ".git");
        links.iter().any(|link| named.starts_with(link) || link.starts_with(named))
            || (is_git && !changes.git.is_empty())
            || changes.checkout.iter().any(|change| change.path.starts_with(named))
    };
    for unit in layout.units().filter(|unit| !local.contains(&unit.package)) {
        let inputs = layout.inputs(unit)?;
        let mut named = inputs.iter().flat_map(|input| in_checkout(input, unit, new, source));
        if named.any(|path| is_reached(&path)) {
            reached.insert(unit.package.clone());
        }
    }
    Ok(reached)
}

/// The paths in the checkout that an input of a package from outside may be. Relative ones are known
/// only where the package lies in the checkout, of each version that does.
fn in_checkout(input: &Input, unit: &Unit, state: &SourceState, source: &Path) -> Vec<PathBuf> {
    let (Input::InWorkspace(path) | Input::InPackage(path)) = input else {
        let Input::Absolute(path) = input else { return Vec::new() };
        return plain(path).strip_prefix(source).map(Path::to_owned).into_iter().collect();
    };
    let homes = state.package_directories();
    let homes = homes.filter(|home| state.package_in(home) == Some(unit.package.as_str()));
    homes.map(|home| plain(&home.join(path))).collect()
}

fn links(state: &SourceState) -> impl Iterator<Item = (PathBuf, &Entry)> {
    state.checkout.select(|_, entry| matches!(entry.node, Node::Symlink(_)))
}

/// Packages of whose compilation it is not known that it writes nothing but what Cargo asked for: macros
/// that take part in it may do anything.
pub(crate) fn may_write(layout: &Layout, lock: &Lockfile) -> BTreeSet<String> {
    let (_, macros) = open_packages(layout, lock);
    let ids = lock.packages.iter().filter(|package| macros.contains(&package.name));
    let closure = lock.dependents_closure(&ids.map(crate::observe::sources::Package::id).collect());
    let all = lock.packages.iter().filter(|package| closure.contains(&package.id()));
    all.map(|package| package.name.clone()).collect()
}

/// Whether a change may mean anything to Cargo itself.
pub(crate) fn concerns_cargo(change: &Change) -> bool {
    let name = change.path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let cargos = ["Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml"];
    cargos.contains(&name) || change.path.components().any(|part| part.as_os_str() == ".cargo")
}

/// Whether nothing but the content of a regular file changed.
fn is_content(change: &Change, old: &SourceState, new: &SourceState) -> bool {
    let (old, new) = (old.checkout.get(&change.path), new.checkout.get(&change.path));
    old.zip(new).is_some_and(|(old, new)| {
        let is_file = |node: &Node| matches!(node, Node::File(_));
        is_file(&old.node) && is_file(&new.node) && old.mode == new.mode
    })
}

/// The directory of the package that a path belongs to.
fn home<'a>(state: &'a SourceState, path: &Path) -> &'a Path {
    let homes = state.package_directories().filter(|home| path.starts_with(home));
    homes.max_by_key(|home| home.components().count()).unwrap_or(Path::new(""))
}

/// The packages that may read what nobody says, by themselves or through a proc macro of those that
/// they depend on.
pub(crate) fn open(layout: &Layout, lock: &Lockfile) -> BTreeSet<String> {
    let (mut open, macros) = open_packages(layout, lock);
    let ids = lock.packages.iter().filter(|package| macros.contains(&package.name));
    let closure = lock.dependents_closure(&ids.map(crate::observe::sources::Package::id).collect());
    let users = lock.packages.iter().filter(|package| closure.contains(&package.id()));
    open.extend(users.map(|package| package.name.clone()));
    open
}

/// Packages that may read anything: those with a build script; and proc macros that are not known
/// to read nothing, which do it in the name of all who use them.
fn open_packages(layout: &Layout, lock: &Lockfile) -> (BTreeSet<String>, BTreeSet<String>) {
    let from_registry = |name: &str| {
        let mut all = lock.packages.iter().filter(|package| package.name == name).peekable();
        all.peek().is_some() && all.all(|package| package.checksum.is_some())
    };
    let is_known = |name: &str| PURE.contains(&name) && from_registry(name);
    let (mut open, mut macros) = (BTreeSet::new(), BTreeSet::new());
    for unit in layout.units() {
        if unit.is(UnitKind::BuildScriptCompile) || unit.is(UnitKind::BuildScriptRun) {
            open.insert(unit.package.clone());
        }
        if unit.is(UnitKind::Lib) && !is_known(&unit.package) && has_shared_library(layout, unit) {
            macros.insert(unit.package.clone());
        }
    }
    (open, macros)
}

/// Whether a unit made a shared library: a proc macro, or a `cdylib`.
fn has_shared_library(layout: &Layout, unit: &Unit) -> bool {
    let is_library = |path: &Path| path.extension() == Some(OsStr::new("so"));
    unit.paths.iter().any(|path| {
        // In the newer layout a unit is one directory.
        let inside = std::fs::read_dir(layout.absolute(path).join("out")).into_iter().flatten();
        is_library(path) || inside.flatten().any(|entry| is_library(&entry.path()))
    })
}

/// Which local packages read which files of the checkout, by dep-info.
struct Readers {
    by_file: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Readers {
    fn of(layout: &Layout, local: &BTreeSet<String>, source: &Path) -> Result<Self, LayoutError> {
        let mut readers = Self { by_file: BTreeMap::new() };
        for unit in layout.units().filter(|unit| local.contains(&unit.package)) {
            for input in layout.inputs(unit)? {
                let path = match &input {
                    Input::InWorkspace(path) => path.as_path(),
                    Input::Absolute(path) => path.strip_prefix(source).unwrap_or(path),
                    Input::InPackage(_) => continue,
                };
                let names = readers.by_file.entry(plain(path)).or_default();
                names.insert(unit.package.clone());
            }
        }
        Ok(readers)
    }

    fn of_file(&self, path: &Path) -> BTreeSet<String> {
        self.by_file.get(path).cloned().unwrap_or_default()
    }

    /// Who reads any file that belongs to the package in a directory.
    fn of_directory(&self, home_of_change: &Path, state: &SourceState) -> BTreeSet<String> {
        let inside = self.by_file.iter().filter(|(path, _)| home(state, path) == home_of_change);
        inside.flat_map(|(_, names)| names.iter().cloned()).collect()
    }
}
