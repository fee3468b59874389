//! The only room that knows what is inside a target directory. It reads, and changes nothing.
//!
//! Two layouts are known, from the source of Cargo (`core/compiler/layout.rs` and
//! `core/compiler/build_runner/compilation_files.rs`) and by looking at what it makes:
//!
//! - **V1**, Cargo 1.63 to 1.99: `<profile>/.fingerprint/<pkg>-<H>/`, `<profile>/deps/*-<H>*`,
//!   `<profile>/examples/*-<H>*` and `<profile>/build/<pkg>-<H>/`, with the same `H` for one unit;
//! - **V2**, `-Zbuild-dir-new-layout` and the default from Cargo 1.100:
//!   `<profile>/build/<pkg>/<H>/{fingerprint,out,run}`, one directory for one unit.
//!
//! `<profile>` is `release` or `<target>/release`. `H` has 16 hexadecimal digits. Both may stand
//! side by side in one directory; the units of both are found. Whatever looks like neither makes
//! the whole directory [`Version::Unknown`]: then nothing inside is named, and callers deal with
//! the directory as a whole.
//!
//! All paths are relative to the target directory, so that they compare with those of a manifest;
//! [`Layout::absolute`] gives the place on disk.

mod depinfo;
mod fingerprint;
mod graph;
mod inputs;
mod listing;
mod locks;
mod mentions;
mod names;
mod out_dir;
mod owners;
mod reads;
mod scan;
mod stamps;
mod tampered;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::moment::Moment;

pub(crate) use depinfo::{watched_as, without_watched};
pub(crate) use fingerprint::Rewrites;
#[cfg(test)]
pub(crate) use fingerprint::number_of;
pub(crate) use graph::Graph;
pub(crate) use inputs::{Elsewhere, Input};
pub(crate) use locks::CargoLocks;
pub(crate) use names::{is_harmless, is_unit_note, package_in};
pub(crate) use owners::{Owner, Owners};

/// Cargo's notes to itself and about times at the top of a target directory.
pub(crate) const NOTES: [&str; 4] =
    [".rustc_info.json", "CACHEDIR.TAG", ".cargo-lock", "cargo-timings"];

/// Which layout a target directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Cargo 1.63 to 1.99; also a directory in which nothing was built yet.
    V1,
    /// `-Zbuild-dir-new-layout`, the default from Cargo 1.100; also where both are present.
    V2,
    /// Neither: use the directory as a whole, or not at all.
    Unknown,
}

/// What a unit is, by the names in its fingerprint directory.
///
/// Cargo names them `[test-|doc-|run-]<kind>-<target>` (`core/compiler/fingerprint/mod.rs` and
/// `compilation_files.rs`, `fingerprint_file_path`, Cargo 1.95).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UnitKind {
    /// A library, a proc macro too.
    Lib,
    /// An executable.
    Bin,
    /// An example.
    Example,
    /// Any target compiled as a test or a benchmark.
    Test,
    /// A build script's compilation.
    BuildScriptCompile,
    /// A build script's run.
    BuildScriptRun,
    /// Documentation: rustdoc's run, whose files are in `doc/`.
    Doc,
    /// A kind that this version of larder does not know.
    Other,
}

/// One crate compilation, or one run of a build script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub package: String,
    /// The 16 hexadecimal digits that Cargo gave this unit.
    pub hash: String,
    /// What it is; empty when Cargo was stopped before it wrote anything about it.
    pub kinds: BTreeSet<UnitKind>,
    /// The crate names (`-` written as `_`) of the targets that it compiles.
    pub crates: BTreeSet<String>,
    /// Everything that must go together so that Cargo makes this unit anew.
    pub paths: Vec<PathBuf>,
    pub fingerprint: PathBuf,
    /// Cargo's 16 digits about a finished unit, absent after a failure or an interruption.
    pub finished: Option<Finished>,
    /// When it was last started: the modification time of its `invoked.timestamp`.
    pub started: Option<Moment>,
    /// When Cargo's 16 digits were last read before this scan, as far as the filesystem notes it.
    pub read: Option<Moment>,
    /// A build script's `OUT_DIR`; only for runs.
    pub out_dir: Option<PathBuf>,
}

/// What Cargo noted when a unit was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The fingerprint, as dependents write it down in their own `.json`.
    pub fingerprint: u64,
    /// When it was noted: the modification time of the file.
    pub at: Moment,
}

/// One profile's directory, of the host or of a `--target`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProfileDir {
    /// Such as `release` or `x86_64-unknown-linux-gnu/release`.
    pub path: PathBuf,
    /// Its units, in order of path.
    pub units: Vec<Unit>,
    /// Files in the directory itself and in `examples/` that are no unit's own: what users take.
    pub uplifted: Vec<PathBuf>,
    /// `incremental/`, when there is one.
    pub incremental: Option<PathBuf>,
    /// What a build script's run left that Cargo does not hold for finished: it would be run again
    /// into an `OUT_DIR` that is not empty.
    pub orphan_out_dirs: Vec<PathBuf>,
    /// Files of `deps/` and directories of `build/` with the hash of no unit.
    pub strays: Vec<PathBuf>,
    /// Directories that are not Cargo's, and files in `deps/` and `build/` that are not.
    pub foreign: Vec<PathBuf>,
    pub locks: Vec<PathBuf>,
}

/// A target directory as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub target: PathBuf,
    /// Which layout it has.
    pub version: Version,
    /// The directories of its profiles, in order of path; none when the layout is unknown.
    pub profiles: Vec<ProfileDir>,
    /// Names at the top, or beside the profiles of a `--target`, that are no profile's: `doc`,
    /// `package`, or what a script put there. Of `tmp`, which is Cargo's own (`prepare_tmp` in
    /// `core/compiler/layout.rs`, Cargo 1.95), what is in it.
    pub foreign: Vec<PathBuf>,
}

/// A target directory that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {} in the target directory", path.display())]
pub struct LayoutError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Layout {
    /// Looks into a target directory; one that does not exist is empty.
    pub(crate) fn scan(target: &Path) -> Result<Self, LayoutError> {
        scan::scan(target)
    }

    /// A target directory of which nothing is known.
    pub(crate) fn unknown(target: &Path) -> Self {
        let (target, version) = (target.to_owned(), Version::Unknown);
        Self { target, version, profiles: Vec::new(), foreign: Vec::new() }
    }

    /// All units of all profiles. [`Layout::edges`] counts them in this order.
    pub(crate) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.profiles.iter().flat_map(|profile| &profile.units)
    }

    /// The place on disk of a path that is relative to the target directory.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.target.join(path)
    }

    /// The target directory that holds a path: this one, which is empty, or one of another cargo inside of it. Cargo keeps
    /// what it knows of rustc at the top of each (`util/rustc.rs`, `Rustc::new`, Cargo 1.95).
    pub(crate) fn target_of<'p>(&self, inside: &'p Path) -> &'p Path {
        let top = inside.iter().next().map(Path::new);
        let is_target = |top: &&Path| self.absolute(&top.join(Self::rustc_info())).exists();
        top.filter(is_target).unwrap_or(Path::new(""))
    }

    /// All names that are not Cargo's, but for files where users take their artifacts.
    pub(crate) fn beside(&self) -> impl Iterator<Item = &PathBuf> {
        let inner = self.profiles.iter().flat_map(|profile| &profile.foreign);
        self.foreign.iter().chain(inner)
    }

    /// Of these, what is neither a note of Cargo's nor documentation that units make.
    pub(crate) fn foreign_to_cargo(&self) -> impl Iterator<Item = &PathBuf> {
        self.beside().filter(|path| {
            !is_harmless(path) && **path != Self::rustc_info() && self.docs_above(path).is_none()
        })
    }

    /// The directory of documentation that a path is, or is in: `doc/` or `<target>/doc/`, while
    /// there are units that make one.
    pub(crate) fn docs_above<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        let is_docs = |above: &&Path| {
            above.file_name().is_some_and(|name| name == "doc") && above.components().count() < 3
        };
        let is_inside = self.profiles.iter().any(|profile| path.starts_with(&profile.path));
        let docs = path.ancestors().find(is_docs).filter(|_| !is_inside);
        docs.filter(|_| self.units().any(|unit| unit.is(UnitKind::Doc)))
    }

    /// Cargo's memory of what `rustc -vV` says (`util/rustc.rs`), by path, size and times only.
    pub(crate) fn rustc_info() -> PathBuf {
        PathBuf::from(".rustc_info.json")
    }
}

/// Whether a program of that name is a build script, by either of the names that Cargo gives it.
pub(crate) fn is_build_script(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"build-script-") || name.starts_with(b"build_script_")
}

impl Unit {
    /// Whether it is of a kind.
    pub(crate) fn is(&self, kind: UnitKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// What it is, for people.
    pub(crate) fn in_words(&self) -> &'static str {
        if self.is(UnitKind::BuildScriptRun) {
            "build script, run"
        } else if self.is(UnitKind::BuildScriptCompile) {
            "build script, compiled"
        } else {
            "compiled"
        }
    }
}
